//! What the process is doing, as the admin server tells it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schema::rows::BatchRow;

use crate::clock;
use crate::engine::Gauges;

/// ClickHouse may be away this long before the process is not ready; shorter gaps are bridged by retries.
pub const CLICKHOUSE_GRACE: Duration = Duration::from_secs(10);

/// A partition that this process owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Next offset to read.
    pub position: i64,
    /// Where the log ends, as the last fetch saw it.
    pub end_offset: Option<i64>,
    /// Offset up to which it only rebuilds its state.
    pub replay_until: i64,
    /// Whether it waits for the writer.
    pub blocked: bool,
    /// Sizes of the engine's state.
    pub gauges: Gauges,
    /// Log time of the last batch that was written, ms.
    pub written_log_time_ms: Option<i64>,
    /// When that was, ms of the wall clock.
    pub written_at_ms: Option<i64>,
}

impl PartitionStatus {
    /// Whether it only rebuilds its state.
    pub fn is_replaying(&self) -> bool {
        self.position < self.replay_until
    }

    /// Records behind the end of the log.
    pub fn lag(&self) -> Option<i64> {
        self.end_offset.map(|end| (end - self.position).max(0))
    }
}

/// Shared by the consumer, the writers and the admin server.
#[derive(Debug, Default)]
pub struct Status(Mutex<Inner>);

/// How often partitions came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebalances {
    /// The group gave partitions, or said that there are none for this process.
    pub assigned: u64,
    /// The group took them back.
    pub revoked: u64,
    /// This process dropped its state and looked its partitions up again: after a pause, or when the log had lost what
    /// it needed.
    pub begun_anew: u64,
}

impl Rebalances {
    /// With their names in metrics.
    pub fn named(self) -> [(&'static str, u64); 3] {
        [("assigned", self.assigned), ("revoked", self.revoked), ("begun_anew", self.begun_anew)]
    }
}

#[derive(Debug, Default)]
struct Inner {
    joined: bool,
    rebalances: Rebalances,
    waiting_for: Option<String>,
    partitions: BTreeMap<i32, PartitionStatus>,
    /// What fails at ClickHouse, since when, and why: an insert's token, or the empty text for the ping.
    clickhouse_failures: BTreeMap<String, (Instant, String)>,
}

/// The key of the ping among the failures.
pub const PING: &str = "";
const STARTING_POINTS: &str = "the starting points of its partitions";

impl Inner {
    /// Forgets the partitions, and the inserts that were given up with them.
    fn drop_partitions(&mut self, partitions: &[i32]) {
        self.partitions.retain(|partition, _| !partitions.contains(partition));
        // An insert's token begins with topic and partition.
        let partition = |token: &str| token.split('/').nth(1)?.parse::<i32>().ok();
        self.clickhouse_failures
            .retain(|token, _| partition(token).is_none_or(|partition| !partitions.contains(&partition)));
    }

    /// Everything that keeps the process from its work, for people.
    fn problems(&self, now: Instant) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some((since, detail)) = self.clickhouse_failures.values().min_by_key(|(since, _)| *since) {
            let failing = now.duration_since(*since);
            if failing >= CLICKHOUSE_GRACE {
                problems.push(format!("clickhouse has failed for {} s: {detail}", failing.as_secs()));
            }
        }
        if let Some(what) = &self.waiting_for {
            problems.push(format!("waits for {what}"));
        } else if !self.joined {
            problems.push("the consumer group has not assigned partitions yet".into());
        }
        let replaying = self.partitions.iter().filter(|(_, status)| status.is_replaying());
        problems.extend(replaying.map(|(partition, status)| {
            format!("partition {partition} replays: offset {} of {}", status.position, status.replay_until)
        }));
        problems
    }
}

impl Status {
    /// The group gave these partitions; they begin when their starting points are known.
    pub fn given(&self, partitions: &[i32]) {
        let mut inner = self.lock();
        inner.rebalances.assigned += 1;
        inner.joined = true;
        if !partitions.is_empty() {
            inner.waiting_for = Some(STARTING_POINTS.into());
        }
    }

    /// The group took these partitions away; `rejoins` says whether it gives none before everyone has joined again.
    pub fn taken(&self, partitions: &[i32], rejoins: bool) {
        let mut inner = self.lock();
        inner.joined &= !rejoins;
        inner.rebalances.revoked += 1;
        inner.drop_partitions(partitions);
    }

    /// The starting points of these partitions are looked up again.
    pub fn begun_anew(&self, partitions: &[i32]) {
        let mut inner = self.lock();
        inner.rebalances.begun_anew += 1;
        inner.drop_partitions(partitions);
        inner.waiting_for = Some(STARTING_POINTS.into());
    }

    /// How often partitions came and went.
    pub fn rebalances(&self) -> Rebalances {
        self.lock().rebalances
    }

    /// What the start of the process or of its partitions waits for.
    pub fn waits_for(&self, what: Option<String>) {
        self.lock().waiting_for = what;
    }

    /// The consumer's view of a partition; what the writer knows of it stays.
    pub fn update(&self, partition: i32, status: PartitionStatus) {
        let mut inner = self.lock();
        let known = inner.partitions.entry(partition).or_default();
        let (written_log_time_ms, written_at_ms) = (known.written_log_time_ms, known.written_at_ms);
        *known = PartitionStatus { written_log_time_ms, written_at_ms, ..status };
    }

    /// A batch was written.
    pub fn batch_written(&self, row: &BatchRow, at_ms: i64) {
        if let Some(known) = self.lock().partitions.get_mut(&row.partition) {
            known.written_log_time_ms = Some(row.log_time_ms);
            known.written_at_ms = Some(at_ms);
        }
    }

    /// What failed at ClickHouse succeeded: the insert of this token, or [`PING`].
    pub fn clickhouse_succeeded(&self, what: &str) {
        self.lock().clickhouse_failures.remove(what);
    }

    /// The insert of this token failed, or [`PING`].
    pub fn clickhouse_failed(&self, what: &str, detail: &str, now: Instant) {
        let mut inner = self.lock();
        let failure = inner.clickhouse_failures.entry(what.into()).or_insert_with(|| (now, String::new()));
        failure.1 = detail.into();
    }

    /// The partitions and what is known of them.
    pub fn partitions(&self) -> BTreeMap<i32, PartitionStatus> {
        self.lock().partitions.clone()
    }

    /// Whether the process does its work, or else why not.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn readiness(&self) -> Result<(), String> {
        self.readiness_at(clock::monotonic())
    }

    fn readiness_at(&self, now: Instant) -> Result<(), String> {
        let problems = self.lock().problems(now);
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_who_owns_partitions_past_their_replay() {
        let status = Status::default();
        assert!(status.readiness().is_err());
        status.given(&[0]);
        assert_eq!(status.readiness(), Err("waits for the starting points of its partitions".into()));
        status.waits_for(None);
        status.update(0, PartitionStatus { position: 4, replay_until: 5, ..PartitionStatus::default() });
        assert_eq!(status.readiness(), Err("partition 0 replays: offset 4 of 5".into()));
        status.update(0, PartitionStatus { position: 5, replay_until: 5, ..PartitionStatus::default() });
        assert_eq!(status.readiness(), Ok(()));
        status.taken(&[0], true);
        assert_eq!(status.readiness(), Err("the consumer group has not assigned partitions yet".into()));
        assert_eq!(status.rebalances(), Rebalances { assigned: 1, revoked: 1, begun_anew: 0 });
    }

    #[test]
    fn partitions_that_stay_are_not_touched_by_those_that_go() {
        let status = Status::default();
        status.given(&[0, 1]);
        status.waits_for(None);
        for partition in [0, 1] {
            status.update(partition, PartitionStatus::default());
            status.clickhouse_failed(&format!("t/{partition}/0-9@1/quality"), "refused", clock::monotonic());
        }
        status.taken(&[0], false);
        assert_eq!(status.lock().partitions.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(status.lock().clickhouse_failures.keys().collect::<Vec<_>>(), ["t/1/0-9@1/quality"]);
        assert_eq!(status.readiness(), Ok(()));
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let status = Status::default();
        status.waits_for(Some("kafka and the topic of the log".into()));
        assert_eq!(status.readiness(), Err("waits for kafka and the topic of the log".into()));
        status.given(&[1, 2]);
        status.waits_for(None);
        for partition in [1, 2] {
            status.update(partition, PartitionStatus { replay_until: 5, ..PartitionStatus::default() });
        }
        let began = clock::monotonic();
        status.clickhouse_failed("token", "refused", began);
        assert_eq!(
            status.readiness_at(began + CLICKHOUSE_GRACE),
            Err("clickhouse has failed for 10 s: refused; partition 1 replays: offset 0 of 5; \
                 partition 2 replays: offset 0 of 5"
                .into())
        );
    }

    #[test]
    fn a_short_gap_of_clickhouse_is_bridged() {
        let status = Status::default();
        status.given(&[]);
        let began = clock::monotonic();
        status.clickhouse_failed("token", "refused", began);
        status.clickhouse_failed("token", "refused again", began + CLICKHOUSE_GRACE);
        status.clickhouse_succeeded(PING);
        assert_eq!(status.readiness_at(began + CLICKHOUSE_GRACE - Duration::from_millis(1)), Ok(()));
        assert_eq!(
            status.readiness_at(began + CLICKHOUSE_GRACE),
            Err("clickhouse has failed for 10 s: refused again".into())
        );
        status.clickhouse_succeeded("token");
        assert_eq!(status.readiness_at(began + CLICKHOUSE_GRACE), Ok(()));
    }
}
