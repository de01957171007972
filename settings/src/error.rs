//! Why a configuration cannot be read.

use std::path::PathBuf;

/// Why a configuration cannot be read. No message holds a value that came from a secret file or belongs to a
/// [`crate::Secret`].
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there or cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The configuration file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file that a `…_file` key names is not there or cannot be read.
    #[error("{place}: {key}: cannot read {path}: {source}", path = path.display())]
    Secret {
        /// The configuration file or the environment.
        place: String,
        /// Path of the key that names the file.
        key: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A value has the wrong shape, or a key is not known.
    #[error("{place}: {key}: {detail}")]
    Shape {
        /// The configuration file or the environment.
        place: String,
        /// Path of the key, empty when the file is no TOML.
        key: String,
        /// What is wrong.
        detail: String,
    },
}
