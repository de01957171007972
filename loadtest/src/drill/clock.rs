//! Clocks that go wrong: a process that libfaketime stands in front of, and a file that says by how much.
//!
//! Only the wall clock is another; the monotonic one, by which a process waits, goes on
//! (<https://github.com/wolfcw/libfaketime>).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where Debian and others have the library for programs with several threads, below `/usr/lib` or a folder in it.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clock of one process, right at first.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    /// What is added to the time, in seconds.
    file: PathBuf,
}

impl Clock {
    /// A clock whose file is `file`.
    ///
    /// # Errors
    /// When libfaketime is missing, or the file cannot be written.
    pub fn new(file: PathBuf) -> anyhow::Result<Self> {
        let library = library(Path::new("/usr/lib")).context(
            "libfaketime was not found, which makes clocks wrong: install it (Debian: apt install faketime)",
        )?;
        let clock = Self { library, file };
        clock.shift(0)?;
        Ok(clock)
    }

    /// Variables by which a process goes by it.
    pub fn env(&self) -> BTreeMap<String, String> {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Sets it wrong by so much, ms; the process notices within a second.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn shift(&self, by_ms: i64) -> anyhow::Result<()> {
        // Beside its place and renamed, so that it is read whole.
        let coming = self.file.with_extension("coming");
        let text = format!("{:+.3}\n", by_ms as f64 / 1_000.0);
        std::fs::write(&coming, text)
            .and_then(|()| std::fs::rename(&coming, &self.file))
            .with_context(|| format!("writing {}", self.file.display()))
    }
}

/// The library in `folder` or in a folder of it.
fn library(folder: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    std::iter::once(folder.to_owned())
        .chain(folders)
        .map(|folder| folder.join(LIBRARY))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(library(folder.path()), None);
        let path = folder.path().join("x86_64-linux-gnu").join(LIBRARY);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(library(folder.path()), Some(path));
    }

    #[test]
    fn the_file_says_the_shift_in_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock { library: PathBuf::new(), file: folder.path().join("clock") };
        clock.shift(-7_200_500).unwrap();
        assert_eq!(std::fs::read_to_string(&clock.file).unwrap(), "-7200.500\n");
    }
}
