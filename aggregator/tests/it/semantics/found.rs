//! What the batches of a case hold, as a row of the table.

use std::collections::{BTreeMap, BTreeSet};

use aggregator::engine::Batch;
use schema::definition::{AttemptKind, DefinitionSet, EngineSettings, Unit, load, standard};
use schema::rows::Counters;

use super::case::{BEGIN_MS, Case};
use super::table::Row;

/// Between the lines of one cell of the table.
const SEPARATOR: &str = "<br>";
/// How the table names what is counted for a journey that nobody has defined.
const NO_OBJECTIVE: &str = "none";

/// The row of what was found; its name and text are those of the expected one.
pub(super) fn row(expected: &Row, batches: &[Batch], case: &Case, definitions: &[(String, String)]) -> Row {
    let set = load(definitions, EngineSettings::default()).unwrap();
    let told = Told::new(&set, definitions);
    Row {
        case: expected.case.clone(),
        what_happens: expected.what_happens.clone(),
        attempts: attempts(batches, &told),
        steps: steps(batches, &told),
        objectives: objectives(batches, &told),
        sessions: sessions(batches, &told),
        otherwise: otherwise(batches, case),
    }
}

/// Which journeys the table tells of: those that the folder defines or adopts, and discovered ones.
struct Told<'s> {
    set: &'s DefinitionSet,
    left_out: BTreeSet<String>,
}

impl<'s> Told<'s> {
    fn new(set: &'s DefinitionSet, definitions: &[(String, String)]) -> Self {
        let adopted =
            |name: &str| definitions.iter().any(|(path, _)| path.ends_with(&format!("/{name}.yaml")));
        let standard = standard::journeys().into_iter().map(|journey| journey.name);
        Self { set, left_out: standard.filter(|name| !adopted(name)).collect() }
    }

    fn tells_of(&self, journey: &str) -> bool {
        !self.left_out.contains(journey)
    }

    fn unit(&self, journey: &str) -> &'static str {
        let unit = self.set.journeys.iter().find(|found| found.name == journey).map(|found| found.unit);
        match unit.unwrap_or_default() {
            Unit::Ms => " ms",
            Unit::Score => "",
        }
    }

    fn is_session(&self, journey: &str) -> bool {
        self.set.journeys.iter().any(|found| found.name == journey && found.attempt == AttemptKind::Session)
    }
}

fn attempts(batches: &[Batch], told: &Told<'_>) -> String {
    let mut cells: BTreeMap<_, Counters> = BTreeMap::new();
    for row in batches.iter().flat_map(|batch| &batch.journey_minutes) {
        if told.tells_of(&row.journey) {
            let key = (row.journey.clone(), row.app.clone(), row.window_start, row.route.clone());
            add(cells.entry(key).or_default(), &row.counters);
        }
    }
    let lines = cells.iter().map(|((journey, app, window_start, route), counters)| {
        if !told.is_session(journey) {
            let others = outcomes(counters)[1..].iter().map(|(_, count)| count).sum::<u64>();
            assert_eq!(counters.success, counters.attempts - others, "{journey}: success is what remains");
        }
        let route = if route.is_empty() { String::new() } else { format!(" on {route}") };
        let app = if app == "shop-web" { String::new() } else { format!(" in {app}") };
        let what = text_of(counters, told.is_session(journey), told.unit(journey));
        format!("{journey}{route}{app}{}: {what}", window(*window_start))
    });
    lines.collect::<Vec<_>>().join(SEPARATOR)
}

fn add(sum: &mut Counters, more: &Counters) {
    sum.attempts += more.attempts;
    sum.valid += more.valid;
    sum.success += more.success;
    sum.failure += more.failure;
    sum.timeout += more.timeout;
    sum.interrupted += more.interrupted;
    sum.abandoned += more.abandoned;
    sum.cancelled += more.cancelled;
    sum.unknown += more.unknown;
    sum.sessions += more.sessions;
    sum.sessions_hurt += more.sessions_hurt;
    sum.arrived_late += more.arrived_late;
    sum.latency_sum += more.latency_sum;
    more.reasons.iter().for_each(|(reason, count)| *sum.reasons.entry(reason.clone()).or_default() += count);
    more.latency.iter().for_each(|(key, count)| *sum.latency.entry(*key).or_default() += count);
    more.abandoned_wait.iter().for_each(|(key, count)| *sum.abandoned_wait.entry(*key).or_default() += count);
}

fn outcomes(counters: &Counters) -> [(&'static str, u64); 7] {
    [
        ("success", counters.success),
        ("failure", counters.failure),
        ("timeout", counters.timeout),
        ("interrupted", counters.interrupted),
        ("abandoned", counters.abandoned),
        ("cancelled", counters.cancelled),
        ("unknown", counters.unknown),
    ]
}

/// Outcomes, how many are valid, reasons, then latency or wait. Of sessions as attempts, how many began.
fn text_of(counters: &Counters, is_session: bool, unit: &str) -> String {
    let mut parts = Vec::new();
    if is_session {
        parts.push(format!("{} begun", counters.attempts));
    }
    let found = outcomes(counters).into_iter().filter(|(_, count)| *count > 0);
    parts.extend(found.map(|(outcome, count)| format!("{count} {outcome}")));
    parts.push(format!("{} valid", counters.valid));
    for (reason, count) in &counters.reasons {
        let times = if *count == 1 { String::new() } else { format!(" ×{count}") };
        parts.push(format!("because {reason}{times}"));
    }
    let measured: u64 = counters.latency.values().sum();
    if measured > 0 {
        let mean = counters.latency_sum as f64 / 10_000.0 / measured as f64;
        let spread = if counters.latency.len() > 1 { " on average" } else { "" };
        parts.push(format!("{mean}{unit}{spread}"));
    }
    for wait_ms in counters.abandoned_wait.keys() {
        parts.push(format!("waited about {wait_ms} ms"));
    }
    if counters.arrived_late > 0 {
        parts.push(format!("{} arrived late", counters.arrived_late));
    }
    parts.join(", ")
}

/// The minute as distance from the case's beginning; nothing for the first.
fn window(window_start: u32) -> String {
    let minutes = (i64::from(window_start) - BEGIN_MS / 1000).div_euclid(60);
    if minutes == 0 { String::new() } else { format!(" at {minutes:+} min") }
}

fn steps(batches: &[Batch], told: &Told<'_>) -> String {
    let mut cells: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for row in batches.iter().flat_map(|batch| &batch.journey_steps) {
        if told.tells_of(&row.journey) {
            let key = (row.journey.clone(), row.step_number, row.step.clone());
            let sum = cells.entry(key).or_default();
            *sum = (sum.0 + row.success, sum.1 + row.attempts);
        }
    }
    let line = |((_, _, step), (success, attempts)): (&(String, u16, String), &(u64, u64))| {
        format!("{step} {success}/{attempts}")
    };
    cells.iter().map(line).collect::<Vec<_>>().join(", ")
}

fn objectives(batches: &[Batch], told: &Told<'_>) -> String {
    let mut cells: BTreeMap<_, BTreeMap<String, [u64; 4]>> = BTreeMap::new();
    for row in batches.iter().flat_map(|batch| &batch.objective_minutes) {
        if told.tells_of(&row.journey) {
            let of_journey = cells.entry(row.journey.clone()).or_default();
            let sum = of_journey.entry(row.objective.clone()).or_default();
            let more = [row.valid, row.bad, row.observed, row.observed_bad];
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    for objectives in cells.values_mut() {
        objectives.retain(|_, counts| *counts != [0; 4]);
    }
    cells.retain(|_, objectives| !objectives.is_empty());
    let line = |(journey, objectives): (&String, &BTreeMap<String, [u64; 4]>)| {
        let objectives = objectives.iter().map(|(name, [valid, bad, observed, observed_bad])| {
            let good = valid.saturating_sub(*bad);
            let seen = format!(" ({}/{observed} observed)", observed.saturating_sub(*observed_bad));
            let name = if name.is_empty() { NO_OBJECTIVE } else { name };
            format!("{name} {good}/{valid}{}", if observed == valid { "" } else { &seen })
        });
        format!("{journey}: {}", objectives.collect::<Vec<_>>().join(", "))
    };
    cells.iter().map(line).collect::<Vec<_>>().join(SEPARATOR)
}

fn sessions(batches: &[Batch], told: &Told<'_>) -> String {
    let mut cells: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for row in batches.iter().flat_map(|batch| &batch.journey_minutes) {
        if told.tells_of(&row.journey) {
            let sum = cells.entry(row.journey.clone()).or_default();
            *sum = (sum.0 + row.counters.sessions, sum.1 + row.counters.sessions_hurt);
        }
    }
    let line = |(journey, (sessions, hurt)): (&String, &(u64, u64))| {
        let hurt = if *hurt == 0 { String::new() } else { format!(", {hurt} hurt") };
        format!("{journey}: {sessions}{hurt}")
    };
    cells.iter().map(line).collect::<Vec<_>>().join(SEPARATOR)
}

/// Records, events and marks that are in no journey's numbers, by name; where the case asks, what was seen.
fn otherwise(batches: &[Batch], case: &Case) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut add = |name: &str, count: u64| {
        if count > 0 {
            *counts.entry(name.to_owned()).or_default() += count;
        }
    };
    for batch in batches {
        let explained: u64 = batch.row.reasons.values().sum();
        assert_eq!(batch.row.records, batch.row.counted + explained, "a batch balances");
        let reasons = batch.row.reasons.iter().filter(|(reason, _)| *reason != "control");
        reasons.for_each(|(reason, count)| add(&format!("beacon {reason}"), *count));
        for quality in &batch.quality {
            add("late", quality.late);
            add("too_old", quality.too_old);
            quality.not_counted.iter().for_each(|(reason, count)| add(reason, *count));
        }
    }
    let mut lines: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if case.seen_events {
        for row in batches.iter().flat_map(|batch| &batch.seen_events) {
            let what = [&row.event, &row.name, &row.route].map(String::as_str).join(" ");
            let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
            let matched: Vec<&str> = row.matched.keys().map(String::as_str).collect();
            let of = if matched.is_empty() { "no journey".to_owned() } else { matched.join(", ") };
            lines.push(format!("seen {what}: {of}"));
        }
    }
    lines.join(SEPARATOR)
}
