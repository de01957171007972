//! The real server against a real Kafka.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod availability;
mod contract;
mod openapi;
mod spool;
mod stand;
