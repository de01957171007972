//! The same traffic through this pipeline and through what teams use instead, in one run, and what each costs an event.
//!
//! | way | ours | peers |
//! |---|---|---|
//! | client → log | `ingest` | the OpenTelemetry Collector to Kafka, and to ClickHouse, with the same bodies of OTLP |
//! | log → tables | `aggregator` with ClickHouse | ClickHouse's Kafka engine with materialized views, with the same events as JSON |
//! | tables → answer | the views of `sli` | t-digests by the minute, and raw events |
//!
//! Peers have a ClickHouse of their own, so that its CPU is theirs. They are measured one after the other, at the same rate
//! for the same time; what each process uses while idle is measured just before and told apart. A peer that cannot be built
//! or fails is left out with the reason. How the numbers are shown is [`report`]'s.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use deploy::cache;
use deploy::executable::Executables;
use deploy::launch::Launcher;
use deploy::progress::Progress;
use deploy::stack::{
    ADMIN, AGGREGATOR, CLICKHOUSE, GRACE_MS, INGEST, KAFKA, PARTITIONS, PASSWORD, Parts, Stack, StackOptions,
};
use deploy::topic::BEACONS;

use crate::cost::settled::{now_ms, settling_ms, written};
use crate::cost::{Cpu, Meter, disk};
use crate::drive;
use crate::observe::targets::Server;
use crate::observe::{Process, metrics::Metrics};
use crate::report::Verified;
use crate::report::machine::{self, Machine};
use crate::scenario::Profile;
use crate::schedule::{Arrivals, Traffic};
use crate::summary::{GENERATOR_WAS_THE_BOTTLENECK, Summary};
use crate::verify;

pub mod collector;
pub mod copy;
pub mod engine;
pub mod questions;
pub mod report;

use collector::{COLLECTOR, Collector, Exporter, Items};
use engine::{Engine, Fills};
use questions::{Answering, Tables};
use report::{Absent, Report, Row, VERSION, Way};

/// How long processes are watched while nothing is asked of them.
const IDLE_FOR: Duration = Duration::from_secs(8);
/// How long the last rows may take to be in the tables.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long beacons are tried again after the last sending.
const DRAIN: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 64;
/// Topics of peers, the databases of those that read them, and the database of the collector's own tables.
const TOPIC_MINUTES: &str = "peers.minutes";
const TOPIC_EVENTS: &str = "peers.events";
const TOPIC_OTLP: &str = "peers.otlp";
const DATABASE: &str = "peers";
const DATABASE_EVENTS: &str = "peers_events";
const DATABASE_OTLP: &str = "peers_otlp";

/// What is played.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Beacons a second.
    pub rate: f64,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// Seed of the traffic.
    pub seed: u64,
    /// Folder that keeps logs, data and ledgers; a temporary one if there is none.
    pub dir: Option<PathBuf>,
}

/// Everything that runs while peers are compared.
struct Place {
    stack: Arc<Stack>,
    /// The peers' ClickHouse.
    theirs: Arc<Stack>,
    launcher: Launcher,
    settings: Settings,
}

/// Compares.
///
/// # Errors
/// When our own pipeline does not start or cannot be measured. A peer that fails is no error: the report names it.
pub async fn run(settings: &Settings) -> anyhow::Result<Report> {
    let progress = Progress::detect();
    let program = collector::build(progress).await;
    let place = Place::start(settings.clone(), progress).await?;
    let mut report = place.empty_report().await?;
    place.ours(&mut report).await?;
    let filled = place.engines(&mut report).await;
    place.stack.stop_part(AGGREGATOR).await?;
    place.questions(&mut report, &filled).await?;
    place.ours_with_otlp(&mut report).await?;
    match program {
        Ok(program) => place.collectors(&mut report, &program).await,
        Err(error) => report.leave_out("OpenTelemetry Collector", &error),
    }
    place.stop().await;
    Ok(report)
}

impl Report {
    fn leave_out(&mut self, name: &str, error: &anyhow::Error) {
        eprintln!("{name} is left out: {error:#}");
        self.absent.push(Absent { name: name.to_owned(), reason: format!("{error:#}") });
    }
}

impl Place {
    async fn start(settings: Settings, progress: Progress) -> anyhow::Result<Self> {
        let options = StackOptions { dir: settings.dir.clone(), progress, ..StackOptions::default() };
        let stack = Arc::new(Stack::start(options).await?);
        let theirs_dir = settings.dir.as_ref().map(|dir| dir.join("peers"));
        let theirs = StackOptions { dir: theirs_dir, ..StackOptions::of(Parts::ClickHouse) };
        let theirs = Arc::new(Stack::start(theirs).await.context("starting the peers' ClickHouse")?);
        let launcher = tokio::task::spawn_blocking(move || Executables::locate()?.launcher(progress));
        let launcher = launcher.await.context("finding the launcher")??;
        Ok(Self { stack, theirs, launcher, settings })
    }

    async fn stop(self) {
        for stack in [self.theirs, self.stack] {
            if let Some(stack) = Arc::into_inner(stack) {
                stack.stop().await;
            }
        }
    }

    async fn empty_report(&self) -> anyhow::Result<Report> {
        let rows = self.stack.query("SELECT version() AS version").await?;
        let clickhouse = rows.first().and_then(|row| row["version"].as_str()).unwrap_or_default();
        Ok(Report {
            version: VERSION,
            command: machine::command(),
            machine: Machine::this(),
            versions: BTreeMap::from([
                ("loadtest".to_owned(), machine::program()),
                (CLICKHOUSE.to_owned(), clickhouse.to_owned()),
                // The folder in the cache has the version in its name.
                (KAFKA.to_owned(), cache::KAFKA.folder.trim_start_matches("kafka-").to_owned()),
            ]),
            traffic: self.traffic(Profile::Mixed),
            beacons: 0,
            events: 0,
            repeated_events: 0,
            verified: None,
            rows: Vec::new(),
            questions: Vec::new(),
            absent: Vec::new(),
        })
    }

    fn traffic(&self, profile: Profile) -> Traffic {
        let Settings { rate, seconds, seed, .. } = self.settings;
        Traffic { rate, seconds, seed, profile, arrivals: Arrivals::Poisson }
    }

    /// A process of our stack.
    fn part(&self, name: &'static str) -> Process {
        process_of(&self.stack, name)
    }

    fn their_clickhouse(&self) -> Process {
        process_of(&self.theirs, CLICKHOUSE)
    }

    async fn drive(&self, url: &str, profile: Profile, ledger: &str) -> anyhow::Result<Summary> {
        drive::run(drive::Settings {
            ingest: url.to_owned(),
            traffic: self.traffic(profile),
            ledger: self.stack.dir().join(format!("{ledger}.jsonl")),
            connections: CONNECTIONS,
            timeout: ANSWER_TIMEOUT,
            drain: DRAIN,
        })
        .await
    }

    /// The mixed traffic through ingest and aggregator, compared with its truth.
    async fn ours(&self, report: &mut Report) -> anyhow::Result<()> {
        eprintln!("measuring ingest and aggregator");
        let parts = || [INGEST, AGGREGATOR, KAFKA, CLICKHOUSE].map(|name| self.part(name)).to_vec();
        let before = self.ingested_events().await?;
        let idle = Meter::idle(parts(), IDLE_FOR).await?;
        let meter = Meter::start(parts())?;
        let summary = self.drive(self.stack.ingest_url(), Profile::Mixed, "mixed").await?;
        let sending = meter.read()?;
        let until_ms = now_ms() + settling_ms(GRACE_MS);
        written(&[self.stack.aggregator_url().to_owned()], until_ms, PATIENCE).await?;
        let whole = meter.read()?;
        report.beacons = summary.accepted;
        report.events = self.ingested_events().await?.saturating_sub(before);
        let server = Server::local(self.stack.clickhouse_url().to_owned());
        let verified = verify::verify(&verify::Settings {
            ledger: self.stack.dir().join("mixed.jsonl"),
            clickhouse: server.url,
            user: server.user,
            password: server.password,
            wait: PATIENCE,
            since_s: None,
        })
        .await?;
        verified.differences().for_each(|difference| eprintln!("{difference}"));
        report.verified = Some(Verified::from(&verified));
        let row = |way, name: &str, part: &str, store: &str, cpu: Cpu| Row {
            way,
            name: name.to_owned(),
            ours: true,
            events: report.events,
            part: part.to_owned(),
            store: store.to_owned(),
            cpu,
            idle: idle.clone(),
            bytes: None,
            latency_ms: None,
            lacks: String::new(),
            invalid: invalid(&summary),
        };
        let mut received = row(
            Way::Receive,
            "ingest → Kafka, mixed traffic: native, Faro, web-vitals",
            INGEST,
            KAFKA,
            sending,
        );
        received.bytes = Some(disk::topic_bytes(self.stack.dir(), BEACONS)?);
        received.latency_ms = Some((summary.latency_ms.p50, summary.latency_ms.p99));
        received.lacks =
            "not OTLP: beside the others for its own sake; the aggregator reads at the same time".to_owned();
        disk::merged(self.stack.clickhouse()?, "sli").await?;
        let mut counted = row(Way::Count, "aggregator → ClickHouse", AGGREGATOR, CLICKHOUSE, whole);
        counted.bytes = Some(disk::sum(&disk::tables(self.stack.clickhouse()?, "sli").await?));
        counted.lacks = "keeps no raw events, only samples of attempts; bytes grow with cells and minutes, not with events".to_owned();
        report.rows.extend([counted, received]);
        Ok(())
    }

    /// ClickHouse's Kafka engine, filling tables twice as rich and once; says which tables are there afterwards.
    async fn engines(&self, report: &mut Report) -> Vec<Tables> {
        let mut filled = Vec::new();
        let with_minutes = "ClickHouse's Kafka engine → raw events, and t-digests by the minute";
        match self.engine(report, with_minutes, Fills::EventsAndMinutes, DATABASE, TOPIC_MINUTES).await {
            Ok(()) => filled.extend([Tables::Minutes, Tables::Events]),
            Err(error) => report.leave_out(with_minutes, &error),
        }
        let events = "ClickHouse's Kafka engine → raw events";
        if let Err(error) = self.engine(report, events, Fills::Events, DATABASE_EVENTS, TOPIC_EVENTS).await {
            report.leave_out(events, &error);
        }
        filled
    }

    async fn engine(
        &self,
        report: &mut Report,
        name: &str,
        fills: Fills,
        database: &str,
        topic: &str,
    ) -> anyhow::Result<()> {
        eprintln!("measuring {name}");
        let clickhouse = self.theirs.clickhouse()?;
        let brokers = self.stack.kafka_brokers().to_owned();
        copy::create_topic(&brokers, topic, PARTITIONS).await?;
        let engine = Engine { clickhouse, database, fills };
        engine.create(&brokers, topic).await?;
        let parts = || vec![self.their_clickhouse(), self.part(KAFKA)];
        let idle = Meter::idle(parts(), IDLE_FOR).await?;
        let meter = Meter::start(parts())?;
        let (to, rate) = (topic.to_owned(), self.settings.rate);
        let copied = tokio::task::spawn_blocking(move || copy::copy(&brokers, BEACONS, &to, rate));
        let copied = copied.await.context("copying the log")??;
        let filled = engine.filled(copied.events, PATIENCE).await;
        let cpu = meter.read()?;
        engine.detach().await?;
        filled?;
        report.repeated_events = copied.repeated_events;
        disk::merged(clickhouse, database).await?;
        report.rows.push(Row {
            way: Way::Count,
            name: name.to_owned(),
            ours: false,
            events: copied.events,
            part: CLICKHOUSE.to_owned(),
            store: CLICKHOUSE.to_owned(),
            cpu,
            idle,
            bytes: Some(disk::sum(&disk::tables(clickhouse, database).await?)),
            latency_ms: None,
            lacks: match fills {
                Fills::EventsAndMinutes => {
                    "no attempts, outcomes or objectives; repeats count; late events change minutes silently; at least once"
                }
                Fills::Events => "answers nothing yet: see the questions; repeats count; at least once",
            }
            .to_owned(),
            invalid: None,
        });
        Ok(())
    }

    async fn questions(&self, report: &mut Report, filled: &[Tables]) -> anyhow::Result<()> {
        eprintln!("asking everyone's tables");
        let ours = Answering { url: self.stack.clickhouse_url().to_owned(), process: self.part(CLICKHOUSE) };
        let theirs =
            Answering { url: self.theirs.clickhouse_url().to_owned(), process: self.their_clickhouse() };
        report.questions = questions::ask_all(&ours, &theirs, filled).await?;
        Ok(())
    }

    /// Bodies of OTLP through ingest, while nobody reads the log: as the collector has it.
    async fn ours_with_otlp(&self, report: &mut Report) -> anyhow::Result<()> {
        eprintln!("measuring ingest with OTLP");
        let parts = || vec![self.part(INGEST), self.part(KAFKA)];
        let (events, bytes) = (self.ingested_events().await?, disk::topic_bytes(self.stack.dir(), BEACONS)?);
        let idle = Meter::idle(parts(), IDLE_FOR).await?;
        let meter = Meter::start(parts())?;
        let summary = self.drive(self.stack.ingest_url(), Profile::Otlp, "otlp-ingest").await?;
        let cpu = meter.read()?;
        if !summary.is_complete() {
            bail!("ingest accepted {} of {} requests of OTLP", summary.accepted, summary.sendings);
        }
        // What the peers' rows are divided by as well: the same bodies.
        let events = self.ingested_events().await? - events;
        report.rows.push(Row {
            way: Way::Receive,
            name: "ingest → Kafka".to_owned(),
            ours: true,
            events,
            part: INGEST.to_owned(),
            store: KAFKA.to_owned(),
            cpu,
            idle,
            bytes: Some(disk::topic_bytes(self.stack.dir(), BEACONS)?.saturating_sub(bytes)),
            latency_ms: Some((summary.latency_ms.p50, summary.latency_ms.p99)),
            lacks: "answers when Kafka has it; checks and cleans every event, and keeps no attribute that an app does not list"
                .to_owned(),
            invalid: invalid(&summary),
        });
        Ok(())
    }

    async fn collectors(&self, report: &mut Report, program: &std::path::Path) {
        let to_kafka = "OpenTelemetry Collector → Kafka";
        let brokers = self.stack.kafka_brokers().to_owned();
        let exporter = Exporter::Kafka { brokers: &brokers, topic: TOPIC_OTLP };
        let created = copy::create_topic(&brokers, TOPIC_OTLP, PARTITIONS).await;
        let measured = match created {
            Ok(()) => self.collector(report, program, to_kafka, exporter, self.part(KAFKA)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = measured {
            report.leave_out(to_kafka, &error);
        }
        let to_clickhouse = "OpenTelemetry Collector → ClickHouse (its tables of logs and traces)";
        let measured = match self.theirs.clickhouse_native_port() {
            Some(port) => {
                let exporter =
                    Exporter::ClickHouse { port, user: ADMIN, password: PASSWORD, database: DATABASE_OTLP };
                self.collector(report, program, to_clickhouse, exporter, self.their_clickhouse()).await
            }
            None => Err(anyhow::anyhow!("the peers' ClickHouse has no native port")),
        };
        if let Err(error) = measured {
            report.leave_out(to_clickhouse, &error);
        }
    }

    async fn collector(
        &self,
        report: &mut Report,
        program: &std::path::Path,
        name: &str,
        exporter: Exporter<'_>,
        store: Process,
    ) -> anyhow::Result<()> {
        eprintln!("measuring {name}");
        let events = report
            .rows
            .iter()
            .find(|row| row.way == Way::Receive && row.part == INGEST && row.lacks.starts_with("answers"));
        let events = events.context("ingest was not measured with the same bodies")?.events;
        let collector = Collector::start(program, &self.launcher, self.stack.dir(), exporter).await?;
        let store_name = store.name.clone();
        let parts = || vec![collector.process(), store.clone()];
        let idle = Meter::idle(parts(), IDLE_FOR).await?;
        let meter = Meter::start(parts())?;
        let ledger = format!("otlp-{store_name}");
        let summary = self.drive(collector.url(), Profile::Otlp, &ledger).await?;
        let Items { received, exported, failed } = collector.exported().await?;
        let cpu = meter.read()?;
        collector.stop().await;
        if failed > 0 || !summary.is_complete() {
            bail!(
                "it took {} of {} requests, and exported {exported} of {received} log records and spans",
                summary.accepted,
                summary.sendings
            );
        }
        let (bytes, lacks) = match exporter {
            Exporter::Kafka { topic, .. } => (
                disk::topic_bytes(self.stack.dir(), topic)?,
                "answers before Kafka has it: what is in its memory is lost with it; no write keys, no cleaning of identities",
            ),
            Exporter::ClickHouse { database, .. } => {
                let clickhouse = self.theirs.clickhouse()?;
                disk::merged(clickhouse, database).await?;
                (
                    disk::sum(&disk::tables(clickhouse, database).await?),
                    "no log to read again; answers before ClickHouse has it; repeats count; raw rows that answer nothing yet",
                )
            }
        };
        report.versions.insert(COLLECTOR.to_owned(), version(program).await);
        report.rows.push(Row {
            way: Way::Receive,
            name: name.to_owned(),
            ours: false,
            events,
            part: COLLECTOR.to_owned(),
            store: store_name,
            cpu,
            idle,
            bytes: Some(bytes),
            latency_ms: Some((summary.latency_ms.p50, summary.latency_ms.p99)),
            lacks: lacks.to_owned(),
            invalid: invalid(&summary),
        });
        Ok(())
    }

    /// Events that ingest has made durable since its start.
    async fn ingested_events(&self) -> anyhow::Result<u64> {
        let url = format!("{}/metrics", self.stack.ingest_admin_url());
        let client = reqwest::Client::builder().no_proxy().build()?;
        let text = client.get(url).send().await?.error_for_status()?.text().await?;
        Ok(Metrics::parse(&text).sum("ingest_events_total").round() as u64)
    }
}

fn process_of(stack: &Arc<Stack>, name: &'static str) -> Process {
    let stack = Arc::downgrade(stack);
    Process::asked(name, move || stack.upgrade()?.pid(name))
}

/// Why a run has no figures.
fn invalid(summary: &Summary) -> Option<String> {
    summary.generator_was_the_bottleneck.then(|| GENERATOR_WAS_THE_BOTTLENECK.to_owned())
}

/// What the collector says of itself, such as `0.165.0`.
async fn version(program: &std::path::Path) -> String {
    let output = tokio::process::Command::new(program).arg("--version").output().await;
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.split_whitespace().last().unwrap_or_default().to_owned()
}
