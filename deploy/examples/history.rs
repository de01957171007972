//! What the views of objectives cost beside the raw attempts, and whether they say the same: 28 days of 30 journeys.
//!
//! Attempts are generated in ClickHouse, as rows of eight columns, and summed into the tables as the aggregator sums them.
//! That is little for what raw events would be: one row an attempt instead of one an event, and a random session id of
//! 64 bits, where SDKs send texts of 60 to 128. Every view is compared with a calculation from the raw rows; then both
//! are timed. Ends with 1 when a number differs.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use deploy::clickhouse::ClickHouse;
use deploy::migration::refresh;
use deploy::stack::{ADMIN, PASSWORD, Parts, READER, Stack, StackOptions};
use schema::definition::{DefinitionSet, EngineSettings};
use schema::rows::{DefinitionRow, JourneyDefinitionRow, ObjectiveDefinitionRow};
use serde::Serialize;
use serde_json::Value;

/// 28 days of 30 journeys: the views against the raw attempts.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  cargo run --release -p deploy --example history
  cargo run --release -p deploy --example history -- --attempts 1000000")]
struct Args {
    /// Attempts to make.
    #[arg(long, default_value_t = 50_000_000)]
    attempts: u64,
    /// Times that each view is asked.
    #[arg(long, default_value_t = 21)]
    repeats: usize,
}

const JOURNEYS: u64 = 30;
const DAY_S: u64 = 86_400;
const WINDOW_DAYS: u64 = 28;
/// Limit of the objective `fast`, ms.
const FAST_MS: u64 = 900;
/// Largest relative difference of a quantile: the buckets' width.
const QUANTILE_TOLERANCE: f64 = 0.01;
/// Between two batches of a partition, s, and partitions.
const BATCH_S: u64 = 30;
const PARTITIONS: u64 = 4;

const RAW_TABLE: &str = "CREATE TABLE raw.attempts (time DateTime('UTC') CODEC(DoubleDelta, ZSTD), app LowCardinality(String), \
    journey LowCardinality(String), platform LowCardinality(String), release LowCardinality(String), \
    session UInt64, outcome LowCardinality(String), latency_ms UInt32 CODEC(T64, ZSTD)) \
    ENGINE = MergeTree ORDER BY (app, journey, time)";
const VALID: &str = "outcome IN ('success', 'failure', 'timeout', 'interrupted', 'abandoned')";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let stack = Stack::start(StackOptions::of(Parts::ClickHouse)).await?;
    let outcome = measure(&stack, &args).await;
    stack.stop().await;
    Ok(if outcome? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(stack: &Stack, args: &Args) -> anyhow::Result<bool> {
    let admin = ClickHouse::new(stack.clickhouse_url(), ADMIN, PASSWORD)?;
    let now = number(&admin, "SELECT toUnixTimestamp(toStartOfHour(now())) AS n").await?;
    let history = History { admin, until: now - 3_600 + 1_800, attempts: args.attempts };
    history.make().await?;
    refresh(&history.admin).await?;
    let is_equal = history.compare().await?;
    let reader = Timed::new(stack.clickhouse_url(), args.repeats)?;
    report(&history, &reader).await?;
    Ok(is_equal)
}

struct History {
    admin: ClickHouse,
    /// Until when everything is complete, s since the epoch.
    until: u64,
    attempts: u64,
}

impl History {
    /// Half a day longer than the window, so that its begin lies within the history.
    fn from(&self) -> u64 {
        self.until - WINDOW_DAYS * DAY_S - DAY_S / 2
    }

    async fn make(&self) -> anyhow::Result<()> {
        let set = definitions()?;
        let at_ms = self.from() as i64 * 1000;
        self.insert("journey_definitions", &JourneyDefinitionRow::all(&set, at_ms)).await?;
        self.insert("objective_definitions", &ObjectiveDefinitionRow::all(&set, at_ms)).await?;
        self.insert("definitions", &[DefinitionRow::new(&set, at_ms)]).await?;
        self.admin.execute("CREATE DATABASE raw").await?;
        self.admin.execute(RAW_TABLE).await?;
        let days = (self.until - self.from()).div_ceil(DAY_S);
        for day in 0..days {
            let started = Instant::now();
            self.make_day(day, days).await?;
            eprintln!("day {} of {days}: {:.1} s", day + 1, started.elapsed().as_secs_f64());
        }
        let last_ms = (self.until + 60) * 1000;
        let batches = WINDOW_DAYS * DAY_S / BATCH_S;
        let sql = format!(
            "INSERT INTO sli.batches (topic, partition, first_offset, next_offset, log_time_ms, records, counted) \
             SELECT 'rum.beacons', number % {PARTITIONS}, intDiv(number, {PARTITIONS}) * 10, intDiv(number, {PARTITIONS}) * 10 + 10, \
             {last_ms} - ({batches} - 1 - intDiv(number, {PARTITIONS})) * {BATCH_S} * 1000, 10, 10 \
             FROM numbers({}) SETTINGS max_partitions_per_insert_block = 0",
            batches * PARTITIONS
        );
        self.admin.execute(&sql).await?;
        Ok(())
    }

    async fn make_day(&self, day: u64, days: u64) -> anyhow::Result<()> {
        let from = self.from() + day * DAY_S;
        let until = (from + DAY_S).min(self.until);
        let (first, last) = (self.attempts * day / days, self.attempts * (day + 1) / days);
        // Few journeys have most of the attempts; journey 5 fails in the last hour and a half.
        let attempts = format!(
            "INSERT INTO raw.attempts \
             WITH sipHash64(number) AS h, (h % 65536) / 65536 AS u, least({JOURNEYS} - 1, toUInt64(pow(u, 2.5) * {JOURNEYS})) AS j, \
             intDiv(h, 65536) % 10000 AS fate, \
             (sipHash64(number, 1) % 1000 + sipHash64(number, 2) % 1000 + sipHash64(number, 3) % 1000) / 1000 - 1.5 AS bell, \
             {from} + intDiv((number - {first}) * {}, {}) AS at, \
             j = 5 AND at >= {} AS incident \
             SELECT toDateTime(at, 'UTC'), 'shop', concat('j', leftPad(toString(j), 2, '0')), ['web', 'web', 'web', 'ios', 'android'][h % 5 + 1], \
             concat('r', toString(intDiv({day}, 7))), sipHash64(intDiv(number, 3)), \
             multiIf(incident AND fate < 3000, 'failure', fate < 9700 - j * 10, 'success', fate < 9850, 'failure', fate < 9900, 'timeout', \
             fate < 9920, 'abandoned', fate < 9950, 'cancelled', 'unknown'), toUInt32(exp(5.5 + j / 30 + bell)) \
             FROM numbers({first}, {})",
            until - from,
            last - first,
            self.until - 5_400,
            last - first
        );
        self.admin.execute(&attempts).await?;
        let range = format!("time >= toDateTime({from}, 'UTC') AND time < toDateTime({until}, 'UTC')");
        for (table, window) in
            [("journey_minutes", "toStartOfMinute(time)"), ("journey_hours", "toStartOfHour(time)")]
        {
            self.admin.execute(&journey_cells(table, window, &range)).await?;
        }
        for (table, window) in
            [("objective_minutes", "toStartOfMinute(time)"), ("objective_hours", "toStartOfHour(time)")]
        {
            self.admin.execute(&objective_cells(table, window, &range)).await?;
        }
        Ok(())
    }

    async fn insert<T: Serialize>(&self, table: &str, rows: &[T]) -> anyhow::Result<()> {
        let lines: Result<Vec<_>, _> = rows.iter().map(serde_json::to_string).collect();
        let sql = format!("INSERT INTO sli.{table} FORMAT JSONEachRow\n{}\n", lines?.join("\n"));
        Ok(self.admin.execute(&sql).await?)
    }

    /// Whether each view says what the raw attempts say; prints a line for each.
    async fn compare(&self) -> anyhow::Result<bool> {
        let mut is_equal = true;
        for (view, sql) in self.comparisons() {
            let row = &self.admin.query(&sql).await.context(view)?[0];
            let (rows, wrong) =
                (row["rows"].as_u64().unwrap_or(0), row["wrong"].as_u64().unwrap_or(u64::MAX));
            ensure!(rows > 0, "{view} has no rows");
            println!("{view}: {rows} rows, {wrong} differ from the raw attempts");
            is_equal &= wrong == 0;
        }
        Ok(is_equal)
    }

    fn comparisons(&self) -> Vec<(&'static str, String)> {
        let raw = format!(
            "(SELECT time, journey, objective, outcome, {VALID} AS valid, valid AND (outcome != 'success' OR objective = 'fast' AND latency_ms > {FAST_MS}) AS bad \
             FROM raw.attempts ARRAY JOIN ['works', 'fast'] AS objective)"
        );
        let until = self.until;
        let open_hour = until - until % 3_600;
        let from = |window_s: u64| if window_s > 7_200 { open_hour - window_s } else { until - window_s };
        let counted = |window_s: u64, what: &str| {
            format!(
                "countIf({what} AND time >= toDateTime({}, 'UTC') AND time < toDateTime({until}, 'UTC'))",
                from(window_s)
            )
        };
        let pairs = [(300, 3_600), (1_800, 21_600), (7_200, DAY_S), (21_600, 3 * DAY_S)];
        let names = ["5m", "30m", "2h", "6h"];
        let of_pair = |what: &str, is_long: bool| {
            let counts: Vec<_> = pairs
                .iter()
                .map(|(short, long)| counted(if is_long { *long } else { *short }, what))
                .collect();
            format!("[{}][indexOf({names:?}, short_window)]", counts.join(", ")).replace('"', "'")
        };
        let status = format!(
            "SELECT count() AS rows, countIf(s.valid != b.valid OR s.good != b.valid - b.bad OR s.unknown_share != b.unknown / b.attempts) AS wrong \
             FROM sli.slo_status AS s LEFT JOIN (SELECT journey, objective, {} AS valid, {} AS bad, {} AS unknown, {} AS attempts \
             FROM {raw} GROUP BY journey, objective) AS b \
             ON b.journey = s.journey AND b.objective = s.objective",
            counted(WINDOW_DAYS * DAY_S, "valid"),
            counted(WINDOW_DAYS * DAY_S, "bad"),
            counted(WINDOW_DAYS * DAY_S, "outcome = 'unknown'"),
            counted(WINDOW_DAYS * DAY_S, "true"),
        );
        let burn = format!(
            "SELECT count() AS rows, countIf((s.short_valid, s.short_bad, s.long_valid, s.long_bad) != (b.sv, b.sb, b.lv, b.lb)) AS wrong \
             FROM sli.slo_burn AS s LEFT JOIN (SELECT journey, objective, short_window, {} AS sv, {} AS sb, {} AS lv, {} AS lb \
             FROM {raw} ARRAY JOIN {names:?} AS short_window GROUP BY journey, objective, short_window) AS b \
             ON b.journey = s.journey AND b.objective = s.objective AND b.short_window = s.short_window",
            of_pair("valid", false),
            of_pair("bad", false),
            of_pair("valid", true),
            of_pair("bad", true),
        )
        .replace('"', "'");
        let journeys = |view: &str, window: &str, since: u64| {
            format!(
                "SELECT count() AS rows, countIf((s.attempts, s.valid, s.success, s.failure, s.unknown) != (b.attempts, b.valid, b.success, b.failure, b.unknown) \
                 OR abs(s.p50 - b.q[1]) > 1 + {QUANTILE_TOLERANCE} * b.q[1] OR abs(s.p95 - b.q[2]) > 1 + {QUANTILE_TOLERANCE} * b.q[2]) AS wrong \
                 FROM sli.{view} AS s LEFT JOIN (SELECT journey, platform, {window} AS window_start, count() AS attempts, countIf({VALID}) AS valid, \
                 countIf(outcome = 'success') AS success, countIf(outcome = 'failure') AS failure, countIf(outcome = 'unknown') AS unknown, \
                 quantilesExactWeightedIf(0.5, 0.95)(latency_ms, 1, outcome = 'success') AS q FROM raw.attempts GROUP BY journey, platform, window_start) AS b \
                 ON b.journey = s.journey AND b.platform = s.platform AND b.window_start = s.window_start \
                 WHERE s.window_start >= toDateTime({since}, 'UTC')"
            )
        };
        let events = format!(
            "SELECT count() AS rows, countIf(s.valid != b.valid OR s.good != b.valid - b.bad) AS wrong FROM \
             (SELECT journey, objective, window_start, sum(e.valid) AS valid, sum(e.good) AS good FROM sli.slo_events AS e GROUP BY journey, objective, window_start) AS s \
             LEFT JOIN (SELECT journey, objective, toStartOfMinute(time) AS window_start, countIf(valid) AS valid, countIf(bad) AS bad FROM {raw} \
             GROUP BY journey, objective, window_start) AS b \
             ON b.journey = s.journey AND b.objective = s.objective AND b.window_start = s.window_start"
        );
        vec![
            ("slo_status", status),
            ("slo_burn", burn),
            ("slo_events", events),
            // The minutes of one day: those of all take longer than everything else.
            ("journeys", journeys("journeys", "toStartOfMinute(time)", until - DAY_S)),
            ("journeys_by_hour", journeys("journeys_by_hour", "toStartOfHour(time)", 0)),
            ("journeys_by_day", journeys("journeys_by_day", "toStartOfDay(time)", 0)),
        ]
    }
}

fn journey_cells(table: &str, window: &str, range: &str) -> String {
    // The layout of `schema::histogram`.
    let bucket = "if(latency_ms < 256, latency_ms, bitShiftLeft(bitShiftRight(latency_ms, w), w) + intDiv(bitShiftLeft(1, w) - 1, 2))";
    let reason = "if(outcome = 'success', '', if(outcome = 'failure', 'http 503', outcome))";
    let counters: Vec<_> = ["success", "failure", "timeout", "abandoned", "cancelled", "unknown"]
        .iter()
        .map(|outcome| format!("countIf(outcome = '{outcome}') AS {outcome}"))
        .collect();
    format!(
        "INSERT INTO sli.{table} (app, journey, platform, release, window_start, attempts, valid, success, failure, timeout, abandoned, cancelled, \
         unknown, reasons, latency, latency_sum) \
         WITH toUInt8(if(latency_ms < 256, 0, toUInt8(floor(log2(latency_ms))) - 7)) AS w \
         SELECT app, journey, platform, release, {window} AS window_start, count() AS attempts, countIf({VALID}) AS valid, {}, \
         sumMapIf(map({reason}, toUInt64(1)), outcome != 'success') AS reasons, \
         sumMapIf(map(toUInt32({bucket}), toUInt64(1)), outcome = 'success') AS latency, \
         sumIf(toUInt64(latency_ms) * 10000, outcome = 'success') AS latency_sum \
         FROM raw.attempts WHERE {range} GROUP BY app, journey, platform, release, window_start",
        counters.join(", ")
    )
}

fn objective_cells(table: &str, window: &str, range: &str) -> String {
    format!(
        "INSERT INTO sli.{table} (app, journey, objective, version, platform, window_start, valid, bad, observed, observed_bad, \
         attempts, unknown) \
         SELECT app, a.journey, objective, any(d.version) AS version, platform, {window} AS window_start, \
         countIf({VALID}) AS valid, countIf({VALID} AND (outcome != 'success' OR objective = 'fast' AND latency_ms > {FAST_MS})) AS bad, valid, bad, \
         count() AS attempts, countIf(outcome = 'unknown') AS unknown \
         FROM raw.attempts AS a INNER JOIN sli.objective_definitions AS d ON d.journey = a.journey \
         WHERE {range} GROUP BY app, a.journey, objective, platform, window_start"
    )
}

/// Thirty journeys with two objectives each.
fn definitions() -> anyhow::Result<DefinitionSet> {
    let mut files = vec![
        ("app.yaml".to_owned(), "app: shop\nkeys: [shop-key]\norigins: [\"*\"]\n".to_owned()),
        ("owner.yaml".to_owned(), "owner: team\n".to_owned()),
    ];
    for number in 0..JOURNEYS {
        let text = format!(
            "journey: j{number:02}\ntitle: Journey {number}\nowner: team\npromise: It works.\napps: [shop]\n\
             start: {{event: start}}\nsuccess: {{event: end}}\n\
             objectives: [{{name: works, target: 95%}}, {{name: fast, within: {FAST_MS}ms, target: 90%}}]\n"
        );
        files.push((format!("j{number:02}.yaml"), text));
    }
    Ok(schema::definition::load(&files, EngineSettings::default())?)
}

async fn number(clickhouse: &ClickHouse, sql: &str) -> anyhow::Result<u64> {
    clickhouse.query(sql).await?[0]["n"].as_u64().with_context(|| format!("no number: {sql}"))
}

/// What a query cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    rows: u64,
    bytes: u64,
    median: Duration,
}

/// Asks as the reader, over and over.
struct Timed {
    client: reqwest::Client,
    url: String,
    repeats: usize,
}

impl Timed {
    fn new(url: &str, repeats: usize) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { client, url: url.to_owned(), repeats: repeats.max(1) })
    }

    async fn cost(&self, user: &str, sql: &str, repeats: usize) -> anyhow::Result<Cost> {
        let mut times = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        for _ in 0..repeats {
            let started = Instant::now();
            let answer = self
                .client
                .post(&self.url)
                .query(&[("user", user), ("password", PASSWORD), ("wait_end_of_query", "1")])
                .body(format!("{sql} FORMAT Null"))
                .send()
                .await?
                .error_for_status()?;
            let summary =
                answer.headers().get("x-clickhouse-summary").context("no summary")?.to_str()?.to_owned();
            answer.bytes().await?;
            times.push(started.elapsed());
            let summary: Value = serde_json::from_str(&summary)?;
            let read = |name: &str| summary[name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
            (rows, bytes) = (read("read_rows"), read("read_bytes"));
        }
        times.sort_unstable();
        Ok(Cost { rows, bytes, median: times[times.len() / 2] })
    }
}

async fn report(history: &History, timed: &Timed) -> anyhow::Result<()> {
    let raw = format!(
        "SELECT journey, countIf({VALID}), countIf(outcome = 'success'), countIf(outcome = 'success' AND latency_ms <= {FAST_MS}) \
         FROM raw.attempts WHERE app = 'shop' AND time >= toDateTime({}, 'UTC') GROUP BY journey",
        history.until - WINDOW_DAYS * DAY_S
    );
    // At rest: a history that was made in minutes has parts that were not merged yet, in which more is read.
    for table in [
        "raw.attempts",
        "sli.journey_minutes",
        "sli.journey_hours",
        "sli.objective_minutes",
        "sli.objective_hours",
    ] {
        history.admin.execute(&format!("OPTIMIZE TABLE {table} FINAL")).await?;
    }
    let whole = timed.cost(ADMIN, &raw, 3).await?;
    println!("\n| what | rows read | of the raw | bytes read | of the raw | median |");
    println!("|---|---:|---:|---:|---:|---:|");
    println!("| raw attempts | {} | 1 | {} | 1 | {:.0} ms |", whole.rows, whole.bytes, ms(whole.median));
    // The last is what the other two are computed from, every ten seconds for everyone who asks.
    for view in ["slo_status", "slo_burn", "objective_counts_now"] {
        let cost = timed.cost(READER, &format!("SELECT * FROM sli.{view}"), timed.repeats).await?;
        println!(
            "| sli.{view} | {} | 1/{} | {} | 1/{} | {:.0} ms |",
            cost.rows,
            whole.rows / cost.rows.max(1),
            cost.bytes,
            whole.bytes / cost.bytes.max(1),
            ms(cost.median)
        );
    }
    let bytes_of = |database: &str| {
        format!(
            "SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND database = '{database}' AND table != 'batches'"
        )
    };
    let (raw_bytes, bytes) =
        (number(&history.admin, &bytes_of("raw")).await?, number(&history.admin, &bytes_of("sli")).await?);
    if raw_bytes == 0 {
        bail!("the raw attempts have no bytes");
    }
    println!(
        "\non disk: raw attempts {raw_bytes} bytes, tables {bytes}: {:.2} of them",
        bytes as f64 / raw_bytes as f64
    );
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_view_says_what_the_raw_attempts_say() {
        let stack = Stack::start(StackOptions::of(Parts::ClickHouse)).await.expect("ClickHouse starts");
        let is_equal = measure(&stack, &Args { attempts: 200_000, repeats: 1 }).await;
        stack.stop().await;
        assert!(matches!(is_equal, Ok(true)), "{is_equal:?}");
    }
}
