//! Tools that tests run beside the product: packages of Python and programs of Go, pinned by files in the repository.
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
        self.made("python", requirements, |dir| {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
                .arg(dir)
                .arg("--requirement")
                .arg(requirements);
            run(pip, "which installs Python packages", "install python3 with pip", "pip install", AGAIN)
                .map(drop)
        })
    }

    /// A folder with the programs that the Go module of `dir` names as tools.
    ///
    /// # Errors
    /// When `go.sum` cannot be read, or Go is missing or fails.
    pub fn go_programs(&self, dir: &Path, packages: &[&str]) -> Result<PathBuf, StackError> {
        self.made("go", &dir.join("go.sum"), |place| {
            let mut go = Command::new("go");
            go.current_dir(dir).args(["build", "-o"]).arg(place).args(packages);
            run(go, "which builds tools of the tests", "install Go", "go build", AGAIN).map(drop)
        })
    }

    /// The folder that `make` fills, made anew when the file of pins is another.
    fn made(
        &self,
        kind: &str,
        pins: &Path,
        make: impl FnOnce(&Path) -> Result<(), StackError>,
    ) -> Result<PathBuf, StackError> {
        let content = std::fs::read(pins).map_err(StackError::io("read", pins))?;
        let digest: String =
            Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
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

/// What to do when a download fails.
const AGAIN: &str = "look at the network and the package index, and try again";
