//! `loadtest capacity`: what one machine takes, and what a traffic needs beyond it.

use std::path::PathBuf;
use std::process::ExitCode;

use loadtest::capacity::step::Limits;
use loadtest::capacity::{self, Settings};

use super::numbers::Numbers;

/// What `--help` ends with.
pub(crate) const EXAMPLES: &str = "Examples:
  The knees, what a beacon costs, and what a million beacons a second need:
    loadtest capacity
  What two million users a day need, each with 200 events:
    loadtest capacity --daily-users 2000000 --events-per-user 200
  The numbers for machines, and the page of the documentation written anew:
    loadtest capacity --json docs/capacity.json --page docs/capacity.md
  A short look with other limits:
    loadtest capacity --step 5 --p99-ms 50 --freshness-s 10

Build this program with --release: the figures of another build are not those of the product.";

/// Name of the part of a page that this command writes.
const PAGE_PART: &str = "capacity";

/// What is looked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of a step of the search.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=600))]
    step: u64,
    /// Limit of the 99th percentile of answers, ms: where all parts share a few cores, an answer waits while tables are written.
    #[arg(long, default_value_t = 250.0)]
    p99_ms: f64,
    /// Limit of how far the tables may be behind, s.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    freshness_s: u64,
    /// Users a day that needs are computed for.
    #[arg(long, requires = "events_per_user", value_parser = clap::value_parser!(u64).range(1..))]
    daily_users: Option<u64>,
    /// Events of each of them.
    #[arg(long, requires = "daily_users", value_parser = clap::value_parser!(u64).range(1..))]
    events_per_user: Option<u64>,
    /// Seed: equal seeds give equal bytes apart from the time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder that keeps logs and data; by default they are removed at the end.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    numbers: Numbers,
}

/// Measures; ends with 1 when there are no figures or counts are wrong.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { step, p99_ms, freshness_s, daily_users, events_per_user, seed, dir, numbers } = arguments;
    numbers.check(PAGE_PART)?;
    let report = capacity::run(&Settings {
        step_s: step,
        limits: Limits { p99_ms, freshness_ms: freshness_s * 1_000 },
        seed,
        users: daily_users.zip(events_per_user).map(|(users, events)| (users as f64, events as f64)),
        dir,
    })
    .await?;
    numbers.write(PAGE_PART, &report, &report.markdown())?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
