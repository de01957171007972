//! What ClickHouse holds, as far as it is compared.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::clickhouse::ClickHouse;

/// What ClickHouse holds.
#[derive(Debug, Default)]
pub struct Found {
    pub(super) journeys: BTreeMap<(String, String), JourneyRow>,
    pub(super) hours: BTreeMap<(String, String), Totals>,
    pub(super) view: BTreeMap<(String, String), Totals>,
    pub(super) steps: BTreeMap<(String, String, String), Totals>,
    /// By app, journey and release: attempts and sum of latencies.
    pub(super) releases: BTreeMap<(String, String, String), (u64, u64)>,
    /// Attempts by app, journey and hour before the run.
    pub(super) past_hours: BTreeMap<(String, String, u32), u64>,
    pub(super) quality: BTreeMap<String, QualityRow>,
    /// By app and event.
    pub(super) seen: BTreeMap<(String, String), u64>,
    pub(super) batches: BatchesRow,
    pub(super) audit: Vec<AuditRow>,
    /// How far the slowest partition is; `None` before the first batch.
    pub log_time_ms: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct JourneyRow {
    pub(super) app: String,
    pub(super) journey: String,
    pub(super) attempts: u64,
    pub(super) valid: u64,
    pub(super) success: u64,
    pub(super) failure: u64,
    pub(super) timeout: u64,
    pub(super) interrupted: u64,
    pub(super) abandoned: u64,
    pub(super) cancelled: u64,
    pub(super) unknown: u64,
    pub(super) sessions: u64,
    pub(super) arrived_late: u64,
    pub(super) latency_sum: u64,
    pub(super) latency_count: u64,
    pub(super) quantiles: Vec<u64>,
    pub(super) reasons: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Totals {
    pub(super) attempts: u64,
    pub(super) success: u64,
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

#[derive(Debug, Deserialize)]
struct ReleaseRow {
    app: String,
    journey: String,
    release: String,
    attempts: u64,
    latency_sum: u64,
}

#[derive(Debug, Deserialize)]
struct HourRow {
    app: String,
    journey: String,
    hour_s: u32,
    attempts: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct QualityRow {
    #[serde(default)]
    pub(super) app: String,
    pub(super) beacons: u64,
    pub(super) events: u64,
    pub(super) bots: u64,
    pub(super) environments: u64,
    pub(super) late: u64,
    pub(super) too_old: u64,
    pub(super) clock_corrected: u64,
    pub(super) not_counted: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct SeenRow {
    app: String,
    event: String,
    seen: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct BatchesRow {
    pub(super) duplicates: u64,
    pub(super) undecodable: u64,
    pub(super) log_time_ms: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AuditRow {
    pub(super) partition: i32,
    pub(super) problem: String,
    pub(super) detail: String,
}

/// Which windows are looked at.
struct Windows {
    minutes: String,
    hours: String,
    quality: String,
    since_ms: i64,
}

impl Windows {
    fn since(since_s: Option<u32>) -> Self {
        let since = |column: &str, window_s: u32| match since_s {
            Some(since_s) => format!("WHERE {column} >= {}", since_s / window_s * window_s),
            None => String::new(),
        };
        Self {
            minutes: since("window_start", 60),
            hours: since("window_start", 3600),
            quality: since("hour", 3600),
            since_ms: since_s.map_or(0, |since_s| i64::from(since_s) * 1000),
        }
    }
}

impl Found {
    /// Reads everything that is compared; windows from `since_s` on, and hours before `past_until_s` one by one.
    ///
    /// # Errors
    /// When ClickHouse cannot be read.
    pub async fn read(
        clickhouse: &ClickHouse,
        since_s: Option<u32>,
        past_until_s: u32,
    ) -> anyhow::Result<Self> {
        let windows = Windows::since(since_s);
        let reading = Reading { clickhouse, windows: &windows };
        let batches = reading.batches().await?;
        Ok(Self {
            journeys: reading.journeys().await?,
            hours: reading.totals("sli.journey_hours", &windows.hours).await?,
            view: reading.totals("sli.journeys", &windows.minutes).await?,
            steps: reading.steps().await?,
            releases: reading.releases().await?,
            past_hours: reading.past_hours(past_until_s).await?,
            quality: reading.quality().await?,
            seen: reading.seen().await?,
            log_time_ms: batches.log_time_ms,
            batches,
            audit: clickhouse.rows("SELECT partition, problem, detail FROM sli.audit").await?,
        })
    }
}

struct Reading<'r> {
    clickhouse: &'r ClickHouse,
    windows: &'r Windows,
}

impl Reading<'_> {
    async fn rows<T: DeserializeOwned>(&self, query: String) -> anyhow::Result<Vec<T>> {
        self.clickhouse.rows(&query).await
    }

    async fn journeys(&self) -> anyhow::Result<BTreeMap<(String, String), JourneyRow>> {
        let minutes = &self.windows.minutes;
        let rows: Vec<JourneyRow> = self
            .rows(format!(
                "SELECT app, journey, sum(attempts) AS attempts, sum(valid) AS valid, sum(success) AS success, \
                 sum(failure) AS failure, sum(timeout) AS timeout, sum(interrupted) AS interrupted, \
                 sum(abandoned) AS abandoned, sum(cancelled) AS cancelled, sum(unknown) AS unknown, \
                 sum(sessions) AS sessions, sum(arrived_late) AS arrived_late, sum(latency_sum) AS latency_sum, \
                 sumMap(reasons) AS reasons, \
                 arraySum(mapValues(sumMap(latency))) AS latency_count, \
                 if(empty(sumMap(latency)), [], arrayMap(value -> toUInt64(value), \
                 quantilesExactWeightedArray(0.5, 0.75, 0.95, 0.99)(mapKeys(latency), mapValues(latency)))) AS quantiles \
                 FROM (SELECT * FROM sli.journey_minutes {minutes}) GROUP BY app, journey"
            ))
            .await?;
        Ok(rows.into_iter().map(|row| ((row.app.clone(), row.journey.clone()), row)).collect())
    }

    async fn totals(&self, table: &str, filter: &str) -> anyhow::Result<BTreeMap<(String, String), Totals>> {
        let rows: Vec<TotalsRow> = self
            .rows(format!(
                "SELECT app, journey, sum(attempts) AS attempts, sum(success) AS success \
                 FROM (SELECT app, journey, attempts, success FROM {table} {filter}) GROUP BY app, journey"
            ))
            .await?;
        Ok(rows.into_iter().map(|row| ((row.app, row.journey), row.totals)).collect())
    }

    async fn steps(&self) -> anyhow::Result<BTreeMap<(String, String, String), Totals>> {
        let minutes = &self.windows.minutes;
        let rows: Vec<TotalsRow> = self
            .rows(format!(
                "SELECT app, journey, step, sum(attempts) AS attempts, sum(success) AS success \
                 FROM (SELECT app, journey, step, attempts, success FROM sli.journey_steps {minutes}) \
                 GROUP BY app, journey, step"
            ))
            .await?;
        Ok(rows.into_iter().map(|row| ((row.app, row.journey, row.step), row.totals)).collect())
    }

    async fn releases(&self) -> anyhow::Result<BTreeMap<(String, String, String), (u64, u64)>> {
        let minutes = &self.windows.minutes;
        let rows: Vec<ReleaseRow> = self
            .rows(format!(
                "SELECT app, journey, release, sum(attempts) AS attempts, sum(latency_sum) AS latency_sum \
                 FROM (SELECT app, journey, release, attempts, latency_sum FROM sli.journey_minutes {minutes}) \
                 GROUP BY app, journey, release"
            ))
            .await?;
        let row = |row: ReleaseRow| ((row.app, row.journey, row.release), (row.attempts, row.latency_sum));
        Ok(rows.into_iter().map(row).collect())
    }

    async fn past_hours(&self, until_s: u32) -> anyhow::Result<BTreeMap<(String, String, u32), u64>> {
        let minutes = &self.windows.minutes;
        let rows: Vec<HourRow> = self
            .rows(format!(
                "SELECT app, journey, toUInt32(intDiv(toUnixTimestamp(window_start), 3600) * 3600) AS hour_s, \
                 sum(attempts) AS attempts \
                 FROM (SELECT app, journey, window_start, attempts FROM sli.journey_minutes {minutes}) \
                 GROUP BY app, journey, hour_s HAVING hour_s < {until_s} AND attempts > 0"
            ))
            .await?;
        Ok(rows.into_iter().map(|row| ((row.app, row.journey, row.hour_s), row.attempts)).collect())
    }

    async fn quality(&self) -> anyhow::Result<BTreeMap<String, QualityRow>> {
        let hours = &self.windows.quality;
        let rows: Vec<QualityRow> = self
            .rows(format!(
                "SELECT app, sum(beacons) AS beacons, sum(events) AS events, sum(bots) AS bots, \
                 sum(environments) AS environments, sum(late) AS late, sum(too_old) AS too_old, \
                 sum(clock_corrected) AS clock_corrected, sumMap(not_counted) AS not_counted \
                 FROM (SELECT * FROM sli.quality {hours}) GROUP BY app"
            ))
            .await?;
        Ok(rows.into_iter().map(|row| (row.app.clone(), row)).collect())
    }

    async fn seen(&self) -> anyhow::Result<BTreeMap<(String, String), u64>> {
        let rows: Vec<SeenRow> = self
            .rows("SELECT app, event, sum(seen) AS seen FROM sli.seen_events GROUP BY app, event".to_owned())
            .await?;
        Ok(rows.into_iter().map(|row| ((row.app, row.event), row.seen)).collect())
    }

    async fn batches(&self) -> anyhow::Result<BatchesRow> {
        let since_ms = self.windows.since_ms;
        let rows: Vec<BatchesRow> = self
            .rows(format!(
                "SELECT sum(duplicates) AS duplicates, sum(undecodable) AS undecodable, \
                 minOrNull(reached_ms) AS log_time_ms FROM \
                 (SELECT sumIf(reasons['duplicate'], log_time_ms >= {since_ms}) AS duplicates, \
                 sumIf(reasons['undecodable'], log_time_ms >= {since_ms}) AS undecodable, \
                 max(log_time_ms) AS reached_ms FROM sli.batches GROUP BY topic, partition)"
            ))
            .await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }
}
