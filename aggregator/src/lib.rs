//! Turns the log of beacons into journey SLIs in ClickHouse, exactly once.

pub mod engine;
