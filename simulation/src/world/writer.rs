//! The writer of a partition: every table's rows, and only then the batch's own row. Mirrors the aggregator's
//! `writer.rs`; and the way of an insert to the database and back.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use aggregator::engine::Batch;
use aggregator::writer::QUEUED_BATCHES_MAX;
use aggregator::writer::inserts::{Inserts, of_batch};

use super::{Event, Shared, World, is_broken};
use crate::broken::Broken;
use crate::database::Prepared;
use crate::dice::Dice;
use crate::scenario::Scenario;

const RETRY_DELAY_MIN_MS: i64 = 100;
const RETRY_DELAY_MAX_MS: i64 = 5_000;
/// After so many failures the broken writer gives an insert up.
const TRIES_OF_A_QUITTER: u32 = 3;

/// A batch as inserts, in stages: all of a stage at once, one stage after the other.
#[derive(Debug)]
pub(super) struct Work {
    stages: Vec<Vec<Shared>>,
    name: String,
}

impl Work {
    /// The inserts of `batch`, as whoever makes it would send them.
    pub(super) fn new(batch: &Batch, scenario: &Scenario, dice: &mut Dice) -> Self {
        let row = Arc::new(batch.row.clone());
        let block_rows = scenario.timing.block_rows;
        let mut prepare = |insert| {
            let mut prepared = Prepared::new(insert, &row, &batch.definitions, block_rows);
            if is_broken(scenario, Broken::TokenWithoutTime) {
                prepared.token = prepared.token.replace(&format!("@{}", row.log_time_ms), "");
            }
            Rc::new(if is_broken(scenario, Broken::UnsortedRows) {
                prepared.shuffled(dice, block_rows)
            } else {
                prepared
            })
        };
        let Inserts { tables, definitions, progress } = of_batch(batch);
        let mut stages = vec![tables.iter().map(&mut prepare).collect()];
        stages.extend(definitions.iter().map(|insert| vec![prepare(insert)]));
        stages.push(vec![prepare(&progress)]);
        if is_broken(scenario, Broken::ProgressFirst) {
            stages.rotate_right(1);
        }
        stages.retain(|stage: &Vec<_>| !stage.is_empty());
        let name = format!("batch {}/{}-{}", row.partition, row.first_offset, row.next_offset);
        Self { stages, name }
    }
}

/// An insert of the stage that is being written.
#[derive(Debug)]
struct Slot {
    insert: Shared,
    tries: u32,
    delay_ms: i64,
    /// Number of the try whose answer it waits for.
    awaits: Option<u64>,
    done: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) number: u64,
    queue: VecDeque<Rc<Work>>,
    current: Option<(Rc<Work>, usize)>,
    slots: Vec<Slot>,
}

impl Writer {
    pub(super) fn new(number: u64) -> Self {
        Self { number, queue: VecDeque::new(), current: None, slots: Vec::new() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < QUEUED_BATCHES_MAX
    }

    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.queue.is_empty()
    }

    pub(super) fn take(&mut self, work: Work) {
        self.queue.push_back(Rc::new(work));
    }
}

/// An insert on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) insert: Shared,
    aggregator: usize,
    incarnation: u64,
    partition: i32,
    writer: u64,
    slot: usize,
    number_of_try: u64,
}

impl World<'_> {
    /// Begins the next stage, or the next batch, when there is nothing to wait for.
    pub(super) fn write_on(&mut self, aggregator: usize, partition: i32) {
        let Some(owned) = self.processes[aggregator].partitions.get_mut(&partition) else { return };
        let writer = &mut owned.writer;
        if !writer.slots.iter().all(|slot| slot.done) {
            return;
        }
        let next = match writer.current.take() {
            Some((work, stage)) if stage + 1 < work.stages.len() => Some((work, stage + 1)),
            Some(_) | None => writer.queue.pop_front().map(|work| (work, 0)),
        };
        writer.slots.clear();
        let Some((work, stage)) = next else { return };
        let slot = |insert: &Shared| Slot {
            insert: Rc::clone(insert),
            tries: 0,
            delay_ms: RETRY_DELAY_MIN_MS,
            awaits: None,
            done: false,
        };
        writer.slots = work.stages[stage].iter().map(slot).collect();
        writer.current = Some((work, stage));
        let (number, slots) = (writer.number, writer.slots.len());
        for slot in 0..slots {
            let after_ms = self.processes[aggregator].dice.within(0..=3);
            let event = Event::Send { partition, writer: number, slot, may_send: false };
            self.tell_process(aggregator, after_ms, event);
        }
    }

    /// Sends an insert if the lease is held. If not, its writer is dropped before the lease is taken again.
    pub(super) fn send(
        &mut self,
        aggregator: usize,
        (partition, number): (i32, u64),
        slot: usize,
        may_send: bool,
    ) {
        let timing = self.scenario.timing;
        self.serial += 1;
        let number_of_try = self.serial;
        let process = &mut self.processes[aggregator];
        let held = self.now_ms - process.renewed_at_ms < timing.lease_ms;
        if !held && !may_send && !is_broken(self.scenario, Broken::LeaseIgnored) {
            return;
        }
        let incarnation = process.incarnation;
        let Some(owned) =
            process.partitions.get_mut(&partition).filter(|owned| owned.writer.number == number)
        else {
            return;
        };
        let slot_state = &mut owned.writer.slots[slot];
        slot_state.tries += 1;
        slot_state.awaits = Some(number_of_try);
        let mut insert = Rc::clone(&slot_state.insert);
        if is_broken(self.scenario, Broken::NoToken) {
            let mut other = (*insert).clone();
            other.token = format!("{}/{}", other.token, self.serial);
            insert = Rc::new(other);
        }
        if is_broken(self.scenario, Broken::SplitOnRetry) && slot_state.tries > 1 {
            insert = Rc::new((*insert).clone().halved());
        }
        let unheard = Event::Confirmed { partition, writer: number, slot, number_of_try, done: false };
        self.tell_process(aggregator, timing.request_timeout_ms, unheard);
        let sent = Sent { insert, aggregator, incarnation, partition, writer: number, slot, number_of_try };
        let after_ms = self.dice.within(1..=20);
        self.at(self.now_ms + after_ms, Event::InsertCame(Box::new(sent)));
    }

    pub(super) fn insert_came(&mut self, sent: Sent) {
        if !self.database_up {
            self.answer(&sent, false);
            return;
        }
        let [least_ms, most_ms] = self.scenario.timing.insert_ms;
        let slow = if self.now_ms < self.slow_until_ms { 10 } else { 1 };
        let took_ms = self.dice.within(least_ms..=most_ms) * slow;
        self.serial += 1;
        let number = self.serial;
        self.under_way.insert(number, sent);
        self.at(self.now_ms + took_ms, Event::InsertDone(number));
    }

    pub(super) fn insert_done(&mut self, number: u64) {
        // The database was killed meanwhile.
        let Some(sent) = self.under_way.remove(&number) else { return };
        self.database.insert(&sent.insert);
        let (until_ms, percent) = self.lost_answers;
        if self.now_ms < until_ms && self.dice.chance(percent) {
            self.stats.lost_answers += 1;
            self.say(|| format!("answer lost for {}", sent.insert.token));
        } else {
            self.answer(&sent, true);
        }
    }

    /// Lets the writer know, if it still waits then.
    pub(super) fn answer(&mut self, sent: &Sent, done: bool) {
        let at_ms = self.now_ms + self.dice.within(1..=20);
        let to = Some((sent.aggregator, sent.incarnation));
        let Sent { partition, writer, slot, number_of_try, .. } = *sent;
        self.put(at_ms, to, Event::Confirmed { partition, writer, slot, number_of_try, done });
    }

    pub(super) fn confirmed(
        &mut self,
        aggregator: usize,
        (partition, number): (i32, u64),
        (slot, number_of_try): (usize, u64),
        done: bool,
    ) {
        let partitions = &mut self.processes[aggregator].partitions;
        let Some(owned) = partitions.get_mut(&partition).filter(|owned| owned.writer.number == number) else {
            return;
        };
        let writer = &mut owned.writer;
        // An answer of a stage before, or of a try that was given up.
        let Some(state) = writer.slots.get_mut(slot).filter(|state| state.awaits == Some(number_of_try))
        else {
            return;
        };
        state.awaits = None;
        let gives_up = is_broken(self.scenario, Broken::GivesUp) && state.tries >= TRIES_OF_A_QUITTER;
        if done || gives_up {
            state.done = true;
            let is_written = writer.slots.iter().all(|slot| slot.done)
                && writer.current.as_ref().is_some_and(|(work, stage)| stage + 1 == work.stages.len());
            if is_written {
                let name = writer.current.as_ref().map(|(work, _)| work.name.clone()).unwrap_or_default();
                self.say(|| format!("aggregator {aggregator} has written {name}"));
            }
            self.write_on(aggregator, partition);
            return;
        }
        let delay_ms = state.delay_ms;
        state.delay_ms = (delay_ms * 2).min(RETRY_DELAY_MAX_MS);
        let event = Event::Send { partition, writer: number, slot, may_send: false };
        self.tell_process(aggregator, delay_ms, event);
    }
}
