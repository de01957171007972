//! `loadtest`: sends traffic whose truth is known, and verifies that ClickHouse holds it.
#![expect(clippy::print_stdout, reason = "a command-line tool prints its result")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use loadtest::drive::{self, Settings};
use loadtest::scenario::Profile;
use loadtest::schedule::{Arrivals, Traffic};

#[derive(Debug, Parser)]
#[command(version, about = "Open-loop traffic with known truth, and its verification against ClickHouse")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends seeded traffic of the study app and writes a ledger of every answer and of what is true.
    ///
    /// Ends with 0 when every beacon was accepted, with 1 when one was refused or not answered.
    Run(RunArguments),
    /// Compares a run's ledger with what ClickHouse holds, and waits until it is there.
    ///
    /// A database that holds nothing but this run is assumed; with --since only windows from that time on are
    /// looked at, and the run must still be the only one in them. Ends with 0 when everything is equal, with 1
    /// when anything differs.
    Verify(VerifyArguments),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Base URL of ingest, such as http://127.0.0.1:8080.
    #[arg(long)]
    ingest: String,
    /// Beacons a second.
    #[arg(long, default_value_t = 200.0, value_parser = rate)]
    rate: f64,
    /// Seconds during which sessions begin; what is still due is sent after that.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed: equal seeds give equal bytes apart from the time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File that the ledger is written to.
    #[arg(long)]
    ledger: PathBuf,
    /// Connections at most.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Traffic that is played.
    #[arg(long, value_enum, default_value = "mixed")]
    profile: Profile,
    /// How arrivals follow each other.
    #[arg(long, value_enum, default_value = "constant")]
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
}

#[derive(Debug, clap::Args)]
struct VerifyArguments {
    /// Ledger of the run.
    #[arg(long)]
    ledger: PathBuf,
    /// Base URL of ClickHouse's HTTP interface, such as http://127.0.0.1:8123.
    #[arg(long)]
    clickhouse: String,
    /// User that reads.
    #[arg(long, default_value = "sli_reader")]
    user: String,
    /// Password of the user.
    #[arg(long, default_value = "local", env = "CLICKHOUSE_PASSWORD", hide_env_values = true)]
    password: String,
    /// Seconds to wait at most for what is not there yet.
    #[arg(long, default_value_t = 180)]
    wait: u64,
    /// Only windows from this time on, such as 2026-11-23T06:00:00Z. Everything by default.
    #[arg(long, value_parser = since)]
    since: Option<u32>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn since(text: &str) -> Result<u32, String> {
    let time: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    u32::try_from(time.as_second()).map_err(|_| format!("{text} is not between 1970 and 2106"))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e6 => Ok(rate),
        Ok(rate) => Err(format!("{rate} is not in 0 < rate <= 1000000")),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run(arguments) => run(arguments).await,
        Command::Verify(arguments) => verify(arguments).await,
    }
}

async fn run(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    let RunArguments { ingest, rate, seconds, seed, ledger, connections, profile, arrivals, .. } = arguments;
    let settings = Settings {
        ingest,
        traffic: Traffic { rate, seconds, seed, profile, arrivals },
        ledger,
        connections: usize::from(connections),
        timeout: Duration::from_secs(arguments.timeout),
        drain: Duration::from_secs(arguments.drain),
    };
    let path = settings.ledger.clone();
    let summary = drive::run(settings).await?;
    match arguments.format {
        Format::Text => {
            println!("{}", summary.table());
            println!("ledger {}", path.display());
            if summary.generator_was_the_bottleneck {
                println!("the generator did not keep its own schedule: these numbers are not the server's");
            }
        }
        Format::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
    }
    Ok(if summary.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify(arguments: VerifyArguments) -> anyhow::Result<ExitCode> {
    let VerifyArguments { ledger, clickhouse, user, password, wait, since, format } = arguments;
    let settings = loadtest::verify::Settings {
        ledger,
        clickhouse,
        user,
        password,
        wait: Duration::from_secs(wait),
        since_s: since,
    };
    let report = loadtest::verify::verify(&settings).await?;
    match format {
        Format::Text => {
            println!("{}", report.table());
            for difference in report.differences() {
                println!("{difference}");
            }
            println!("{}", report.sentence());
        }
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(if report.equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
