//! A deterministic simulation of the aggregator: seeded worlds in which everything goes wrong but the numbers.
//!
//! A [`Scenario`] says what a seed means: which clients visit ([`visitors`]), and what happens meanwhile. A
//! [`world`] plays it: clients' beacons, ticks and definition sets on a partitioned [`log`], several aggregators
//! that crash, pause, rebalance and come back, and a [`database`] that behaves as ClickHouse was measured to.
//! The real engine makes the batches and the real writer's inserts carry them; scheduling, leases, queues and the
//! servers are models, small enough to be read beside what they stand for. The [`law`] then judges the tables.
//!
//! Nothing here reads a clock or draws from anything but the seed, so a seed replays exactly. What real servers
//! do is left to the tests that run them.

pub mod broken;
pub mod campaign;
pub mod database;
pub mod definitions;
pub mod dice;
pub mod law;
pub mod log;
pub mod scenario;
pub mod shrink;
pub mod truth;
pub mod visitors;
pub mod world;

pub use broken::Broken;
pub use law::{Law, Violation};
pub use scenario::{Overrides, Scenario};
pub use world::{Report, Stats, run};
