//! What the engine remembers costs: bytes an open attempt with a million of them open, and whether a week of log
//! time leaves anything behind.
//!
//! `cargo run --release -p aggregator --example memory [ATTEMPTS]` needs no servers. The bytes are what the process
//! grew by, so they include tables, queues and the allocator's losses; the engine's own sum stands beside them.

#![expect(clippy::print_stdout, reason = "prints its tables")]

use aggregator::engine::{Engine, LogRecord, Resume};
use anyhow::Context;
use comfy_table::{Table, presets};
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::definition::{EngineSettings, load};
use schema::record::{encode_beacon, encode_definitions, encode_tick};
use schema::value::Value;

const ATTEMPTS_DEFAULT: u64 = 1_000_000;
/// Attempts that begin in a second of the simulated week.
const ATTEMPTS_A_SECOND: u64 = 5;
const DAY_S: i64 = 86_400;
const T0: i64 = 1_795_400_000_000;

const FILES: [(&str, &str); 2] =
    [("apps/web.yaml", "app: studyapp-web\nkeys: [k]\n"), ("journeys/watch-lecture.yaml", WATCH)];

const WATCH: &str = r#"
journey: watch-lecture
owner: learning-team
promise: A learner who opens a lecture sees it play within two seconds.
start: {event: user.action, where: {name: lecture.open}}
steps:
  - {name: page, done: {event: browser.navigation, where: {route: "/lectures/:id"}}}
  - {name: video, done: {event: video.first_frame}}
success: {event: video.first_frame}
failure: {event: exception, where: {fatal: true}}
timeout: 10m
objectives: [{name: works, target: 99%}]
"#;

fn main() -> anyhow::Result<()> {
    let attempts = std::env::args().nth(1).map_or(Ok(ATTEMPTS_DEFAULT), |text| text.parse());
    week()?;
    open_attempts(attempts.context("ATTEMPTS")?)
}

/// One attempt of each session stays open, all within the same second of log time.
fn open_attempts(attempts: u64) -> anyhow::Result<()> {
    let mut log = Log::new()?;
    log.watch(u64::MAX, T0);
    let before_bytes = resident_bytes()?;
    for attempt in 0..attempts {
        log.watch(attempt, T0 + 1_000);
    }
    let (gauges, grown_bytes) = (log.engine.gauges(), resident_bytes()?.saturating_sub(before_bytes));
    let open = gauges.open_attempts as u64;
    println!("{open} open attempts, each in a session of its own, each of five events:");
    println!("  {} bytes an open attempt, as the process grew", grown_bytes / open);
    println!("  {} bytes of them are sessions at rest", gauges.state_bytes as u64 / open);
    Ok(())
}

/// A week of sessions that come and go.
fn week() -> anyhow::Result<()> {
    let mut log = Log::new()?;
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["after day", "sessions", "open attempts", "state kB", "process MB"]);
    for second in 0..7 * DAY_S {
        let now_ms = T0 + second * 1_000;
        for number in 0..ATTEMPTS_A_SECOND {
            log.watch(second as u64 * ATTEMPTS_A_SECOND + number, now_ms);
        }
        log.tick(now_ms);
        if (second + 1) % DAY_S == 0 {
            let gauges = log.engine.gauges();
            table.add_row([
                ((second + 1) / DAY_S).to_string(),
                gauges.sessions.to_string(),
                gauges.open_attempts.to_string(),
                (gauges.state_bytes / 1_000).to_string(),
                (resident_bytes()? / 1_000_000).to_string(),
            ]);
        }
    }
    println!("a week of log time, {ATTEMPTS_A_SECOND} attempts a second:\n{table}\n");
    Ok(())
}

/// An engine and where its log has got to.
struct Log {
    engine: Engine,
    next_offset: i64,
}

impl Log {
    fn new() -> anyhow::Result<Self> {
        let files = FILES.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let set = load(&files, EngineSettings::default())?;
        let mut log = Self { engine: Engine::new("memory".into(), 0, Resume::default()), next_offset: 0 };
        log.append(T0, "", &encode_definitions(&set));
        Ok(log)
    }

    fn append(&mut self, append_ms: i64, key: &str, payload: &[u8]) {
        let record = LogRecord { offset: self.next_offset, append_ms, key: key.as_bytes(), payload };
        self.engine.record(record);
        self.next_offset += 1;
    }

    fn tick(&mut self, append_ms: i64) {
        self.append(append_ms, "", &encode_tick());
    }

    /// A session that opens a lecture, sees its page and waits for the video.
    fn watch(&mut self, number: u64, append_ms: i64) {
        let session = format!("{:08x}-5c1f-4b7e-9d2a-{:012x}", number as u32, number);
        let event = |name: &'static str, after_ms: i64, attributes: &[(&'static str, &'static str)]| Event {
            name: name.into(),
            time_ms: append_ms - 900 + after_ms,
            time_method: TimeMethod::AsSent,
            time_correction_ms: 0,
            value: Value::from_units(120).ok(),
            attributes: attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        let call = [("method", "GET"), ("route", "/api/lectures/:id"), ("status", "200")];
        let beacon = Beacon {
            id: format!("{session}-1").into(),
            app: "studyapp-web".into(),
            environment: "production".into(),
            session: session.as_str().into(),
            sequence: Some(1),
            release: "2026.11.3".into(),
            platform: "web".into(),
            os: "Windows".into(),
            browser: "Chrome".into(),
            device_class: "desktop".into(),
            country: "JP".into(),
            connection: "4g".into(),
            segment: "jhs1".into(),
            received_at_ms: append_ms,
            sent_at_ms: Some(append_ms),
            bot: false,
            weight: 1,
            events: vec![
                event("user.action", 0, &[("name", "lecture.open")]),
                event("browser.navigation", 200, &[("id", "n1"), ("route", "/lectures/:id")]),
                event("http.client", 300, &call),
                event("http.client", 400, &call),
                event("video.buffering", 500, &[]),
            ],
            rejected: Vec::new(),
        };
        self.append(append_ms, &session, &encode_beacon(&beacon, Vec::new()));
    }
}

/// Memory of this process that is in use.
fn resident_bytes() -> anyhow::Result<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").context("/proc/self/statm")?;
    let resident = pages.split_whitespace().nth(1).context("/proc/self/statm has no second number")?;
    Ok(resident.parse::<u64>()? * 4_096)
}
