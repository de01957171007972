//! What was found in ClickHouse, and how it compares.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::clickhouse::ClickHouse;
use super::expect::{Cell, Expected};
use super::quantile;
use crate::truth::Outcome;

/// Quantiles that are compared, with their names.
pub const LEVELS: [(f64, &str); 4] = [(0.5, "p50"), (0.75, "p75"), (0.95, "p95"), (0.99, "p99")];

/// Of a run with more uncertain sessions nothing can be said.
const UNCERTAIN_PERCENT_MAX: u64 = 5;

/// What ClickHouse holds.
#[derive(Debug, Default)]
pub struct Found {
    journeys: BTreeMap<(String, String), JourneyRow>,
    hours: BTreeMap<(String, String), Totals>,
    view: BTreeMap<(String, String), Totals>,
    steps: BTreeMap<(String, String, String), Totals>,
    quality: QualityRow,
    batches: BatchesRow,
    audit: Vec<AuditRow>,
    /// How far the slowest partition is; `None` before the first batch.
    pub log_time_ms: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct JourneyRow {
    app: String,
    journey: String,
    attempts: u64,
    valid: u64,
    success: u64,
    failure: u64,
    timeout: u64,
    interrupted: u64,
    abandoned: u64,
    cancelled: u64,
    unknown: u64,
    sessions: u64,
    latency_sum: u64,
    latency_count: u64,
    quantiles: Vec<u64>,
    reasons: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Totals {
    attempts: u64,
    success: u64,
}

#[derive(Debug, Deserialize)]
struct TotalsRow {
    app: String,
    journey: String,
    #[serde(default)]
    step: String,
    #[serde(flatten)]
    totals: Totals,
}

#[derive(Debug, Default, Deserialize)]
struct QualityRow {
    bots: u64,
    too_old: u64,
}

#[derive(Debug, Default, Deserialize)]
struct BatchesRow {
    duplicates: u64,
    undecodable: u64,
    log_time_ms: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct AuditRow {
    partition: i32,
    problem: String,
    detail: String,
}

impl Found {
    /// Reads everything that is compared; windows from `since_s` on.
    ///
    /// # Errors
    /// When ClickHouse cannot be read.
    pub async fn read(clickhouse: &ClickHouse, since_s: Option<u32>) -> anyhow::Result<Self> {
        let since = |column: &str, window_s: u32| match since_s {
            Some(since_s) => format!("WHERE {column} >= {}", since_s / window_s * window_s),
            None => String::new(),
        };
        let (minutes, hours, hour) =
            (since("window_start", 60), since("window_start", 3600), since("hour", 3600));
        let journeys: Vec<JourneyRow> = clickhouse
            .rows(&format!(
                "SELECT app, journey, sum(attempts) AS attempts, sum(valid) AS valid, sum(success) AS success, \
                 sum(failure) AS failure, sum(timeout) AS timeout, sum(interrupted) AS interrupted, \
                 sum(abandoned) AS abandoned, sum(cancelled) AS cancelled, sum(unknown) AS unknown, \
                 sum(sessions) AS sessions, sum(latency_sum) AS latency_sum, \
                 sumMap(reasons) AS reasons, \
                 arraySum(mapValues(sumMap(latency))) AS latency_count, \
                 if(empty(sumMap(latency)), [], arrayMap(value -> toUInt64(value), \
                 quantilesExactWeightedArray(0.5, 0.75, 0.95, 0.99)(mapKeys(latency), mapValues(latency)))) AS quantiles \
                 FROM (SELECT * FROM sli.journey_minutes {minutes}) GROUP BY app, journey"
            ))
            .await?;
        let totals = |table: &str, filter: &str| {
            format!(
                "SELECT app, journey, sum(attempts) AS attempts, sum(success) AS success \
                 FROM (SELECT app, journey, attempts, success FROM {table} {filter}) GROUP BY app, journey"
            )
        };
        let hours: Vec<TotalsRow> = clickhouse.rows(&totals("sli.journey_hours", &hours)).await?;
        let view: Vec<TotalsRow> = clickhouse.rows(&totals("sli.journeys", &minutes)).await?;
        let steps: Vec<TotalsRow> = clickhouse
            .rows(&format!(
                "SELECT app, journey, step, sum(attempts) AS attempts, sum(success) AS success \
                 FROM (SELECT app, journey, step, attempts, success FROM sli.journey_steps {minutes}) \
                 GROUP BY app, journey, step"
            ))
            .await?;
        let quality: Vec<QualityRow> = clickhouse
            .rows(&format!("SELECT sum(bots) AS bots, sum(too_old) AS too_old FROM sli.quality {hour}"))
            .await?;
        let since_ms = since_s.map_or(0, |since_s| i64::from(since_s) * 1000);
        let batches: Vec<BatchesRow> = clickhouse
            .rows(&format!(
                "SELECT sum(duplicates) AS duplicates, sum(undecodable) AS undecodable, \
                 minOrNull(reached_ms) AS log_time_ms FROM \
                 (SELECT sumIf(reasons['duplicate'], log_time_ms >= {since_ms}) AS duplicates, \
                 sumIf(reasons['undecodable'], log_time_ms >= {since_ms}) AS undecodable, \
                 max(log_time_ms) AS reached_ms FROM sli.batches GROUP BY topic, partition)"
            ))
            .await?;
        let audit = clickhouse.rows("SELECT partition, problem, detail FROM sli.audit").await?;
        let by_key = |rows: Vec<TotalsRow>| -> BTreeMap<(String, String), Totals> {
            rows.into_iter().map(|row| ((row.app, row.journey), row.totals)).collect()
        };
        let batches = batches.into_iter().next().unwrap_or_default();
        Ok(Self {
            journeys: journeys.into_iter().map(|row| ((row.app.clone(), row.journey.clone()), row)).collect(),
            hours: by_key(hours),
            view: by_key(view),
            steps: steps.into_iter().map(|row| ((row.app, row.journey, row.step), row.totals)).collect(),
            quality: quality.into_iter().next().unwrap_or_default(),
            log_time_ms: batches.log_time_ms,
            batches,
            audit,
        })
    }
}

/// One thing that was compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// App, empty for what is of the whole pipeline.
    pub app: String,
    /// Journey.
    pub journey: String,
    /// What was counted.
    pub what: String,
    /// What must be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Whether that is right.
    pub equal: bool,
}

/// Everything that was compared.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// In the order of apps and journeys, the whole pipeline last.
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
        self.checks.push(Check { app, journey, what, expected, found, equal });
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

fn compare_pipeline(comparison: &mut Comparison, expected: &Expected, found: &Found) {
    let key = ("", "");
    let uncertain_max = expected.sessions * UNCERTAIN_PERCENT_MAX / 100;
    comparison.count(key, "uncertain sessions", (0, uncertain_max), expected.sessions_uncertain);
    let uncertain = expected.beacons_uncertain;
    comparison.count(key, "duplicates", expected.duplicates, found.batches.duplicates);
    comparison.count(
        key,
        "beacons of bots",
        (expected.bots.0, expected.bots.1 + uncertain),
        found.quality.bots,
    );
    comparison.count(
        key,
        "events too old",
        (expected.too_old, expected.too_old + uncertain),
        found.quality.too_old,
    );
    comparison.count(key, "undecodable records", (0, 0), found.batches.undecodable);
    comparison.count(key, "rows of the audit", (0, 0), found.audit.len() as u64);
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
