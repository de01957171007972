//! What the open batch has counted so far. Everything here is a sum or a set, so the order of counting does
//! not matter; [`super::batch`] turns it into sorted rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use schema::beacon::Event;
use schema::definition::{Journey, Objective, Rule};
use schema::histogram::bucket;
use schema::rows::Quality;
use schema::value::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::attempt::Outcome;
use super::context::Context;
use super::samples::Samples;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// Which cell something counts in.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub context: &'a Arc<Context>,
    /// `None` for a discovered journey.
    pub definition: Option<&'a Journey>,
    pub journey: &'a Arc<str>,
    pub route: &'a str,
    pub start_ms: i64,
}

/// An attempt that is decided, on its way into its cell.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub place: Place<'a>,
    pub session: &'a str,
    pub outcome: Outcome,
    pub valid: bool,
    pub reason: &'a str,
    /// Latency or value of a success.
    pub latency: Option<Value>,
    pub wait_ms: Option<u64>,
    /// Steps that were reached, with ms since the start.
    pub steps: &'a [(Arc<str>, u64)],
    pub weight: u32,
    pub arrived_late: bool,
}

impl Attempt<'_> {
    /// Whether it is valid and no success.
    pub(super) fn is_bad(&self) -> bool {
        self.valid && self.outcome != Outcome::Success
    }
}

/// Counters of one journey, route and context in one minute.
#[derive(Debug)]
pub(super) struct Cell {
    pub context: Arc<Context>,
    pub journey: Arc<str>,
    pub route: Box<str>,
    pub minute: u32,
    /// By [`Outcome`].
    pub outcomes: [u64; Outcome::COUNT],
    pub valid: u64,
    pub sessions: u64,
    pub sessions_hurt: u64,
    pub arrived_late: u64,
    pub reasons: FxHashMap<Box<str>, u64>,
    pub latency: Histogram,
    pub latency_sum: u64,
    pub abandoned_wait: Histogram,
    /// In the order of the journey's objectives.
    pub objectives: Vec<ObjectiveCount>,
    /// In the order of the journey's steps.
    pub steps: Vec<StepCount>,
}

/// Bucket → count, sorted by bucket.
pub(super) type Histogram = Vec<(u32, u64)>;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ObjectiveCount {
    pub valid: u64,
    pub bad: u64,
    pub observed: u64,
    pub observed_bad: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct StepCount {
    pub attempts: u64,
    pub success: u64,
    pub reasons: FxHashMap<Box<str>, u64>,
    pub latency: Histogram,
}

/// How often an event was seen, and matched by which journey.
#[derive(Debug)]
pub(super) struct Seen {
    pub context: Arc<Context>,
    pub event: Box<str>,
    pub name: Box<str>,
    pub route: Box<str>,
    pub hour: u32,
    pub count: u64,
    pub matched: Vec<(Box<str>, u64)>,
}

/// Place of an event's entry in the open batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeenId(usize);

#[derive(Debug, PartialEq, Eq, Hash)]
struct CellKey {
    context: u64,
    journey: u64,
    route: u64,
    minute: u32,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SeenKey {
    app_platform: u64,
    event: u64,
    name: u64,
    route: u64,
    hour: u32,
}

/// The open batch's counts.
#[derive(Debug, Default)]
pub(super) struct Cells {
    by_key: FxHashMap<CellKey, Cell>,
    seen: Vec<Seen>,
    seen_by_key: FxHashMap<SeenKey, SeenId>,
    quality: FxHashMap<(u64, u32), (Arc<Context>, Quality)>,
    pub samples: Samples,
    pub counted: u64,
    pub events: u64,
    pub reasons: BTreeMap<&'static str, u64>,
    pub event_reasons: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// How many outcomes there are.
    pub(super) const COUNT: usize = 6;
}

impl Cells {
    /// Whether nothing was counted that makes a row.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.seen.is_empty() && self.quality.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len() + self.seen.len()
    }

    pub(super) fn clear(&mut self) {
        if !self.is_empty() || !self.reasons.is_empty() {
            *self = Self::default();
        }
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.by_key.values()
    }

    pub(super) fn seen_events(&self) -> &[Seen] {
        &self.seen
    }

    pub(super) fn qualities(&self) -> impl Iterator<Item = (&Context, u32, &Quality)> {
        self.quality.iter().map(|((_, hour), (context, quality))| (context.as_ref(), *hour, quality))
    }

    pub(super) fn record_counted(&mut self, events: u64) {
        self.counted += 1;
        self.events += events;
    }

    pub(super) fn record_not_counted(&mut self, reason: &'static str) {
        *self.reasons.entry(reason).or_default() += 1;
    }

    /// Counts an event of this batch's records that is in no journey's numbers, by name.
    pub(super) fn event_not_counted(
        &mut self,
        context: &Arc<Context>,
        log_time_ms: i64,
        reason: &'static str,
    ) {
        *self.event_reasons.entry(reason).or_default() += 1;
        self.mark_not_counted(context, log_time_ms, reason);
    }

    /// Counts a mark that belongs to no attempt, by name. One event can make several marks, and a mark can be
    /// given up in a later batch than the one that read its event, so the batch's events do not show it.
    pub(super) fn mark_not_counted(
        &mut self,
        context: &Arc<Context>,
        log_time_ms: i64,
        reason: &'static str,
    ) {
        let quality = self.quality(context, log_time_ms);
        match reason {
            "late" => quality.late += 1,
            "too_old" => quality.too_old += 1,
            _ => *quality.not_counted.entry(reason.to_owned()).or_default() += 1,
        }
    }

    /// The quality counters of a context in the hour of log time.
    pub(super) fn quality(&mut self, context: &Arc<Context>, log_time_ms: i64) -> &mut Quality {
        let hour = window_start(log_time_ms, HOUR_MS);
        let entry = self.quality.entry((context.serial, hour));
        &mut entry.or_insert_with(|| (Arc::clone(context), Quality::default())).1
    }

    /// Counts an event for `seen_events`.
    pub(super) fn seen(&mut self, context: &Arc<Context>, event: &Event<'_>, time_ms: i64) -> SeenId {
        let name =
            ["name", "journey", "journey.name", "type"].into_iter().find_map(|key| event.attribute(key));
        let (name, route) = (name.unwrap_or_default(), event.attribute("route").unwrap_or_default());
        let hour = window_start(time_ms, HOUR_MS);
        let key = SeenKey {
            app_platform: context.app_platform,
            event: xxh3_64(event.name.as_bytes()),
            name: xxh3_64(name.as_bytes()),
            route: xxh3_64(route.as_bytes()),
            hour,
        };
        let next = SeenId(self.seen.len());
        let id = *self.seen_by_key.entry(key).or_insert(next);
        if id.0 == next.0 {
            self.seen.push(Seen {
                context: Arc::clone(context),
                event: Box::from(event.name.as_ref()),
                name: Box::from(name),
                route: Box::from(route),
                hour,
                count: 0,
                matched: Vec::new(),
            });
        }
        self.seen[id.0].count += 1;
        id
    }

    /// Counts that a matcher of `journey` matched an event.
    pub(super) fn matched(&mut self, seen: SeenId, journey: &str) {
        let matched = &mut self.seen[seen.0].matched;
        match matched.iter_mut().find(|(name, _)| name.as_ref() == journey) {
            Some((_, count)) => *count += 1,
            None => matched.push((Box::from(journey), 1)),
        }
    }

    /// Counts an attempt in the cell of its start.
    pub(super) fn attempt(&mut self, attempt: &Attempt<'_>) {
        self.cell(&attempt.place).add(attempt);
        self.samples.offer(attempt);
    }

    /// Counts a session in the cell of its first attempt, or a hurt one in that of its first bad one.
    pub(super) fn session(&mut self, place: &Place<'_>, weight: u32, hurt: bool) {
        let cell = self.cell(place);
        *(if hurt { &mut cell.sessions_hurt } else { &mut cell.sessions }) += u64::from(weight);
    }

    fn cell(&mut self, place: &Place<'_>) -> &mut Cell {
        let minute = window_start(place.start_ms, MINUTE_MS);
        let key = CellKey {
            context: place.context.serial,
            journey: xxh3_64(place.journey.as_bytes()),
            route: xxh3_64(place.route.as_bytes()),
            minute,
        };
        self.by_key.entry(key).or_insert_with(|| Cell::new(place, minute))
    }
}

impl Cell {
    fn new(place: &Place<'_>, minute: u32) -> Self {
        let (objectives, steps) =
            place.definition.map_or((0, 0), |journey| (journey.objectives.len(), journey.steps.len()));
        Self {
            context: Arc::clone(place.context),
            journey: Arc::clone(place.journey),
            route: Box::from(place.route),
            minute,
            outcomes: [0; Outcome::COUNT],
            valid: 0,
            sessions: 0,
            sessions_hurt: 0,
            arrived_late: 0,
            reasons: FxHashMap::default(),
            latency: Vec::new(),
            latency_sum: 0,
            abandoned_wait: Vec::new(),
            objectives: vec![ObjectiveCount::default(); objectives],
            steps: vec![StepCount::default(); steps],
        }
    }

    fn add(&mut self, attempt: &Attempt<'_>) {
        let weight = u64::from(attempt.weight);
        self.outcomes[attempt.outcome as usize] += weight;
        self.valid += weight * u64::from(attempt.valid);
        self.arrived_late += weight * u64::from(attempt.arrived_late);
        if !attempt.reason.is_empty() {
            add_reason(&mut self.reasons, attempt.reason, weight);
        }
        if let Some(latency) = attempt.latency {
            let unit = attempt.place.definition.map(|journey| journey.unit).unwrap_or_default();
            add_to_histogram(&mut self.latency, bucket(unit.key_units(latency)), weight);
            self.latency_sum += latency.scaled() * weight;
        }
        if let Some(wait_ms) = attempt.wait_ms {
            add_to_histogram(&mut self.abandoned_wait, bucket(wait_ms), weight);
        }
        if let Some(journey) = attempt.place.definition {
            for (objective, count) in journey.objectives.iter().zip(&mut self.objectives) {
                count.add(judge(objective, attempt), weight);
            }
            self.add_steps(journey, attempt, weight);
        }
    }

    /// A step's attempts are those that reached the step before it.
    fn add_steps(&mut self, journey: &Journey, attempt: &Attempt<'_>, weight: u64) {
        for (step, count) in journey.steps.iter().zip(&mut self.steps) {
            count.attempts += weight;
            let Some((_, elapsed_ms)) = attempt.steps.iter().find(|(name, _)| **name == *step.name) else {
                add_reason(&mut count.reasons, attempt.reason, weight);
                return;
            };
            count.success += weight;
            add_to_histogram(&mut count.latency, bucket(*elapsed_ms), weight);
        }
    }
}

impl ObjectiveCount {
    fn add(&mut self, good: Option<bool>, weight: u64) {
        let Some(good) = good else { return };
        self.valid += weight;
        self.observed += 1;
        if !good {
            self.bad += weight;
            self.observed_bad += 1;
        }
    }
}

/// Whether an attempt is good by an objective; `None` when it is not valid for it.
fn judge(objective: &Objective, attempt: &Attempt<'_>) -> Option<bool> {
    if !attempt.valid {
        return None;
    }
    let success = attempt.outcome == Outcome::Success;
    match &objective.rule {
        Rule::Works => Some(success),
        Rule::Within { default, by_platform, from } => {
            let limit = by_platform.get(attempt.place.context.platform.as_ref()).or(default.as_ref())?;
            Some(success && latency_from(attempt, from.as_deref()).is_some_and(|latency| latency <= *limit))
        }
        Rule::Value { comparison, limit } if success => {
            attempt.latency.map(|value| comparison.holds(value, *limit))
        }
        Rule::Value { .. } => Some(false),
    }
}

/// The latency of a success, counted from a step where the objective says so.
fn latency_from(attempt: &Attempt<'_>, from: Option<&str>) -> Option<Value> {
    let latency = attempt.latency?;
    let Some(from) = from else { return Some(latency) };
    let (_, reached_ms) = attempt.steps.iter().find(|(name, _)| **name == *from)?;
    Value::from_scaled(latency.scaled().saturating_sub(Value::from_units(*reached_ms).ok()?.scaled())).ok()
}

fn add_reason(reasons: &mut FxHashMap<Box<str>, u64>, reason: &str, weight: u64) {
    match reasons.get_mut(reason) {
        Some(count) => *count += weight,
        None => {
            reasons.insert(Box::from(reason), weight);
        }
    }
}

fn add_to_histogram(histogram: &mut Histogram, key: u32, weight: u64) {
    match histogram.binary_search_by_key(&key, |(bucket, _)| *bucket) {
        Ok(at) => histogram[at].1 += weight,
        Err(at) => histogram.insert(at, (key, weight)),
    }
}

/// Start of the window of `window_ms` that `time_ms` is in, in seconds since the epoch, as ClickHouse's
/// `DateTime` holds it; times before 1970 or after 2106 saturate.
fn window_start(time_ms: i64, window_ms: i64) -> u32 {
    let start_s = time_ms.div_euclid(window_ms) * (window_ms / 1000);
    u32::try_from(start_s.max(0)).unwrap_or(u32::MAX)
}
