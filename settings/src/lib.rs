//! What `ingest` and `aggregator` share about being configured, and nothing of what they are configured to do.
//!
//! [`read`] puts a configuration together: the defaults, then a TOML file, then the environment. Wherever a key `K`
//! is known, `K_file` (in the environment `K_FILE`) may stand instead and name a file that holds the value, so that
//! passwords are mounted rather than written down. What values mean, and which are allowed, is decided by who owns
//! the configuration's struct.

mod environment;
mod error;
pub mod kafka;
mod layers;
mod secret;

pub use environment::Environment;
pub use error::SettingsError;
pub use layers::{SECRET_BYTES_MAX, read};
pub use secret::Secret;
