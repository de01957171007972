//! `loadtest`: sends traffic whose truth is known, and verifies that ClickHouse holds it.
#![expect(clippy::print_stdout, reason = "a command-line tool prints its result")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use loadtest::drive::{self, Settings};
use loadtest::faults;
use loadtest::faults::plan::Counts;
use loadtest::faults::world::WorldSettings;
use loadtest::hostile;
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
    /// Kills, stops and restarts real processes under load, and compares what was counted with the ledger.
    ///
    /// Brings up Kafka, ClickHouse, ingest and several aggregators on free ports, and ends all of it. Ends with 0
    /// when every count is equal and the audit is empty, with 1 when anything differs or does not come back.
    #[command(after_help = FAULTS_EXAMPLES)]
    Faults(FaultsArguments),
    /// Attacks ingest with every hostile request of a table, while honest traffic goes on beside.
    ///
    /// Brings up Kafka and ingest on free ports, and ends both. Prints for each attack its answer, time and the
    /// server's memory. Ends with 0 when every answer is what it must be, the server's memory stays below 200 MB,
    /// every honest beacon is accepted, and the p99 of honest traffic is less than twice its normal value.
    Hostile(HostileArguments),
}

const FAULTS_EXAMPLES: &str = "Examples:
  A few minutes of everything:
    loadtest faults --kills 10 --zombies 2 --clickhouse-restarts 1 --kafka-restarts 1 --rebalances 2
  The whole of it:
    loadtest faults --kills 50 --zombies 10 --clickhouse-restarts 3 --kafka-restarts 2 --rebalances 10 --rate 300
  Kafka away for two minutes, ingest killed in the middle of them, and nothing else:
    loadtest faults --kills 0 --zombies 0 --clickhouse-restarts 0 --kafka-restarts 0 --rebalances 0 \\
      --kafka-outages 1 --kafka-outage-s 120 --ingest-kills 1 --rate 1000
  The same faults in the same order again, with all logs and data kept:
    loadtest faults --seed 7 --dir /tmp/faults";

/// Batches come often, so that points do.
const FAULTS_FLUSH_INTERVAL_MS: i64 = 1_000;
/// Until the last beacon of an outage is on the log after Kafka is back, on a machine that does other things as well.
const CATCHING_UP_MS: i64 = 90_000;

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

#[derive(Debug, clap::Args)]
struct FaultsArguments {
    /// Times that an aggregator is killed by SIGKILL: once at each named point first.
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Times that an aggregator is stopped until another has taken over its partitions, and then goes on.
    #[arg(long, default_value_t = 10)]
    zombies: u32,
    /// Times that ClickHouse is killed by SIGKILL.
    #[arg(long, default_value_t = 3)]
    clickhouse_restarts: u32,
    /// Times that Kafka is restarted, every other time by SIGKILL.
    #[arg(long, default_value_t = 2)]
    kafka_restarts: u32,
    /// Storms of aggregators that leave, die and come back.
    #[arg(long, default_value_t = 10)]
    rebalances: u32,
    /// Times that Kafka is stopped and stays away.
    #[arg(long, default_value_t = 0)]
    kafka_outages: u32,
    /// Seconds that it stays away.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=3_000))]
    kafka_outage_s: u32,
    /// Times that ingest is killed by SIGKILL in each of these outages.
    #[arg(long, default_value_t = 1)]
    ingest_kills: u32,
    /// Beacons a second.
    #[arg(long, default_value_t = 300.0, value_parser = rate)]
    rate: f64,
    /// Seed of the faults' order and of the traffic.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Aggregators.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=8))]
    aggregators: u8,
    /// Grace period of the definitions, ms: the beacons of a session must come within it, restarts of Kafka included.
    /// With outages it is at least their length and a minute and a half.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(i64).range(10_000..=3_600_000))]
    grace_ms: i64,
    /// Kafka gives the partitions of an aggregator away that it has not heard of for so long, ms.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(1_000..=60_000))]
    session_timeout_ms: u32,
    /// Folder that keeps logs, data and the ledger; by default they are removed at the end.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct HostileArguments {
    /// Seconds of honest traffic alone, before the attacks.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    alone: u64,
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
        Command::Faults(arguments) => disturb(arguments).await,
        Command::Hostile(arguments) => attack(arguments).await,
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

async fn disturb(arguments: FaultsArguments) -> anyhow::Result<ExitCode> {
    let FaultsArguments {
        kills, zombies, clickhouse_restarts, kafka_restarts, rebalances, rate, seed, ..
    } = arguments;
    let outage_grace_ms = match arguments.kafka_outages {
        0 => 0,
        _ => i64::from(arguments.kafka_outage_s) * 1_000 + CATCHING_UP_MS,
    };
    let settings = faults::Settings {
        counts: Counts {
            kills,
            zombies,
            clickhouse_restarts,
            kafka_restarts,
            rebalances,
            kafka_outages: arguments.kafka_outages,
            kafka_outage_ms: u64::from(arguments.kafka_outage_s) * 1_000,
            ingest_kills: arguments.ingest_kills,
        },
        rate,
        seed,
        world: WorldSettings {
            members: usize::from(arguments.aggregators),
            dir: arguments.dir,
            grace_ms: arguments.grace_ms.max(outage_grace_ms),
            flush_interval_ms: FAULTS_FLUSH_INTERVAL_MS,
            session_timeout_ms: arguments.session_timeout_ms,
        },
    };
    let report = faults::run(&settings).await?;
    println!("{}", report.table());
    for line in report.lines() {
        println!("{line}");
    }
    for difference in report.verified.differences() {
        println!("{difference}");
    }
    println!("{}", report.verified.sentence());
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn attack(arguments: HostileArguments) -> anyhow::Result<ExitCode> {
    let settings = hostile::Settings { alone: Duration::from_secs(arguments.alone) };
    let report = hostile::run(settings).await?;
    println!("{}", report.table());
    for line in report.lines() {
        println!("{line}");
    }
    let failures = report.failures();
    for failure in &failures {
        println!("FAILED {failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
