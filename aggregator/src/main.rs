//! The aggregator's command line.

use std::path::PathBuf;

use aggregator::config::{Config, Environment, KafkaConfig};
use aggregator::records;
use aggregator::startup::Aggregator;
use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Turns the beacon log into journeys' SLIs in ClickHouse, each record counted once.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    /// Configuration file (TOML); without one the defaults and the environment hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of the log on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "LOG_FORMAT", global = true)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  aggregator --config aggregator.toml
  AGGREGATOR_CLICKHOUSE__PASSWORD=local aggregator
  AGGREGATOR_KAFKA__PROPERTIES__SECURITY_PROTOCOL=sasl_plaintext aggregator --config aggregator.toml
  aggregator records --max 10 | jq .
  curl -X POST -H 'authorization: Bearer TOKEN' --data @set.json http://127.0.0.1:8082/definitions

Configuration, with its defaults:
  admin_listen = \"127.0.0.1:8082\"
  definitions_token = \"\"            # or definitions_token_file
  [kafka]
  brokers = \"127.0.0.1:9092\"
  topic = \"rum.beacons\"
  rejects_topic = \"rum.rejects\"
  snapshots_topic = \"rum.snapshots\" # empty for none
  group = \"sli-aggregator\"
  instance_id = \"\"                # keeps its partitions through a restart; one for each process
  assignment = \"cooperative-sticky\" # or range, or consumer (KIP-848)
  [kafka.snapshots]
  interval_records = 500000
  interval_s = 600
  replay_records_min = 100000
  [kafka.properties]                # any property of librdkafka
  [clickhouse]
  url = \"http://127.0.0.1:8123\"
  user = \"sli_writer\"
  password = \"\"                     # or password_file
  ca_file = \"\"                      # authorities of an https:// server, beside the system's
  database = \"sli\"
Every key can be set by the environment: AGGREGATOR_KAFKA__TOPIC=… for kafka.topic. Every value can be read from a
file: clickhouse.password_file, AGGREGATOR_KAFKA__PROPERTIES__SASL_PASSWORD_FILE=… for sasl.password.
RUST_LOG chooses what is logged (default: info).";

#[derive(Subcommand)]
enum Command {
    /// Prints the records that the log holds as JSON lines.
    Records(RecordsArgs),
}

#[derive(Args)]
struct RecordsArgs {
    /// Brokers, host:port separated by commas.
    #[arg(long, default_value = "127.0.0.1:9092")]
    kafka_brokers: String,
    /// Topic to read.
    #[arg(long, default_value = "rum.beacons")]
    topic: String,
    /// Records to print at most.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    max: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    log_to_standard_error(cli.log_format);
    if let Some(Command::Records(args)) = cli.command {
        let kafka = KafkaConfig { brokers: args.kafka_brokers, topic: args.topic, ..KafkaConfig::default() };
        return records::print(&kafka, args.max, &mut std::io::stdout().lock());
    }
    let config = Config::load(cli.config.as_deref(), Environment::of_process())?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(config))
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let starting = Aggregator::start(config);
    let aggregator = tokio::select! {
        started = starting => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tracing::info!(admin = %aggregator.admin_address(), "started");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = aggregator.ended() => {}
    }
    aggregator.stop().await?;
    tracing::info!("stopped");
    Ok(())
}

fn log_to_standard_error(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
