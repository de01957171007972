//! A world: time, the order of everything that happens, and the run from the beginning to the judgement.
//!
//! Events lie in a queue by time. What a process is to hear waits while it is paused, and is lost when it dies.
//! The processes are in `process` and `writer`, the group in `group`, what goes wrong in `incidents`; `judge` says
//! whether the law holds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::sync::Arc;

use aggregator::engine::Snapshot;

use crate::broken::Broken;
use crate::database::{Database, Prepared};
use crate::definitions::{GRACE_MS, TIMEOUT_MAX_MS};
use crate::dice::Dice;
use crate::law::Violation;
use crate::log::{Origin, PartitionLog};
use crate::scenario::{Scenario, T0};
use crate::truth::Tally;
use crate::visitors::{self, Delivery};

mod group;
mod incidents;
mod judge;
mod process;
mod start;
mod writer;

use self::group::Group;
use self::process::Process;
use self::start::{Found, Held};
use self::writer::Sent;

/// Name of the log.
const TOPIC: &str = "rum.beacons";
/// The world may take this long after its log has ended until everything is written.
const END_MS: i64 = 600_000;
/// What is still on its way when everything is written gets this long to do harm.
const STRAGGLERS_MS: i64 = 15_000;

/// What happened in runs, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Stats {
    pub seeds: u64,
    pub records: u64,
    pub batches: u64,
    pub crashes: u64,
    /// Processes that went on when their partitions had been given away, or their lease was over.
    pub zombies: u64,
    pub rebalances: u64,
    pub lost_answers: u64,
    /// Kills of the database with an insert under way.
    pub partial_writes: u64,
    /// Starts that replayed something.
    pub replays: u64,
    /// Starts that went on from a snapshot.
    pub restored: u64,
    /// Starts that said that something was lost.
    pub loud_starts: u64,
    /// Worlds in which needed records were deleted.
    pub lossy: u64,
    /// Parts that the tables dropped as repeats.
    pub dropped: u64,
    /// Those of them whose content was another; 0 unless something is broken.
    pub dropped_other: u64,
}

impl Stats {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.records += other.records;
        self.batches += other.batches;
        self.crashes += other.crashes;
        self.zombies += other.zombies;
        self.rebalances += other.rebalances;
        self.lost_answers += other.lost_answers;
        self.partial_writes += other.partial_writes;
        self.replays += other.replays;
        self.restored += other.restored;
        self.loud_starts += other.loud_starts;
        self.lossy += other.lossy;
        self.dropped += other.dropped;
        self.dropped_other += other.dropped_other;
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub stats: Stats,
    /// What does not hold; nothing is good.
    pub violations: Vec<Violation>,
    /// What happened, line by line, where it was asked for.
    pub story: Vec<String>,
}

/// Plays a scenario to its end and judges it.
pub fn run(scenario: &Scenario, tell: bool) -> Report {
    let mut world = World::new(scenario, tell);
    world.play();
    world.judge()
}

/// What can happen next.
#[derive(Debug)]
enum Event {
    /// A record of a client comes to the log.
    Arrive(usize),
    /// Ingest's tick for every partition.
    IngestTick,
    /// An owner's tick for a quiet partition.
    QuietTick(i32),
    /// A definition set comes to a partition.
    Activate { partition: usize, set: usize },
    /// Incident number so of the scenario's list.
    Incident(usize),
    /// The database answers again.
    DatabaseUp,
    /// A process is started.
    Start(usize),
    /// A paused process goes on.
    Resume { aggregator: usize, pause: u64 },
    /// Whether the group has missed a process for too long is looked at.
    SessionTimeout { aggregator: usize, incarnation: u64, pause: u64 },
    /// A process hears of its partitions.
    Notice { generation: u64, partitions: Vec<i32> },
    /// A process goes once round its loop.
    Turn,
    /// A process asks where a partition goes on: the log first, then the database.
    LookUp { assignment: u64, place: usize },
    /// The database gets the question.
    Question { aggregator: usize, incarnation: u64, assignment: u64, place: usize, held: Held },
    /// The answer comes.
    Answer { assignment: u64, place: usize, held: Held, found: Found },
    /// A writer sends an insert, if it may.
    Send { partition: i32, writer: u64, slot: usize, may_send: bool },
    /// The database gets an insert.
    InsertCame(Box<Sent>),
    /// The database has done an insert.
    InsertDone(u64),
    /// A writer hears of an insert.
    Confirmed { partition: i32, writer: u64, slot: usize, number_of_try: u64, done: bool },
}

/// An event at a time; the serial number keeps the order of what is at the same time.
struct Due {
    at_ms: i64,
    serial: u64,
    /// The process that is to hear it, with its incarnation.
    to: Option<(usize, u64)>,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.serial) == (other.at_ms, other.serial)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.serial).cmp(&(other.at_ms, other.serial))
    }
}

struct World<'s> {
    scenario: &'s Scenario,
    now_ms: i64,
    serial: u64,
    queue: BinaryHeap<Reverse<Due>>,
    deliveries: Vec<Delivery>,
    truth: Tally,
    /// When a beacon id was last seen under a key.
    seen: BTreeMap<(String, String), i64>,
    log: Vec<PartitionLog>,
    /// Nothing is appended from then on.
    log_ends_ms: i64,
    no_ticks_until_ms: i64,
    /// Whether any partition was begun anew.
    went_back: bool,
    database: Database,
    database_up: bool,
    lost_answers: (i64, u64),
    slow_until_ms: i64,
    /// Inserts that the database works on, by number.
    under_way: BTreeMap<u64, Sent>,
    /// Snapshots by partition and generation of its log, in the order of their writing.
    snapshots: BTreeMap<i32, Vec<Snapshot>>,
    /// When snapshots are made, and which are found.
    snapshot_dice: Dice,
    /// Damaged snapshots that were taken for good ones.
    damaged_restored: u64,
    group: Group,
    processes: Vec<Process>,
    /// For the database, the broker and the group.
    dice: Dice,
    stats: Stats,
    story: Option<Vec<String>>,
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, tell: bool) -> Self {
        let traffic = visitors::traffic(scenario);
        let last_ms = traffic.deliveries.last().map_or(T0, |delivery| delivery.at_ms);
        let incidents_ms = scenario.incidents.iter().map(|(_, incident)| T0 + incident.at_ms).max();
        let flush_ms = scenario.sets.iter().map(|set| set.settings.flush_interval_ms).max().unwrap_or(0);
        // Everything settles, and an idle batch ends.
        let drain_ms = TIMEOUT_MAX_MS + 2 * GRACE_MS[1] + 8 * flush_ms;
        let mut world = Self {
            scenario,
            now_ms: T0 - 2_000,
            serial: 0,
            queue: BinaryHeap::new(),
            deliveries: traffic.deliveries,
            truth: traffic.truth,
            seen: BTreeMap::new(),
            log: (0..scenario.partitions).map(|_| PartitionLog::default()).collect(),
            log_ends_ms: last_ms.max(incidents_ms.unwrap_or(T0)) + drain_ms,
            no_ticks_until_ms: 0,
            went_back: false,
            database: Database::new(scenario.timing.window),
            database_up: true,
            lost_answers: (0, 0),
            slow_until_ms: 0,
            under_way: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            snapshot_dice: Dice::new(scenario.seed, "snapshots", 0),
            damaged_restored: 0,
            group: Group::default(),
            processes: (0..scenario.aggregators).map(|number| Process::new(scenario.seed, number)).collect(),
            dice: Dice::new(scenario.seed, "world", 0),
            stats: Stats { seeds: 1, ..Stats::default() },
            story: tell.then(Vec::new),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for number in 0..self.deliveries.len() {
            self.at(self.deliveries[number].at_ms, Event::Arrive(number));
        }
        for partition in 0..self.log.len() {
            self.at(T0, Event::Activate { partition, set: 0 });
        }
        self.at(T0 + 500, Event::IngestTick);
        for (place, (_, incident)) in self.scenario.incidents.iter().enumerate() {
            self.at(T0 + incident.at_ms, Event::Incident(place));
        }
        for aggregator in 0..self.processes.len() {
            let at_ms = T0 + self.dice.within(0..=2_000);
            self.at(at_ms, Event::Start(aggregator));
        }
    }

    /// Puts an event of the world into the queue.
    fn at(&mut self, at_ms: i64, event: Event) {
        self.put(at_ms, None, event);
    }

    /// Lets a process hear something after a while.
    fn tell_process(&mut self, aggregator: usize, after_ms: i64, event: Event) {
        let to = Some((aggregator, self.processes[aggregator].incarnation));
        self.put(self.now_ms + after_ms, to, event);
    }

    fn put(&mut self, at_ms: i64, to: Option<(usize, u64)>, event: Event) {
        self.serial += 1;
        self.queue.push(Reverse(Due { at_ms, serial: self.serial, to, event }));
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:9.3} s  {}", (self.now_ms - T0) as f64 / 1000.0, line()));
        }
    }

    fn play(&mut self) {
        let mut written_at_ms = None;
        while let Some(Reverse(due)) = self.queue.pop() {
            self.now_ms = due.at_ms;
            self.happen(due);
            if self.now_ms < self.log_ends_ms {
                continue;
            }
            if written_at_ms.is_none() && self.is_written() {
                written_at_ms = Some(self.now_ms);
            }
            let end_ms = written_at_ms.map_or(self.log_ends_ms + END_MS, |at_ms| at_ms + STRAGGLERS_MS);
            if self.now_ms > end_ms {
                break;
            }
        }
    }

    fn happen(&mut self, due: Due) {
        let Some((aggregator, incarnation)) = due.to else {
            return self.happen_to_world(due.event);
        };
        let process = &mut self.processes[aggregator];
        if process.incarnation != incarnation || !process.is_up {
            return;
        }
        if process.is_paused() {
            process.waiting.push(due.event);
            return;
        }
        self.happen_to_process(aggregator, due.event);
    }

    fn happen_to_world(&mut self, event: Event) {
        match event {
            Event::Arrive(number) => self.arrive(number),
            Event::IngestTick => self.ingest_tick(),
            Event::QuietTick(partition) => self.tick(partition as usize),
            Event::Activate { partition, set } => {
                if self.now_ms < self.log_ends_ms {
                    let set = Arc::clone(&self.scenario.sets[set]);
                    self.log[partition].definitions(self.now_ms, &set);
                }
            }
            Event::Incident(place) => self.incident(place),
            Event::DatabaseUp => self.database_up = true,
            Event::Start(aggregator) => self.start(aggregator),
            Event::Resume { aggregator, pause } => self.resume(aggregator, pause),
            Event::SessionTimeout { aggregator, incarnation, pause } => {
                self.session_timeout(aggregator, incarnation, pause);
            }
            Event::Question { aggregator, incarnation, assignment, place, held } => {
                self.question((aggregator, incarnation), assignment, place, held);
            }
            Event::InsertCame(sent) => self.insert_came(*sent),
            Event::InsertDone(number) => self.insert_done(number),
            Event::Notice { .. }
            | Event::Turn
            | Event::LookUp { .. }
            | Event::Answer { .. }
            | Event::Send { .. }
            | Event::Confirmed { .. } => unreachable!("a process hears it"),
        }
    }

    fn arrive(&mut self, number: usize) {
        let delivery = &self.deliveries[number];
        let mut origin = delivery.origin.clone();
        if let Some((id, horizon_ms)) = delivery.beacon.clone().filter(|_| origin != Origin::TooEarly) {
            let seen_ms = self.seen.insert((delivery.key.clone(), id), self.now_ms);
            if seen_ms.is_some_and(|seen_ms| self.now_ms < seen_ms + horizon_ms) {
                origin = Origin::Duplicate;
            }
        }
        let partition = xxhash_rust::xxh3::xxh3_64(delivery.key.as_bytes()) as usize % self.log.len();
        if let Some(story) = &mut self.story {
            let (seconds, offset) = ((self.now_ms - T0) as f64 / 1000.0, self.log[partition].high);
            let kind = if origin == Origin::Duplicate { "again: " } else { "" };
            story.push(format!("{seconds:9.3} s  log {partition} at {offset}: {kind}{}", delivery.text));
        }
        let (key, payload, text) = (delivery.key.as_bytes(), delivery.payload.clone(), delivery.text.clone());
        self.log[partition].append(self.now_ms, key, payload, origin, text);
    }

    fn ingest_tick(&mut self) {
        if self.now_ms >= self.no_ticks_until_ms {
            (0..self.log.len()).for_each(|partition| self.tick(partition));
        }
        if self.now_ms < self.log_ends_ms {
            self.at(self.now_ms + self.scenario.tick_ms, Event::IngestTick);
        }
    }

    fn tick(&mut self, partition: usize) {
        if self.now_ms < self.log_ends_ms {
            self.log[partition].tick(self.now_ms);
        }
    }
}

/// Whether the scenario is broken in this way.
fn is_broken(scenario: &Scenario, broken: Broken) -> bool {
    scenario.broken == Some(broken)
}

/// An insert that several may hold.
type Shared = Rc<Prepared>;
