//! The real server against a real Kafka.

mod availability;
mod contract;
mod stand;
