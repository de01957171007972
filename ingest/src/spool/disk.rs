//! The few things that the spool does with files, behind a trait so that tests can let them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Makes segments.
pub trait Disk: Send + 'static {
    /// Creates a file that did not exist and makes its name durable; makes the folder where it is missing.
    ///
    /// # Errors
    /// When the disk is full, read-only or broken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;
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
        std::fs::create_dir_all(folder)?;
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        sync_folder(folder)?;
        Ok(Box::new(file))
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

/// Makes names in a folder durable.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
