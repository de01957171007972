//! The tables and views on a real ClickHouse: rows as the aggregator writes them, numbers worked out by hand.
//!
//! What a row means for a beacon is checked by the pipeline's own tests; here rows are given.

use std::sync::atomic::{AtomicU64, Ordering};

use deploy::clickhouse::ClickHouse;
use deploy::migration::refresh;
use deploy::stack::{ADMIN, PASSWORD, Parts, READER, Stack, StackOptions, WRITER};
use schema::rows::{BATCH_TABLES, DEFINITION_TABLES};
use serde::Serialize;
use serde_json::{Value, json};

mod audit;
mod cookbook;
mod dashboards;
mod journeys;
mod objectives;
mod sessions;
mod status;
mod tables;

const MINUTE: u32 = 60;
const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;

/// Largest relative difference of two numbers that count as equal.
const TOLERANCE: f64 = 1e-9;

/// A ClickHouse of its own for one test.
struct Database {
    stack: Stack,
    admin: ClickHouse,
    writer: ClickHouse,
    reader: ClickHouse,
    tokens: AtomicU64,
}

impl Database {
    async fn start() -> Self {
        let stack = Stack::start(StackOptions::of(Parts::ClickHouse)).await.expect("ClickHouse starts");
        let client = |user| ClickHouse::new(stack.clickhouse_url(), user, PASSWORD).expect("a client");
        let (admin, writer, reader) = (client(ADMIN), client(WRITER), client(READER));
        Self { stack, admin, writer, reader, tokens: AtomicU64::new(0) }
    }

    async fn stop(self) {
        self.stack.stop().await;
    }

    /// Start of the hour two hours ago, by the server's clock: no row of a test is near its expiry.
    async fn recent_hour(&self) -> u32 {
        let rows = self.read("SELECT toUnixTimestamp(toStartOfHour(now())) - 7200 AS hour").await;
        rows[0]["hour"].as_u64().expect("a time") as u32
    }

    async fn insert<T: Serialize>(&self, table: &str, rows: &[T]) {
        let token = format!("token-{}", self.tokens.fetch_add(1, Ordering::Relaxed));
        self.insert_as(&token, table, rows).await;
    }

    async fn insert_as<T: Serialize>(&self, token: &str, table: &str, rows: &[T]) {
        self.writer.execute(&insert_statement(token, table, rows)).await.expect(table);
    }

    /// What a reader is told when everything is up to date.
    async fn read(&self, sql: &str) -> Vec<Value> {
        if ["sli.slo_status", "sli.slo_burn", "sli.objective_counts"].iter().any(|view| sql.contains(view)) {
            refresh(&self.admin).await.expect("a refresh");
        }
        self.reader.query(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    async fn merge(&self) {
        for table in tables() {
            self.admin.execute(&format!("OPTIMIZE TABLE sli.{table} FINAL")).await.expect(table);
        }
    }

    async fn clear(&self) {
        for table in tables() {
            self.admin.execute(&format!("TRUNCATE TABLE sli.{table}")).await.expect(table);
        }
    }

    /// Whether a query's rows are the expected ones, before and after ClickHouse merged its parts.
    async fn check(&self, sql: &str, expect: Value) {
        for merged in [false, true] {
            if merged {
                self.merge().await;
            }
            let found = Value::Array(self.read(sql).await);
            assert!(equal(&found, &expect), "{sql}, merged: {merged}\nfound  {found:#}\nexpect {expect:#}");
        }
    }
}

fn tables() -> impl Iterator<Item = &'static str> {
    BATCH_TABLES.into_iter().chain(DEFINITION_TABLES).chain(["batches"])
}

fn insert_statement<T: Serialize>(token: &str, table: &str, rows: &[T]) -> String {
    let rows: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).expect("JSON")).collect();
    format!(
        "INSERT INTO sli.{table} SETTINGS async_insert = 0, insert_deduplication_token = '{token}' \
         FORMAT JSONEachRow\n{}\n",
        rows.join("\n")
    )
}

/// Equality of JSON with a tolerance for numbers.
fn equal(found: &Value, expect: &Value) -> bool {
    match (found, expect) {
        (Value::Number(found), Value::Number(expect)) => match (found.as_f64(), expect.as_f64()) {
            (Some(found), Some(expect)) => (found - expect).abs() <= TOLERANCE * expect.abs().max(1.0),
            (None, _) | (_, None) => false,
        },
        (Value::Array(found), Value::Array(expect)) => {
            found.len() == expect.len()
                && found.iter().zip(expect).all(|(found, expect)| equal(found, expect))
        }
        (Value::Object(found), Value::Object(expect)) => {
            found.len() == expect.len()
                && expect.iter().all(|(key, value)| found.get(key).is_some_and(|found| equal(found, value)))
        }
        (found, expect) => found == expect,
    }
}

/// The rows of one definition set with the given journeys and objectives.
#[derive(Debug, Clone)]
struct Definitions {
    set_id: &'static str,
    activated_at: String,
    grace_ms: i64,
    journeys: Vec<Value>,
    objectives: Vec<Value>,
}

impl Definitions {
    fn new(set_id: &'static str, activated_at_s: u32) -> Self {
        let activated_at = format!("{activated_at_s}.000");
        Self { set_id, activated_at, grace_ms: 30_000, journeys: Vec::new(), objectives: Vec::new() }
    }

    fn journey(mut self, app: &str, journey: &str, unit: &str, timeout_ms: u64) -> Self {
        self.journeys.push(json!({
            "set_id": self.set_id, "activated_at": self.activated_at, "app": app, "journey": journey,
            "title": format!("Title of {journey}"), "promise": "It works.", "product": "shop", "owner": "team",
            "unit": unit, "attempt": "journey", "standard": app == "*", "timeout_ms": timeout_ms,
            "policy": "default",
        }));
        self
    }

    /// An objective `works` of version `v1`; `target` is `None` for an indicator.
    fn objective(mut self, app: &str, journey: &str, target: Option<f64>, window_days: u16) -> Self {
        let known = |row: &&Value| row["app"] == app && row["journey"] == journey;
        let mut row = self.journeys.iter().find(known).expect("the journey comes first").clone();
        for column in ["unit", "attempt", "standard"] {
            row.as_object_mut().expect("a row").remove(column);
        }
        row["objective"] = json!("works");
        row["version"] = json!("v1");
        row["target"] = json!(target);
        row["window_days"] = json!(window_days);
        row["description"] = json!("success");
        row["source"] = json!("Chosen: it is what we can");
        row["calendar"] = json!("");
        self.objectives.push(row);
        self
    }

    async fn insert(&self, database: &Database) {
        let numbers = |rows: &[Value], column: &str| -> Vec<u64> {
            rows.iter().filter_map(|row| row[column].as_u64()).collect()
        };
        let set = json!({
            "set_id": self.set_id, "activated_at": self.activated_at, "grace_ms": self.grace_ms,
            "timeout_ms_max": numbers(&self.journeys, "timeout_ms").into_iter().max(),
            "windows_days": numbers(&self.objectives, "window_days"), "content": "{}",
        });
        database.insert("journey_definitions", &self.journeys).await;
        database.insert("objective_definitions", &self.objectives).await;
        database.insert("definitions", &[set]).await;
    }
}
