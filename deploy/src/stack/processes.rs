//! `processes.json`: which process a part is now, for people and for tests that kill one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::part::Part;

/// The file and whom it lists.
#[derive(Debug, Clone)]
pub(super) struct Processes {
    path: PathBuf,
    parts: Arc<Mutex<Vec<Weak<Part>>>>,
}

impl Processes {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join("processes.json"), parts: Arc::default() }
    }

    pub(super) fn add(&self, part: &Arc<Part>) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(part));
    }

    /// Writes the file beside its place and renames it, so that readers see it whole.
    pub(super) fn write(&self) {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let pids: BTreeMap<_, _> = parts
            .iter()
            .filter_map(Weak::upgrade)
            .filter_map(|part| Some((part.name(), part.pid()?)))
            .collect();
        let coming = self.path.with_extension("json.coming");
        let written = serde_json::to_string_pretty(&pids)
            .map_err(std::io::Error::other)
            .and_then(|json| std::fs::write(&coming, json + "\n"))
            .and_then(|()| std::fs::rename(&coming, &self.path));
        if let Err(error) = written {
            eprintln!("{} can't be written: {error}", self.path.display());
        }
    }
}
