//! Compares a ledger with what ClickHouse holds.
//!
//! What must be there is computed from the ledger's truth and the few parameters of a definition that a player
//! cannot know ([`expect`]); the definition set is read from ClickHouse as well. Everything is compared exactly,
//! but quantiles, which come from buckets, within one percent ([`quantile`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

mod attribute;
pub mod clickhouse;
pub mod compare;
pub mod expect;
pub mod found;
pub mod quantile;
pub mod report;

use clickhouse::ClickHouse;
use compare::compare;
use expect::{Expected, Ledger};
use found::Found;
use report::Report;

use crate::observe::targets::Server;

const POLL_EVERY: Duration = Duration::from_secs(2);
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Log time beyond the last possible settling before what differs counts as final.
const MARGIN_MS: i64 = 15_000;

/// What a verification needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ledger of the run.
    pub ledger: PathBuf,
    /// ClickHouse, and who reads.
    pub server: Server,
    /// How long to wait for what is not there yet.
    pub wait: Duration,
    /// Only windows from this minute on, s since the epoch; everything when `None`.
    pub since_s: Option<u32>,
}

/// Waits until ClickHouse holds what the ledger says, or cannot come to hold it any more.
///
/// # Errors
/// When the ledger or ClickHouse cannot be read, or the definitions are not those that were played for.
pub async fn verify(settings: &Settings) -> anyhow::Result<Report> {
    let Server { url, user, password } = &settings.server;
    let clickhouse = ClickHouse::new(url, user, password)?;
    let set = clickhouse.active_definitions().await?;
    let expected = read_ledger(&settings.ledger, &set, settings.since_s)?;
    let begun = Instant::now();
    let mut next_line = LINE_EVERY;
    loop {
        let found = Found::read(&clickhouse, settings.since_s, expected.past_until_s).await?;
        let mut comparison = compare(&expected, &found);
        let final_ms = expected.settled_ms(&set) + MARGIN_MS;
        let complete = found.log_time_ms.is_some_and(|log_time_ms| log_time_ms >= final_ms);
        if comparison.is_equal() || complete || begun.elapsed() >= settings.wait {
            if !comparison.is_equal() {
                let (ledger, run, _) = Ledger::read(&settings.ledger)?;
                attribute::attribute(&mut comparison, &ledger, run.started_ms, &set);
            }
            return Ok(Report::new(&expected, comparison, complete, begun.elapsed()));
        }
        if begun.elapsed() >= next_line {
            next_line += LINE_EVERY;
            let behind_s = found.log_time_ms.map(|log_time_ms| (final_ms - log_time_ms).max(0) / 1000);
            let behind =
                behind_s.map_or("nothing read yet".to_owned(), |s| format!("log time {s} s from final"));
            eprintln!("{} of {} checks equal, {behind}", comparison.equal(), comparison.checks.len());
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Compares once more after a clean stop, without waiting: what that still wrote must not change anything either.
///
/// # Errors
/// As [`verify`].
pub async fn verify_again(settings: Settings, before: &Report) -> anyhow::Result<Report> {
    let mut report = verify(&Settings { wait: Duration::ZERO, ..settings }).await?;
    report.waited_s += before.waited_s;
    Ok(report)
}

/// What the ledger says must be there, in windows from `since_s` on.
///
/// # Errors
/// When it cannot be read, or the definitions are not those that were played for.
pub fn read_ledger(
    path: &Path,
    set: &schema::definition::DefinitionSet,
    since_s: Option<u32>,
) -> anyhow::Result<Expected> {
    let expected = Expected::read(path, set, since_s)?;
    if expected.sessions == 0 {
        bail!("ledger {} has no session", path.display());
    }
    Ok(expected)
}
