//! Beacons through the engine: what would have been counted, attempt by attempt.

use std::collections::BTreeMap;

use aggregator::engine::{Batch, Engine, LogRecord, Resume};
use schema::definition::{DefinitionSet, SAMPLES_MAX};
use schema::record::{encode_definitions, encode_tick};
use schema::rows::{AttemptSample, SeenEvent};

use crate::recording::{Recorded, Recording};

const MINUTE_MS: i64 = 60_000;

/// What the engine makes of a recording.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// Every attempt; one whose weight is more than 1 stands for others of its session's record, which is rare.
    pub(crate) attempts: Vec<AttemptSample>,
    /// Which events there were.
    pub(crate) seen: Vec<SeenEvent>,
    /// Valid and bad attempts by journey and objective.
    pub(crate) objectives: BTreeMap<(String, String), (u64, u64)>,
}

/// Plays the recording until everything has settled. Nothing of one session depends on another, so each has an engine of
/// its own: the samples of a batch are bounded, and those of one session are few.
pub(crate) fn play(recording: &Recording, set: &DefinitionSet) -> Played {
    let set = one_by_one(set);
    let mut sessions: BTreeMap<(i32, &[u8]), Vec<&Recorded>> = BTreeMap::new();
    for record in recording.records() {
        sessions.entry((record.partition, &record.key)).or_default().push(record);
    }
    let activation = encode_definitions(&set);
    let mut played = Played::default();
    for records in sessions.values() {
        play_session(records, &set, &activation, &mut played);
    }
    played.attempts.sort_by(|a, b| (&a.app, a.start_ms, &a.session).cmp(&(&b.app, b.start_ms, &b.session)));
    played
}

/// The same set with settings that show each attempt: each record is a batch.
fn one_by_one(set: &DefinitionSet) -> DefinitionSet {
    let mut set = set.clone();
    set.settings.batch_records_max = 1;
    set.settings.samples_bad_max = SAMPLES_MAX;
    set.settings.samples_good_max = SAMPLES_MAX;
    set
}

fn play_session(records: &[&Recorded], set: &DefinitionSet, activation: &[u8], played: &mut Played) {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
    let mut engine = Engine::new("recording".to_owned(), first.partition, Resume::default());
    let mut offset = 0;
    let mut take = |append_ms, key: &[u8], payload: &[u8]| {
        let outcome = engine.record(LogRecord { offset, append_ms, key, payload });
        offset += 1;
        outcome.batch.into_iter().for_each(|batch| played.take(batch));
    };
    take(first.append_ms, &[], activation);
    for record in records {
        take(record.append_ms, &record.key, &record.payload);
    }
    for minute in 1..=settled_after_minutes(set) {
        take(last.append_ms + minute * MINUTE_MS, &[], &encode_tick());
    }
}

/// When the last attempt has settled: its deadline, the grace period, and one more for the batch to end.
fn settled_after_minutes(set: &DefinitionSet) -> i64 {
    let timeout_ms = set.journeys.iter().map(|journey| journey.timeout_ms).max().unwrap_or_default();
    (timeout_ms as i64 + 2 * set.settings.grace_ms) / MINUTE_MS + 3
}

impl Played {
    fn take(&mut self, batch: Batch) {
        self.attempts.extend(batch.attempt_samples);
        self.seen.extend(batch.seen_events);
        for row in batch.objective_minutes {
            let sum = self.objectives.entry((row.journey, row.objective)).or_default();
            *sum = (sum.0 + row.valid, sum.1 + row.bad);
        }
    }
}
