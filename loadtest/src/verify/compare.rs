//! How what was found compares with what must be there.

use std::collections::BTreeSet;

use serde::Serialize;

use super::expect::{AppTotals, Cell, Expected};
use super::found::{AuditRow, Found, JourneyRow, QualityRow};
use super::quantile;
use crate::truth::Outcome;

/// Quantiles that are compared, with their names.
pub const LEVELS: [(f64, &str); 4] = [(0.5, "p50"), (0.75, "p75"), (0.95, "p95"), (0.99, "p99")];

/// Name of the check that counts what the audit lists.
pub const AUDIT_ROWS: &str = "rows of the audit";

/// Of a run with more uncertain sessions nothing can be said.
const UNCERTAIN_PERCENT_MAX: u64 = 5;

/// One thing that was compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// App, empty for what is of the whole pipeline.
    pub app: String,
    /// Journey, empty for what is of the whole app.
    pub journey: String,
    /// What was counted.
    pub what: String,
    /// What must be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Whether that is right.
    pub equal: bool,
    /// Which sessions and beacons a difference may come from: those that have what is counted, the oddest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
}

impl Check {
    /// What must be there and what is, with the sessions that a difference may come from.
    pub fn sentence(&self) -> String {
        let Self { app, journey, what, expected, found, about, .. } = self;
        let of: Vec<&str> =
            [app.as_str(), journey, what].into_iter().filter(|text| !text.is_empty()).collect();
        let sessions: String = about.iter().map(|session| format!("\n    {session}")).collect();
        format!("{}: expected {expected}, found {found}{sessions}", of.join(" "))
    }
}

/// Everything that was compared.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// In the order of apps and journeys, then the apps, the whole pipeline last.
    pub checks: Vec<Check>,
}

impl Comparison {
    /// Whether everything is as it must be.
    pub fn is_equal(&self) -> bool {
        self.checks.iter().all(|check| check.equal)
    }

    /// How many checks are equal.
    pub fn equal(&self) -> usize {
        self.checks.iter().filter(|check| check.equal).count()
    }

    fn add(
        &mut self,
        (app, journey): (&str, &str),
        what: &str,
        expected: String,
        found: String,
        equal: bool,
    ) {
        let (app, journey, what) = (app.to_owned(), journey.to_owned(), what.to_owned());
        self.checks.push(Check { app, journey, what, expected, found, equal, about: Vec::new() });
    }

    /// A count that may lie in a range.
    fn count(&mut self, key: (&str, &str), what: &str, (low, high): (u64, u64), found: u64) {
        let expected = if low == high { low.to_string() } else { format!("{low} to {high}") };
        self.add(key, what, expected, found.to_string(), (low..=high).contains(&found));
    }
}

/// Compares what must be there with what is.
pub fn compare(expected: &Expected, found: &Found) -> Comparison {
    let mut comparison = Comparison::default();
    let keys: BTreeSet<&(String, String)> = expected.cells.keys().chain(found.journeys.keys()).collect();
    let (no_cell, no_row) = (Cell::default(), JourneyRow::default());
    for key in keys {
        let cell = expected.cells.get(key).unwrap_or(&no_cell);
        let row = found.journeys.get(key).unwrap_or(&no_row);
        compare_journey(&mut comparison, (&key.0, &key.1), cell, row);
        compare_elsewhere(&mut comparison, (&key.0, &key.1), cell, found);
        compare_parts(&mut comparison, (&key.0, &key.1), cell, found);
    }
    let apps: BTreeSet<&String> = expected.apps.keys().chain(found.quality.keys()).collect();
    let (no_totals, no_quality) = (AppTotals::default(), QualityRow::default());
    for app in apps {
        let totals = expected.apps.get(app).unwrap_or(&no_totals);
        let quality = found.quality.get(app).unwrap_or(&no_quality);
        compare_app(&mut comparison, app, totals, quality);
        if expected.since_s.is_none() {
            compare_seen(&mut comparison, app, totals, found);
        }
    }
    compare_pipeline(&mut comparison, expected, found);
    comparison
}

fn compare_journey(comparison: &mut Comparison, key: (&str, &str), cell: &Cell, row: &JourneyRow) {
    let range = |count: u64| (count, count + cell.uncertain);
    comparison.count(key, "attempts", range(cell.attempts()), row.attempts);
    comparison.count(key, "valid", range(cell.valid), row.valid);
    let found = [row.success, row.failure, row.timeout, row.abandoned, row.cancelled, row.unknown];
    let mut outcomes = cell.outcomes;
    outcomes[0] = cell.stored_successes();
    for ((outcome, count), found) in Outcome::ALL.iter().zip(outcomes).zip(found) {
        comparison.count(key, outcome.column(), range(count), found);
    }
    comparison.count(key, "interrupted", (0, 0), row.interrupted);
    if let Some(sessions) = cell.sessions {
        comparison.count(key, "sessions", range(sessions), row.sessions);
    }
    if !cell.of_sessions {
        comparison.count(key, "arrived late", range(cell.arrived_late), row.arrived_late);
    }
    let reasons: BTreeSet<&String> = cell.reasons.keys().chain(row.reasons.keys()).collect();
    for reason in reasons {
        let count = cell.reasons.get(reason).copied().unwrap_or(0);
        let found = row.reasons.get(reason).copied().unwrap_or(0);
        comparison.count(key, &format!("reason {reason:?}"), range(count), found);
    }
    let measured: u64 = cell.latencies.values().sum();
    comparison.count(key, "measured", range(measured), row.latency_count);
    if cell.uncertain == 0 {
        comparison.count(key, "sum of latencies", range(cell.latency_sum), row.latency_sum);
    }
    for ((level, name), place) in LEVELS.iter().zip(0..) {
        let Some(exact) = quantile::exact(&cell.latencies, *level) else { continue };
        let found = row.quantiles.get(place).copied();
        let equal = found.is_some_and(|found| match cell.uncertain {
            0 => quantile::accepts(&cell.latencies, *level, found, 1),
            uncertain => quantile::accepts_between(&cell.latencies, *level, found, 1 + uncertain),
        });
        let found = found.map_or("none".to_owned(), |found| found.to_string());
        comparison.add(key, name, exact.to_string(), found, equal);
    }
}

/// The other tables and the view hold the same.
fn compare_elsewhere(comparison: &mut Comparison, key: (&str, &str), cell: &Cell, found: &Found) {
    let range = |count: u64| (count, count + cell.uncertain);
    let owned = (key.0.to_owned(), key.1.to_owned());
    let places = [
        ("journey_hours", &found.hours, cell.stored_successes()),
        ("view journeys", &found.view, cell.outcomes[0]),
    ];
    for (place, totals, success) in places {
        let totals = totals.get(&owned).copied().unwrap_or_default();
        comparison.count(key, &format!("attempts in {place}"), range(cell.attempts()), totals.attempts);
        comparison.count(key, &format!("success in {place}"), range(success), totals.success);
    }
    for (step, attempts, success) in &cell.steps {
        let totals = found.steps.get(&(owned.0.clone(), owned.1.clone(), step.clone()));
        let totals = totals.copied().unwrap_or_default();
        comparison.count(key, &format!("attempts at step {step}"), range(*attempts), totals.attempts);
        comparison.count(key, &format!("reached step {step}"), range(*success), totals.success);
    }
}

/// The same by release, and by hour where what was offline belongs to hours before the run.
fn compare_parts(comparison: &mut Comparison, key: (&str, &str), cell: &Cell, found: &Found) {
    let range = |count: u64| (count, count + cell.uncertain);
    let is_own = |app: &String, journey: &String| (app.as_str(), journey.as_str()) == key;
    let found_releases = found.releases.keys().filter(|(app, journey, _)| is_own(app, journey));
    let releases: BTreeSet<&String> =
        cell.releases.keys().chain(found_releases.map(|(_, _, release)| release)).collect();
    for release in releases {
        let (attempts, sum) = cell.releases.get(release).copied().unwrap_or_default();
        let row = found.releases.get(&(key.0.to_owned(), key.1.to_owned(), release.clone()));
        let (found_attempts, found_sum) = row.copied().unwrap_or_default();
        comparison.count(key, &format!("attempts of release {release:?}"), range(attempts), found_attempts);
        if cell.uncertain == 0 {
            comparison.count(key, &format!("sum of latencies of release {release:?}"), range(sum), found_sum);
        }
    }
    let found_hours = found.past_hours.keys().filter(|(app, journey, _)| is_own(app, journey));
    let hours: BTreeSet<u32> =
        cell.past_hours.keys().copied().chain(found_hours.map(|(_, _, hour_s)| *hour_s)).collect();
    for hour_s in hours {
        let count = cell.past_hours.get(&hour_s).copied().unwrap_or(0);
        let row = found.past_hours.get(&(key.0.to_owned(), key.1.to_owned(), hour_s));
        let what = format!("attempts of the hour {hour_s}");
        comparison.count(key, &what, range(count), row.copied().unwrap_or(0));
    }
}

/// What `quality` shows of an app.
fn compare_app(comparison: &mut Comparison, app: &str, totals: &AppTotals, quality: &QualityRow) {
    let key = (app, "");
    let records = |count: u64| (count, count + totals.records_uncertain);
    let events = |count: u64| (count, count + totals.events_uncertain);
    comparison.count(key, "records", records(totals.records), quality.beacons);
    comparison.count(key, "events", events(totals.events), quality.events);
    comparison.count(key, "records of bots", records(totals.bots), quality.bots);
    comparison.count(
        key,
        "records of unlisted environments",
        records(totals.environments),
        quality.environments,
    );
    comparison.count(key, "events too old", events(totals.too_old), quality.too_old);
    comparison.count(key, "events of wrong clocks", events(totals.corrected), quality.clock_corrected);
    comparison.count(key, "late", events(0), quality.late);
    for (reason, count) in &totals.left_out {
        let found = quality.not_counted.get(reason).copied().unwrap_or(0);
        comparison.count(key, &format!("left out as {reason}"), events(*count), found);
    }
}

/// Every event that enters journeys, by name.
fn compare_seen(comparison: &mut Comparison, app: &str, totals: &AppTotals, found: &Found) {
    let found_events = found.seen.keys().filter(|(of_app, _)| of_app == app).map(|(_, event)| event);
    let names: BTreeSet<&String> = totals.seen.keys().chain(found_events).collect();
    for name in names {
        let count = totals.seen.get(name).copied().unwrap_or(0);
        let seen = found.seen.get(&(app.to_owned(), name.clone())).copied().unwrap_or(0);
        let range = (count, count + totals.events_uncertain);
        comparison.count((app, ""), &format!("events {name}"), range, seen);
    }
}

fn compare_pipeline(comparison: &mut Comparison, expected: &Expected, found: &Found) {
    let key = ("", "");
    let uncertain_max = expected.sessions * UNCERTAIN_PERCENT_MAX / 100;
    comparison.count(key, "uncertain sessions", (0, uncertain_max), expected.sessions_uncertain);
    comparison.count(key, "duplicates", expected.duplicates, found.batches.duplicates);
    comparison.count(key, "undecodable records", (0, 0), found.batches.undecodable);
    comparison.count(key, AUDIT_ROWS, (0, 0), found.audit.len() as u64);
    for AuditRow { partition, problem, detail } in found.audit.iter().take(10) {
        comparison.add(
            key,
            "audit",
            String::new(),
            format!("{problem} in partition {partition}: {detail}"),
            false,
        );
    }
}

#[cfg(test)]
mod tests;
