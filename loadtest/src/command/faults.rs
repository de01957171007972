//! `loadtest faults`: faults on real processes under load.

use std::path::PathBuf;
use std::process::ExitCode;

use loadtest::faults;
use loadtest::faults::plan::Counts;
use loadtest::faults::world::WorldSettings;

use super::rate;

/// What `--help` ends with.
pub(crate) const EXAMPLES: &str = "Examples:
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

/// Which faults come how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
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

/// Carries them out; ends with 1 when anything differs.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { kills, zombies, clickhouse_restarts, kafka_restarts, rebalances, rate, seed, .. } =
        arguments;
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
