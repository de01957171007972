//! The few things that the spool does with files, behind a trait so that tests can let them fail.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::segment;

/// Makes and reads segments.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Creates a file that did not exist and makes its name durable; makes the folder where it is missing.
    ///
    /// # Errors
    /// When the disk is full, read-only or broken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;

    /// Numbers of the segments in a folder, in order of arrival.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<u64>>;

    /// A range of a file's bytes, fewer where it is shorter.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read(&self, path: &Path, range: Range<u64>) -> io::Result<Vec<u8>>;
}

/// A segment that is written.
pub trait SegmentFile: Send {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// When not all of them could be written; some may have been.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was appended.
    ///
    /// # Errors
    /// When that is not known: the file must not be written any more, since a later success says nothing about
    /// what failed before.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Clone, Copy)]
pub struct FileSystem;

impl Disk for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let folder = path.parent().unwrap_or(Path::new("."));
        make_folder(folder)?;
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        if let Err(error) = sync_folder(folder) {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Box::new(file))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<u64>> {
        segment::list(folder)
    }

    fn read(&self, path: &Path, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let mut bytes = Vec::new();
        file.take(range.end - range.start).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl SegmentFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes a folder that is missing, and its name durable.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    match folder.parent() {
        Some(parent) if parent != Path::new("") => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// Makes names in a folder durable.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
