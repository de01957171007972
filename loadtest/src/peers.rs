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
use std::time::Duration;

use deploy::cache;
use deploy::progress::Progress;
use deploy::stack::{AGGREGATOR, CLICKHOUSE, KAFKA};

use crate::report::machine::{self, Machine};
use crate::scenario::Profile;
use crate::summary::{GENERATOR_WAS_THE_BOTTLENECK, Summary};

pub mod collector;
pub mod copy;
pub mod engine;
mod others;
mod ours;
mod place;
pub mod questions;
pub mod report;

use place::Place;
use report::{Absent, Report, VERSION};

/// How long processes are watched while nothing is asked of them: twice as long as between two times that ClickHouse
/// computes what objectives counted.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// How long the last rows may take to be in the tables.
const PATIENCE: Duration = Duration::from_secs(180);
/// The row that collectors are compared with.
const OURS_WITH_OTLP: &str = "ingest → Kafka";

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

/// Compares.
///
/// # Errors
/// When our own pipeline does not start or cannot be measured. A peer that fails is no error: the report names it.
pub async fn run(settings: &Settings) -> anyhow::Result<Report> {
    let progress = Progress::detect();
    let program = collector::build(progress).await;
    let place = Place::start(settings.clone(), progress).await?;
    let mut report = empty(&place).await?;
    let mixed = place.ours(&mut report).await?;
    let filled = place.engines(&mut report).await;
    place.stack.stop_part(AGGREGATOR).await?;
    place.questions(&mut report, &filled).await?;
    place.ours_with_otlp(&mut report).await?;
    match program {
        Ok(program) => place.collectors(&mut report, &program).await,
        Err(error) => report.leave_out("OpenTelemetry Collector", &error),
    }
    report.rows.push(mixed);
    place.stop().await;
    Ok(report)
}

impl Report {
    fn leave_out(&mut self, name: &str, error: &anyhow::Error) {
        eprintln!("{name} is left out: {error:#}");
        self.absent.push(Absent { name: name.to_owned(), reason: format!("{error:#}") });
    }
}

/// A report of nothing yet.
async fn empty(place: &Place) -> anyhow::Result<Report> {
    let rows = place.stack.query("SELECT version() AS version").await?;
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
        traffic: place.traffic(Profile::Mixed),
        beacons: 0,
        events: 0,
        repeated_events: 0,
        log_bytes: 0,
        copy_bytes: None,
        verified: None,
        rows: Vec::new(),
        questions: Vec::new(),
        absent: Vec::new(),
    })
}

/// Why a run has no figures.
fn invalid(summary: &Summary) -> Option<String> {
    summary.generator_was_the_bottleneck.then(|| GENERATOR_WAS_THE_BOTTLENECK.to_owned())
}
