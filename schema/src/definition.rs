//! Definitions: what a journey is, when it is good, and what was promised, resolved from short files in git.
//!
//! This module has the resolved types, which are also what a control record on the log carries, and how an
//! event is matched. [`mod@file`] reads the YAML files; [`standard`] has the ones that every app gets. What an
//! attempt's outcome is decides the aggregator's engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Value;

pub mod app;
pub mod bounds;
pub mod file;
pub mod matcher;
pub mod objective;
pub mod policy;
pub mod standard;
pub mod window;

pub use app::{AppFile, Bots, Objection, Source};
pub use bounds::{OutOfBounds, SAMPLES_MAX};
pub use file::{DefinitionError, Inherited, LoadedFolder, json_schema, load, load_folder};
pub use matcher::{Condition, Matcher, Test};
pub use objective::{Comparison, Objective, Rule};
pub use policy::{Policy, PolicyAction, PolicyException, Severity, Trigger};
pub use window::{Calendar, NoWindow, Window};

/// Everything that can change the engine's output beside the beacons: activated by a control record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefinitionSet {
    /// Hash of the rest, 16 hex digits: equal content has equal id.
    pub id: String,
    /// Limits and periods of the engine.
    pub settings: EngineSettings,
    /// The apps that send beacons, by name.
    pub apps: Vec<App>,
    /// Defined journeys, standard ones included, sorted by name.
    pub journeys: Vec<Journey>,
    /// Error-budget policies, sorted by name. The engine does not look at them; who reads a broken objective does.
    #[serde(default)]
    pub policies: Vec<Policy>,
}

/// What the engine must know of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Name, as write keys give it to beacons.
    pub name: String,
    /// Environments whose beacons enter journeys.
    pub environments: Vec<String>,
    /// Whether beacons of bots enter journeys; they are counted in `quality` either way.
    pub count_bots: bool,
}

impl App {
    /// Whether such a beacon of it enters journeys.
    pub fn counts(&self, environment: &str, bot: bool) -> bool {
        (self.count_bots || !bot) && self.environments.iter().any(|known| known == environment)
    }
}

/// Periods (ms of log time) and limits of the engine. They travel with the definition set, so that replaying
/// a log gives the same batches whatever the aggregator's configuration says today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// A batch ends where log time crosses a multiple of this.
    pub flush_interval_ms: i64,
    /// A batch without rows ends after this many flush intervals, so that freshness and progress move on.
    pub idle_flush_intervals: i64,
    /// How long an attempt waits after its end, and after its last record, for late beacons.
    pub grace_ms: i64,
    /// Events older than this when they are appended are counted as `too_old`.
    pub late_retention_ms: i64,
    /// How long a beacon id is remembered for web clients, which retry from memory only.
    pub duplicate_horizon_web_ms: i64,
    /// The same for native clients, which retry from disk.
    pub duplicate_horizon_native_ms: i64,
    /// A batch ends after this many records.
    pub batch_records_max: u64,
    /// Marks of open attempts that one session may hold; more are counted as `session_limit`.
    pub session_marks_max: usize,
    /// Releases of an app in one batch; the rest is `__other__`.
    pub releases_max: usize,
    /// Routes of an app's journey in one batch; the rest is `__other__`.
    pub routes_max: usize,
    /// Journeys in one batch that an app declared and nobody defined; the rest is `__other__`.
    pub discovered_max: usize,
    /// Reasons of one cell; the rest is `__other__`.
    pub reasons_max: usize,
    /// Distinct events of an app in one batch for `seen_events`; the rest is `__other__`.
    pub seen_events_max: usize,
    /// Samples of bad attempts of a journey in one batch.
    pub samples_bad_max: usize,
    /// Samples of good and other attempts of a journey in one batch.
    pub samples_good_max: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            flush_interval_ms: 5_000,
            idle_flush_intervals: 12,
            grace_ms: 30_000,
            late_retention_ms: 7 * 24 * 3_600_000,
            duplicate_horizon_web_ms: 10 * 60_000,
            duplicate_horizon_native_ms: 24 * 3_600_000,
            batch_records_max: 200_000,
            session_marks_max: 1_000,
            releases_max: 20,
            routes_max: 100,
            discovered_max: 20,
            reasons_max: 20,
            seen_events_max: 200,
            samples_bad_max: 20,
            samples_good_max: 2,
        }
    }
}

/// Something that a user sets out to do, and what was promised of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    /// Name, unique in a set.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// Product that it belongs to, empty for standard journeys.
    pub product: String,
    /// Owning team or role, empty for standard journeys.
    pub owner: String,
    /// The promise in the words of the users.
    pub promise: String,
    /// Apps that it is defined for; empty means every app.
    pub apps: Vec<String>,
    /// Platforms that it is measured on; empty means every platform. Beacons of others do not enter it.
    pub platforms: Vec<String>,
    /// Shipped with the product and on without configuration.
    pub standard: bool,
    /// What one attempt of it is.
    pub attempt: AttemptKind,
    /// What begins an attempt; empty unless an attempt goes from a start to an end.
    pub start: Vec<Matcher>,
    /// Named stages in their order.
    pub steps: Vec<Step>,
    /// What ends an attempt well, any of. For a journey of one event, what an attempt is.
    pub success: Vec<Matcher>,
    /// What ends an attempt badly, any of; looked at before `success` in a journey of one event. What makes a
    /// session bad, where a session is the attempt.
    pub failure: Vec<FailureMatcher>,
    /// What says that the user cancelled, any of.
    pub cancel: Vec<Matcher>,
    /// Deadline of an attempt after its start.
    pub timeout_ms: u64,
    /// A user who leaves after this long had waited too long.
    pub patience_ms: u64,
    /// What a second start does to an open attempt.
    pub restart: Restart,
    /// Unit of its latency or value.
    pub unit: Unit,
    /// For a journey of one event: the attribute whose last value revises the former ones.
    pub revised_by: Option<String>,
    /// What is promised of its attempts.
    pub objectives: Vec<Objective>,
    /// Name of the error-budget policy.
    pub policy: String,
}

/// What one attempt of a journey is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    /// From a start to an end.
    #[default]
    Journey,
    /// One event is the whole attempt.
    Event,
    /// A session is the attempt: valid when it starts, bad when a failure event of it arrives.
    Session,
}

impl AttemptKind {
    /// The name in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Journey => "journey",
            Self::Event => "event",
            Self::Session => "session",
        }
    }
}

/// A named stage of a journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name.
    pub name: String,
    /// What reaches it, any of.
    pub done: Vec<Matcher>,
}

/// What ends an attempt badly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureMatcher {
    /// The event.
    #[serde(flatten)]
    pub matcher: Matcher,
    /// Counts only when no success follows in time.
    #[serde(default)]
    pub recoverable: bool,
}

/// What a second start does to an open attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Ends it as abandoned and begins another.
    #[default]
    New,
    /// Is ignored.
    Continue,
}

/// Unit of a journey's latency or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Milliseconds; histogram keys are whole milliseconds.
    #[default]
    Ms,
    /// A score; histogram keys are ten-thousandths.
    Score,
}

impl Unit {
    /// The histogram key unit's count in `value`.
    pub fn key_units(self, value: Value) -> u64 {
        match self {
            Self::Ms => value.units(),
            Self::Score => value.scaled(),
        }
    }

    /// The name in the views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Score => "score",
        }
    }
}

impl DefinitionSet {
    /// Makes a set of its parts: sorts them and derives the id.
    pub fn new(settings: EngineSettings, mut apps: Vec<App>, mut journeys: Vec<Journey>) -> Self {
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        journeys.sort_by(|a, b| a.name.cmp(&b.name));
        Self { id: String::new(), settings, apps, journeys, policies: Vec::new() }.identified()
    }

    /// The same set with these policies.
    pub fn with_policies(self, mut policies: Vec<Policy>) -> Self {
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        Self { policies, ..self }.identified()
    }

    /// The set with the id of its content.
    fn identified(mut self) -> Self {
        self.id.clear();
        self.id = format!("{:016x}", content_hash(&self));
        self
    }

    /// The app of this name.
    pub fn app(&self, name: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.name == name)
    }
}

impl Journey {
    /// Whether one event is the whole attempt.
    pub fn is_single_event(&self) -> bool {
        self.attempt == AttemptKind::Event
    }

    /// Whether it is measured on `platform`.
    pub fn runs_on(&self, platform: &str) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|name| name == platform)
    }

    /// Whether it is defined for `app`.
    pub fn applies_to(&self, app: &str) -> bool {
        self.apps.is_empty() || self.apps.iter().any(|name| name == app)
    }
}

/// Hash of a value's JSON; every type here serialises the same content to the same text.
fn content_hash(content: &impl Serialize) -> u64 {
    match serde_json::to_vec(content) {
        Ok(json) => xxhash_rust::xxh3::xxh3_64(&json),
        Err(error) => unreachable!("definitions have only types that JSON encodes: {error}"),
    }
}
