//! `loadtest scale`: what more partitions and processes do to the cost of a beacon.

use std::path::PathBuf;
use std::process::ExitCode;

use loadtest::scale::{self, Settings};

use super::numbers::Numbers;
use super::rate;

/// What `--help` ends with.
pub(crate) const EXAMPLES: &str = "Examples:
  1 to 64 partitions, and up to four ingests and aggregators:
    loadtest scale
  The numbers for machines, and the page of the documentation written anew:
    loadtest scale --json docs/scale.json --page docs/capacity.md
  Two sizes only:
    loadtest scale --partitions 4,16 --processes 2 --seconds 10

Build this program with --release: the figures of another build are not those of the product.";

/// Name of the part of a page that this command writes.
const PAGE_PART: &str = "scale";

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Beacons a second at every size.
    #[arg(long, default_value_t = 500.0, value_parser = rate)]
    rate: f64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    seconds: u64,
    /// Partitions, each with one ingest and one aggregator.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64], value_parser = clap::value_parser!(i32).range(1..=1_000))]
    partitions: Vec<i32>,
    /// Numbers of ingests, and of as many aggregators.
    #[arg(long, value_delimiter = ',', default_values_t = [2, 4], value_parser = counts)]
    processes: Vec<usize>,
    /// Partitions where there are several processes.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    shared_partitions: i32,
    /// Seed: equal seeds give equal bytes apart from the time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder that keeps logs and data; by default they are removed at the end.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    numbers: Numbers,
}

fn counts(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=32) => Ok(count),
        Ok(count) => Err(format!("{count} is not in 1 to 32")),
        Err(_) => Err(format!("{text:?} is no number")),
    }
}

/// Measures; ends with 1 when a size has no figures.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { rate, seconds, partitions, processes, shared_partitions, seed, dir, numbers } = arguments;
    numbers.check(PAGE_PART)?;
    let report =
        scale::run(&Settings { rate, seconds, partitions, processes, shared_partitions, seed, dir }).await?;
    numbers.write(PAGE_PART, &report, &report.markdown())?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
