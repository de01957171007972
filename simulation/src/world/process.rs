//! A process of the aggregator: its loop, its lease, and what it reads. Mirrors the aggregator's
//! `consumer.rs` and `lease.rs`; the engine is the real one. Where partitions go on is in [`super::start`].

use std::collections::{BTreeMap, VecDeque};

use super::start::Start;
use super::writer::{Work, Writer};
use super::{Event, World, is_broken};
use crate::broken::Broken;
use crate::dice::Dice;
use aggregator::engine::{Engine, LogRecord};
use aggregator::progress::LastBatch;

/// How far the clock of a process is off, ms, where something goes by that clock.
const CLOCK_OFF_MS: i64 = 700;

/// See the module.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) is_up: bool,
    /// Counts its lives.
    pub(super) incarnation: u64,
    /// The pause that it is in.
    pub(super) pause: Option<u64>,
    pub(super) pauses: u64,
    /// What happened to it while it was paused.
    pub(super) waiting: Vec<Event>,
    /// When it stops by and how long it then is away, while it stops cleanly.
    pub(super) stopping: Option<(i64, i64)>,
    pub(super) renewed_at_ms: i64,
    /// Whether it has just looked at its lease, so that its loop goes on without.
    pub(super) looked: bool,
    heard_generation: u64,
    pub(super) owned: Vec<i32>,
    pub(super) assignment: u64,
    /// What the lookup of this assignment has found so far.
    pub(super) starts: Vec<Start>,
    /// Row of the last answer, by which a loss is believed or not.
    pub(super) doubted: Option<Option<LastBatch>>,
    inbox: VecDeque<Message>,
    pub(super) partitions: BTreeMap<i32, Partition>,
    writers: u64,
    clock_off_ms: i64,
    pub(super) dice: Dice,
}

/// What the loop reacts to, beside records.
#[derive(Debug)]
enum Message {
    Assigned(Vec<i32>),
    Revoked,
    Started(u64, Vec<Start>),
}

/// A partition that is being read.
#[derive(Debug)]
pub(super) struct Partition {
    engine: Engine,
    position: i64,
    /// Of the log that it reads.
    generation: u64,
    waiting: VecDeque<Work>,
    pub(super) writer: Writer,
    heard_at_ms: i64,
}

impl Process {
    pub(super) fn new(seed: u64, number: usize) -> Self {
        Self {
            is_up: false,
            incarnation: 0,
            pause: None,
            pauses: 0,
            waiting: Vec::new(),
            stopping: None,
            renewed_at_ms: 0,
            looked: false,
            heard_generation: 0,
            owned: Vec::new(),
            assignment: 0,
            starts: Vec::new(),
            doubted: None,
            inbox: VecDeque::new(),
            partitions: BTreeMap::new(),
            writers: 0,
            clock_off_ms: 0,
            dice: Dice::new(seed, "process", number),
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    pub(super) fn die(&mut self) {
        self.is_up = false;
        self.incarnation += 1;
        self.pause = None;
        self.waiting.clear();
        self.stopping = None;
        self.owned.clear();
        self.starts.clear();
        self.inbox.clear();
        self.partitions.clear();
    }

    /// Drops engines and queued batches; the lookup that runs is not wanted any more.
    fn drop_partitions(&mut self) {
        self.partitions.clear();
        self.assignment += 1;
    }
}

impl World<'_> {
    pub(super) fn start(&mut self, aggregator: usize) {
        let now_ms = self.now_ms;
        let process = &mut self.processes[aggregator];
        if process.is_up {
            return;
        }
        process.is_up = true;
        process.incarnation += 1;
        process.renewed_at_ms = now_ms;
        process.heard_generation = 0;
        process.clock_off_ms = process.dice.within(-CLOCK_OFF_MS..=CLOCK_OFF_MS);
        self.say(|| format!("aggregator {aggregator} starts"));
        self.tell_process(aggregator, 1, Event::Turn);
        self.join(aggregator);
    }

    pub(super) fn happen_to_process(&mut self, aggregator: usize, event: Event) {
        match event {
            Event::Turn => self.turn(aggregator),
            Event::Notice { generation, partitions } => {
                let process = &mut self.processes[aggregator];
                if generation >= process.heard_generation {
                    process.heard_generation = generation;
                    process.inbox.extend([Message::Revoked, Message::Assigned(partitions)]);
                }
            }
            Event::LookUp { assignment, place } => self.look_up(aggregator, assignment, place),
            Event::Answer { assignment, place, held, found } => {
                self.found(aggregator, assignment, place, held, found);
            }
            Event::Send { partition, writer, slot, may_send } => {
                self.send(aggregator, (partition, writer), slot, may_send);
            }
            Event::Confirmed { partition, writer, slot, number_of_try, done } => {
                self.confirmed(aggregator, (partition, writer), (slot, number_of_try), done);
            }
            Event::Arrive(_)
            | Event::IngestTick
            | Event::QuietTick(_)
            | Event::Activate { .. }
            | Event::Incident(_)
            | Event::DatabaseUp
            | Event::Start(_)
            | Event::Resume { .. }
            | Event::SessionTimeout { .. }
            | Event::Question { .. }
            | Event::InsertCame(_)
            | Event::InsertDone(_) => unreachable!("the world hears it"),
        }
    }

    /// Once round the loop.
    fn turn(&mut self, aggregator: usize) {
        let (now_ms, lease_ms) = (self.now_ms, self.scenario.timing.lease_ms);
        let process = &mut self.processes[aggregator];
        let looked = std::mem::take(&mut process.looked);
        let held =
            now_ms - process.renewed_at_ms < lease_ms || is_broken(self.scenario, Broken::LeaseIgnored);
        if held {
            // Who had looked before it stood still has renewed the lease then, not now.
            process.renewed_at_ms = if looked { process.renewed_at_ms } else { now_ms };
        } else if !looked {
            self.say(|| format!("aggregator {aggregator} has lost its lease, begins anew"));
            self.begin_anew(aggregator);
            self.processes[aggregator].renewed_at_ms = now_ms;
        }
        if self.processes[aggregator].stopping.is_none() {
            self.read_partitions(aggregator);
        }
        while let Some(message) = self.processes[aggregator].inbox.pop_front() {
            self.handle(aggregator, message);
        }
        self.keep_house(aggregator);
        if self.has_stopped(aggregator) {
            return;
        }
        let after_ms = self.processes[aggregator].dice.clone().pick(&[10, 100, 600]);
        let after_ms = self.processes[aggregator].dice.within(5..=after_ms);
        self.tell_process(aggregator, after_ms, Event::Turn);
    }

    fn handle(&mut self, aggregator: usize, message: Message) {
        let process = &mut self.processes[aggregator];
        match message {
            Message::Assigned(partitions) => {
                process.drop_partitions();
                process.owned = partitions;
                self.look_up_starts(aggregator);
            }
            Message::Revoked => {
                process.drop_partitions();
                process.owned.clear();
            }
            Message::Started(assignment, starts) if assignment == process.assignment => {
                for start in starts {
                    self.begin_partition(aggregator, start);
                }
            }
            Message::Started(..) => {}
        }
    }

    fn begin_anew(&mut self, aggregator: usize) {
        self.processes[aggregator].drop_partitions();
        self.look_up_starts(aggregator);
    }

    fn look_up_starts(&mut self, aggregator: usize) {
        let process = &mut self.processes[aggregator];
        process.assignment += 1;
        process.doubted = None;
        process.starts.clear();
        if process.owned.is_empty() || process.stopping.is_some() {
            return;
        }
        let assignment = process.assignment;
        let after_ms = process.dice.within(1..=50);
        self.tell_process(aggregator, after_ms, Event::LookUp { assignment, place: 0 });
    }

    /// The lookup of `assignment` has found where every partition goes on.
    pub(super) fn found_all(&mut self, aggregator: usize, assignment: u64) {
        let process = &mut self.processes[aggregator];
        let starts = std::mem::take(&mut process.starts);
        process.inbox.push_back(Message::Started(assignment, starts));
    }

    fn begin_partition(&mut self, aggregator: usize, start: Start) {
        let now_ms = self.now_ms;
        let Start { partition, offset, generation, next_offset, engine, kind } = start;
        self.say(|| {
            let kind = kind.as_str();
            format!("aggregator {aggregator} begins partition {partition} at {offset}, new from {next_offset} ({kind})")
        });
        let process = &mut self.processes[aggregator];
        process.writers += 1;
        let number = process.incarnation << 32 | process.writers;
        let begun = Partition {
            engine,
            position: offset,
            generation,
            waiting: VecDeque::new(),
            writer: Writer::new(number),
            heard_at_ms: now_ms,
        };
        process.partitions.insert(partition, begun);
    }

    /// Reads every partition whose writer has room. A log that no longer holds what is next makes all begin anew.
    fn read_partitions(&mut self, aggregator: usize) {
        let numbers: Vec<i32> = self.processes[aggregator].partitions.keys().copied().collect();
        for partition in numbers {
            if !self.hand_over(aggregator, partition) {
                continue;
            }
            if !self.read(aggregator, partition) {
                self.say(|| format!("aggregator {aggregator} reads what is deleted, begins anew"));
                self.begin_anew(aggregator);
                return;
            }
            self.hand_over(aggregator, partition);
        }
    }

    /// Gives the writer what waits, as far as it has room; whether all of it went.
    fn hand_over(&mut self, aggregator: usize, partition: i32) -> bool {
        let Some(owned) = self.processes[aggregator].partitions.get_mut(&partition) else { return false };
        while owned.writer.has_room()
            && let Some(work) = owned.waiting.pop_front()
        {
            owned.writer.take(work);
        }
        let all = owned.waiting.is_empty();
        self.write_on(aggregator, partition);
        all
    }

    fn read(&mut self, aggregator: usize, partition: i32) -> bool {
        let process = &mut self.processes[aggregator];
        let by_clock = is_broken(self.scenario, Broken::WallClockCuts);
        let clock_off_ms = if by_clock { process.clock_off_ms } else { 0 };
        let Some(owned) = process.partitions.get_mut(&partition) else { return true };
        let log = &self.log[partition as usize];
        let Some(entries) = log.from(owned.position).filter(|_| log.generation == owned.generation) else {
            return false;
        };
        let records_max = process.dice.clone().pick(&[1, 10, 1_000]);
        for entry in entries.iter().take(1 + process.dice.below(records_max)) {
            owned.heard_at_ms = self.now_ms;
            owned.position = entry.offset + 1;
            let record = LogRecord { append_ms: entry.append_ms + clock_off_ms, ..entry.record() };
            if self.snapshot_dice.chance(5) {
                owned.engine.snapshot_at_next_cut();
            }
            let outcome = owned.engine.record(record);
            if let Some(snapshot) = outcome.snapshot {
                self.snapshots.entry(partition).or_default().push(snapshot);
            }
            if let Some(batch) = outcome.batch {
                owned.waiting.push_back(Work::new(&batch, self.scenario, &mut process.dice));
            }
        }
        true
    }

    /// Ticks for partitions that are quiet though they are read.
    fn keep_house(&mut self, aggregator: usize) {
        let (now_ms, quiet_ms) = (self.now_ms, self.scenario.timing.quiet_ms);
        let mut quiet = Vec::new();
        for (partition, owned) in &mut self.processes[aggregator].partitions {
            if owned.waiting.is_empty() && now_ms - owned.heard_at_ms >= quiet_ms {
                owned.heard_at_ms = now_ms;
                quiet.push(*partition);
            }
        }
        for partition in quiet {
            let after_ms = self.dice.within(1..=50);
            self.at(now_ms + after_ms, Event::QuietTick(partition));
        }
    }

    /// Whether a clean stop is done: everything is written, or the time is over.
    fn has_stopped(&mut self, aggregator: usize) -> bool {
        let process = &mut self.processes[aggregator];
        let Some((stop_by_ms, down_ms)) = process.stopping else { return false };
        let numbers: Vec<i32> = process.partitions.keys().copied().collect();
        let mut idle = true;
        for partition in numbers {
            idle &= self.hand_over(aggregator, partition);
            idle &= self.processes[aggregator]
                .partitions
                .get(&partition)
                .is_none_or(|owned| owned.writer.is_idle());
        }
        if !idle && self.now_ms < stop_by_ms {
            return false;
        }
        self.say(|| format!("aggregator {aggregator} has stopped"));
        self.processes[aggregator].die();
        self.leave(aggregator);
        self.at(self.now_ms + down_ms, Event::Start(aggregator));
        true
    }
}
