//! `loadtest soak`: traffic for an hour, observed, compared with the ledger, and judged.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use loadtest::report::{Claim, RunReport};
use loadtest::scenario::Profile;
use loadtest::schedule::{Arrivals, Traffic};
use loadtest::soak::{self, Place, Settings};

use super::observe::{Observing, Output};
use super::rate;

pub(crate) const EXAMPLES: &str = "Examples:
  A stack of its own, for an hour:
    loadtest soak --rate 1000 --report soak.html --json soak.json
  A short one, with all logs and data kept:
    loadtest soak --rate 200 --seconds 120 --dir /tmp/soak --report soak.html
  A stack that runs already and holds nothing else:
    cargo stack --dir ./stack
    loadtest soak --rate 1000 --ingest http://127.0.0.1:8080 --clickhouse http://127.0.0.1:8123 \\
      --processes ./stack/processes.json --ingest-admin http://127.0.0.1:8081 \\
      --aggregator-admin http://127.0.0.1:8082 --report soak.html

An hour needs disk for Kafka's log, the tables and the ledger: about 1 kB a beacon.";

/// What is played for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Beacons a second.
    #[arg(long, default_value_t = 200.0, value_parser = rate)]
    rate: f64,
    /// Seconds during which sessions begin.
    #[arg(long, default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Seed: equal seeds give equal bytes apart from the time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Traffic that is played.
    #[arg(long, default_value = "mixed")]
    profile: Profile,
    /// How arrivals follow each other.
    #[arg(long, default_value = "poisson")]
    arrivals: Arrivals,
    /// Connections at most.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Base URL of ingest of a stack that runs already; without it a whole one is brought up and ended.
    #[arg(long, requires = "clickhouse", conflicts_with = "dir")]
    ingest: Option<String>,
    /// Folder that keeps logs, data and the ledger of an own stack; by default they are removed at the end.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// File that the ledger is kept in.
    #[arg(long)]
    ledger: Option<PathBuf>,
    #[command(flatten)]
    observing: Observing,
    #[command(flatten)]
    output: Output,
}

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long beacons are tried again after the last sending.
const DRAIN: Duration = Duration::from_secs(60);

/// Soaks; ends with 1 when a claim does not hold.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { rate, seconds, seed, profile, arrivals, observing, output, .. } = arguments;
    output.check()?;
    let place = match (arguments.ingest, observing.clickhouse()) {
        (Some(ingest), Some(clickhouse)) => {
            Place::Existing { ingest, clickhouse, targets: Box::new(observing.targets()?) }
        }
        (Some(_) | None, _) => Place::Own(arguments.dir),
    };
    let settings = Settings {
        traffic: Traffic { rate, seconds, seed, profile, arrivals },
        place,
        ledger: arguments.ledger,
        connections: usize::from(arguments.connections),
        timeout: ANSWER_TIMEOUT,
        drain: DRAIN,
    };
    let soaked = soak::run(settings).await?;
    println!("{}", soaked.summary.table());
    println!("{}", soaked.verified.sentence());
    for difference in soaked.verified.differences() {
        println!("{difference}");
    }
    print_claims(&soaked.report);
    output.write(&soaked.report)?;
    Ok(if soaked.report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_claims(report: &RunReport) {
    for Claim { what, found, holds, .. } in &report.claims {
        let word = match holds {
            Some(true) => "holds     ",
            Some(false) => "FAILED    ",
            None => "not judged",
        };
        println!("{word} {what}: {found}");
    }
    println!("{}", report.sentence());
}
