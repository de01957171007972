//! The rows that the aggregator writes, one struct a table; field names are the column names.
//!
//! Rows are sent as JSON lines in this field order. A batch's rows are sorted by their key before they are
//! sent, so that the same batch is always the same bytes. What the columns mean stands in the DDL's comments.

use std::collections::BTreeMap;

use serde::Serialize;

pub mod definitions;

pub use definitions::{
    DEFINITION_TABLES, DefinitionRow, JourneyDefinitionRow, ObjectiveDefinitionRow, PolicyDefinitionRow,
};

/// Tables that a batch writes, in the order of writing; `batches` is last, since its row is the progress.
pub const BATCH_TABLES: [&str; 9] = [
    "journey_minutes",
    "journey_hours",
    "journey_steps",
    "objective_minutes",
    "objective_hours",
    "objective_totals",
    "attempt_samples",
    "seen_events",
    "quality",
];

/// Counters of attempts, weighted by sampling; shared by the journey tables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Attempts of every outcome.
    pub attempts: u64,
    /// Attempts that an objective judges.
    pub valid: u64,
    /// A success event came in time.
    pub success: u64,
    /// A failure event came.
    pub failure: u64,
    /// The deadline passed and the session was still heard of.
    pub timeout: u64,
    /// Evidence of a break.
    pub interrupted: u64,
    /// The user left or started again.
    pub abandoned: u64,
    /// The app says that the user cancelled.
    pub cancelled: u64,
    /// Silence without evidence.
    pub unknown: u64,
    /// Sessions, each once a journey.
    pub sessions: u64,
    /// Sessions with a bad attempt, each once a journey.
    pub sessions_hurt: u64,
    /// Attempts whose last record was appended more than an hour after their end.
    pub arrived_late: u64,
    /// Reason of every attempt that was no success.
    pub reasons: BTreeMap<String, u64>,
    /// Latency or value of the successes: bucket → count.
    pub latency: BTreeMap<u32, u64>,
    /// Sum of the successes' latencies or values in ten-thousandths of the unit.
    pub latency_sum: u64,
    /// How long those waited who abandoned, ms: bucket → count.
    pub abandoned_wait: BTreeMap<u32, u64>,
}

/// A row of `journey_minutes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct JourneyMinute {
    pub app: String,
    pub journey: String,
    pub route: String,
    pub platform: String,
    pub release: String,
    /// Seconds since the epoch, a whole minute.
    pub window_start: u32,
    #[serde(flatten)]
    pub counters: Counters,
}

/// A row of `journey_hours`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct JourneyHour {
    pub app: String,
    pub journey: String,
    pub route: String,
    pub platform: String,
    pub release: String,
    pub os: String,
    pub browser: String,
    pub device_class: String,
    pub country: String,
    pub connection: String,
    pub segment: String,
    /// Seconds since the epoch, a whole hour.
    pub window_start: u32,
    #[serde(flatten)]
    pub counters: Counters,
}

/// A row of `journey_steps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct JourneyStep {
    pub app: String,
    pub journey: String,
    pub step: String,
    /// Position in the journey, from 1.
    pub step_number: u16,
    pub platform: String,
    pub release: String,
    /// Seconds since the epoch, a whole minute.
    pub window_start: u32,
    /// Attempts that reached the step before it.
    pub attempts: u64,
    /// Attempts that reached it.
    pub success: u64,
    /// Outcome or reason of those that did not.
    pub reasons: BTreeMap<String, u64>,
    /// From the start to this step, ms: bucket → count.
    pub latency: BTreeMap<u32, u64>,
}

/// A row of `objective_minutes` and of `objective_hours`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct ObjectiveWindow {
    pub app: String,
    pub journey: String,
    pub objective: String,
    pub version: String,
    pub platform: String,
    /// Seconds since the epoch, a whole minute or hour.
    pub window_start: u32,
    /// Valid attempts, weighted.
    pub valid: u64,
    /// Valid attempts that were not good, weighted.
    pub bad: u64,
    /// Valid attempts, unweighted, for confidence.
    pub observed: u64,
    /// Those of them that were not good.
    pub observed_bad: u64,
    /// Attempts of the journey, weighted.
    pub attempts: u64,
    /// Those of them whose end is not known.
    pub unknown: u64,
    /// Sessions, each in the window of its first bad attempt of the journey.
    pub sessions_hurt: u64,
}

/// A row of `objective_totals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct ObjectiveTotal {
    pub app: String,
    pub journey: String,
    pub objective: String,
    pub version: String,
    pub platform: String,
    /// Valid attempts, weighted.
    pub valid: u64,
    /// Valid attempts that were not good, weighted.
    pub bad: u64,
}

/// A row of `attempt_samples`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct AttemptSample {
    pub app: String,
    pub journey: String,
    /// Milliseconds since the epoch.
    pub start_ms: i64,
    pub session: String,
    pub outcome: String,
    pub valid: bool,
    pub reason: String,
    pub route: String,
    /// Latency or value as a decimal number, where there is one.
    pub latency: Option<String>,
    /// Names of the steps that were reached, and ms from the start to each.
    pub steps: BTreeMap<String, u64>,
    /// How many attempts of its kind (good or bad) in its batch it stands for.
    pub weight: u64,
    pub platform: String,
    pub release: String,
    pub os: String,
    pub browser: String,
    pub device_class: String,
    pub country: String,
    pub connection: String,
    pub segment: String,
}

/// A row of `seen_events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct SeenEvent {
    pub app: String,
    pub platform: String,
    pub event: String,
    pub name: String,
    pub route: String,
    /// Seconds since the epoch, a whole hour.
    pub hour: u32,
    pub seen: u64,
    /// Journey → how often one of its matchers matched.
    pub matched: BTreeMap<String, u64>,
}

/// A row of `quality`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct Quality {
    pub app: String,
    pub platform: String,
    pub release: String,
    /// Seconds since the epoch, a whole hour of log time.
    pub hour: u32,
    pub beacons: u64,
    pub events: u64,
    /// Sessions, in the hour of their first beacon.
    pub sessions: u64,
    /// Those of them whose beacons are numbered, in the hour of the first numbered one.
    pub sessions_measured: u64,
    /// Beacons that carried a sequence number.
    pub sequence_received: u64,
    /// Beacons that the sequence numbers say were sent.
    pub sequence_expected: u64,
    pub bots: u64,
    /// Beacons of environments that are not listed.
    pub environments: u64,
    pub duplicates: u64,
    /// Marks that came after their attempt had settled.
    pub late: u64,
    pub too_old: u64,
    /// Events whose time was corrected or clamped.
    pub clock_corrected: u64,
    /// Reason → events that were not accepted or not counted.
    pub not_counted: BTreeMap<String, u64>,
}

/// A row of `batches`: progress and audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchRow {
    /// Topic of the log.
    pub topic: String,
    /// Partition of the log.
    pub partition: i32,
    /// How often the log of the partition had gone back before: offsets ascend within one generation.
    pub generation: u32,
    /// First offset of the range.
    pub first_offset: i64,
    /// Offset after the range: where the next batch begins.
    pub next_offset: i64,
    /// Oldest offset that the engine's state at `next_offset` needs.
    pub replay_from: i64,
    /// Log time before `replay_from`, ms.
    pub replay_log_time_ms: i64,
    /// Definition set that was active before `replay_from`, empty for none.
    pub replay_definition_set: String,
    /// Log time at the end of the range, ms.
    pub log_time_ms: i64,
    /// Definition set of the batch, empty for none.
    pub definition_set: String,
    /// Version of the engine.
    pub engine_version: u32,
    /// Records in the range, control records included.
    pub records: u64,
    /// Beacons that were counted.
    pub counted: u64,
    /// Records that were not counted: reason → records (`control`, `duplicate`, `undecodable`, …).
    pub reasons: BTreeMap<String, u64>,
    /// Events of the counted beacons.
    pub events: u64,
    /// Events that were not looked at: reason → events (`too_old`, …).
    pub event_reasons: BTreeMap<String, u64>,
    /// Table → rows written.
    pub rows: BTreeMap<String, u64>,
    /// Offsets that the log did not hold any more when the batch was made (retention, compaction).
    pub missing_offsets: u64,
}
