//! `loadtest peers`: this pipeline and what teams use instead, on the same traffic.

use std::path::PathBuf;
use std::process::ExitCode;

use loadtest::peers::{self, Settings};

use super::numbers::Numbers;
use super::rate;

/// What `--help` ends with.
pub(crate) const EXAMPLES: &str = "Examples:
  The whole comparison, in less than ten minutes:
    loadtest peers
  At a higher rate, with the numbers for machines, and the page of the documentation written anew:
    loadtest peers --rate 2000 --json peers.json --page docs/peers.md
  A short look, with all logs, data and configurations kept:
    loadtest peers --rate 200 --seconds 10 --dir /tmp/peers

The collector is built of Go modules, which takes minutes once. Build this program with --release: the figures of
another build are not those of the product.";

/// Name of the part of a page that this command writes.
const PAGE_PART: &str = "peers";

/// What is played.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Beacons a second.
    #[arg(long, default_value_t = 1_000.0, value_parser = rate)]
    rate: f64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(5..=3_600))]
    seconds: u64,
    /// Seed: equal seeds give equal bytes apart from the time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder that keeps logs, data and configurations; by default they are removed at the end.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    numbers: Numbers,
}

/// Compares; ends with 1 when our own part was not measured or its counts are wrong.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { rate, seconds, seed, dir, numbers } = arguments;
    numbers.check(PAGE_PART)?;
    let report = peers::run(&Settings { rate, seconds, seed, dir }).await?;
    numbers.write(PAGE_PART, &report, &report.markdown())?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
