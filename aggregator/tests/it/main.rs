//! The aggregator on a real Kafka and a real ClickHouse.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod definitions;
mod exactly_once;
mod membership;
mod proxy;
mod refusals;
mod rejects;
mod retention;
mod semantics;
mod snapshots;
mod stand;
