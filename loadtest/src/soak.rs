//! An hour of traffic at one rate, observed from outside, then compared with the ledger: does anything grow, fall
//! behind or get lost?
//!
//! A stack of its own forgets sessions after a twelfth of the run, instead of after a day as for native apps, and its
//! tables recognise as many repeated inserts as the aggregator demands, not several times as many: what the aggregator and
//! ClickHouse must remember then comes to its final size early, and memory that goes on growing is a leak rather than a
//! duty. A stack that runs already keeps its settings, and the growth of what it remembers is taken into account. What
//! the run is to show is [`crate::report::judge`]'s.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use deploy::executable::Executables;
use deploy::progress::Progress;
use deploy::stack::{DEFINITIONS_TOKEN, FLUSH_INTERVAL_MS, GRACE_MS, KAFKA, Stack, StackOptions};
use deploy::{cache, definitions, demo};
use schema::definition::EngineSettings;
use serde::Deserialize;

use crate::observe::targets::Server;
use crate::observe::{CLICKHOUSE, Observer, Targets};
use crate::report::{RunReport, Verified, judge};
use crate::schedule::Traffic;
use crate::summary::Summary;
use crate::verify::clickhouse::ClickHouse;
use crate::{drive, verify};

/// How long the truth may take to arrive after the last beacon, beyond what settling needs.
const VERIFY_PATIENCE: Duration = Duration::from_secs(420);
/// How long the definitions of an own stack may take to be active.
const DEFINITIONS_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);
/// A stack of its own remembers sessions for this share of the run.
const HORIZON_SHARE: f64 = 1.0 / 12.0;
/// The shortest time that they are remembered: retries and repetitions of a beacon come within it, ms.
const HORIZON_MS_MIN: i64 = 120_000;
/// The longest, ms: that of web apps.
const HORIZON_MS_MAX: i64 = 600_000;
/// Inserts that tables of a stack of its own recognise when they are repeated, in parts: a little more than the aggregator demands,
/// which reads them when the definitions are posted: (4 × 46 + 450) × 8 = 5,072, where late data reaches back over eight
/// partitions of a table by the day. An outage that is made up for would take more; there is none in a soak.
const WINDOW_DAILY: u64 = 5_200;
/// And over two of the other tables at most: (4 × 46 + 450) × 2 = 1,268.
const WINDOW: u64 = 1_300;

/// What is soaked, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is played.
    pub traffic: Traffic,
    /// Where.
    pub place: Place,
    /// File of the ledger; in the folder of the stack, or a temporary one, if there is none.
    pub ledger: Option<PathBuf>,
    /// Connections at most.
    pub connections: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long after the last sending beacons are still tried again.
    pub drain: Duration,
}

/// The stack that is soaked.
#[derive(Debug, Clone)]
pub enum Place {
    /// One that is brought up for it and ended afterwards, with its data in this folder or in a temporary one.
    Own(Option<PathBuf>),
    /// One that runs already.
    Existing {
        /// Base URL of ingest's public address.
        ingest: String,
        /// Where the truth is compared.
        clickhouse: Server,
        /// What is observed.
        targets: Box<Targets>,
    },
}

/// What came of it.
#[derive(Debug)]
pub struct Soaked {
    /// The whole report.
    pub report: RunReport,
    /// What was sent, for the table.
    pub summary: Summary,
    /// What was found, for the table.
    pub verified: verify::report::Report,
}

/// Soaks.
///
/// # Errors
/// When the stack does not start or the truth cannot be compared. What does not hold is no error: the report has it.
pub async fn run(settings: Settings) -> anyhow::Result<Soaked> {
    let Settings { traffic, place, ledger, .. } = &settings;
    match place {
        Place::Own(dir) => {
            let stack = Arc::new(start(dir.clone(), traffic.seconds).await?);
            eprintln!("soaking a stack in {}", stack.dir().display());
            let server = Server::local(stack.clickhouse_url().to_owned());
            let ledger = ledger.clone().unwrap_or_else(|| stack.dir().join("ledger.jsonl"));
            let targets = Targets::of_stack(&stack);
            let mut soaked = soak(&settings, stack.ingest_url(), &server, targets, &ledger).await?;
            // The folder in the cache has the version in its name.
            soaked.report.versions.insert(KAFKA.to_owned(), cache::KAFKA.folder.to_owned());
            if let Some(stack) = Arc::into_inner(stack) {
                stack.stop().await;
            }
            Ok(soaked)
        }
        Place::Existing { ingest, clickhouse, targets } => {
            let folder = tempfile::tempdir().context("making a folder for the ledger")?;
            let ledger = ledger.clone().unwrap_or_else(|| folder.path().join("ledger.jsonl"));
            soak(&settings, ingest, clickhouse, Targets::clone(targets), &ledger).await
        }
    }
}

async fn soak(
    settings: &Settings,
    ingest: &str,
    server: &Server,
    targets: Targets,
    ledger: &Path,
) -> anyhow::Result<Soaked> {
    let observer = Observer::start(targets)?;
    let summary = drive::run(drive::Settings {
        ingest: ingest.to_owned(),
        traffic: settings.traffic.clone(),
        ledger: ledger.to_owned(),
        connections: settings.connections,
        timeout: settings.timeout,
        drain: settings.drain,
    })
    .await?;
    let observation = observer.finish().await?;
    eprintln!("waiting until everything has settled");
    let verified = verify::verify(&verify::Settings {
        ledger: ledger.to_owned(),
        server: server.clone(),
        wait: VERIFY_PATIENCE,
        since_s: None,
    })
    .await?;
    let minutes = settings.traffic.seconds.div_ceil(60);
    let title = format!("Soak of {minutes} min at {} beacons/s", settings.traffic.rate);
    let mut report = RunReport::new(&title, &settings.traffic, &summary);
    report.samples = observation.samples;
    report.verified = Some(Verified::from(&verified));
    report.versions.insert(CLICKHOUSE.to_owned(), version(server).await?);
    report.claims = [judge::traffic(&report), judge::soak(&report)].concat();
    Ok(Soaked { report, summary, verified })
}

/// A whole stack that forgets sessions early.
async fn start(dir: Option<PathBuf>, seconds: u64) -> anyhow::Result<Stack> {
    let options = StackOptions { dir, progress: Progress::detect(), ..StackOptions::default() };
    let stack = Stack::start(options).await?;
    let executables =
        tokio::task::spawn_blocking(Executables::locate).await.context("finding the definitions")??;
    let set = definitions::load(&executables.folder("definitions"), engine(seconds))?;
    forget_inserts_early(stack.clickhouse()?).await?;
    let server = Server::local(stack.clickhouse_url().to_owned());
    let clickhouse = ClickHouse::new(&server.url, &server.user, &server.password)?;
    definitions::post(stack.aggregator_url(), DEFINITIONS_TOKEN, &set).await?;
    let active = tokio::time::timeout(DEFINITIONS_PATIENCE, async {
        // Before the first set is written there is none to read.
        while clickhouse.active_definitions().await.map_or(true, |active| active.id != set.id) {
            tokio::time::sleep(POLL).await;
        }
    });
    if active.await.is_err() {
        bail!("the definitions were not active after {} s", DEFINITIONS_PATIENCE.as_secs());
    }
    Ok(stack)
}

/// Lets tables recognise no more repeated inserts than they must.
async fn forget_inserts_early(clickhouse: &deploy::clickhouse::ClickHouse) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Table {
        name: String,
        daily: bool,
    }
    let tables = "SELECT name, toBool(startsWith(partition_key, 'toDate(')) AS daily FROM system.tables \
                  WHERE database = 'sli' AND engine_full LIKE '%non_replicated_deduplication_window%'";
    for Table { name, daily } in clickhouse.query_as(tables, &[]).await? {
        let window = if daily { WINDOW_DAILY } else { WINDOW };
        let alter =
            format!("ALTER TABLE sli.{name} MODIFY SETTING non_replicated_deduplication_window = {window}");
        clickhouse.execute(&alter).await?;
    }
    Ok(())
}

/// Settings of an own stack for a run of `seconds`.
fn engine(seconds: u64) -> EngineSettings {
    let share_ms = (seconds as f64 * 1_000.0 * HORIZON_SHARE) as i64;
    let horizon_ms = share_ms.clamp(HORIZON_MS_MIN, HORIZON_MS_MAX);
    EngineSettings {
        duplicate_horizon_web_ms: horizon_ms,
        duplicate_horizon_native_ms: horizon_ms,
        ..demo::settings(GRACE_MS, FLUSH_INTERVAL_MS)
    }
}

async fn version(server: &Server) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let clickhouse = ClickHouse::new(&server.url, &server.user, &server.password)?;
    let rows: Vec<Version> = clickhouse.rows("SELECT version() AS version").await?;
    Ok(rows.into_iter().next().map(|row| row.version).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_stack_remembers_for_a_twelfth_of_the_run() {
        let cases = [(30, 120_000), (1_440, 120_000), (3_600, 300_000), (7_200, 600_000), (86_400, 600_000)];
        for (seconds, expect_ms) in cases {
            let settings = engine(seconds);
            let horizons = (settings.duplicate_horizon_web_ms, settings.duplicate_horizon_native_ms);
            assert_eq!(horizons, (expect_ms, expect_ms), "{seconds}");
        }
    }
}
