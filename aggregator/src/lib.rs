//! The aggregator: reads the log of beacons, makes journeys' SLIs of it, and writes them to ClickHouse, each
//! record once.
//!
//! [`engine`] decides everything and is a pure function of the log. The rest are its edges: [`consumer`] feeds it and
//! [`writer`] writes its batches by the protocol that makes them count once; [`progress`] says where a partition
//! goes on, [`snapshots`] shortens the way there, [`checks`] what must hold before anything starts, [`control`] writes to the log what is not a
//! beacon, and [`admin`] answers people and machines. It accepts no traffic; that is `ingest`'s.

/// A quarter of the engine's time went into allocating with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod admin;
pub mod checks;
pub mod clickhouse;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod control;
pub mod engine;
pub mod kafka;
pub mod lease;
pub mod metrics;
pub mod progress;
pub mod records;
pub mod rejects;
pub mod snapshots;
pub mod startup;
pub mod status;
pub mod writer;
