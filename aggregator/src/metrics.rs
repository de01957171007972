//! What the process counts, as Prometheus text.

use std::cell::RefCell;
use std::time::Duration;

use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use schema::rows::BatchRow;

use crate::status::{PartitionStatus, Status};

/// Seconds; an insert of a batch takes milliseconds, a slow server up to the request's timeout.
const INSERT_SECONDS_BUCKETS: [f64; 11] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];
/// A batch has a handful of rows where little happens, and some ten thousand at full load.
const BATCH_ROWS_BUCKETS: [f64; 8] = [1.0, 10.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 100_000.0];

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    names: Vec<String>,
    ready: IntGauge,
    rebalances: IntCounterVec,
    records: IntCounterVec,
    batches: IntCounter,
    batch_rows: Histogram,
    counted_beacons: IntCounter,
    not_counted: IntCounterVec,
    events: IntCounter,
    events_not_counted: IntCounterVec,
    rows: IntCounterVec,
    inserts: HistogramVec,
    rejects: IntCounterVec,
    starts: IntCounterVec,
    ticks: IntCounter,
    missing_offsets: IntCounter,
    snapshots: IntCounterVec,
    snapshot_bytes: IntCounterVec,
    snapshots_ignored: IntCounterVec,
    partitions: PartitionGauges,
}

/// Gauges that are set from [`Status`] when somebody looks.
#[derive(Debug)]
struct PartitionGauges {
    lag: IntGaugeVec,
    position: IntGaugeVec,
    lag_seconds: GaugeVec,
    freshness: GaugeVec,
    batch_age: GaugeVec,
    replaying: IntGaugeVec,
    blocked: IntGaugeVec,
    sessions: IntGaugeVec,
    open_attempts: IntGaugeVec,
    state_bytes: IntGaugeVec,
    cells: IntGaugeVec,
}

impl Metrics {
    /// Metrics of a registry of their own.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let add = Adder { registry: &registry, names: RefCell::default() };
        Ok(Self {
            ready: add.gauge("ready", "1 while /readyz says that the process does its work")?,
            rebalances: add.counters(
                "rebalances_total",
                "How often partitions were assigned, revoked, or begun anew by this process itself",
                &["what"],
            )?,
            records: add.counters("records_total", "Records read from the log", &["replay"])?,
            batches: add.counter("batches_total", "Batches written")?,
            batch_rows: add.histogram("batch_rows", "Rows of a batch in all tables", &BATCH_ROWS_BUCKETS)?,
            counted_beacons: add.counter("beacons_counted_total", "Beacons counted in written batches")?,
            not_counted: add.counters(
                "records_not_counted_total",
                "Records of written batches that were not counted, by reason",
                &["reason"],
            )?,
            events: add.counter("events_total", "Events of the counted beacons")?,
            events_not_counted: add.counters(
                "events_not_counted_total",
                "Events of the counted beacons that were not looked at, by reason",
                &["reason"],
            )?,
            rows: add.counters("rows_total", "Rows written", &["table"])?,
            inserts: add.histograms(
                "insert_seconds",
                "How long inserts took",
                &INSERT_SECONDS_BUCKETS,
                &["table", "confirmed"],
            )?,
            rejects: add.counters(
                "rejects_total",
                "Undecodable records, by reason and whether they were kept",
                &["reason", "kept"],
            )?,
            starts: add.counters(
                "partition_starts_total",
                "Partitions that were started, by how",
                &["how"],
            )?,
            ticks: add.counter("ticks_total", "Ticks written for quiet partitions")?,
            missing_offsets: add
                .counter("missing_offsets_total", "Offsets that the log no longer held when they were due")?,
            snapshots: add.counters(
                "snapshots_total",
                "Snapshots of engines that were written, not written, or read",
                &["what"],
            )?,
            snapshot_bytes: add.counters(
                "snapshot_bytes_total",
                "Bytes of snapshots that were written or read",
                &["what"],
            )?,
            snapshots_ignored: add.counters(
                "snapshots_ignored_total",
                "Snapshots that a start did not use, by reason",
                &["reason"],
            )?,
            partitions: PartitionGauges {
                lag: add.gauges("lag_records", "Records behind the end of the log")?,
                position: add.gauges("position_offset", "Next offset to read")?,
                lag_seconds: add.seconds("lag_seconds", "Wall clock less the log time of what was read")?,
                freshness: add
                    .seconds("freshness_seconds", "Wall clock less the log time of what was written")?,
                batch_age: add.seconds("batch_age_seconds", "Time since the last batch was written")?,
                replaying: add.gauges("replaying", "1 while only state is rebuilt")?,
                blocked: add.gauges("blocked", "1 while the partition waits for ClickHouse")?,
                sessions: add.gauges("sessions", "Sessions that are remembered")?,
                open_attempts: add.gauges("open_attempts", "Attempts that have not settled")?,
                state_bytes: add.gauges("state_bytes", "Bytes of the sessions at rest")?,
                cells: add.gauges("cells", "Cells of the open batch")?,
            },
            names: add.names.into_inner(),
            registry,
        })
    }

    /// The names of everything that [`Metrics::render`] can give.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Records that were read.
    pub fn count_records(&self, replay: bool, records: u64) {
        self.records.with_label_values(&[if replay { "true" } else { "false" }]).inc_by(records);
    }

    /// A batch that is written.
    pub fn count_batch(&self, row: &BatchRow) {
        self.batches.inc();
        self.counted_beacons.inc_by(row.counted);
        self.events.inc_by(row.events);
        self.missing_offsets.inc_by(row.missing_offsets);
        self.batch_rows.observe(row.rows.values().sum::<u64>() as f64);
        for (reason, records) in &row.reasons {
            self.not_counted.with_label_values(&[reason]).inc_by(*records);
        }
        for (reason, events) in &row.event_reasons {
            self.events_not_counted.with_label_values(&[reason]).inc_by(*events);
        }
    }

    /// Rows that ClickHouse confirmed.
    pub fn count_rows(&self, table: &str, rows: u64) {
        self.rows.with_label_values(&[table]).inc_by(rows);
    }

    /// One try of an insert.
    pub fn observe_insert(&self, table: &str, confirmed: bool, took: Duration) {
        let confirmed = if confirmed { "true" } else { "false" };
        self.inserts.with_label_values(&[table, confirmed]).observe(took.as_secs_f64());
    }

    /// An undecodable record; `kept` when it is on the rejects topic.
    pub fn count_reject(&self, reason: &str, kept: bool) {
        self.rejects.with_label_values(&[reason, if kept { "true" } else { "false" }]).inc();
    }

    /// A partition that was started.
    pub fn count_start(&self, how: &str) {
        self.starts.with_label_values(&[how]).inc();
    }

    /// A snapshot that was `written`, `not_written` or `read`.
    pub fn count_snapshot(&self, what: &str) {
        self.snapshots.with_label_values(&[what]).inc();
    }

    /// Bytes of snapshots that were `written` or `read`.
    pub fn count_snapshot_bytes(&self, what: &str, bytes: u64) {
        self.snapshot_bytes.with_label_values(&[what]).inc_by(bytes);
    }

    /// A snapshot that a start did not use.
    pub fn count_snapshot_ignored(&self, reason: &str) {
        self.snapshots_ignored.with_label_values(&[reason]).inc();
    }

    /// A tick that was written.
    pub fn count_tick(&self) {
        self.ticks.inc();
    }

    /// Everything as text; `now_ms` is the wall clock.
    ///
    /// # Errors
    /// When a metric cannot be encoded.
    pub fn render(&self, status: &Status, now_ms: i64) -> Result<Vec<u8>, prometheus::Error> {
        self.partitions.set(status, now_ms);
        self.ready.set(i64::from(status.readiness().is_ok()));
        for (what, count) in status.rebalances().named() {
            let told = self.rebalances.with_label_values(&[what]);
            told.inc_by(count.saturating_sub(told.get()));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl PartitionGauges {
    fn set(&self, status: &Status, now_ms: i64) {
        for gauges in [
            &self.lag,
            &self.position,
            &self.replaying,
            &self.blocked,
            &self.sessions,
            &self.open_attempts,
            &self.state_bytes,
            &self.cells,
        ] {
            gauges.reset();
        }
        for gauges in [&self.lag_seconds, &self.freshness, &self.batch_age] {
            gauges.reset();
        }
        for (partition, status) in status.partitions() {
            self.set_partition(&partition.to_string(), &status, now_ms);
        }
    }

    fn set_partition(&self, partition: &str, status: &PartitionStatus, now_ms: i64) {
        let labels = &[partition];
        let seconds_since = |ms: i64| (now_ms - ms) as f64 / 1000.0;
        if let Some(lag) = status.lag() {
            self.lag.with_label_values(labels).set(lag);
        }
        if status.gauges.log_time_ms > 0 {
            self.lag_seconds.with_label_values(labels).set(seconds_since(status.gauges.log_time_ms));
        }
        if let Some(written_log_time_ms) = status.written_log_time_ms {
            self.freshness.with_label_values(labels).set(seconds_since(written_log_time_ms));
        }
        if let Some(written_at_ms) = status.written_at_ms {
            self.batch_age.with_label_values(labels).set(seconds_since(written_at_ms));
        }
        self.position.with_label_values(labels).set(status.position);
        self.replaying.with_label_values(labels).set(i64::from(status.is_replaying()));
        self.blocked.with_label_values(labels).set(i64::from(status.blocked));
        self.sessions.with_label_values(labels).set(status.gauges.sessions as i64);
        self.open_attempts.with_label_values(labels).set(status.gauges.open_attempts as i64);
        self.state_bytes.with_label_values(labels).set(status.gauges.state_bytes as i64);
        self.cells.with_label_values(labels).set(status.gauges.cells as i64);
    }
}

/// Makes metrics named `aggregator_…` and registers them.
struct Adder<'a> {
    registry: &'a Registry,
    names: RefCell<Vec<String>>,
}

impl Adder<'_> {
    fn register<T: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: T,
    ) -> Result<T, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        self.names.borrow_mut().extend(metric.desc().into_iter().map(|desc| desc.fq_name.clone()));
        Ok(metric)
    }

    fn counter(&self, name: &str, text: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::with_opts(options(name, text))?)
    }

    fn counters(&self, name: &str, text: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(options(name, text), labels)?)
    }

    fn gauge(&self, name: &str, text: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::with_opts(options(name, text))?)
    }

    fn gauges(&self, name: &str, text: &str) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(options(name, text), &["partition"])?)
    }

    fn seconds(&self, name: &str, text: &str) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(options(name, text), &["partition"])?)
    }

    fn histogram(&self, name: &str, text: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::from(options(name, text)).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(options)?)
    }

    fn histograms(
        &self,
        name: &str,
        text: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::from(options(name, text)).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels)?)
    }
}

fn options(name: &str, text: &str) -> Opts {
    Opts::new(name, text).namespace("aggregator")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What operators read.
    const PAGE: &str = include_str!("../../docs/operating.md");

    fn render(metrics: &Metrics, status: &Status) -> String {
        String::from_utf8(metrics.render(status, 3_500).unwrap()).unwrap()
    }

    #[test]
    fn partitions_that_are_gone_leave_no_gauge() {
        let (metrics, status) = (Metrics::new().unwrap(), Status::default());
        status.given(&[3]);
        let mut partition = PartitionStatus { position: 7, end_offset: Some(9), ..Default::default() };
        partition.gauges.log_time_ms = 1_000;
        status.update(3, partition);
        let text = render(&metrics, &status);
        assert!(text.contains("aggregator_lag_records{partition=\"3\"} 2\n"), "{text}");
        assert!(text.contains("aggregator_lag_seconds{partition=\"3\"} 2.5\n"), "{text}");
        status.taken(&[3], true);
        let text = render(&metrics, &status);
        assert!(!text.contains("partition=\"3\""), "{text}");
    }

    #[test]
    fn rebalances_are_counted_once_however_often_somebody_looks() {
        let (metrics, status) = (Metrics::new().unwrap(), Status::default());
        status.given(&[0]);
        render(&metrics, &status);
        status.begun_anew(&[0]);
        status.taken(&[0], true);
        render(&metrics, &status);
        let text = render(&metrics, &status);
        for what in ["assigned", "begun_anew", "revoked"] {
            let line = format!("aggregator_rebalances_total{{what=\"{what}\"}} 1\n");
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains("aggregator_ready 0\n"), "{text}");
    }

    #[test]
    fn the_page_for_operators_names_every_metric_and_no_other() {
        let metrics = Metrics::new().unwrap();
        let exposed: BTreeSet<_> = metrics.names().iter().map(String::as_str).collect();
        let is_name = |byte: char| byte.is_ascii_lowercase() || byte == '_';
        let named: BTreeSet<_> = PAGE
            .match_indices("aggregator_")
            .map(|(start, _)| PAGE[start..].split(|byte| !is_name(byte)).next().unwrap_or_default())
            .collect();
        assert_eq!(named, exposed);
        for name in exposed {
            assert!(PAGE.contains(&format!("| `{name}` |")), "{name} has no row of its own");
        }
    }
}
