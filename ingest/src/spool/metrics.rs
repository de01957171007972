//! What the spool counts.

use prometheus::core::{AtomicU64, Collector, GenericCounter, GenericCounterVec};
use prometheus::{Histogram, HistogramOpts, IntGauge, Opts};

type Counter = GenericCounter<AtomicU64>;

/// Upper ends of the buckets of a write with its fsync, s.
const FSYNC_BUCKETS_S: [f64; 11] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

/// Counters of the spool.
#[derive(Debug)]
pub struct SpoolMetrics {
    /// Bytes of segments on disk.
    pub bytes: IntGauge,
    /// Records that are not drained yet.
    pub records: IntGauge,
    /// Age of the oldest of them, s.
    pub oldest_age_seconds: IntGauge,
    /// 1 while new beacons go to the spool.
    pub active: IntGauge,
    /// Records taken.
    pub appended: Counter,
    /// Records that the log acknowledged.
    pub drained: Counter,
    /// Stretches that could not be read.
    pub unreadable: GenericCounterVec<AtomicU64>,
    /// Records that the log refuses for good.
    pub undeliverable: Counter,
    /// Groups that could not be written.
    pub write_failures: Counter,
    /// Time of a write with its fsync.
    pub fsync_seconds: Histogram,
}

impl SpoolMetrics {
    /// Makes them; they are not registered anywhere.
    ///
    /// # Errors
    /// Never with valid names, as they are here.
    pub fn new() -> Result<Self, prometheus::Error> {
        let unreadable = Opts::new(
            "ingest_spool_unreadable_total",
            "Stretches of the spool that could not be read: a torn end, damage, or a whole file.",
        );
        let fsync =
            HistogramOpts::new("ingest_spool_fsync_seconds", "Time of a write to the spool with its fsync.");
        let gauge = IntGauge::new::<&str, &str>;
        let counter = Counter::new::<&str, &str>;
        Ok(Self {
            bytes: gauge("ingest_spool_bytes", "Bytes of the spool on disk.")?,
            records: gauge("ingest_spool_records", "Records that wait in the spool.")?,
            oldest_age_seconds: gauge(
                "ingest_spool_oldest_age_seconds",
                "Age of the oldest record that waits in the spool.",
            )?,
            active: gauge("ingest_spool_active", "1 while new beacons go to the spool.")?,
            appended: counter("ingest_spool_appended_records_total", "Records that the spool took.")?,
            drained: counter(
                "ingest_spool_drained_records_total",
                "Records of the spool that the log has acknowledged.",
            )?,
            unreadable: GenericCounterVec::new(unreadable, &["what"])?,
            undeliverable: counter(
                "ingest_spool_undeliverable_records_total",
                "Records of the spool that the log refuses as too large.",
            )?,
            write_failures: counter("ingest_spool_write_failures_total", "Writes to the spool that failed.")?,
            fsync_seconds: Histogram::with_opts(fsync.buckets(FSYNC_BUCKETS_S.to_vec()))?,
        })
    }

    /// All of them, to be registered.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.bytes.clone()),
            Box::new(self.records.clone()),
            Box::new(self.oldest_age_seconds.clone()),
            Box::new(self.active.clone()),
            Box::new(self.appended.clone()),
            Box::new(self.drained.clone()),
            Box::new(self.unreadable.clone()),
            Box::new(self.undeliverable.clone()),
            Box::new(self.write_failures.clone()),
            Box::new(self.fsync_seconds.clone()),
        ]
    }
}
