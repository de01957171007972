//! The OpenTelemetry Collector, built of pinned Go modules: `loadtest/peers/collector` has its few lines and its
//! configurations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use deploy::cache::Cache;
use deploy::executable::Executables;
use deploy::launch::Launcher;
use deploy::part::{OnChange, Part, PartCommand, StopBy};
use deploy::port::{Port, PortChoice};
use deploy::progress::Progress;
use tokio::time::Instant;

use crate::observe::Process;
use crate::observe::metrics::Metrics;

/// Name of its process.
pub const COLLECTOR: &str = "collector";
/// Folder of its module in the project.
const FOLDER: &str = "loadtest/peers/collector";
const POLL: Duration = Duration::from_millis(200);
/// How long it may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long what it has in memory may take to be exported.
const EXPORT_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(20);
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Where it sends to.
#[derive(Debug, Clone, Copy)]
pub enum Exporter<'a> {
    /// A topic of Kafka.
    Kafka {
        /// Bootstrap servers.
        brokers: &'a str,
        /// The topic, which must exist.
        topic: &'a str,
    },
    /// Tables of its own in ClickHouse.
    ClickHouse {
        /// Port of the native protocol on this machine.
        port: u16,
        /// User who may create the database.
        user: &'a str,
        /// The user's password.
        password: &'a str,
        /// The database.
        database: &'a str,
    },
}

/// Log records and spans by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Items {
    /// Answered with 200.
    pub received: u64,
    /// Taken by Kafka or ClickHouse.
    pub exported: u64,
    /// Given up.
    pub failed: u64,
}

/// A collector that runs. Dropping it ends its process.
#[derive(Debug)]
pub struct Collector {
    part: Arc<Part>,
    url: String,
    metrics_url: String,
    client: reqwest::Client,
    _ports: [Port; 2],
}

/// The collector's program, built first where its sources have changed; that takes minutes once.
///
/// # Errors
/// When Go or its modules are missing, or it does not build.
pub async fn build(progress: Progress) -> anyhow::Result<PathBuf> {
    let step = progress.long_step("building the OpenTelemetry Collector, which takes minutes once");
    let folder = tokio::task::spawn_blocking(|| {
        let sources = Executables::locate()?.folder(FOLDER);
        Cache::of_user()?.go_programs(&sources, &["."])
    });
    let program = folder.await.context("building the collector")??.join(COLLECTOR);
    step.done("it is there");
    Ok(program)
}

impl Collector {
    /// Starts one with its configuration and log in `dir`, and returns when it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(
        program: &Path,
        launcher: &Launcher,
        dir: &Path,
        exporter: Exporter<'_>,
    ) -> anyhow::Result<Self> {
        let port = Port::choose(PortChoice::Free, COLLECTOR, "")?;
        let metrics_port = Port::choose(PortChoice::Free, COLLECTOR, "")?;
        let (name, text) = configuration(exporter, port.number(), metrics_port.number());
        let config = dir.join(format!("{name}.yaml"));
        std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let command = PartCommand {
            program: program.to_owned(),
            args: vec!["--config".into(), format!("file:{}", config.display()).into()],
            env: Default::default(),
            dir: dir.to_owned(),
            log: dir.join("logs").join(format!("{name}.log")),
            stop_by: StopBy::Terminate,
        };
        let part =
            Part::new(COLLECTOR, command, launcher.clone(), Progress::Quiet, OnChange(Arc::new(|| {})))?;
        part.start()?;
        let collector = Self {
            part: Arc::new(part),
            url: format!("http://127.0.0.1:{}", port.number()),
            metrics_url: format!("http://127.0.0.1:{}/metrics", metrics_port.number()),
            client: reqwest::Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?,
            _ports: [port, metrics_port],
        };
        let begun = Instant::now();
        while collector.metrics().await.is_none() || !collector.listens().await {
            collector.part.check_running()?;
            if begun.elapsed() >= START_PATIENCE {
                return Err(collector.part.silent(START_PATIENCE, "it does not listen".to_owned()).into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(collector)
    }

    /// Base URL of OTLP over HTTP.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn process(&self) -> Process {
        let part = Arc::downgrade(&self.part);
        Process::asked(COLLECTOR, move || part.upgrade()?.pid())
    }

    /// Returns when it has exported, or given up, all that it has received.
    ///
    /// # Errors
    /// When it ends, or takes too long.
    pub async fn exported(&self) -> anyhow::Result<Items> {
        let begun = Instant::now();
        loop {
            self.part.check_running()?;
            let items = self.metrics().await.map(|metrics| Items::of(&metrics)).unwrap_or_default();
            if items.received > 0 && items.exported + items.failed >= items.received {
                return Ok(items);
            }
            if begun.elapsed() >= EXPORT_PATIENCE {
                bail!(
                    "the collector exported {} of {} items within {} s:\n{}",
                    items.exported,
                    items.received,
                    EXPORT_PATIENCE.as_secs(),
                    self.part.log_tail()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops it cleanly.
    pub async fn stop(self) {
        let part = Arc::clone(&self.part);
        // The thread only waits; that it panics is not possible.
        let _ = tokio::task::spawn_blocking(move || part.stop(STOP_PATIENCE)).await;
    }

    async fn listens(&self) -> bool {
        self.client.get(&self.url).send().await.is_ok()
    }

    async fn metrics(&self) -> Option<Metrics> {
        let answer = self.client.get(&self.metrics_url).send().await.ok()?;
        Some(Metrics::parse(&answer.error_for_status().ok()?.text().await.ok()?))
    }
}

impl Items {
    fn of(metrics: &Metrics) -> Self {
        let sum = |what: &str| {
            let of = |kind: &str| metrics.sum(&format!("otelcol_{what}_{kind}"));
            (of("log_records") + of("spans")).round() as u64
        };
        Self {
            received: sum("receiver_accepted"),
            exported: sum("exporter_sent"),
            failed: sum("exporter_send_failed") + sum("exporter_enqueue_failed"),
        }
    }
}

/// Name and text of the configuration.
fn configuration(exporter: Exporter<'_>, port: u16, metrics_port: u16) -> (&'static str, String) {
    let mut words = vec![("port", port.to_string()), ("metrics_port", metrics_port.to_string())];
    let (name, text) = match exporter {
        Exporter::Kafka { brokers, topic } => {
            words.extend([("brokers", brokers.to_owned()), ("topic", topic.to_owned())]);
            ("collector-kafka", include_str!("../../peers/collector/kafka.yaml"))
        }
        Exporter::ClickHouse { port, user, password, database } => {
            words.extend([
                ("clickhouse_port", port.to_string()),
                ("user", user.to_owned()),
                ("password", password.to_owned()),
                ("database", database.to_owned()),
            ]);
            ("collector-clickhouse", include_str!("../../peers/collector/clickhouse.yaml"))
        }
    };
    let text =
        words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(&format!("{{{word}}}"), value));
    (name, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_configuration_is_filled_in() {
        let exporters = [
            Exporter::Kafka { brokers: "127.0.0.1:9092", topic: "peers.otlp" },
            Exporter::ClickHouse { port: 9_000, user: "u", password: "p", database: "otel" },
        ];
        for exporter in exporters {
            let (name, text) = configuration(exporter, 4_318, 8_888);
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            for word in ["{port}", "{metrics_port}", "{brokers}", "{topic}", "{clickhouse_port}", "{user}"] {
                assert!(lines.clone().all(|line| !line.contains(word)), "{name} {word}: {text}");
            }
            assert!(text.contains("127.0.0.1:4318") && text.contains("port: 8888"), "{text}");
        }
    }

    #[test]
    fn log_records_and_spans_are_items() {
        let text = "otelcol_receiver_accepted_log_records{receiver=\"otlp\"} 5\n\
                    otelcol_receiver_accepted_spans{receiver=\"otlp\"} 2\notelcol_exporter_sent_spans{} 2\n\
                    otelcol_exporter_sent_log_records{} 4\notelcol_exporter_send_failed_log_records{} 1\n";
        assert_eq!(Items::of(&Metrics::parse(text)), Items { received: 7, exported: 6, failed: 1 });
    }
}
