//! Where a partition goes on: the last row of `batches` against what the log still holds. Mirrors the aggregator's
//! `progress.rs`: the log is asked first, then the database. That something was lost is believed only when a second
//! look finds the same row.

use std::sync::Arc;

use aggregator::engine::{Engine, Resume};
use schema::definition::DefinitionSet;
use schema::rows::BatchRow;

use super::{Event, TOPIC, World, is_broken};
use crate::broken::Broken;

/// Pause between two tries to find where partitions go on.
const LOOKUP_DELAY_MS: i64 = 1_000;

/// What a lookup found of one partition; nothing when the database did not answer.
pub(super) type Found = Option<Option<Arc<BatchRow>>>;

/// The offsets that the log held when it was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) low: i64,
    pub(super) high: i64,
    /// Of the log; the client knows a log by its id, and notices when another has its name.
    pub(super) generation: u64,
}

/// Where a partition is read from, and what its engine resumes.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) generation: u64,
    pub(super) resume: Option<Resume>,
    pub(super) kind: StartKind,
}

/// How a partition starts; all but the first two mean that something was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartKind {
    Fresh,
    Resumed,
    StateIncomplete,
    RecordsLost,
    WentBack,
}

impl StartKind {
    /// Whether an operator hears of it.
    pub(super) fn is_loud(self) -> bool {
        match self {
            Self::Fresh | Self::Resumed => false,
            Self::StateIncomplete | Self::RecordsLost | Self::WentBack => true,
        }
    }
}

/// `newer` is the first offset that was appended after the last batch; none that the batch covers can be, unless the
/// log was begun anew and has grown since.
fn kind_of(last: &BatchRow, held: Held, newer: Option<i64>) -> StartKind {
    if held.high < last.next_offset || newer.is_some_and(|offset| offset < last.next_offset) {
        StartKind::WentBack
    } else if held.low > last.next_offset {
        StartKind::RecordsLost
    } else if held.low > last.replay_from {
        StartKind::StateIncomplete
    } else {
        StartKind::Resumed
    }
}

impl World<'_> {
    /// Asks the log what it holds, then the database for the last batch.
    pub(super) fn look_up(&mut self, aggregator: usize, assignment: u64, place: usize) {
        let process = &mut self.processes[aggregator];
        if assignment != process.assignment {
            return;
        }
        let log = &self.log[process.owned[place] as usize];
        let held = Held { low: log.low, high: log.high, generation: log.generation };
        let incarnation = process.incarnation;
        let after_ms =
            if self.scenario.timing.is_tight { 500 } else { process.dice.clone().pick(&[5, 50, 8_000]) };
        let after_ms = process.dice.within(1..=after_ms);
        let event = Event::Question { aggregator, incarnation, assignment, place, held };
        self.at(self.now_ms + after_ms, event);
    }

    /// The database answers, unless it is away.
    pub(super) fn question(
        &mut self,
        (aggregator, incarnation): (usize, u64),
        assignment: u64,
        place: usize,
        held: Held,
    ) {
        let process = &self.processes[aggregator];
        if process.incarnation != incarnation || process.assignment != assignment {
            return;
        }
        let partition = process.owned[place];
        let found = self.database_up.then(|| self.database.last_batch(partition));
        let after_ms = self.dice.within(1..=20);
        self.tell_process(aggregator, after_ms, Event::Answer { assignment, place, held, found });
    }

    /// The process takes the answer, and asks for the next partition or begins.
    pub(super) fn found(
        &mut self,
        aggregator: usize,
        assignment: u64,
        place: usize,
        held: Held,
        found: Found,
    ) {
        let process = &mut self.processes[aggregator];
        if assignment != process.assignment {
            return;
        }
        let partition = process.owned[place];
        let Some(last) = found else {
            self.tell_process(aggregator, LOOKUP_DELAY_MS, Event::LookUp { assignment, place });
            return;
        };
        let start = self.start_after(partition, last.as_deref(), held);
        let process = &mut self.processes[aggregator];
        let known = std::mem::replace(&mut process.doubted, last.clone());
        if start.kind.is_loud() && known != last && !is_broken(self.scenario, Broken::OneLook) {
            // The log was asked before the row was known: another owner may have written on since, or the log
            // deleted what the row before still needed.
            self.tell_process(aggregator, 1, Event::LookUp { assignment, place });
            return;
        }
        let replays = start.resume.as_ref().is_some_and(|resume| start.offset < resume.next_offset);
        self.stats.replays += u64::from(replays);
        self.stats.loud_starts += u64::from(start.kind.is_loud());
        let process = &mut self.processes[aggregator];
        process.starts.push(start);
        if place + 1 < process.owned.len() {
            self.tell_process(aggregator, 1, Event::LookUp { assignment, place: place + 1 });
        } else {
            self.found_all(aggregator, assignment);
        }
    }

    fn start_after(&self, partition: i32, last: Option<&BatchRow>, held: Held) -> Start {
        let generation = held.generation;
        let Some(last) = last else {
            return Start { partition, offset: held.low, generation, resume: None, kind: StartKind::Fresh };
        };
        let log = &self.log[partition as usize];
        let newer = log.entries.iter().find(|entry| entry.append_ms > last.log_time_ms);
        let newer = newer.map(|entry| entry.offset.max(log.low));
        let by_offsets = is_broken(self.scenario, Broken::OffsetsOnly);
        let kind = kind_of(last, held, newer.filter(|_| !by_offsets));
        if kind == StartKind::WentBack {
            let offset = newer.unwrap_or(held.high);
            let resume = Resume {
                replay_from: offset,
                replay_log_time_ms: last.log_time_ms,
                replay_definitions: self.stored(&last.definition_set),
                next_offset: offset,
            };
            return Start { partition, offset, generation, resume: Some(resume), kind };
        }
        let resume = self.resume_after(last);
        let offset = resume.replay_from.max(held.low);
        Start { partition, offset, generation, resume: Some(resume), kind }
    }

    /// What the engine resumes after `last`.
    fn resume_after(&self, last: &BatchRow) -> Resume {
        let mut resume = Resume {
            replay_from: last.replay_from,
            replay_log_time_ms: last.replay_log_time_ms,
            replay_definitions: self.stored(&last.replay_definition_set),
            next_offset: last.next_offset,
        };
        if is_broken(self.scenario, Broken::NoReplay) {
            resume.replay_from = last.next_offset;
            resume.replay_log_time_ms = last.log_time_ms;
            resume.replay_definitions = self.stored(&last.definition_set);
        }
        if is_broken(self.scenario, Broken::ReplayEmits) {
            resume.next_offset = last.replay_from;
        }
        if is_broken(self.scenario, Broken::ReplayAtLatestTime) {
            resume.replay_log_time_ms = last.log_time_ms;
        }
        if is_broken(self.scenario, Broken::ReplayWithLatestSet) {
            resume.replay_definitions = self.stored(&last.definition_set);
        }
        resume
    }

    /// The engine from any snapshot that there is, or from none: which one is found must not change a number. Those
    /// that are damaged, or ahead of the batches, are refused.
    pub(super) fn restore(&mut self, partition: i32, generation: u64, resume: &Resume) -> Option<Engine> {
        let dice = &mut self.snapshot_dice;
        let snapshots = self.snapshots.get(&(partition, generation))?;
        if dice.chance(30) {
            return None;
        }
        let mut snapshot = snapshots[dice.below(snapshots.len())].clone();
        if snapshot.next_offset < self.log[partition as usize].low {
            return None;
        }
        let is_damaged = dice.chance(10);
        if is_damaged {
            let at = dice.below(snapshot.bytes.len());
            snapshot.bytes[at] ^= 1 << dice.below(8);
        }
        let restored = Engine::restore(TOPIC.to_owned(), partition, &snapshot, resume.next_offset);
        if is_damaged && restored.is_ok() {
            self.damaged_restored += 1;
        }
        restored.ok()
    }

    fn stored(&self, id: &str) -> Option<Arc<DefinitionSet>> {
        self.database.definitions(id)
    }
}
