//! The engine: a synchronous state machine for one partition of the log. Records go in, batches come out.
//!
//! Everything that can change its output is in the log: the beacons, time (the append time of each record)
//! and the definition sets. It reads no clock, draws no random number and never iterates over a hash map to
//! produce output, so the same log gives the same batches, byte for byte. Reading the log and writing batches
//! is left to the edges of this crate.
//!
//! **Replay.** A session is the unit of state: everything that the engine remembers belongs to one session,
//! lives from the session's first record and is dropped as a whole after a period without records that is
//! longer than any duplicate horizon, deadline and grace period. The state at a cut is therefore a function of the
//! records since the oldest living session began, which is what `replay_from` says.

use std::sync::Arc;

use schema::beacon::Beacon;
use schema::definition::{DefinitionSet, EngineSettings};
use schema::record::{Record, RecordError};

mod attempt;
mod batch;
mod cells;
mod codec;
mod context;
mod intake;
mod kept;
mod labels;
mod observations;
mod plan;
mod pool;
mod rest;
mod samples;
mod session;
mod sessions;
mod settle;
mod snapshot;

#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use snapshot::{Cut, Snapshot, SnapshotError};

use cells::Cells;
use context::{ContextId, Pools};
use plan::Plan;
use sessions::{ReplayPoint, Sessions};

/// Version of the rules by which a log becomes rows; stands in every row of `sli.batches`.
pub const ENGINE_VERSION: u32 = 5;

/// Cells of one batch at most; one block must hold a batch's rows of each table.
const BATCH_CELLS_MAX: usize = 100_000;

/// One record as the log gives it.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// Offset in the partition.
    pub offset: i64,
    /// The broker's append time, ms since the epoch.
    pub append_ms: i64,
    /// The record's key: what keeps the beacons of a session together.
    pub key: &'a [u8],
    /// The encoded [`Record`].
    pub payload: &'a [u8],
}

/// Where a partition goes on, from its last row in `sli.batches`. The default is the beginning of a log.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    /// How often the log had gone back before.
    pub generation: u32,
    /// First offset to read again.
    pub replay_from: i64,
    /// Log time before that offset, ms.
    pub replay_log_time_ms: i64,
    /// Definition set that was active before that offset.
    pub replay_definitions: Option<Arc<DefinitionSet>>,
    /// First offset that no batch holds yet.
    pub next_offset: i64,
    /// Log time before `next_offset`, ms. A replay of all records leads there; what settled until then is counted
    /// whether the log still tells of it or not.
    pub log_time_ms: i64,
    /// Definition set that was active before `next_offset`.
    pub definitions: Option<Arc<DefinitionSet>>,
}

/// What taking a record led to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The batch that ended before this record.
    pub batch: Option<Batch>,
    /// The state at the end of that batch, when it was asked for ([`Engine::snapshot_at_next_cut`]).
    pub snapshot: Option<Snapshot>,
    /// Set when the record could not be decoded; it is counted.
    pub reject: Option<Reject>,
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its offset.
    pub offset: i64,
    /// Stable name of the cause.
    pub reason: &'static str,
    /// What was wrong with it.
    pub detail: String,
}

/// Sizes of the engine's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Log time, ms since the epoch.
    pub log_time_ms: i64,
    /// Sessions that are remembered.
    pub sessions: usize,
    /// Attempts that have not settled.
    pub open_attempts: usize,
    /// Bytes of the sessions at rest.
    pub state_bytes: usize,
    /// Cells of the open batch.
    pub cells: usize,
}

/// The state machine of one partition.
#[derive(Debug)]
pub struct Engine {
    topic: String,
    partition: i32,
    generation: u32,
    plan: Option<Plan>,
    without_definitions: EngineSettings,
    log_time_ms: i64,
    position: i64,
    emit_from: i64,
    /// Log time and definition set before `emit_from`, until that is reached.
    counted: Option<Counted>,
    pools: Pools,
    sessions: Sessions,
    open: OpenBatch,
    cells: Cells,
    snapshot_wanted: bool,
    /// Bytes of the last snapshot.
    snapshot_bytes: usize,
}

/// What stood at the end of the last batch.
#[derive(Debug)]
struct Counted {
    log_time_ms: i64,
    definitions: Option<Arc<DefinitionSet>>,
}

/// The range that the next batch will cover.
#[derive(Debug, Default)]
struct OpenBatch {
    first_offset: i64,
    first_interval: i64,
    last_interval: i64,
    records: u64,
    missing_offsets: u64,
    definitions: Vec<Arc<DefinitionSet>>,
}

impl Engine {
    /// An engine at `resume.replay_from`.
    pub fn new(topic: String, partition: i32, resume: Resume) -> Self {
        let mut pools = Pools::default();
        Self {
            topic,
            partition,
            generation: resume.generation,
            plan: resume.replay_definitions.map(|set| Plan::new(set, &mut pools.texts)),
            without_definitions: EngineSettings::default(),
            log_time_ms: resume.replay_log_time_ms,
            position: resume.replay_from,
            emit_from: resume.next_offset,
            counted: Some(Counted { log_time_ms: resume.log_time_ms, definitions: resume.definitions }),
            pools,
            sessions: Sessions::default(),
            open: OpenBatch::default(),
            cells: Cells::default(),
            snapshot_wanted: false,
            snapshot_bytes: 0,
        }
    }

    /// The offset that is expected next.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Whether the next record only rebuilds state: its batch was written before.
    pub fn is_replaying(&self) -> bool {
        self.position < self.emit_from
    }

    /// Sizes of the state.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            log_time_ms: self.log_time_ms,
            sessions: self.sessions.len(),
            open_attempts: self.sessions.open_attempts,
            state_bytes: self.sessions.state_bytes,
            cells: self.cells.len(),
        }
    }

    /// Has the outcome that carries the next batch carry the state at its end, too.
    pub fn snapshot_at_next_cut(&mut self) {
        self.snapshot_wanted = true;
    }

    /// Takes the next record. Offsets ascend and may have gaps; a record below [`Engine::position`] is ignored.
    ///
    /// A batch that ends does so *before* this record, which belongs to the next one.
    pub fn record(&mut self, record: LogRecord<'_>) -> Outcome {
        if record.offset < self.position {
            return Outcome::default();
        }
        if self.is_replaying() && record.offset >= self.emit_from {
            self.position = self.emit_from;
        }
        let replaying = self.is_replaying();
        if !replaying && let Some(counted) = self.counted.take() {
            self.go_on_after(counted);
        }
        let decoded = Record::decode(record.payload);
        let log_time_before_ms = self.log_time_ms;
        let log_time_ms = log_time_before_ms.max(record.append_ms);

        let mut outcome = Outcome::default();
        if !replaying && self.cut_is_due(log_time_ms, matches!(decoded, Ok(Record::Definitions(_)))) {
            outcome.batch = Some(self.cut());
            if std::mem::take(&mut self.snapshot_wanted) {
                outcome.snapshot = Some(self.snapshot());
            }
        }
        self.open_for(record.offset, log_time_ms);
        self.log_time_ms = log_time_ms;
        // What settles with this record settles in its batch, and a batch never mixes two sets.
        if let Ok(Record::Definitions(set)) = &decoded {
            self.activate(Arc::new(DefinitionSet::clone(set)));
        }
        self.settle_due();
        match decoded {
            Ok(Record::Beacon(beacon)) => self.beacon(&beacon, &record, log_time_before_ms),
            Ok(Record::Tick | Record::Definitions(_)) => self.cells.record_not_counted("control"),
            Err(error) => {
                self.cells.record_not_counted("undecodable");
                outcome.reject = Some(Reject {
                    offset: record.offset,
                    reason: reject_reason(&error),
                    detail: error.to_string(),
                });
            }
        }
        self.position = record.offset + 1;
        if replaying {
            self.forget_output();
        }
        outcome
    }

    /// Brings the state to the end of the last batch, where it is already unless the log lost records before it.
    fn go_on_after(&mut self, counted: Counted) {
        self.log_time_ms = self.log_time_ms.max(counted.log_time_ms);
        self.settle_due();
        if let Some(set) = counted.definitions
            && self.plan.as_ref().is_none_or(|plan| *plan.set_id != set.id)
        {
            self.activate(set);
        }
        self.forget_output();
    }

    /// Drops what the open batch holds: it was written before.
    fn forget_output(&mut self) {
        self.cells.clear();
        self.open = OpenBatch::default();
    }

    /// Whether the open batch ends before a record that brings log time to `log_time_ms`.
    fn cut_is_due(&self, log_time_ms: i64, changes_definitions: bool) -> bool {
        if self.open.records == 0 || changes_definitions {
            return self.open.records > 0;
        }
        let settings = self.settings();
        let interval = log_time_ms.div_euclid(settings.flush_interval_ms);
        let idle_intervals = interval - self.open.first_interval;
        let interval_ended = interval > self.open.last_interval
            && (!self.cells.is_empty() || idle_intervals >= settings.idle_flush_intervals);
        interval_ended
            || self.open.records >= settings.batch_records_max
            || self.cells.len() >= BATCH_CELLS_MAX
    }

    /// Counts the record's offset, and those that are missing before it, into the open batch.
    fn open_for(&mut self, offset: i64, log_time_ms: i64) {
        let expected = self.position;
        let interval = log_time_ms.div_euclid(self.settings().flush_interval_ms);
        if self.open.records == 0 {
            self.open.first_offset = expected;
            self.open.first_interval = interval;
        }
        self.open.last_interval = interval;
        self.open.missing_offsets += (offset - expected) as u64;
        self.open.records += 1;
    }

    /// Those of the active definition set; the defaults before there is one, so that what cannot be counted is
    /// told all the same.
    fn settings(&self) -> &EngineSettings {
        self.plan.as_ref().map_or(&self.without_definitions, |plan| &plan.set.settings)
    }

    /// Settles what is due at the log time.
    fn settle_due(&mut self) {
        if let Some(plan) = &self.plan {
            self.sessions.advance(self.log_time_ms, plan, &mut self.pools, &mut self.cells);
        }
    }

    /// Makes `set` the active one; the record that carries it is the first of its batch.
    fn activate(&mut self, set: Arc<DefinitionSet>) {
        self.open.definitions.push(Arc::clone(&set));
        let plan = self.plan.insert(Plan::new(set, &mut self.pools.texts));
        self.sessions.change_rules(self.log_time_ms, plan, &mut self.pools);
        let interval = self.log_time_ms.div_euclid(self.settings().flush_interval_ms);
        (self.open.first_interval, self.open.last_interval) = (interval, interval);
    }

    fn beacon(&mut self, beacon: &Beacon<'_>, record: &LogRecord<'_>, log_time_before_ms: i64) {
        let Some(plan) = &self.plan else {
            self.cells.record_not_counted("no_definitions");
            return;
        };
        let context = self.pools.contexts.intern(beacon);
        let log_time_ms = self.log_time_ms;
        let arrival = Arrival { beacon, record, context, log_time_ms, log_time_before_ms };
        self.sessions.take(&arrival, plan, &mut self.pools, &mut self.cells);
    }

    /// Ends the open batch before the record at [`Engine::position`].
    fn cut(&mut self) -> Batch {
        let next_offset = self.position;
        let open = std::mem::take(&mut self.open);
        let cells = std::mem::take(&mut self.cells);
        let replay = self.sessions.replay_point().unwrap_or_else(|| ReplayPoint {
            offset: next_offset,
            log_time_before_ms: self.log_time_ms,
            definition_set: self.plan.as_ref().map_or_else(|| Arc::from(""), |plan| Arc::clone(&plan.set_id)),
        });
        let batch = batch::build(self, open, &cells, next_offset, replay);
        self.pools.drop_unused(self.log_time_ms);
        batch
    }
}

/// A beacon on its way into its session.
#[derive(Debug)]
struct Arrival<'r> {
    beacon: &'r Beacon<'r>,
    record: &'r LogRecord<'r>,
    context: ContextId,
    log_time_ms: i64,
    log_time_before_ms: i64,
}

fn reject_reason(error: &RecordError) -> &'static str {
    match error {
        RecordError::TooShort(_) => "too_short",
        RecordError::Version(_) => "unknown_version",
        RecordError::Kind(_) => "unknown_kind",
        RecordError::Beacon(_) => "damaged_beacon",
        RecordError::Definitions(_) => "damaged_definitions",
    }
}
