//! How many repeated inserts a table must be able to recognise: the formula, its inputs and its limits.
//!
//! ClickHouse keeps the tokens of a table's last `non_replicated_deduplication_window` **parts**, and an insert makes a
//! part in each partition of the table that its rows fall into
//! (<https://clickhouse.com/docs/operations/settings/merge-tree-settings#non_replicated_deduplication_window>). An
//! insert can come twice as long as
//!
//! - its answer is awaited ([`REQUEST_TIMEOUT`]), or its owner is silent and Kafka has not yet removed it
//!   (`session.timeout.ms`, `max.poll.interval.ms`; the lease ends before), whichever is longer, and
//! - its next owner looks up the start and replays ([`TAKEOVER`]).
//!
//! In that time the other partitions go on, so the token must outlast
//!
//! ```text
//! batches = partitions × (⌈silence / flush interval⌉ + 1) + ⌈silence × RECORDS_PER_SECOND_MAX / batch_records_max⌉
//! parts   = batches × parts of one insert
//! ```
//!
//! where an insert has parts in as many of the table's partitions as late data can reach back over. The formula takes
//! log time to pass as fast as the clock: while the group makes up for an outage it passes faster, and the room that the
//! window has beyond the formula is what absorbs an owner that is lost just then.

use std::time::Duration;

use schema::definition::EngineSettings;

use crate::clickhouse::REQUEST_TIMEOUT;
use crate::kafka::GroupTimeouts;

/// From the removal of an owner to the first batch of the next: the rebalance, the lookup and the replay.
pub const TAKEOVER: Duration = Duration::from_secs(30);
/// Records that the whole group reads in a second at most; about as much as six consumers that do nothing else.
pub const RECORDS_PER_SECOND_MAX: u64 = 1_000_000;

const DAY_MS: i64 = 24 * 3_600_000;

/// What the number of inserts depends on, beside the table.
#[derive(Debug, Clone, Copy)]
pub struct Inserting<'s> {
    /// Partitions of the log.
    pub partitions: usize,
    /// When the group removes a member.
    pub timeouts: GroupTimeouts,
    /// When batches end, and how late data may be.
    pub settings: &'s EngineSettings,
}

impl Inserting<'_> {
    /// How long an insert can take to come twice.
    pub fn silence(&self) -> Duration {
        self.timeouts.session.max(self.timeouts.poll).max(REQUEST_TIMEOUT) + TAKEOVER
    }

    /// Inserts that one table can get in that time.
    pub fn batches(&self) -> u64 {
        let silence_ms = self.silence().as_millis() as u64;
        let flush_interval_ms = self.settings.flush_interval_ms.max(1) as u64;
        let by_time = self.partitions as u64 * (silence_ms.div_ceil(flush_interval_ms) + 1);
        let records = silence_ms.saturating_mul(RECORDS_PER_SECOND_MAX) / 1_000;
        by_time + records.div_ceil(self.settings.batch_records_max.max(1))
    }

    /// Parts that one insert into a table with this partition key can make; `reaches_back` when its rows are in the
    /// windows of attempts or events, which late data has in the past.
    pub fn parts(&self, partition_key: &str, reaches_back: bool) -> u64 {
        let period_ms = if partition_key.is_empty() || !reaches_back {
            return 1;
        } else if partition_key.contains("Month") || partition_key.contains("YYYYMM(") {
            28 * DAY_MS
        } else if partition_key.contains("Monday") || partition_key.contains("Week") {
            7 * DAY_MS
        } else {
            DAY_MS
        };
        let reach_ms = self.settings.late_retention_ms.max(0);
        (reach_ms as u64).div_ceil(period_ms as u64) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: GroupTimeouts =
        GroupTimeouts { session: Duration::from_secs(45), poll: Duration::from_secs(45) };

    fn batches(partitions: usize, timeouts: GroupTimeouts, settings: &EngineSettings) -> u64 {
        Inserting { partitions, timeouts, settings }.batches()
    }

    #[test]
    fn more_partitions_shorter_intervals_and_longer_silence_bring_more_inserts() {
        let settings = EngineSettings::default();
        // 90 s: 18 intervals of 5 s and the one that is open, and 450 batches of 200,000 records.
        assert_eq!(batches(1, TIMEOUTS, &settings), 19 + 450);
        assert_eq!(batches(12, TIMEOUTS, &settings), 12 * 19 + 450);
        let short = EngineSettings { flush_interval_ms: 500, ..settings.clone() };
        assert_eq!(batches(12, TIMEOUTS, &short), 12 * 181 + 450);
        let small = EngineSettings { batch_records_max: 100_000, ..settings.clone() };
        assert_eq!(batches(12, TIMEOUTS, &small), 12 * 19 + 900);
        let patient = GroupTimeouts { poll: Duration::from_secs(300), ..TIMEOUTS };
        assert_eq!(batches(1, patient, &settings), 330 / 5 + 1 + 330 * 5);
        let quick = GroupTimeouts { session: Duration::from_secs(6), poll: Duration::from_secs(6) };
        assert_eq!(
            batches(1, quick, &settings),
            batches(1, TIMEOUTS, &settings),
            "an answer is awaited longer"
        );
    }

    #[test]
    fn an_insert_has_a_part_in_every_partition_that_late_data_reaches() {
        let settings = EngineSettings::default();
        let inserting = Inserting { partitions: 12, timeouts: TIMEOUTS, settings: &settings };
        let check = |key: &str, reaches_back, expect| {
            assert_eq!(inserting.parts(key, reaches_back), expect, "{key}");
        };
        check("", true, 1);
        check("toDate(intDiv(start_ms, 86400000))", true, 8);
        check("toMonday(window_start)", true, 2);
        check("toStartOfMonth(window_start)", true, 2);
        check("toYYYYMM(window_start)", true, 2);
        check("toYYYYMMDD(window_start)", true, 8);
        check("toMonday(hour)", false, 1);
    }
}
