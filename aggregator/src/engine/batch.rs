//! What one batch writes: the open batch's counts as rows, sorted and with their labels bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::definition::{DefinitionSet, EngineSettings, Journey, Rule};
use schema::rows::{
    AttemptSample, BatchRow, Counters, JourneyHour, JourneyMinute, JourneyStep, ObjectiveTotal,
    ObjectiveWindow, Quality, SeenEvent,
};

use super::attempt::Outcome;
use super::cells::{Cell, Cells, Histogram, ObjectiveCount, Reasons};
use super::context::{Context, Pools};
use super::labels::{LabelCounts, Labels, bound_map};
use super::plan::Plan;
use super::pool::Texts;
use super::sessions::ReplayPoint;
use super::{ENGINE_VERSION, Engine, OpenBatch, observations};

const HOUR_S: u32 = 3600;

/// The rows of one batch, each table's sorted by its key, and the batch's own row.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "one field a table")]
pub struct Batch {
    pub row: BatchRow,
    pub journey_minutes: Vec<JourneyMinute>,
    pub journey_hours: Vec<JourneyHour>,
    pub journey_steps: Vec<JourneyStep>,
    pub objective_minutes: Vec<ObjectiveWindow>,
    pub objective_hours: Vec<ObjectiveWindow>,
    pub objective_totals: Vec<ObjectiveTotal>,
    pub attempt_samples: Vec<AttemptSample>,
    pub seen_events: Vec<SeenEvent>,
    pub quality: Vec<Quality>,
    /// Definition sets that records of this batch activated.
    pub definitions: Vec<Arc<DefinitionSet>>,
}

/// Builds the batch of `open` and `cells`, which ends before `next_offset`.
pub(super) fn build(
    engine: &Engine,
    open: OpenBatch,
    cells: &Cells,
    next_offset: i64,
    replay: ReplayPoint,
) -> Batch {
    let settings = engine.settings();
    let pools = &engine.pools;
    let bounds = Bounds::new(cells, engine.plan.as_ref(), settings, pools);
    let folded = Folded::new(cells, engine.plan.as_ref(), &bounds, pools);
    let mut batch = Batch {
        journey_minutes: folded.minutes(settings),
        journey_hours: folded.hours(settings),
        journey_steps: folded.steps(settings),
        objective_minutes: objective_rows(&folded.objectives, 60),
        objective_hours: objective_rows(&folded.objectives, HOUR_S),
        objective_totals: total_rows(&folded.objectives),
        attempt_samples: cells.samples.rows(settings),
        seen_events: observations::seen_rows(cells, settings, pools),
        quality: observations::quality_rows(cells, settings, pools),
        definitions: open.definitions,
        row: BatchRow {
            topic: engine.topic.clone(),
            partition: engine.partition,
            generation: engine.generation,
            first_offset: open.first_offset,
            next_offset,
            replay_from: replay.offset,
            replay_log_time_ms: replay.log_time_before_ms,
            replay_definition_set: replay.definition_set.to_string(),
            log_time_ms: engine.log_time_ms,
            definition_set: engine.plan.as_ref().map_or_else(String::new, |plan| plan.set.id.clone()),
            engine_version: ENGINE_VERSION,
            records: open.records,
            counted: cells.counted,
            reasons: owned(&cells.reasons),
            events: cells.events,
            event_reasons: owned(&cells.event_reasons),
            rows: BTreeMap::new(),
            missing_offsets: open.missing_offsets,
        },
    };
    batch.row.rows = batch.row_counts();
    batch
}

impl Batch {
    fn row_counts(&self) -> BTreeMap<String, u64> {
        [
            ("journey_minutes", self.journey_minutes.len()),
            ("journey_hours", self.journey_hours.len()),
            ("journey_steps", self.journey_steps.len()),
            ("objective_minutes", self.objective_minutes.len()),
            ("objective_hours", self.objective_hours.len()),
            ("objective_totals", self.objective_totals.len()),
            ("attempt_samples", self.attempt_samples.len()),
            ("seen_events", self.seen_events.len()),
            ("quality", self.quality.len()),
        ]
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(table, rows)| (table.to_owned(), rows as u64))
        .collect()
    }
}

/// The bounded labels of the journey tables.
struct Bounds<'c> {
    releases: Labels<'c>,
    routes: Labels<'c>,
    discovered: Labels<'c>,
}

/// Name and dimensions of a cell after bounding, as the tables' keys have them.
struct Key<'c> {
    app: &'c str,
    journey: &'c str,
    route: &'c str,
    platform: &'c str,
    release: &'c str,
}

impl<'c> Bounds<'c> {
    fn new(cells: &'c Cells, plan: Option<&Plan>, settings: &EngineSettings, pools: &'c Pools) -> Self {
        let (mut releases, mut routes, mut discovered) =
            (LabelCounts::default(), LabelCounts::default(), LabelCounts::default());
        for cell in cells.cells() {
            let Named { context, journey, route } = Named::of(cell, pools);
            let (app, attempts) = (context.app.as_ref(), cell.attempts);
            releases.add((app, ""), &context.release, attempts);
            routes.add((app, journey), route, attempts);
            if plan.is_none_or(|plan| plan.journey(app, cell.journey).is_none()) {
                discovered.add((app, ""), journey, attempts);
            }
        }
        Self {
            releases: releases.keep(settings.releases_max),
            routes: routes.keep(settings.routes_max),
            discovered: discovered.keep(settings.discovered_max),
        }
    }

    fn key(&self, Named { context, journey, route }: &Named<'c>) -> Key<'c> {
        let app = context.app.as_ref();
        Key {
            app,
            journey: self.discovered.bounded((app, ""), journey),
            route: self.routes.bounded((app, journey), route),
            platform: &context.platform,
            release: self.releases.bounded((app, ""), &context.release),
        }
    }
}

/// What a cell's numbers stand for.
struct Named<'c> {
    context: &'c Context,
    journey: &'c str,
    route: &'c str,
}

impl<'c> Named<'c> {
    fn of(cell: &Cell, pools: &'c Pools) -> Self {
        Self {
            context: pools.contexts.get(cell.context),
            journey: pools.texts.get(cell.journey),
            route: pools.texts.get(cell.route),
        }
    }
}

type MinuteKey<'c> = (&'c str, &'c str, &'c str, &'c str, &'c str, u32);
type HourKey<'c> = ([&'c str; 11], u32);
type StepKey<'c> = (&'c str, &'c str, u16, &'c str, &'c str, &'c str, u32);
type ObjectiveKey<'c> = (&'c str, &'c str, &'c str, &'c str, &'c str, u32);

#[derive(Default)]
struct StepSum {
    attempts: u64,
    success: u64,
    reasons: BTreeMap<String, u64>,
    latency: BTreeMap<u32, u64>,
}

/// What an objective has counted, and what of its journey stands beside it.
#[derive(Clone, Copy, Default)]
struct ObjectiveSum {
    count: ObjectiveCount,
    attempts: u64,
    unknown: u64,
    sessions_hurt: u64,
}

/// Cells summed by the keys of the tables.
#[derive(Default)]
struct Folded<'c> {
    minutes: BTreeMap<MinuteKey<'c>, Counters>,
    hours: BTreeMap<HourKey<'c>, Counters>,
    steps: BTreeMap<StepKey<'c>, StepSum>,
    /// By minute.
    objectives: BTreeMap<ObjectiveKey<'c>, ObjectiveSum>,
}

impl<'c> Folded<'c> {
    fn new(cells: &Cells, plan: Option<&'c Plan>, bounds: &Bounds<'c>, pools: &'c Pools) -> Self {
        let mut folded = Self::default();
        for cell in cells.cells() {
            let named = Named::of(cell, pools);
            let key = bounds.key(&named);
            folded.add_counters(cell, &key, named.context, &pools.texts);
            match plan.and_then(|plan| plan.journey(key.app, cell.journey)) {
                Some(journey) => folded.add_definition_counts(cell, &key, journey, &pools.texts),
                None => folded.add_objective(cell, &key, ("", ""), cell.objectives.first()),
            }
        }
        folded
    }

    fn add_counters(&mut self, cell: &Cell, key: &Key<'c>, context: &'c Context, texts: &Texts) {
        let minute = (key.app, key.journey, key.route, key.platform, key.release, cell.minute);
        cell.add_to(self.minutes.entry(minute).or_default(), texts);
        let dimensions = [
            key.app,
            key.journey,
            key.route,
            key.platform,
            key.release,
            &context.os,
            &context.browser,
            &context.device_class,
            &context.country,
            &context.connection,
            &context.segment,
        ];
        cell.add_to(self.hours.entry((dimensions, hour_of(cell.minute))).or_default(), texts);
    }

    fn add_definition_counts(&mut self, cell: &Cell, key: &Key<'c>, journey: &'c Journey, texts: &Texts) {
        for (place, objective) in journey.objectives.iter().enumerate() {
            if judges(&objective.rule, key.platform) {
                let name = (&*objective.name, &*objective.version);
                self.add_objective(cell, key, name, cell.objectives.get(place));
            }
        }
        for (place, (step, count)) in journey.steps.iter().zip(&cell.steps).enumerate() {
            let number = place as u16 + 1;
            let key = (key.app, key.journey, number, &*step.name, key.platform, key.release, cell.minute);
            let sum = self.steps.entry(key).or_default();
            sum.attempts += count.attempts;
            sum.success += count.success;
            add_reasons(&mut sum.reasons, &count.reasons, texts);
            add_histogram(&mut sum.latency, &count.latency);
        }
    }

    /// Adds a cell to an objective of its journey; a discovered journey has one without name and version.
    fn add_objective(
        &mut self,
        cell: &Cell,
        key: &Key<'c>,
        (objective, version): (&'c str, &'c str),
        count: Option<&ObjectiveCount>,
    ) {
        let key = (key.app, key.journey, objective, version, key.platform, cell.minute);
        self.objectives.entry(key).or_default().add(&ObjectiveSum {
            count: count.copied().unwrap_or_default(),
            attempts: cell.attempts,
            unknown: cell.outcomes[Outcome::Unknown as usize],
            sessions_hurt: cell.sessions_hurt,
        });
    }

    fn minutes(&self, settings: &EngineSettings) -> Vec<JourneyMinute> {
        let row = |((app, journey, route, platform, release, window_start), counters): (
            &MinuteKey<'_>,
            &Counters,
        )| {
            JourneyMinute {
                app: (*app).to_owned(),
                journey: (*journey).to_owned(),
                route: (*route).to_owned(),
                platform: (*platform).to_owned(),
                release: (*release).to_owned(),
                window_start: *window_start,
                counters: bounded(counters, settings),
            }
        };
        self.minutes.iter().map(row).collect()
    }

    fn hours(&self, settings: &EngineSettings) -> Vec<JourneyHour> {
        let row = |((dimensions, window_start), counters): (&HourKey<'_>, &Counters)| {
            let [
                app,
                journey,
                route,
                platform,
                release,
                os,
                browser,
                device_class,
                country,
                connection,
                segment,
            ] = dimensions.map(str::to_owned);
            JourneyHour {
                app,
                journey,
                route,
                platform,
                release,
                os,
                browser,
                device_class,
                country,
                connection,
                segment,
                window_start: *window_start,
                counters: bounded(counters, settings),
            }
        };
        self.hours.iter().map(row).collect()
    }

    fn steps(&self, settings: &EngineSettings) -> Vec<JourneyStep> {
        let row = |((app, journey, number, step, platform, release, window_start), sum): (
            &StepKey<'_>,
            &StepSum,
        )| {
            let mut reasons = sum.reasons.clone();
            bound_map(&mut reasons, settings.reasons_max);
            JourneyStep {
                app: (*app).to_owned(),
                journey: (*journey).to_owned(),
                step: (*step).to_owned(),
                step_number: *number,
                platform: (*platform).to_owned(),
                release: (*release).to_owned(),
                window_start: *window_start,
                attempts: sum.attempts,
                success: sum.success,
                reasons,
                latency: sum.latency.clone(),
            }
        };
        self.steps.iter().map(row).collect()
    }
}

fn objective_rows(
    objectives: &BTreeMap<ObjectiveKey<'_>, ObjectiveSum>,
    window_s: u32,
) -> Vec<ObjectiveWindow> {
    let mut windows: BTreeMap<ObjectiveKey<'_>, ObjectiveSum> = BTreeMap::new();
    for ((app, journey, objective, version, platform, minute), sum) in objectives {
        let key = (*app, *journey, *objective, *version, *platform, minute / window_s * window_s);
        windows.entry(key).or_default().add(sum);
    }
    let row = |((app, journey, objective, version, platform, window_start), sum): (
        ObjectiveKey<'_>,
        ObjectiveSum,
    )| {
        ObjectiveWindow {
            app: app.to_owned(),
            journey: journey.to_owned(),
            objective: objective.to_owned(),
            version: version.to_owned(),
            platform: platform.to_owned(),
            window_start,
            valid: sum.count.valid,
            bad: sum.count.bad,
            observed: sum.count.observed,
            observed_bad: sum.count.observed_bad,
            attempts: sum.attempts,
            unknown: sum.unknown,
            sessions_hurt: sum.sessions_hurt,
        }
    };
    windows.into_iter().map(row).collect()
}

/// Whether attempts on a platform can be valid for an objective.
fn judges(rule: &Rule, platform: &str) -> bool {
    match rule {
        Rule::Works | Rule::Value { .. } => true,
        Rule::Within { default, by_platform, .. } => default.is_some() || by_platform.contains_key(platform),
    }
}

/// What a discovered journey counts is no objective, so nobody's counter.
fn total_rows(objectives: &BTreeMap<ObjectiveKey<'_>, ObjectiveSum>) -> Vec<ObjectiveTotal> {
    let mut totals: BTreeMap<[&str; 5], ObjectiveCount> = BTreeMap::new();
    let named = objectives.iter().filter(|((_, _, objective, ..), _)| !objective.is_empty());
    for ((app, journey, objective, version, platform, _), sum) in named {
        add_count(totals.entry([app, journey, objective, version, platform]).or_default(), &sum.count);
    }
    let row = |(key, count): ([&str; 5], ObjectiveCount)| {
        let [app, journey, objective, version, platform] = key.map(str::to_owned);
        ObjectiveTotal { app, journey, objective, version, platform, valid: count.valid, bad: count.bad }
    };
    totals.into_iter().map(row).collect()
}

impl Cell {
    fn add_to(&self, counters: &mut Counters, texts: &Texts) {
        let of = |outcome: Outcome| self.outcomes[outcome as usize];
        counters.attempts += self.attempts;
        counters.valid += self.valid;
        counters.success += of(Outcome::Success);
        counters.failure += of(Outcome::Failure);
        counters.timeout += of(Outcome::Timeout);
        counters.interrupted += of(Outcome::Interrupted);
        counters.abandoned += of(Outcome::Abandoned);
        counters.cancelled += of(Outcome::Cancelled);
        counters.unknown += of(Outcome::Unknown);
        counters.sessions += self.sessions;
        counters.sessions_hurt += self.sessions_hurt;
        counters.arrived_late += self.arrived_late;
        counters.latency_sum += self.latency_sum;
        add_reasons(&mut counters.reasons, &self.reasons, texts);
        add_histogram(&mut counters.latency, &self.latency);
        add_histogram(&mut counters.abandoned_wait, &self.abandoned_wait);
    }
}

fn bounded(counters: &Counters, settings: &EngineSettings) -> Counters {
    let mut counters = counters.clone();
    bound_map(&mut counters.reasons, settings.reasons_max);
    counters
}

impl ObjectiveSum {
    fn add(&mut self, other: &Self) {
        add_count(&mut self.count, &other.count);
        self.attempts += other.attempts;
        self.unknown += other.unknown;
        self.sessions_hurt += other.sessions_hurt;
    }
}

fn add_count(sum: &mut ObjectiveCount, count: &ObjectiveCount) {
    sum.valid += count.valid;
    sum.bad += count.bad;
    sum.observed += count.observed;
    sum.observed_bad += count.observed_bad;
}

fn add_reasons(sum: &mut BTreeMap<String, u64>, reasons: &Reasons, texts: &Texts) {
    for (reason, count) in reasons {
        let reason = texts.get(*reason);
        match sum.get_mut(reason) {
            Some(known) => *known += count,
            None => {
                sum.insert(reason.to_owned(), *count);
            }
        }
    }
}

fn add_histogram(sum: &mut BTreeMap<u32, u64>, histogram: &Histogram) {
    for (key, count) in histogram {
        *sum.entry(*key).or_default() += count;
    }
}

fn hour_of(minute: u32) -> u32 {
    minute / HOUR_S * HOUR_S
}

fn owned(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
}
