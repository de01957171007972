//! The command against a real ClickHouse, and real evaluators against the command.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod commands;
mod evaluators;
mod prometheus;
mod propose;
mod receiver;
mod stand;
