//! Where a partition goes on: the aggregator's own decision, asked as its edges ask: the log first, then the database.
//! That something was lost is believed only when a second look finds the same row.

use std::sync::Arc;

use aggregator::engine::{Cut, Engine, Resume, Snapshot};
use aggregator::progress::{self, Beginning, LastBatch, StartKind, State};
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

/// Where a partition is read from, and its engine.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) generation: u64,
    pub(super) next_offset: i64,
    pub(super) engine: Engine,
    pub(super) kind: StartKind,
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
        let last = last.as_deref().map(last_batch);
        let without = progress::decide(last.as_ref(), self.known(partition, last.as_ref(), held), None);
        let process = &mut self.processes[aggregator];
        let doubted = process.doubted.replace(last.clone());
        let is_loss = without.kind.is_loss();
        if is_loss && doubted.as_ref() != Some(&last) && !is_broken(self.scenario, Broken::OneLook) {
            // The log was asked before the row was known: another owner may have written on since, or the log
            // deleted what the row before still needed.
            self.tell_process(aggregator, 1, Event::LookUp { assignment, place });
            return;
        }
        self.stats.loud_starts += u64::from(is_loss);
        let start = self.start_after(partition, last.as_ref(), held);
        self.stats.replays += u64::from(start.offset < start.next_offset);
        let process = &mut self.processes[aggregator];
        process.starts.push(start);
        if place + 1 < process.owned.len() {
            self.tell_process(aggregator, 1, Event::LookUp { assignment, place: place + 1 });
        } else {
            self.found_all(aggregator, assignment);
        }
    }

    /// What the aggregator knows of the log when it decides.
    fn known(&self, partition: i32, last: Option<&LastBatch>, held: Held) -> progress::Held {
        let log = &self.log[partition as usize];
        let log_time_ms =
            last.map(|last| last.log_time_ms).filter(|_| !is_broken(self.scenario, Broken::OffsetsOnly));
        let newer = log_time_ms.and_then(|ms| log.entries.iter().find(|entry| entry.append_ms > ms));
        let newer = newer.map(|entry| entry.offset.max(log.low));
        progress::Held { low: held.low, high: held.high, newer }
    }

    fn start_after(&mut self, partition: i32, last: Option<&LastBatch>, held: Held) -> Start {
        let generation = held.generation;
        let held = self.known(partition, last, held);
        let snapshot = last.and_then(|last| self.restore(partition, last, held));
        let (cut, restored) = snapshot.unzip();
        let Beginning { mut offset, kind, state } = progress::decide(last, held, cut);
        let (next_offset, engine) = match (state, restored) {
            (State::Snapshot { next_offset, .. }, Some(engine)) => {
                self.stats.restored += 1;
                if is_broken(self.scenario, Broken::SnapshotOfOtherCut) {
                    offset = next_offset;
                }
                (next_offset, engine)
            }
            (State::Snapshot { .. }, None) => unreachable!("no snapshot was offered"),
            (State::Replay { generation, replay_from, definition_set, next_offset }, _) => {
                let before = last.cloned().unwrap_or_default();
                let mut resume = Resume {
                    generation,
                    replay_from,
                    replay_log_time_ms: before.replay_log_time_ms,
                    replay_definitions: self.stored(&definition_set),
                    next_offset,
                    log_time_ms: before.log_time_ms,
                    definitions: self.stored(&before.definition_set),
                };
                if let Some(last) = last {
                    self.break_resume(&mut resume, last);
                    offset = resume.replay_from.max(offset);
                }
                (resume.next_offset, Engine::new(TOPIC.to_owned(), partition, resume))
            }
        };
        Start { partition, offset, generation, next_offset, engine, kind }
    }

    /// Resumes wrongly, in a broken variant.
    fn break_resume(&self, resume: &mut Resume, last: &LastBatch) {
        match self.scenario.broken {
            Some(Broken::NoReplay) => {
                resume.replay_from = last.next_offset;
                resume.replay_log_time_ms = last.log_time_ms;
                resume.replay_definitions = self.stored(&last.definition_set);
            }
            Some(Broken::ReplayEmits) => resume.next_offset = last.replay_from,
            Some(Broken::ReplayAtLatestTime) => resume.replay_log_time_ms = last.log_time_ms,
            Some(Broken::ReplayWithLatestSet) => {
                resume.replay_definitions = self.stored(&last.definition_set);
            }
            _ => {}
        }
    }

    /// Any snapshot that there is, of whatever log, or none: which one is found must not change a number. Those that
    /// are damaged are refused by their checksum, and those that do not lead to the last batch by the decision.
    fn restore(&mut self, partition: i32, last: &LastBatch, held: progress::Held) -> Option<(Cut, Engine)> {
        let dice = &mut self.snapshot_dice;
        let snapshots = self.snapshots.get(&partition)?;
        if dice.chance(30) {
            return None;
        }
        let mut snapshot: Snapshot = snapshots[dice.below(snapshots.len())].clone();
        let is_damaged = dice.chance(10);
        if is_damaged {
            let at = dice.below(snapshot.bytes.len());
            snapshot.bytes[at] ^= 1 << dice.below(8);
        }
        progress::judge(last, held, snapshot.cut).ok()?;
        let restored = Engine::restore(TOPIC.to_owned(), partition, &snapshot, last.next_offset);
        self.damaged_restored += u64::from(is_damaged && restored.is_ok());
        Some((snapshot.cut, restored.ok()?))
    }

    fn stored(&self, id: &str) -> Option<Arc<DefinitionSet>> {
        self.database.definitions(id)
    }
}

fn last_batch(row: &BatchRow) -> LastBatch {
    LastBatch {
        generation: row.generation,
        next_offset: row.next_offset,
        replay_from: row.replay_from,
        replay_log_time_ms: row.replay_log_time_ms,
        replay_definition_set: row.replay_definition_set.clone(),
        log_time_ms: row.log_time_ms,
        definition_set: row.definition_set.clone(),
    }
}
