//! The aggregator on a real Kafka and a real ClickHouse.

mod definitions;
mod exactly_once;
mod proxy;
mod refusals;
mod rejects;
mod stand;
