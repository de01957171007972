//! The demo: a minute of traffic by `loadtest`, and what it became in ClickHouse.
//!
//! The numbers are read from the same views that an analyst reads; nothing here computes a service level.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use schema::definition::EngineSettings;
use serde_json::Value;

use crate::error::StackError;
use crate::executable::Executables;
use crate::launch::Launcher;
use crate::migration;
use crate::progress::Progress;
use crate::stack::{AGGREGATOR, INGEST, PASSWORD, READER, Stack};

mod table;

/// Name of the program that sends traffic.
const LOADTEST: &str = "loadtest";
/// Seed of the traffic: everyone sees the same users.
const SEED: u64 = 1;
/// How long settling may take after the last beacon, beyond what definitions ask for.
const SETTLE_PATIENCE: Duration = Duration::from_secs(240);
/// How much longer to wait, when everything has settled, for the minute of the last beacon to be whole.
const WHOLE_MINUTE_PATIENCE_S: i64 = 20;
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(500);
/// In the local stack a partition without rows moves on after so many flush intervals, so that the demo does
/// not wait for quiet partitions.
const IDLE_FLUSH_INTERVALS: i64 = 2;

/// Good attempts of a journey and batch that can be looked at one by one: here traffic is little, and people look.
const SAMPLES_GOOD_MAX: usize = 20;

/// Settings of the local stack's definition set.
pub fn settings(grace_ms: i64, flush_interval_ms: i64) -> EngineSettings {
    EngineSettings {
        grace_ms,
        flush_interval_ms,
        samples_good_max: SAMPLES_GOOD_MAX,
        idle_flush_intervals: IDLE_FLUSH_INTERVALS,
        ..EngineSettings::default()
    }
}

/// The executables that a demo needs.
#[derive(Debug, Clone)]
pub struct Programs {
    loadtest: PathBuf,
    launcher: Launcher,
}

/// Builds the executables of the stack and of the traffic at once.
///
/// # Errors
/// When they don't build or are not there.
pub async fn programs(progress: Progress) -> Result<Programs, StackError> {
    let found = tokio::task::spawn_blocking(move || {
        let executables = Executables::locate()?;
        let mut paths = executables.get(&[INGEST, AGGREGATOR, LOADTEST], progress)?;
        let loadtest = paths.pop().ok_or_else(|| StackError::NoSuchPart(LOADTEST.into()))?;
        Ok(Programs { loadtest, launcher: executables.launcher(progress)? })
    });
    found.await.unwrap_or_else(|error| Err(StackError::Settings(error.to_string())))
}

/// What traffic is sent.
#[derive(Debug, Clone, Copy)]
pub struct Demo {
    /// How long.
    pub seconds: u32,
    /// Beacons a second.
    pub rate: u32,
}

impl Demo {
    /// Sends the traffic, waits until its numbers are complete and gives the text to print.
    ///
    /// # Errors
    /// When the traffic can't be sent or ClickHouse refuses a query.
    pub async fn run(
        self,
        stack: &Stack,
        programs: &Programs,
        progress: Progress,
    ) -> Result<String, StackError> {
        progress.note(format_args!(
            "sending {} beacons/s of web and native traffic for {} s to {}",
            self.rate,
            self.seconds,
            stack.ingest_url()
        ));
        self.send_traffic(stack, programs).await?;
        wait_until_complete(stack, progress).await?;
        let clickhouse = stack.clickhouse()?;
        migration::refresh(clickhouse).await?;
        let rows = clickhouse.query(table::JOURNEYS).await?;
        let states = clickhouse.query(table::STATES).await?;
        Ok(format!("{}\n\n{}", table::render(&rows, &states), how_to_query(stack)))
    }

    async fn send_traffic(self, stack: &Stack, programs: &Programs) -> Result<(), StackError> {
        let ledger = stack.dir().join("ledger.json");
        let mut command: Command = programs.launcher.command(&programs.loadtest);
        command
            .args(["run", "--profile", "mixed", "--ingest", stack.ingest_url()])
            .args(["--rate", &self.rate.to_string()])
            .args(["--seconds", &self.seconds.to_string(), "--seed", &SEED.to_string(), "--ledger"])
            .arg(&ledger)
            .stdin(Stdio::null())
            // Its report is progress here, and standard output is for the result.
            .stdout(std::io::stderr());
        let loadtest = programs.loadtest.clone();
        let ended = tokio::task::spawn_blocking(move || command.status()).await;
        let status = match ended {
            Ok(status) => status.map_err(StackError::io("run", &loadtest))?,
            Err(error) => return Err(StackError::Settings(error.to_string())),
        };
        if status.success() {
            return Ok(());
        }
        Err(StackError::ToolFailed {
            what: "sending traffic".into(),
            status: status.to_string(),
            way_out: format!("look at {}", stack.log_of(INGEST).display()),
            output: String::new(),
        })
    }
}

/// Waits until every journey is complete up to now, or everything has settled and the status, which ends at a
/// whole minute, holds most of the traffic.
async fn wait_until_complete(stack: &Stack, progress: Progress) -> Result<(), StackError> {
    let clickhouse = stack.clickhouse()?;
    let now =
        first(&clickhouse.query("SELECT toUnixTimestamp(now()) AS now").await?, "now").unwrap_or_default();
    let question = format!(
        "SELECT min(ifNull(toInt64(complete_until), 0)) - {now} AS ahead_s, \
         min(ifNull(toInt64(log_time), 0)) - {now} AS log_s, \
         intDiv((SELECT max(timeout_ms) FROM sli.active_journeys) + 2 * (SELECT grace_ms FROM sli.progress), 1000) \
         AS settled_s FROM sli.freshness"
    );
    let step = progress.step("waiting until every attempt has settled");
    let complete = tokio::time::timeout(SETTLE_PATIENCE, async {
        loop {
            let rows = clickhouse.query(&question).await?;
            let enough_s = first(&rows, "settled_s").map(|settled_s| settled_s + WHOLE_MINUTE_PATIENCE_S);
            match (first(&rows, "ahead_s"), first(&rows, "log_s")) {
                (Some(ahead_s), _) if ahead_s > 0 => return Ok(()),
                (_, Some(log_s)) if enough_s.is_some_and(|enough_s| log_s >= enough_s) => return Ok(()),
                (_, Some(log_s)) if log_s > -3_600 => {
                    step.detail(format_args!("the log is {log_s} s past the last beacon"));
                }
                _ => step.detail("nothing was counted yet"),
            }
            tokio::time::sleep(POLL).await;
        }
    })
    .await;
    match complete {
        Ok(Ok(())) => step.done("complete"),
        Ok(Err(error)) => return Err(error),
        Err(_) => step.done(format_args!(
            "not complete after {} s; what follows is what was counted by now, see {}",
            SETTLE_PATIENCE.as_secs(),
            stack.log_of(AGGREGATOR).display()
        )),
    }
    Ok(())
}

fn first(rows: &[Value], column: &str) -> Option<i64> {
    rows.first()?.get(column)?.as_i64()
}

/// Two ways to go on from the table.
fn how_to_query(stack: &Stack) -> String {
    let url = stack.clickhouse_url();
    let dir: &Path = stack.dir();
    format!(
        "Query it: curl '{url}/?user={READER}&password={PASSWORD}' --data-binary \
         \"SELECT window_start, journey, attempts, ratio, p95 FROM sli.journeys ORDER BY window_start DESC LIMIT 20 \
         FORMAT PrettyCompact\"\n\
         or in a browser: {url}/play (user {READER}, password {PASSWORD}); logs are in {}",
        dir.join("logs").display()
    )
}
