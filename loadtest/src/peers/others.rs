//! The measurements of peers: what fails is the caller's to leave out.

use std::path::Path;

use anyhow::{Context, bail};
use deploy::stack::{ADMIN, CLICKHOUSE, KAFKA, PARTITIONS, PASSWORD};
use deploy::topic::BEACONS;

use super::collector::{COLLECTOR, Collector, Exporter, Items};
use super::engine::{Engine, Fills};
use super::place::Place;
use super::questions::{self, Answering, Tables};
use super::report::{Report, Row, Way};
use super::{IDLE_FOR, OURS_WITH_OTLP, PATIENCE, copy, invalid};
use crate::cost::{Meter, disk};
use crate::observe::Process;
use crate::scenario::Profile;

/// Topics of peers, the databases of those that read them, and the database of the collector's own tables.
const TOPIC_MINUTES: &str = "peers.minutes";
const TOPIC_EVENTS: &str = "peers.events";
const TOPIC_OTLP: &str = "peers.otlp";
const DATABASE: &str = "peers";
const DATABASE_EVENTS: &str = "peers_events";
const DATABASE_OTLP: &str = "peers_otlp";

impl Place {
    /// ClickHouse's Kafka engine, filling tables twice as rich and once; says which tables are there afterwards.
    pub(super) async fn engines(&self, report: &mut Report) -> Vec<Tables> {
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
        let idle = Meter::over(parts(), IDLE_FOR).await?;
        let meter = Meter::start(parts())?;
        let (to, rate) = (topic.to_owned(), self.settings.rate);
        let copied = tokio::task::spawn_blocking(move || copy::copy(&brokers, BEACONS, &to, rate));
        let copied = copied.await.context("copying the log")??;
        let filled = engine.filled(copied.events, PATIENCE).await;
        let cpu = meter.read()?;
        engine.detach().await?;
        filled?;
        report.repeated_events = copied.repeated_events;
        report.copy_bytes = Some(disk::topic_bytes(self.stack.dir(), topic)?);
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

    pub(super) async fn questions(&self, report: &mut Report, filled: &[Tables]) -> anyhow::Result<()> {
        eprintln!("asking everyone's tables");
        let ours = Answering { url: self.stack.clickhouse_url().to_owned(), process: self.part(CLICKHOUSE) };
        let theirs =
            Answering { url: self.theirs.clickhouse_url().to_owned(), process: self.their_clickhouse() };
        report.questions = questions::ask_all(&ours, &theirs, filled).await?;
        Ok(())
    }

    pub(super) async fn collectors(&self, report: &mut Report, program: &Path) {
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
        program: &Path,
        name: &str,
        exporter: Exporter<'_>,
        store: Process,
    ) -> anyhow::Result<()> {
        eprintln!("measuring {name}");
        let ours = report.rows.iter().find(|row| row.name == OURS_WITH_OTLP);
        let events = ours.context("ingest was not measured with the same bodies")?.events;
        let collector = Collector::start(program, &self.launcher, self.stack.dir(), exporter).await?;
        let store_name = store.name.clone();
        let parts = || vec![collector.process(), store.clone()];
        let idle = Meter::over(parts(), IDLE_FOR).await?;
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
}

/// What the collector says of itself, such as `0.165.0`.
async fn version(program: &Path) -> String {
    let output = tokio::process::Command::new(program).arg("--version").output().await;
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.split_whitespace().last().unwrap_or_default().to_owned()
}
