//! What the aggregator costs, in CPU of its whole process, against a bare drain of the same log.
//!
//! `cargo run --release -p aggregator --example drain [BEACONS]` starts Kafka and ClickHouse, fills the log with
//! beacons of five events, and reads it in processes of their own: consuming alone, with decoding, with the
//! engine, and the aggregator itself, which writes to ClickHouse. Read the ratios: machines differ.

#![expect(clippy::print_stdout, reason = "prints its table")]

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use aggregator::clock;
use aggregator::config::KafkaConfig;
use aggregator::consumer::drain;
use aggregator::engine::{Engine, Resume};
use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use deploy::executable::Executables;
use deploy::progress::Progress;
use deploy::stack::{PASSWORD, Parts, Stack, StackOptions};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::definition::{
    App, AttemptKind, DefinitionSet, EngineSettings, Journey, Matcher, Objective, Restart, Rule, Unit,
};
use schema::record::{Record, encode_beacon, encode_definitions};
use schema::value::Value;

const BEACONS_DEFAULT: u64 = 400_000;
const EVENTS_A_BEACON: u64 = 5;
const BEACONS_A_SESSION: u64 = 10;
const PARTITIONS: i32 = 4;
const TOPIC: &str = "rum.beacons";
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(300);

/// Ways to read the log without writing, each in a process of its own.
const MODES: [&str; 3] = ["bare drain", "+ decoding", "+ engine"];

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    match (args.next(), args.next()) {
        (Some(mode), Some(brokers)) => read(&mode, &brokers),
        (beacons, _) => {
            let beacons = beacons.map_or(Ok(BEACONS_DEFAULT), |text| text.parse()).context("BEACONS")?;
            tokio::runtime::Runtime::new()?.block_on(measure(beacons))
        }
    }
}

/// The child's part: reads the whole log once.
fn read(mode: &str, brokers: &str) -> anyhow::Result<()> {
    let kafka = KafkaConfig {
        brokers: brokers.into(),
        topic: TOPIC.into(),
        group: "drain".into(),
        ..KafkaConfig::default()
    };
    let mut engines: Vec<_> =
        (0..PARTITIONS).map(|partition| Engine::new(TOPIC.into(), partition, Resume::default())).collect();
    let (mut bytes, mut rows) = (0, 0);
    let records = drain(&kafka, |partition, record| match mode {
        "bare drain" => bytes += record.payload.len(),
        "+ decoding" => {
            if let Ok(Record::Beacon(beacon)) = Record::decode(record.payload) {
                bytes += beacon.events.len();
            }
        }
        _ => {
            let batch = engines[partition as usize].record(record).batch;
            rows += batch.map_or(0, |batch| batch.journey_minutes.len());
        }
    })?;
    tracing::debug!(records, bytes, rows);
    Ok(())
}

async fn measure(beacons: u64) -> anyhow::Result<()> {
    let progress = Progress::detect();
    let stack =
        Stack::start(StackOptions { partitions: PARTITIONS, ..StackOptions::of(Parts::Stores) }).await?;
    let step = progress.step("filling the log");
    fill(stack.kafka_brokers(), beacons)?;
    step.done(format!("{beacons} beacons"));
    let program = {
        let executables = Executables::locate()?;
        executables.get(&["aggregator"], progress)?.remove(0)
    };
    let events = beacons * EVENTS_A_BEACON;
    let mut costs: Vec<(&str, Vec<Duration>)> = Vec::new();
    for mode in MODES {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let child = Command::new(std::env::current_exe()?).args([mode, stack.kafka_brokers()]).spawn()?;
            rounds.push(cost_of(child, async |_| Ok(())).await?);
        }
        costs.push((mode, rounds));
    }
    let child = start_aggregator(&program, &stack)?;
    let written = async |pid| wait_until_written(&stack, beacons, pid).await;
    costs.push(("the aggregator, writing", vec![cost_of(child, written).await?]));
    print(&costs, events);
    let query = "SELECT count() AS batches, sumMap(rows) AS rows FROM sli.batches";
    let rows = stack.query(query).await?;
    println!("written: {}", rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    stack.stop().await;
    Ok(())
}

/// CPU of a child process until it ends after `until`.
async fn cost_of(
    mut child: Child,
    until: impl AsyncFnOnce(Pid) -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let before = cpu_of_children()?;
    let pid = Pid::from_raw(child.id() as i32);
    until(pid).await?;
    let status = tokio::task::spawn_blocking(move || child.wait()).await??;
    if !status.success() {
        bail!("a child ended with {status}");
    }
    Ok(cpu_of_children()?.saturating_sub(before))
}

fn cpu_of_children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

fn start_aggregator(program: &Path, stack: &Stack) -> anyhow::Result<Child> {
    Ok(Command::new(program)
        .env("AGGREGATOR_ADMIN_LISTEN", "127.0.0.1:0")
        .env("AGGREGATOR_KAFKA__BROKERS", stack.kafka_brokers())
        .env("AGGREGATOR_CLICKHOUSE__URL", stack.clickhouse_url())
        .env("AGGREGATOR_CLICKHOUSE__PASSWORD", PASSWORD)
        .env("RUST_LOG", "warn")
        .spawn()?)
}

/// Waits until every beacon is in a batch, then stops the process.
async fn wait_until_written(stack: &Stack, beacons: u64, pid: Pid) -> anyhow::Result<()> {
    let deadline: Instant = clock::monotonic() + PATIENCE;
    loop {
        let rows = stack.query("SELECT sum(counted) AS counted FROM sli.batches").await?;
        let counted = rows.first().and_then(|row| row["counted"].as_u64()).unwrap_or(0);
        if counted >= beacons {
            kill(pid, Signal::SIGTERM)?;
            return Ok(());
        }
        if clock::monotonic() >= deadline {
            kill(pid, Signal::SIGKILL)?;
            bail!("{counted} of {beacons} beacons were written in {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn print(costs: &[(&str, Vec<Duration>)], events: u64) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["process", "CPU µs per event", "× bare drain", "events/s and core"]);
    let median = |rounds: &[Duration]| {
        let mut cpus: Vec<_> = rounds.to_vec();
        cpus.sort_unstable();
        cpus[cpus.len() / 2].as_secs_f64() * 1e6 / events as f64
    };
    let bare = costs.first().map_or(1.0, |(_, rounds)| median(rounds));
    for (name, rounds) in costs {
        let micros = median(rounds);
        table.add_row([
            (*name).to_owned(),
            format!("{micros:.3}"),
            format!("{:.2}", micros / bare),
            format!("{:.0}", 1e6 / micros),
        ]);
    }
    println!("{table}");
}

/// Definition sets on every partition, then the beacons.
fn fill(brokers: &str, beacons: u64) -> anyhow::Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "200000")
        .create()?;
    let definitions = encode_definitions(&definitions());
    for partition in 0..PARTITIONS {
        let record = BaseRecord::<(), _>::to(TOPIC).partition(partition).payload(&definitions);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(PATIENCE)?;
    let mut buffer = Vec::new();
    for number in 0..beacons {
        let session = format!("session-{}", number / BEACONS_A_SESSION);
        buffer = encode_beacon(&beacon(number, &session, clock::wall_ms()), buffer);
        loop {
            match producer.send(BaseRecord::to(TOPIC).key(&session).payload(&buffer)) {
                Ok(()) => break,
                Err((error, _))
                    if error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull) =>
                {
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(PATIENCE)?;
    Ok(())
}

fn beacon(number: u64, session: &str, now_ms: i64) -> Beacon<'_> {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let event =
        |name: &'static str, ago_ms, value: Option<u64>, attributes: &[(&'static str, String)]| Event {
            name: name.into(),
            time_ms: now_ms - ago_ms,
            time_method: TimeMethod::AsSent,
            time_correction_ms: 0,
            value: value.and_then(|value| Value::from_units(value).ok()),
            attributes: attributes.iter().map(|(key, value)| ((*key).into(), value.clone().into())).collect(),
        };
    let text = |text: &str| text.to_owned();
    let status = if spread.is_multiple_of(50) { "503" } else { "200" };
    Beacon {
        id: format!("b-{number}").into(),
        app: "studyapp-web".into(),
        environment: "production".into(),
        session: session.into(),
        sequence: Some(number % BEACONS_A_SESSION),
        release: "2026.11.3".into(),
        platform: "web".into(),
        os: "Windows 11".into(),
        browser: ["Chrome 156", "Firefox 146", "Safari 26"][(spread % 3) as usize].into(),
        device_class: "desktop".into(),
        country: ["DE", "AT", "CH", "FR"][(spread % 4) as usize].into(),
        connection: "4g".into(),
        segment: "grade-7".into(),
        received_at_ms: now_ms,
        sent_at_ms: Some(now_ms - 20),
        bot: false,
        weight: 1,
        events: vec![
            event("user.action", 1_500, None, &[("name", text("lecture.open"))]),
            event(
                "browser.navigation",
                1_200,
                Some(200 + spread % 900),
                &[("route", text("/lectures/:id")), ("type", text("navigate"))],
            ),
            event(
                "http.client",
                900,
                Some(20 + spread % 400),
                &[("method", text("GET")), ("route", text("/api/lectures/:id")), ("status", text(status))],
            ),
            event(
                "browser.web_vital",
                600,
                Some(1_000 + spread % 2_000),
                &[("name", text("LCP")), ("rating", text("good")), ("route", text("/lectures/:id"))],
            ),
            event("video.first_frame", 300 - (spread % 200) as i64, None, &[]),
        ],
        rejected: Vec::new(),
    }
}

/// One journey of several events and one of a single event; short periods, so that attempts settle in the run.
fn definitions() -> DefinitionSet {
    let settings = EngineSettings { flush_interval_ms: 1_000, grace_ms: 2_000, ..EngineSettings::default() };
    let app = App { name: "studyapp-web".into(), environments: vec!["production".into()], count_bots: false };
    let matcher = |event: &str| Matcher { event: event.into(), conditions: Vec::new() };
    let journey = |name: &str, start: Vec<Matcher>, success: &str| Journey {
        name: name.into(),
        title: name.into(),
        product: "high-school".into(),
        owner: "learning-team".into(),
        promise: "It works.".into(),
        apps: Vec::new(),
        platforms: Vec::new(),
        standard: false,
        attempt: if start.is_empty() { AttemptKind::Event } else { AttemptKind::Journey },
        start,
        steps: Vec::new(),
        success: vec![matcher(success)],
        failure: Vec::new(),
        cancel: Vec::new(),
        timeout_ms: 5_000,
        patience_ms: 5_000,
        restart: Restart::New,
        unit: Unit::Ms,
        revised_by: None,
        objectives: vec![Objective::new("works".into(), Rule::Works, Some(995_000), 28)],
        policy: "default".into(),
    };
    let journeys = vec![
        journey("watch-lecture", vec![matcher("user.action")], "video.first_frame"),
        journey("page-load", Vec::new(), "browser.navigation"),
        journey("http", Vec::new(), "http.client"),
        journey("lcp", Vec::new(), "browser.web_vital"),
    ];
    DefinitionSet::new(settings, vec![app], journeys)
}
