//! Tools that tests and comparisons run beside the product: packages of Python and programs of Go, pinned by files in the repository.
//!
//! A folder carries the digest of the pins, so it is made once and is never another version's.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::Cache;
use crate::error::StackError;
use crate::progress::Progress;
use crate::tool::run;

impl Cache {
    /// A folder for `PYTHONPATH` with the packages of a requirements file.
    ///
    /// # Errors
    /// When the file cannot be read, or pip is missing or fails.
    pub fn python_packages(&self, requirements: &Path) -> Result<PathBuf, StackError> {
        self.made("python", &[requirements.to_owned()], |dir| {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
                .arg(dir)
                .arg("--requirement")
                .arg(requirements);
            run(pip, "which installs Python packages", "install python3 with pip", "pip install", AGAIN)
                .map(drop)
        })
    }

    /// A folder with the programs that the Go module of `dir` names as tools, or has the source of.
    ///
    /// # Errors
    /// When `go.sum` or a source cannot be read, or Go is missing or fails.
    pub fn go_programs(&self, dir: &Path, packages: &[&str]) -> Result<PathBuf, StackError> {
        let mut pins = vec![dir.join("go.sum")];
        pins.extend(go_sources(dir)?);
        self.made("go", &pins, |place| {
            let mut go = Command::new("go");
            go.current_dir(dir).args(["build", "-o"]).arg(place).args(packages);
            run(go, "which builds programs of Go", "install Go", "go build", AGAIN).map(drop)
        })
    }

    /// The folder that `make` fills, made anew when a file of pins is another.
    fn made(
        &self,
        kind: &str,
        pins: &[PathBuf],
        make: impl FnOnce(&Path) -> Result<(), StackError>,
    ) -> Result<PathBuf, StackError> {
        let mut hash = Sha256::new();
        for path in pins {
            hash.update(std::fs::read(path).map_err(StackError::io("read", path))?);
        }
        let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{kind}-{digest}");
        let place = self.root.join(&name);
        if place.is_dir() {
            return Ok(place);
        }
        std::fs::create_dir_all(&self.root).map_err(StackError::io("create", &self.root))?;
        let _lock = self.lock(&name, &name, Progress::Quiet)?;
        if place.is_dir() {
            return Ok(place);
        }
        let coming = tempfile::Builder::new()
            .prefix(&format!("{name}.coming-"))
            .tempdir_in(&self.root)
            .map_err(StackError::io("create a folder in", &self.root))?;
        make(coming.path())?;
        std::fs::rename(coming.keep(), &place).map_err(StackError::io("rename the download to", &place))?;
        Ok(place)
    }
}

/// The Go files of a folder itself, in the order of their names.
fn go_sources(dir: &Path) -> Result<Vec<PathBuf>, StackError> {
    let entries = std::fs::read_dir(dir).map_err(StackError::io("read", dir))?;
    let is_go = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "go");
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_go).collect();
    files.sort();
    Ok(files)
}

/// What to do when a download fails.
const AGAIN: &str = "look at the network and the package index, and try again";
