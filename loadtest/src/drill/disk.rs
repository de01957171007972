//! Small disks of their own: a file system in memory that can be filled and freed without touching anything else.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Size of such a disk, MiB: much more than a drill writes, and soon filled.
const SIZE_MIB: u64 = 256;
/// The file that takes what is free.
const FILLER: &str = "filler";
/// Bytes that are written at once, until fewer are free; then a block at a time.
const PIECE_BYTES: usize = 1 << 20;
const BLOCK_BYTES: usize = 4 << 10;

/// One disk. Dropping it unmounts it, and what it holds is gone.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts one at `path`, which is made.
    ///
    /// # Errors
    /// When the machine does not allow it.
    pub fn mount(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE_MIB}m"), "tmpfs"]).arg(path);
        let output = mount.output().context("running mount")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("a file system in memory cannot be mounted, which takes root: {}", said.trim());
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Writes until nothing more can be written; returns how much that was, in bytes.
    ///
    /// # Errors
    /// When writing fails in another way.
    pub fn fill(&self) -> anyhow::Result<u64> {
        let path = self.path.join(FILLER);
        let at = || format!("filling {}", path.display());
        let mut file = File::options().create(true).append(true).open(&path).with_context(at)?;
        for piece in [PIECE_BYTES, BLOCK_BYTES, 1] {
            let zeros = vec![0; piece];
            loop {
                match file.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).with_context(at),
                }
            }
        }
        Ok(file.metadata().with_context(at)?.len())
    }

    /// Frees what was filled.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn free(&self) -> anyhow::Result<()> {
        let path = self.path.join(FILLER);
        std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
    }

    /// Bytes that can still be written; `None` where the system does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        let state = nix::sys::statvfs::statvfs(&self.path).ok()?;
        Some(state.blocks_available().saturating_mul(state.fragment_size()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is still ending may have a file open there.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("{} is still mounted: umount it", self.path.display());
        }
    }
}
