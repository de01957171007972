//! `loadtest run`: seeded traffic, and a ledger of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use loadtest::drive::{self, Settings};
use loadtest::observe::Observer;
use loadtest::scenario::Profile;
use loadtest::schedule::{Arrivals, Traffic};
use loadtest::summary::GENERATOR_WAS_THE_BOTTLENECK;

use super::observe::{Observing, Output};
use super::{Format, rate};

/// Examples of the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  Ten minutes of every format and everything odd that clients do, against the local stack, and its verification:
    cargo stack
    loadtest run --ingest http://127.0.0.1:8080 --ledger run.jsonl
    loadtest verify --ledger run.jsonl --clickhouse http://127.0.0.1:8123

  A minute of plain traffic that arrives as from independent users:
    loadtest run --ingest http://127.0.0.1:8080 --ledger run.jsonl --profile tidy --seconds 60 --arrivals poisson

  From 100 beacons/s to 2000, over 4000 connections that stay open:
    loadtest run --ingest http://127.0.0.1:8080 --ledger run.jsonl --rate 100 --arrivals ramp:2000 --connections 4000

  Five times the rate for 30 s in the second minute, and the result as JSON:
    loadtest run --ingest http://127.0.0.1:8080 --ledger run.jsonl --arrivals spike:5x@60+30 --format json";

/// What is sent where.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Base URL of ingest, such as http://127.0.0.1:8080.
    #[arg(long)]
    ingest: String,
    /// Beacons a second.
    #[arg(long, default_value_t = 300.0, value_parser = rate)]
    rate: f64,
    /// Seconds during which sessions begin; what is still due is sent after that.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Seed: equal seeds give equal bytes apart from the time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File that the ledger is written to.
    #[arg(long)]
    ledger: PathBuf,
    /// Connections that stay open, used in turn.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Traffic that is played.
    #[arg(long, value_enum, default_value = "full")]
    profile: Profile,
    /// How arrivals follow each other: constant, poisson, ramp:TO (from --rate to TO a second), spike:FACTORx@AT+FOR
    /// (FACTOR times the rate from second AT on, for FOR seconds), pause:AT+FOR (nobody begins), or day (a day's curve
    /// around the rate).
    #[arg(long, default_value = "constant")]
    arrivals: Arrivals,
    /// Seconds that an answer may take.
    #[arg(long, default_value_t = 10)]
    timeout: u64,
    /// Seconds after the last sending during which beacons are still tried again.
    #[arg(long, default_value_t = 60)]
    drain: u64,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    observing: Observing,
    #[command(flatten)]
    output: Output,
}

/// Sends it; ends with 1 unless every beacon was accepted.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { ingest, rate, seconds, seed, ledger, connections, profile, arrivals, .. } = arguments;
    let settings = Settings {
        ingest,
        traffic: Traffic { rate, seconds, seed, profile, arrivals },
        ledger,
        connections: usize::from(connections),
        timeout: Duration::from_secs(arguments.timeout),
        drain: Duration::from_secs(arguments.drain),
    };
    let (path, traffic) = (settings.ledger.clone(), settings.traffic.clone());
    let output = arguments.output;
    output.check()?;
    let observer = match output.is_wanted() {
        true => Some(Observer::start(arguments.observing.targets()?)?),
        false => None,
    };
    let summary = drive::run(settings).await?;
    output.write_run(&traffic, &summary, observer).await?;
    match arguments.format {
        Format::Text => {
            println!("{}", summary.table());
            println!("ledger {}", path.display());
            if summary.generator_was_the_bottleneck {
                println!("no latencies: {GENERATOR_WAS_THE_BOTTLENECK}");
            }
        }
        Format::Json => println!("{}", serde_json::to_string_pretty(&summary.json()?)?),
    }
    Ok(if summary.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
