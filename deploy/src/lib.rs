//! Bringing the pipeline up: the local stack of real parts, topics, ClickHouse migrations, definitions, and
//! the demo.
//!
//! Tests of any crate start what they need by [`stack::Stack`]. What the processes do once they run is theirs:
//! nothing here looks into a beacon or a batch.

pub mod cache;
pub mod clickhouse;
pub mod definitions;
pub mod demo;
pub mod error;
pub mod executable;
pub mod launch;
pub mod migration;
pub mod part;
pub mod port;
pub mod prepare;
pub mod progress;
pub mod stack;
pub mod tool;
pub mod topic;
