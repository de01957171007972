//! The contracts of this crate as their users meet them: definition folders and what bad files are answered,
//! and records that were written once and must stay readable.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod definitions;
mod json_schema;
mod record;
