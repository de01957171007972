//! Configurations as files and variables give them, and what is shown of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod layers;
mod shown;
