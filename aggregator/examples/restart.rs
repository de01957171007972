//! How long an aggregator takes from its start to its first new batch when sessions have been open for hours.
//!
//! `cargo run --release -p aggregator --example restart [BEACONS] [SESSIONS]` fills a log with beacons of sessions
//! that each hold an attempt open for four hours, so that a replay begins where the log does; four hours at 500
//! beacons a second are 7,200,000. It kills the aggregator when it has read the log, starts it again with its
//! snapshots, and once more after they were deleted.

#![expect(clippy::print_stdout, reason = "prints its table")]

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use aggregator::clock;
use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use deploy::executable::Executables;
use deploy::progress::Progress;
use deploy::stack::{PASSWORD, Parts, Stack, StackOptions};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::definition::{EngineSettings, load};
use schema::record::{encode_beacon, encode_definitions};
use schema::value::Value;

const BEACONS_DEFAULT: u64 = 7_200_000;
const SESSIONS_DEFAULT: u64 = 50_000;
const PARTITIONS: i32 = 4;
const TOPIC: &str = "rum.beacons";
const SNAPSHOTS_TOPIC: &str = "rum.snapshots";
const PATIENCE: Duration = Duration::from_secs(1_200);

const APP: &str = "app: studyapp-web\nkeys: [k]\n";
const EXAM: &str = r#"
journey: take-exam
owner: learning-team
promise: A learner who begins an exam can hand it in.
start: {event: user.action, where: {name: exam.begin}}
success: {event: user.action, where: {name: exam.hand-in}}
timeout: 4h
objectives: [{name: works, target: 99%}]
"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let beacons = args.next().unwrap_or(Ok(BEACONS_DEFAULT)).context("BEACONS")?;
    let sessions = args.next().unwrap_or(Ok(SESSIONS_DEFAULT)).context("SESSIONS")?;
    let progress = Progress::detect();
    let program = Executables::locate()?.get(&["aggregator"], progress)?.remove(0);
    let stack =
        Stack::start(StackOptions { partitions: PARTITIONS, ..StackOptions::of(Parts::Stores) }).await?;
    let step = progress.step("filling the log");
    let log = Log::open(stack.kafka_brokers(), sessions)?;
    log.append(0..beacons)?;
    step.done(format!("{beacons} beacons of {sessions} sessions"));

    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["start", "seconds to the first new batch", "records replayed"]);
    let mut end = beacons;
    for start in ["fresh: the whole log", "with snapshots", "every snapshot deleted"] {
        if start == "every snapshot deleted" {
            delete_snapshots(stack.kafka_brokers()).await?;
        }
        let before = counted(&stack).await?;
        let (distance, began) = (replay_distance(&stack).await?, clock::monotonic());
        let mut aggregator = start_aggregator(&program, &stack)?;
        let first = wait_for(&stack, before + 1).await?.duration_since(began);
        wait_for(&stack, end).await?;
        table.add_row([start.to_owned(), format!("{:.1}", first.as_secs_f64()), distance.to_string()]);
        aggregator.kill()?;
        aggregator.wait()?;
        // Something new for the next start.
        log.append(end..end + sessions)?;
        end += sessions;
    }
    println!(
        "{table}\n\"records replayed\" is the distance from replay_from to next_offset: what a start without snapshot reads."
    );
    stack.stop().await;
    Ok(())
}

fn start_aggregator(program: &Path, stack: &Stack) -> anyhow::Result<Child> {
    Ok(Command::new(program)
        .env("AGGREGATOR_ADMIN_LISTEN", "127.0.0.1:0")
        .env("AGGREGATOR_KAFKA__BROKERS", stack.kafka_brokers())
        .env("AGGREGATOR_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "6000")
        .env("AGGREGATOR_CLICKHOUSE__URL", stack.clickhouse_url())
        .env("AGGREGATOR_CLICKHOUSE__PASSWORD", PASSWORD)
        .spawn()?)
}

/// Beacons that batches hold.
async fn counted(stack: &Stack) -> anyhow::Result<u64> {
    number(stack, "SELECT sum(counted) AS n FROM sli.batches").await
}

/// Records that a start without snapshot would read again, of all partitions.
async fn replay_distance(stack: &Stack) -> anyhow::Result<u64> {
    let query = "SELECT sum(distance) AS n FROM (SELECT argMax(next_offset - replay_from, next_offset) AS distance \
                 FROM sli.batches GROUP BY topic, partition)";
    number(stack, query).await
}

async fn number(stack: &Stack, query: &str) -> anyhow::Result<u64> {
    let rows = stack.query(query).await?;
    let value = rows.first().map(|row| &row["n"]);
    let parsed = value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    Ok(parsed.unwrap_or(0))
}

async fn wait_for(stack: &Stack, beacons: u64) -> anyhow::Result<Instant> {
    let deadline = clock::monotonic() + PATIENCE;
    loop {
        let counted = counted(stack).await?;
        let now = clock::monotonic();
        if counted >= beacons {
            return Ok(now);
        }
        if now >= deadline {
            bail!("{counted} of {beacons} beacons were counted in {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn delete_snapshots(brokers: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(SNAPSHOTS_TOPIC, partition, Offset::End)?;
    }
    let deleted = admin.delete_records(&all, &AdminOptions::new()).await?;
    deleted.elements().iter().try_for_each(|partition| partition.error())?;
    Ok(())
}

/// The log, and the sessions that write to it.
struct Log {
    producer: ThreadedProducer<DefaultProducerContext>,
    sessions: u64,
}

impl Log {
    /// Writes the definition set to every partition.
    fn open(brokers: &str, sessions: u64) -> anyhow::Result<Self> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "200000")
            .create()?;
        let files = [("apps/web.yaml", APP), ("journeys/take-exam.yaml", EXAM)];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let definitions = encode_definitions(&load(&files, EngineSettings::default())?);
        for partition in 0..PARTITIONS {
            let record = BaseRecord::<(), _>::to(TOPIC).partition(partition).payload(&definitions);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(PATIENCE)?;
        Ok(Self { producer, sessions })
    }

    fn append(&self, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
        let mut buffer = Vec::new();
        for number in numbers {
            let session = format!("exam-{:08}", number % self.sessions);
            let begins = number < self.sessions;
            buffer = encode_beacon(&beacon(number, &session, begins, clock::wall_ms()), buffer);
            loop {
                match self.producer.send(BaseRecord::to(TOPIC).key(&session).payload(&buffer)) {
                    Ok(()) => break,
                    Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                        self.producer.poll(Duration::from_millis(10));
                    }
                    Err((error, _)) => return Err(error.into()),
                }
            }
        }
        self.producer.flush(PATIENCE)?;
        Ok(())
    }
}

fn beacon(number: u64, session: &str, begins: bool, now_ms: i64) -> Beacon<'_> {
    let action = if begins { "exam.begin" } else { "exam.answer" };
    let event = |name: &'static str, value, attributes: &[(&'static str, &'static str)]| Event {
        name: name.into(),
        time_ms: now_ms,
        time_method: TimeMethod::AsSent,
        time_correction_ms: 0,
        value: Value::from_units(value).ok(),
        attributes: attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    };
    let call = [("method", "POST"), ("route", "/api/exams/:id/answers"), ("status", "200")];
    Beacon {
        id: format!("b-{number}").into(),
        app: "studyapp-web".into(),
        environment: "production".into(),
        session: session.into(),
        sequence: None,
        release: "2026.11.3".into(),
        platform: "web".into(),
        os: "Windows".into(),
        browser: "Chrome".into(),
        device_class: "desktop".into(),
        country: "JP".into(),
        connection: "4g".into(),
        segment: "jhs1".into(),
        received_at_ms: now_ms,
        sent_at_ms: Some(now_ms),
        bot: false,
        weight: 1,
        events: vec![
            event("user.action", 0, &[("name", action)]),
            event("http.client", 20 + number % 400, &call),
        ],
        rejected: Vec::new(),
    }
}
