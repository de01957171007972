//! The real server against a real Kafka.
#![expect(clippy::unwrap_used, reason = "what the tests stand on fails the test")]

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod availability;
mod contract;
mod stand;
