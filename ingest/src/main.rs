//! The command line of `ingest`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use ingest::config::{Config, Environment};
use ingest::openapi;
use ingest::startup::Ingest;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Takes beacons of web and native clients by HTTP and answers when they are durable on Kafka.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    /// Configuration file (TOML); without one the defaults and the environment hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of the log on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "LOG_FORMAT")]
    log_format: LogFormat,
    /// Print the description of the endpoints (OpenAPI 3.1) as it follows from the configuration, and stop.
    #[arg(long)]
    openapi: bool,
}

const EXAMPLES: &str = "Examples:
  ingest --config ingest.toml
  INGEST_LISTEN=0.0.0.0:8080 INGEST_KAFKA__BROKERS=kafka-1:9092,kafka-2:9092 ingest --config ingest.toml
  INGEST_KAFKA__PROPERTIES__SECURITY_PROTOCOL=sasl_ssl ingest --config ingest.toml
  ingest --config ingest.toml --openapi > openapi.json
  curl -H 'x-api-key: KEY' --json '{\"session\":\"s-1\",\"events\":[{\"name\":\"journey.start\",\"attributes\":{\"journey\":\"sign-in\"}}]}' \\
    http://127.0.0.1:8080/v1/beacons

Configuration, with its defaults:
  listen = \"127.0.0.1:8080\"         # where clients send to
  admin_listen = \"127.0.0.1:8081\"   # /metrics, /healthz, /readyz, /openapi.json
  apps_dir = \"definitions/apps\"     # app files: write keys, origins, routes
  workers = 0                       # one a core
  country_header = \"\"               # set by a proxy, such as cf-ipcountry
  trusted_proxies = \"127.0.0.0/8, ::1\"           # whose forwarded_header tells the client's address
  forwarded_header = \"x-forwarded-for\"           # or forwarded
  retry_after_s = 5
  shutdown_timeout_s = 15
  [paths]
  beacons = \"/v1/beacons\"
  faro = \"/collect\"
  otlp_logs = \"/v1/logs\"
  otlp_traces = \"/v1/traces\"
  boomerang = \"/beacon\"
  web_vitals = \"/v1/web-vitals\"
  network_errors = \"/v1/reports\"
  [limits]
  body_bytes_max = 262144
  decompressed_bytes_max = 1048576
  decompressed_ratio_max = 100      # beyond 64 KiB
  body_timeout_s = 20
  bodies_bytes_max = 25165824       # of all requests together
  head_timeout_s = 5
  keep_alive_s = 30
  connections_max = 10000
  network_connections_max = 1000
  [rates]                           # 0 a second: no limit
  network_requests_per_s = 1000     # of a /24 or /48
  network_burst = 5000
  key_requests_per_s = 100000
  key_burst = 200000
  [kafka]
  brokers = \"127.0.0.1:9092\"
  topic = \"rum.beacons\"
  acknowledge_timeout_ms = 10000
  [kafka.properties]                # any property of librdkafka
  [spool]
  dir = \"\"                          # where beacons are kept while Kafka is away; empty: nowhere
  bytes_max = 1073741824
  after_ms = 1000                   # how long Kafka has to acknowledge
Every key can be set by the environment: INGEST_KAFKA__TOPIC=… for kafka.topic. Every value can be read from a
file: INGEST_KAFKA__PROPERTIES__SASL_PASSWORD_FILE=… for sasl.password.
RUST_LOG chooses what is logged (default: info).";

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    log_to_standard_error(cli.log_format);
    let config = Config::load(cli.config.as_deref(), Environment::of_process())?;
    if cli.openapi {
        return Ok(writeln!(std::io::stdout(), "{:#}", openapi::description(&config))?);
    }
    // Requests are answered by actix's own threads; this runtime has the ticks and signals.
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(run(config))
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let starting = Ingest::start(config);
    let ingest = tokio::select! {
        started = starting => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tracing::info!(listen = %ingest.address(), admin = %ingest.admin_address(), "started");
    let broken = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        reason = ingest.broken() => Some(reason),
    };
    ingest.stop().await;
    match broken {
        None => {
            tracing::info!("stopped");
            Ok(())
        }
        Some(reason) => anyhow::bail!("the producer cannot go on and needs a new process: {reason}"),
    }
}

fn log_to_standard_error(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
