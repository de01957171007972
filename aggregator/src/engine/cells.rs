//! What the open batch has counted so far. Everything here is a sum or a set, so the order of counting does
//! not matter; [`super::batch`] turns it into sorted rows.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schema::beacon::Event;
use schema::definition::{Journey, Objective, Rule};
use schema::histogram::bucket;
use schema::rows::Quality;
use schema::value::Value;

use super::attempt::Outcome;
use super::context::{ContextId, Pools};
use super::pool::{TextId, Texts};
use super::samples::Samples;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// Which cell something counts in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub context: ContextId,
    /// `None` for a discovered journey.
    pub definition: Option<&'a Journey>,
    pub journey: TextId,
    pub route: TextId,
    pub start_ms: i64,
}

/// An attempt that is decided, on its way into its cell.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub place: Place<'a>,
    pub session: &'a str,
    pub outcome: Outcome,
    pub valid: bool,
    pub reason: TextId,
    /// Latency or value of a success.
    pub latency: Option<Value>,
    pub wait_ms: Option<u64>,
    /// Steps that were reached, with ms since the start.
    pub steps: &'a [(TextId, u64)],
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
    pub context: ContextId,
    pub journey: TextId,
    pub route: TextId,
    pub minute: u32,
    pub attempts: u64,
    /// By [`Outcome`].
    pub outcomes: [u64; Outcome::COUNT],
    pub valid: u64,
    pub sessions: u64,
    pub sessions_hurt: u64,
    pub arrived_late: u64,
    pub reasons: Reasons,
    pub latency: Histogram,
    pub latency_sum: u64,
    pub abandoned_wait: Histogram,
    /// In the order of the journey's objectives; of a discovered journey whether it works.
    pub objectives: Vec<ObjectiveCount>,
    /// In the order of the journey's steps.
    pub steps: Vec<StepCount>,
}

/// Reason → count, unsorted; there are few.
pub(super) type Reasons = Vec<(TextId, u64)>;

/// Bucket → count.
pub(super) type Histogram = FxHashMap<u32, u64>;

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
    pub reasons: Reasons,
    pub latency: Histogram,
}

/// How often an event was seen, and matched by which journey.
#[derive(Debug)]
pub(super) struct Seen {
    pub context: ContextId,
    pub event: TextId,
    pub name: TextId,
    pub route: TextId,
    pub hour: u32,
    pub count: u64,
    pub matched: Vec<(TextId, u64)>,
}

/// Place of an event's entry in the open batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeenId(usize);

#[derive(Debug, PartialEq, Eq, Hash)]
struct CellKey {
    context: ContextId,
    journey: TextId,
    route: TextId,
    minute: u32,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SeenKey {
    app_platform: u64,
    event: TextId,
    name: TextId,
    route: TextId,
    hour: u32,
}

/// The open batch's counts.
#[derive(Debug, Default)]
pub(super) struct Cells {
    by_key: FxHashMap<CellKey, Cell>,
    seen: Vec<Seen>,
    seen_by_key: FxHashMap<SeenKey, SeenId>,
    quality: FxHashMap<(ContextId, u32), Quality>,
    pub samples: Samples,
    pub counted: u64,
    pub events: u64,
    pub reasons: BTreeMap<&'static str, u64>,
    pub event_reasons: BTreeMap<&'static str, u64>,
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

    pub(super) fn qualities(&self) -> impl Iterator<Item = (ContextId, u32, &Quality)> {
        self.quality.iter().map(|((context, hour), quality)| (*context, *hour, quality))
    }

    pub(super) fn record_counted(&mut self, events: u64) {
        self.counted += 1;
        self.events += events;
    }

    pub(super) fn record_not_counted(&mut self, reason: &'static str) {
        *self.reasons.entry(reason).or_default() += 1;
    }

    /// Counts an event of this batch's records that is in no journey's numbers, by name.
    pub(super) fn event_not_counted(&mut self, context: ContextId, log_time_ms: i64, reason: &'static str) {
        *self.event_reasons.entry(reason).or_default() += 1;
        self.mark_not_counted(context, log_time_ms, reason);
    }

    /// Counts a mark that belongs to no attempt, by name. One event can make several marks, and a mark can be
    /// given up in a later batch than the one that read its event, so the batch's events do not show it.
    pub(super) fn mark_not_counted(&mut self, context: ContextId, log_time_ms: i64, reason: &'static str) {
        let quality = self.quality(context, log_time_ms);
        match reason {
            "late" => quality.late += 1,
            "too_old" => quality.too_old += 1,
            _ => *quality.not_counted.entry(reason.to_owned()).or_default() += 1,
        }
    }

    /// The quality counters of a context in the hour of log time.
    pub(super) fn quality(&mut self, context: ContextId, log_time_ms: i64) -> &mut Quality {
        self.quality.entry((context, window_start(log_time_ms, HOUR_MS))).or_default()
    }

    /// Counts an event of this name for `seen_events`.
    pub(super) fn seen(
        &mut self,
        context: ContextId,
        event: TextId,
        attributes: &Event<'_>,
        time_ms: i64,
        pools: &mut Pools,
    ) -> SeenId {
        let name =
            ["name", "journey", "journey.name", "type"].into_iter().find_map(|key| attributes.attribute(key));
        let key = SeenKey {
            app_platform: pools.contexts.get(context).app_platform,
            event,
            name: pools.texts.intern(name.unwrap_or_default()),
            route: pools.texts.intern(attributes.attribute("route").unwrap_or_default()),
            hour: window_start(time_ms, HOUR_MS),
        };
        let SeenKey { name, route, hour, .. } = key;
        let next = SeenId(self.seen.len());
        let id = *self.seen_by_key.entry(key).or_insert(next);
        if id.0 == next.0 {
            self.seen.push(Seen { context, event, name, route, hour, count: 0, matched: Vec::new() });
        }
        self.seen[id.0].count += 1;
        id
    }

    /// Counts that a matcher of `journey` matched an event.
    pub(super) fn matched(&mut self, seen: SeenId, journey: TextId) {
        let matched = &mut self.seen[seen.0].matched;
        match matched.iter_mut().find(|(name, _)| *name == journey) {
            Some((_, count)) => *count += 1,
            None => matched.push((journey, 1)),
        }
    }

    /// Counts an attempt in the cell of its start.
    pub(super) fn attempt(&mut self, attempt: &Attempt<'_>, pools: &Pools) {
        let platform = &pools.contexts.get(attempt.place.context).platform;
        self.cell(&attempt.place).add(attempt, platform, &pools.texts);
        self.samples.offer(attempt, pools);
    }

    /// Counts a session that is an attempt itself, when its start can no longer change. What makes it bad may come
    /// days later ([`Cells::session_broken`]), so that it is a success is never counted: it is what remains.
    pub(super) fn session_started(&mut self, place: &Place<'_>, weight: u32) {
        let weight = u64::from(weight);
        let cell = self.cell(place);
        cell.attempts += weight;
        cell.valid += weight;
        cell.sessions += weight;
        for count in &mut cell.objectives {
            count.valid += weight;
            count.observed += 1;
        }
    }

    /// Counts what made a session bad that has been counted as an attempt, in the cell of its start.
    pub(super) fn session_broken(&mut self, attempt: &Attempt<'_>, pools: &Pools) {
        let weight = u64::from(attempt.weight);
        let cell = self.cell(&attempt.place);
        cell.outcomes[attempt.outcome as usize] += weight;
        cell.sessions_hurt += weight;
        cell.arrived_late += weight * u64::from(attempt.arrived_late);
        add_reason(&mut cell.reasons, attempt.reason, weight);
        for count in &mut cell.objectives {
            count.bad += weight;
            count.observed_bad += 1;
        }
        self.samples.offer(attempt, pools);
    }

    /// Counts a session in the cell of its first attempt, or a hurt one in that of its first bad one.
    pub(super) fn session(&mut self, place: &Place<'_>, weight: u32, hurt: bool) {
        let cell = self.cell(place);
        *(if hurt { &mut cell.sessions_hurt } else { &mut cell.sessions }) += u64::from(weight);
    }

    fn cell(&mut self, place: &Place<'_>) -> &mut Cell {
        let minute = window_start(place.start_ms, MINUTE_MS);
        let Place { context, journey, route, .. } = *place;
        let key = CellKey { context, journey, route, minute };
        self.by_key.entry(key).or_insert_with(|| Cell::new(place, minute))
    }
}

impl Cell {
    fn new(place: &Place<'_>, minute: u32) -> Self {
        let (objectives, steps) =
            place.definition.map_or((1, 0), |journey| (journey.objectives.len(), journey.steps.len()));
        Self {
            context: place.context,
            journey: place.journey,
            route: place.route,
            minute,
            attempts: 0,
            outcomes: [0; Outcome::COUNT],
            valid: 0,
            sessions: 0,
            sessions_hurt: 0,
            arrived_late: 0,
            reasons: Reasons::new(),
            latency: Histogram::default(),
            latency_sum: 0,
            abandoned_wait: Histogram::default(),
            objectives: vec![ObjectiveCount::default(); objectives],
            steps: vec![StepCount::default(); steps],
        }
    }

    fn add(&mut self, attempt: &Attempt<'_>, platform: &str, texts: &Texts) {
        let weight = u64::from(attempt.weight);
        self.attempts += weight;
        self.outcomes[attempt.outcome as usize] += weight;
        self.valid += weight * u64::from(attempt.valid);
        self.arrived_late += weight * u64::from(attempt.arrived_late);
        if !attempt.reason.is_empty() {
            add_reason(&mut self.reasons, attempt.reason, weight);
        }
        if let Some(latency) = attempt.latency {
            let unit = attempt.place.definition.map(|journey| journey.unit).unwrap_or_default();
            *self.latency.entry(bucket(unit.key_units(latency))).or_default() += weight;
            self.latency_sum += latency.scaled() * weight;
        }
        if let Some(wait_ms) = attempt.wait_ms {
            *self.abandoned_wait.entry(bucket(wait_ms)).or_default() += weight;
        }
        let Some(journey) = attempt.place.definition else {
            let works = attempt.valid.then_some(attempt.outcome == Outcome::Success);
            return self.objectives.iter_mut().for_each(|count| count.add(works, weight));
        };
        for (objective, count) in journey.objectives.iter().zip(&mut self.objectives) {
            count.add(judge(objective, attempt, platform, texts), weight);
        }
        self.add_steps(journey, attempt, weight, texts);
    }

    /// A step's attempts are those that reached the step before it.
    fn add_steps(&mut self, journey: &Journey, attempt: &Attempt<'_>, weight: u64, texts: &Texts) {
        for (step, count) in journey.steps.iter().zip(&mut self.steps) {
            count.attempts += weight;
            let Some((_, elapsed_ms)) = attempt.steps.iter().find(|(name, _)| texts.get(*name) == step.name)
            else {
                add_reason(&mut count.reasons, attempt.reason, weight);
                return;
            };
            count.success += weight;
            *count.latency.entry(bucket(*elapsed_ms)).or_default() += weight;
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
fn judge(objective: &Objective, attempt: &Attempt<'_>, platform: &str, texts: &Texts) -> Option<bool> {
    if !attempt.valid {
        return None;
    }
    let success = attempt.outcome == Outcome::Success;
    match &objective.rule {
        Rule::Works => Some(success),
        Rule::Within { default, by_platform, from } => {
            let limit = by_platform.get(platform).or(default.as_ref())?;
            Some(
                success
                    && latency_from(attempt, from.as_deref(), texts).is_some_and(|latency| latency <= *limit),
            )
        }
        Rule::Value { comparison, limit } if success => {
            attempt.latency.map(|value| comparison.holds(value, *limit))
        }
        Rule::Value { .. } => Some(false),
    }
}

/// The latency of a success, counted from a step where the objective says so.
fn latency_from(attempt: &Attempt<'_>, from: Option<&str>, texts: &Texts) -> Option<Value> {
    let latency = attempt.latency?;
    let Some(from) = from else { return Some(latency) };
    let (_, reached_ms) = attempt.steps.iter().find(|(name, _)| texts.get(*name) == from)?;
    Value::from_scaled(latency.scaled().saturating_sub(Value::from_units(*reached_ms).ok()?.scaled())).ok()
}

fn add_reason(reasons: &mut Reasons, reason: TextId, weight: u64) {
    match reasons.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, count)) => *count += weight,
        None => reasons.push((reason, weight)),
    }
}

/// Start of the window of `window_ms` that `time_ms` is in, in seconds since the epoch, as ClickHouse's
/// `DateTime` holds it; times before 1970 or after 2106 saturate.
fn window_start(time_ms: i64, window_ms: i64) -> u32 {
    let start_s = time_ms.div_euclid(window_ms) * (window_ms / 1000);
    u32::try_from(start_s.max(0)).unwrap_or(u32::MAX)
}
