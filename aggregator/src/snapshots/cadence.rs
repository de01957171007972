//! When a snapshot is worth making: a pure function of the batches since the last one.

use crate::config::SnapshotsConfig;

/// Counts one partition's batches since its last snapshot.
#[derive(Debug)]
pub struct Cadence {
    settings: SnapshotsConfig,
    /// Where the last snapshot ended, or where the replay began.
    offset: i64,
    /// Log time there, ms.
    log_time_ms: i64,
}

impl Cadence {
    /// Nothing was read since `offset`, where log time was `log_time_ms`.
    pub fn new(settings: SnapshotsConfig, offset: i64, log_time_ms: i64) -> Self {
        Self { settings, offset, log_time_ms }
    }

    /// A snapshot was made at this place.
    pub fn made(&mut self, next_offset: i64, log_time_ms: i64) {
        (self.offset, self.log_time_ms) = (next_offset, log_time_ms);
    }

    /// Whether a snapshot is due after a batch that ends at `next_offset` and whose state needs the records since
    /// `replay_from`.
    pub fn is_due(&self, next_offset: i64, replay_from: i64, log_time_ms: i64) -> bool {
        let records = |from: i64| u64::try_from(next_offset - from).unwrap_or(0);
        let passed_s = u64::try_from((log_time_ms - self.log_time_ms) / 1_000).unwrap_or(0);
        records(replay_from) >= self.settings.replay_records_min
            && (records(self.offset) >= self.settings.interval_records
                || passed_s >= self.settings.interval_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_after_enough_records_or_time_when_a_replay_is_long() {
        let settings = SnapshotsConfig { interval_records: 500, interval_s: 60, replay_records_min: 100 };
        let mut cadence = Cadence::new(settings, 1_000, 10_000);
        let check = |cadence: &Cadence, next_offset, replay_from, log_time_ms, expect| {
            let due = cadence.is_due(next_offset, replay_from, log_time_ms);
            assert_eq!(due, expect, "{replay_from}..{next_offset} at {log_time_ms}");
        };
        check(&cadence, 1_499, 0, 69_999, false);
        check(&cadence, 1_500, 0, 69_999, true);
        check(&cadence, 1_499, 0, 70_000, true);
        check(&cadence, 1_500, 1_401, 70_000, false);
        check(&cadence, 1_500, 1_400, 70_000, true);
        cadence.made(1_500, 70_000);
        check(&cadence, 1_999, 0, 129_999, false);
        check(&cadence, 2_000, 0, 129_999, true);
    }
}
