//! What the parts of the pipeline agree on: beacons and events, their encoding on the log, journey
//! definitions, the histogram layout, and the tables in ClickHouse.
//!
//! Nothing here does I/O, reads a clock or is asynchronous: `ingest`, `aggregator`, `loadtest` and `deploy`
//! meet only in these types. How a client's wire format becomes a [`beacon::Beacon`] is `ingest`'s; how
//! beacons become attempts is `aggregator`'s.

pub mod beacon;
pub mod ddl;
pub mod definition;
pub mod histogram;
pub mod record;
pub mod route;
pub mod rows;
pub mod value;
