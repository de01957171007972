//! A ClickHouse with an active definition set, counts as the aggregator writes them, and `sli serve` on top.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deploy::clickhouse::ClickHouse;
use deploy::migration::refresh;
use deploy::stack::{ADMIN, PASSWORD, Parts, Stack, StackOptions, WRITER};
use schema::definition::{DefinitionSet, EngineSettings, Objective};
use schema::rows::{
    BatchRow, Counters, DefinitionRow, JourneyDefinitionRow, JourneyHour, JourneyMinute,
    ObjectiveDefinitionRow, ObjectiveTotal, ObjectiveWindow, PolicyDefinitionRow,
};
use serde::Serialize;
use serde_json::Value;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: u32 = 60;
const HOUR: u32 = 3_600;
/// Timeout of the journeys and grace, after which a minute is complete, s.
const SETTLED_AFTER_S: u32 = 60;

pub(crate) const APP: &str = "studyapp-web";

/// The definitions of the tests, a folder of files.
pub(crate) fn definitions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions")
}

/// Everything that a test needs.
pub(crate) struct Stand {
    stack: Stack,
    admin: ClickHouse,
    writer: ClickHouse,
    set: DefinitionSet,
    tokens: AtomicU64,
    /// A whole hour, two hours ago by ClickHouse's clock.
    pub(crate) base: u32,
}

/// Attempts of one minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts {
    pub(crate) journey: &'static str,
    pub(crate) objective: &'static str,
    pub(crate) minute: u32,
    pub(crate) valid: u64,
    pub(crate) bad: u64,
}

impl Stand {
    pub(crate) async fn start() -> Self {
        let stack = Stack::start(StackOptions::of(Parts::ClickHouse)).await.expect("ClickHouse starts");
        let client = |user| ClickHouse::new(stack.clickhouse_url(), user, PASSWORD).expect("a client");
        let (admin, writer) = (client(ADMIN), client(WRITER));
        let hour = admin.query("SELECT toUnixTimestamp(toStartOfHour(now())) - 7200 AS hour").await.unwrap();
        let base = hour[0]["hour"].as_u64().unwrap() as u32;
        let set = deploy::definitions::load(&definitions(), EngineSettings::default()).unwrap();
        let stand = Self { stack, admin, writer, set, tokens: AtomicU64::new(0), base };
        stand.activate(base).await;
        stand
    }

    async fn activate(&self, at: u32) {
        let at_ms = i64::from(at) * 1000;
        self.insert("journey_definitions", &JourneyDefinitionRow::all(&self.set, at_ms)).await;
        self.insert("objective_definitions", &ObjectiveDefinitionRow::all(&self.set, at_ms)).await;
        self.insert("policy_definitions", &PolicyDefinitionRow::all(&self.set, at_ms)).await;
        self.insert("definitions", &[DefinitionRow::new(&self.set, at_ms)]).await;
        refresh(&self.admin).await.unwrap();
    }

    pub(crate) fn objective(&self, journey: &str, objective: &str) -> &Objective {
        let journey = self.set.journeys.iter().find(|known| known.name == journey).unwrap();
        journey.objectives.iter().find(|known| known.name == objective).unwrap()
    }

    /// Writes what a batch would of these attempts.
    pub(crate) async fn count(&self, attempts: Attempts) {
        let Attempts { journey, objective, minute, valid, bad } = attempts;
        let version = self.objective(journey, objective).version.clone();
        let window = |window_start| ObjectiveWindow {
            app: APP.into(),
            journey: journey.into(),
            objective: objective.into(),
            version: version.clone(),
            platform: "web".into(),
            window_start,
            valid,
            bad,
            observed: valid,
            observed_bad: bad,
            attempts: valid,
            unknown: 0,
            sessions_hurt: bad,
        };
        let minute_start = self.base + minute * MINUTE;
        let hour_start = minute_start / HOUR * HOUR;
        self.insert("objective_minutes", &[window(minute_start)]).await;
        self.insert("objective_hours", &[window(hour_start)]).await;
        let total = ObjectiveTotal {
            app: APP.into(),
            journey: journey.into(),
            objective: objective.into(),
            version: version.clone(),
            platform: "web".into(),
            valid,
            bad,
        };
        self.insert("objective_totals", &[total]).await;
        let counters = Counters {
            attempts: valid,
            valid,
            success: valid - bad,
            failure: bad,
            sessions_hurt: bad,
            latency: [(801, valid - bad)].into(),
            reasons: [("http 503 /api/lectures/:id".to_owned(), bad)].into(),
            ..Counters::default()
        };
        let text = String::new;
        let minute_row = JourneyMinute {
            app: APP.into(),
            journey: journey.into(),
            route: text(),
            platform: "web".into(),
            release: "r1".into(),
            window_start: minute_start,
            counters: counters.clone(),
        };
        let hour_row = JourneyHour {
            app: APP.into(),
            journey: journey.into(),
            route: text(),
            platform: "web".into(),
            release: "r1".into(),
            os: text(),
            browser: text(),
            device_class: text(),
            country: text(),
            connection: text(),
            segment: text(),
            window_start: hour_start,
            counters,
        };
        self.insert("journey_minutes", &[minute_row]).await;
        self.insert("journey_hours", &[hour_row]).await;
        refresh(&self.admin).await.unwrap();
    }

    /// Lets the log come so far that everything before this minute is complete.
    pub(crate) async fn complete_until(&self, minute: u32) {
        let log_time_ms = i64::from(self.base + minute * MINUTE + SETTLED_AFTER_S) * 1000;
        let offset = log_time_ms;
        let row = BatchRow {
            topic: "rum.beacons".into(),
            partition: 0,
            generation: 0,
            first_offset: offset - 1,
            next_offset: offset,
            replay_from: 0,
            replay_log_time_ms: log_time_ms,
            replay_definition_set: self.set.id.clone(),
            log_time_ms,
            definition_set: self.set.id.clone(),
            engine_version: 1,
            records: 1,
            counted: 1,
            reasons: Default::default(),
            events: 1,
            event_reasons: Default::default(),
            rows: Default::default(),
            missing_offsets: 0,
        };
        self.insert("batches", &[row]).await;
        refresh(&self.admin).await.unwrap();
    }

    /// What expires is gone.
    pub(crate) async fn expire(&self) {
        for table in ["objective_minutes", "objective_hours", "journey_minutes", "journey_hours"] {
            self.admin.execute(&format!("TRUNCATE TABLE sli.{table}")).await.unwrap();
        }
    }

    /// Lets what objectives counted be of a while ago, and computes it no more.
    pub(crate) async fn stop_computing(&self) {
        for sql in [
            "SYSTEM STOP VIEW sli.objective_counts_refresh",
            "CREATE TABLE sli.before AS sli.objective_counts",
            "INSERT INTO sli.before SELECT * REPLACE (now() - 100 AS computed_at) FROM sli.objective_counts",
            "EXCHANGE TABLES sli.before AND sli.objective_counts",
        ] {
            self.admin.execute(sql).await.unwrap();
        }
    }

    /// What objectives counted is gone, as if it had never been computed.
    pub(crate) async fn forget_counts(&self) {
        self.admin.execute("TRUNCATE TABLE sli.objective_counts").await.unwrap();
    }

    pub(crate) async fn restart_clickhouse(&self) {
        self.stack.restart_part("clickhouse").await.unwrap();
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<Value> {
        self.admin.query(sql).await.unwrap()
    }

    async fn insert<T: Serialize>(&self, table: &str, rows: &[T]) {
        let lines: Vec<_> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        let sql = format!(
            "INSERT INTO sli.{table} SETTINGS async_insert = 0, insert_deduplication_token = '{token}' \
             FORMAT JSONEachRow\n{}\n",
            lines.join("\n")
        );
        self.writer.execute(&sql).await.unwrap();
    }

    /// The server's address.
    pub(crate) fn clickhouse_url(&self) -> &str {
        self.stack.clickhouse_url()
    }

    /// `sli serve` with these flags.
    pub(crate) fn serve(&self, flags: &[&str]) -> Serve {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sli"))
            .args(["serve", "--listen", "127.0.0.1:0", "--clickhouse-url", self.stack.clickhouse_url()])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = said.next().expect("a line").unwrap();
        let url = line.strip_prefix("serving ").unwrap_or_else(|| panic!("{line}")).to_owned();
        // What it says later belongs to the test's output, and must not fill the pipe.
        std::thread::spawn(move || said.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Serve { process: Process(child), url }
    }

    pub(crate) async fn stop(self) {
        self.stack.stop().await;
    }
}

/// A process that ends with its value.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already needs nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running `sli serve`.
pub(crate) struct Serve {
    #[expect(dead_code, reason = "ends with this value")]
    process: Process,
    pub(crate) url: String,
}

impl Serve {
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        get(&format!("{}{path}", self.url)).await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Value of a counter of `/metrics`.
    pub(crate) async fn counter(&self, name: &str, journey: &str, objective: &str) -> u64 {
        let (status, page) = self.get("/metrics").await;
        assert_eq!(status, 200, "{page}");
        let wanted = format!("journey=\"{journey}\",objective=\"{objective}\"");
        let line = page.lines().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(&wanted));
        let line = line.unwrap_or_else(|| panic!("no {name} of {journey} {objective} in\n{page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

pub(crate) async fn get(url: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits until `found` gives something.
pub(crate) async fn wait_for<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
