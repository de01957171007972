//! What was seen, and sums over a stretch of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metrics::Metrics;

/// What was seen in one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, ms since the epoch.
    pub at_ms: i64,
    /// What each process uses, by the name of its part.
    pub processes: BTreeMap<String, ProcessSample>,
    /// What ingest says, all its processes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestSample>,
    /// What the aggregators say, all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<AggregatorSample>,
    /// Now less the log time up to which ClickHouse holds everything, ms: a beacon that was appended longer ago than
    /// this is in the tables. `None` before the first batch, and while ClickHouse does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness_ms: Option<i64>,
    /// Parts that were to be seen and were not: a name of a process, an address, or `clickhouse`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
}

/// What one process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSample {
    /// Its id.
    pub pid: u32,
    /// CPU time since its start, ms.
    pub cpu_ms: u64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Of it what is no page of a file: memory that the kernel cannot take back by itself, bytes.
    pub anon_bytes: u64,
}

/// What ingest says of itself; totals are since the start of its processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestSample {
    /// Beacons that became durable.
    pub beacons_total: u64,
    /// Events that became durable.
    pub events_total: u64,
    /// Bytes of the records handed to Kafka, before compression.
    pub record_bytes_total: u64,
    /// Requests of which nothing was accepted.
    pub refused_total: u64,
    /// Requests that are not answered yet.
    pub in_flight_requests: u64,
    /// Records that wait for the broker.
    pub queued_records: u64,
    /// Records that wait in the spool.
    pub spool_records: u64,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
}

/// What the aggregators say of themselves; totals are since the start of their processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregatorSample {
    /// Records behind the end of the log.
    pub lag_records: u64,
    /// Wall clock less the log time of what the slowest partition has written, ms.
    pub written_freshness_ms: u64,
    /// Sessions that are remembered.
    pub sessions: u64,
    /// Attempts that have not settled.
    pub open_attempts: u64,
    /// Bytes of the sessions at rest.
    pub state_bytes: u64,
    /// Partitions that are not read because ClickHouse does not keep up.
    pub blocked_partitions: u64,
    /// Records read, replays included.
    pub records_total: u64,
    /// Batches written.
    pub batches_total: u64,
    /// Rows that ClickHouse confirmed.
    pub rows_total: u64,
}

/// A number of a metric that counts things.
fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

impl IngestSample {
    /// Adds what one process says.
    pub fn add(&mut self, metrics: &Metrics) {
        let sum = |name| whole(metrics.sum(name));
        self.beacons_total += sum("ingest_beacons_total");
        self.events_total += sum("ingest_events_total");
        self.record_bytes_total += sum("ingest_record_bytes_total");
        self.refused_total += sum("ingest_refused_total");
        self.in_flight_requests += sum("ingest_requests_in_flight");
        self.queued_records += sum("ingest_log_queued_records");
        self.spool_records += sum("ingest_spool_records");
        self.spool_bytes += sum("ingest_spool_bytes");
    }
}

impl AggregatorSample {
    /// Adds what one process says.
    pub fn add(&mut self, metrics: &Metrics) {
        let sum = |name| whole(metrics.sum(name));
        self.lag_records += sum("aggregator_lag_records");
        let written_ms = metrics.max("aggregator_freshness_seconds").unwrap_or_default() * 1_000.0;
        self.written_freshness_ms = self.written_freshness_ms.max(whole(written_ms));
        self.sessions += sum("aggregator_sessions");
        self.open_attempts += sum("aggregator_open_attempts");
        self.state_bytes += sum("aggregator_state_bytes");
        self.blocked_partitions += sum("aggregator_blocked");
        self.records_total += sum("aggregator_records_total");
        self.batches_total += sum("aggregator_batches_total");
        self.rows_total += sum("aggregator_rows_total");
    }
}

/// Everything that was seen of a run, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Observation {
    /// What was seen from `from_ms` until before `until_ms`, both since the epoch.
    pub fn between(&self, from_ms: i64, until_ms: i64) -> Self {
        let within = |sample: &&Sample| (from_ms..until_ms).contains(&sample.at_ms);
        Self { samples: self.samples.iter().filter(within).cloned().collect() }
    }

    /// Names of the processes that were seen at least once.
    pub fn processes(&self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> =
            self.samples.iter().flat_map(|sample| sample.processes.keys()).collect();
        names.into_iter().cloned().collect()
    }

    /// CPU time of a part, s, over every stretch in which one process of it was seen at both ends.
    pub fn cpu_s(&self, name: &str) -> f64 {
        self.steps(name).map(|step| step.cpu_s).sum()
    }

    /// Cores that a part uses on average while it is seen; `None` when it is not seen twice.
    pub fn cpu_cores(&self, name: &str) -> Option<f64> {
        let seen_s: f64 = self.steps(name).map(|step| step.wall_s).sum();
        (seen_s > 0.0).then(|| self.cpu_s(name) / seen_s)
    }

    /// Largest resident memory of a part, bytes; `None` when it is never seen.
    pub fn rss_bytes_max(&self, name: &str) -> Option<u64> {
        self.samples.iter().filter_map(|sample| Some(sample.processes.get(name)?.rss_bytes)).max()
    }

    /// Freshness of the tables, ms, at `quantile` of the samples that have one; `None` when none has.
    pub fn freshness_ms(&self, quantile: f64) -> Option<i64> {
        let mut all: Vec<i64> = self.samples.iter().filter_map(|sample| sample.freshness_ms).collect();
        all.sort_unstable();
        // The smallest value that is not below the share `quantile` of all.
        let place = (quantile * all.len() as f64).ceil() as usize;
        all.get(place.max(1) - 1).copied()
    }

    /// Seconds between two samples and what a process used in them; a restart between them leaves a gap.
    pub fn steps<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Step> + 'a {
        self.samples.windows(2).filter_map(move |pair| {
            let [before, after] = pair else { return None };
            let (from, to) = (before.processes.get(name)?, after.processes.get(name)?);
            let wall_ms = after.at_ms - before.at_ms;
            (from.pid == to.pid && wall_ms > 0).then(|| Step {
                at_ms: after.at_ms,
                wall_s: wall_ms as f64 / 1_000.0,
                cpu_s: to.cpu_ms.saturating_sub(from.cpu_ms) as f64 / 1_000.0,
            })
        })
    }
}

/// From one sample to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Its end, ms since the epoch.
    pub at_ms: i64,
    /// Its length, s.
    pub wall_s: f64,
    /// CPU time used in it, s.
    pub cpu_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: i64, process: Option<(u32, u64)>, freshness_ms: Option<i64>) -> Sample {
        let used = |(pid, cpu_ms)| ProcessSample { pid, cpu_ms, rss_bytes: cpu_ms * 10, anon_bytes: 0 };
        let processes = process.map(|process| ("ingest".to_owned(), used(process))).into_iter().collect();
        Sample { at_ms, processes, freshness_ms, ..Sample::default() }
    }

    #[test]
    fn a_restart_and_an_absence_are_no_cpu_time() {
        let observation = Observation {
            samples: vec![
                sample(0, Some((1, 100)), None),
                sample(1_000, Some((1, 600)), None),
                sample(2_000, Some((2, 50)), None),
                sample(3_000, Some((2, 300)), None),
                sample(4_000, None, None),
                sample(5_000, Some((2, 9_000)), None),
            ],
        };
        assert_eq!(observation.cpu_s("ingest"), 0.75);
        assert_eq!(observation.cpu_cores("ingest"), Some(0.375));
        assert_eq!(observation.rss_bytes_max("ingest"), Some(90_000));
        assert_eq!(observation.cpu_cores("kafka"), None);
        assert_eq!(observation.between(1_000, 3_000).samples.len(), 2);
    }

    #[test]
    fn freshness_is_of_the_samples_that_have_one() {
        let with = |all: &[Option<i64>]| Observation {
            samples: all.iter().map(|freshness_ms| sample(0, None, *freshness_ms)).collect(),
        };
        assert_eq!(with(&[None]).freshness_ms(0.99), None);
        assert_eq!(with(&[Some(4), None, Some(2)]).freshness_ms(0.5), Some(2));
        assert_eq!(with(&[Some(4), None, Some(2)]).freshness_ms(1.0), Some(4));
        let hundred: Vec<Option<i64>> = (1..=100).map(Some).collect();
        assert_eq!(with(&hundred).freshness_ms(0.99), Some(99));
    }

    #[test]
    fn what_several_processes_say_is_added() {
        let mut sum = AggregatorSample::default();
        for text in ["aggregator_lag_records 3\naggregator_freshness_seconds 2.5", "aggregator_lag_records 4"]
        {
            sum.add(&Metrics::parse(text));
        }
        assert_eq!((sum.lag_records, sum.written_freshness_ms), (7, 2_500));
    }
}
