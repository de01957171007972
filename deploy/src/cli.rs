//! The commands and their flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use deploy::launch;
use deploy::port::PortChoice;
use deploy::progress::Progress;
use deploy::stack::{
    DEFINITIONS_TOKEN, ExistingClickHouse, ExistingKafka, FLUSH_INTERVAL_MS, GRACE_MS, PARTITIONS, Parts,
    Ports, StackOptions,
};

/// The local stack of the pipeline: Kafka, ClickHouse, ingest and aggregator as processes of this machine.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  deploy demo                     bring everything up, send a minute of traffic, print the journeys
  deploy up --dir ./stack         run the stack, keep its data in ./stack
  deploy fetch --verify           download Kafka and ClickHouse now, compare every byte
  deploy migrate --clickhouse-url http://db:8123 --clickhouse-user admin";

const UP_EXAMPLES: &str = "Examples:
  deploy up
  deploy up --dir ./stack --ingest-port 18080 --kafka-port 19092 --clickhouse-port 18123
  deploy up --kafka-brokers broker:9092 --kafka-property security.protocol=ssl
  deploy up --clickhouse-url http://db:8123 --clickhouse-user admin

One line on standard output says that everything answers:
  ready ingest=http://127.0.0.1:8080 kafka=127.0.0.1:9092 clickhouse=http://127.0.0.1:8123
Ctrl-C or SIGTERM stops everything. DIR/processes.json has the process ids, DIR/logs what the parts say.";

const DEMO_EXAMPLES: &str = "Examples:
  deploy demo
  deploy demo --exit              stop after printing the table
  deploy demo --seconds 300 --rate 500 --dir ./stack";

const PREPARE_EXAMPLES: &str = "Examples:
  deploy prepare --kafka-brokers broker:9092 --clickhouse-url http://db:8123
  SSL_CERT_FILE=ca.pem deploy prepare --clickhouse-url https://db:8443 --clickhouse-user admin
  deploy prepare --aggregator-url http://aggregator:8082 --definitions ./definitions";

const MIGRATE_EXAMPLES: &str = "Examples:
  deploy migrate --clickhouse-url http://127.0.0.1:8123 --clickhouse-user sli_admin
  SLI_CLICKHOUSE_PASSWORD=… deploy migrate --clickhouse-url http://db:8123 --clickhouse-user admin";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the stack until Ctrl-C.
    #[command(after_help = UP_EXAMPLES)]
    Up {
        #[command(flatten)]
        stack: StackArgs,
    },
    /// Run the stack, send traffic and print what the journeys' users lived through.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo {
        #[command(flatten)]
        stack: StackArgs,
        /// Stop after printing the table.
        #[arg(long)]
        exit: bool,
        /// How long traffic is sent.
        #[arg(long, default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// Beacons a second.
        #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
    },
    /// Create topics and tables and activate definitions on servers that run already.
    #[command(after_help = PREPARE_EXAMPLES)]
    Prepare(PrepareArgs),
    /// Apply the missing migrations to a ClickHouse that runs already.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate {
        #[command(flatten)]
        clickhouse: ClickHouseArgs,
    },
    /// Download the stack's parts into the cache.
    #[command(after_help = "Example:\n  SLI_CACHE_DIR=/var/cache/client-sli deploy fetch --verify")]
    Fetch {
        /// Compare every byte with the known digests.
        #[arg(long)]
        verify: bool,
    },
    #[command(name = launch::LAUNCH, hide = true)]
    Launch {
        #[arg(long)]
        parent: u32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    #[command(name = launch::CLICKHOUSE_LOCAL, hide = true)]
    ClickhouseLocal {
        #[arg(long)]
        library: PathBuf,
        #[arg(last = true)]
        args: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
    /// Partitions of rum.beacons, when it is created.
    #[arg(long, default_value_t = PARTITIONS, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: i32,
    #[command(flatten)]
    pub(crate) clickhouse: ClickHouseArgs,
    /// Admin interface of the aggregator, which takes the definitions.
    #[arg(long, value_name = "URL", requires = "definitions")]
    pub(crate) aggregator_url: Option<String>,
    /// Token of the aggregator's `POST /definitions`.
    #[arg(long, env = "SLI_DEFINITIONS_TOKEN", default_value = DEFINITIONS_TOKEN, hide_env_values = true)]
    pub(crate) definitions_token: String,
    #[command(flatten)]
    pub(crate) definitions: DefinitionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DefinitionArgs {
    /// Folder of the definition files.
    #[arg(long, value_name = "DIR")]
    pub(crate) definitions: Option<PathBuf>,
    /// How long attempts wait for late beacons before they settle.
    #[arg(long, default_value_t = GRACE_MS, value_name = "MS", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) grace_ms: i64,
    /// How often batches are written.
    #[arg(long, default_value_t = FLUSH_INTERVAL_MS, value_name = "MS", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) flush_interval_ms: i64,
}

#[derive(Debug, Args)]
pub(crate) struct KafkaArgs {
    /// Use the Kafka at these bootstrap servers.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) kafka_brokers: Option<String>,
    /// A property of librdkafka for it, such as security.protocol=ssl, or the file with its value, such as
    /// sasl.password_file=/run/secrets/kafka; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = property, requires = "kafka_brokers")]
    pub(crate) kafka_property: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct ClickHouseArgs {
    /// Use the ClickHouse at this base URL.
    #[arg(long, value_name = "URL")]
    pub(crate) clickhouse_url: Option<String>,
    /// User of that ClickHouse, who may create database sli.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) clickhouse_user: String,
    /// The user's password.
    #[arg(
        long,
        env = "SLI_CLICKHOUSE_PASSWORD",
        value_name = "TEXT",
        default_value = "",
        hide_env_values = true
    )]
    pub(crate) clickhouse_password: String,
}

#[derive(Debug, Args)]
pub(crate) struct StackArgs {
    /// Folder for configurations, logs and data; a temporary one that is removed afterwards if none is given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Port of ingest [default: 8080, or a free one].
    #[arg(long, value_name = "N")]
    ingest_port: Option<u16>,
    /// Port of ingest's metrics and health [default: 8081, or a free one].
    #[arg(long, value_name = "N")]
    ingest_admin_port: Option<u16>,
    /// Port of the aggregator's metrics, health and definitions [default: 8082, or a free one].
    #[arg(long, value_name = "N")]
    aggregator_admin_port: Option<u16>,
    /// Port of Kafka [default: 9092, or a free one].
    #[arg(long, value_name = "N")]
    kafka_port: Option<u16>,
    /// Port of ClickHouse's HTTP interface [default: 8123, or a free one].
    #[arg(long, value_name = "N")]
    clickhouse_port: Option<u16>,
    /// Port of ClickHouse's native protocol [default: 9000, or a free one].
    #[arg(long, value_name = "N")]
    clickhouse_native_port: Option<u16>,
    /// Partitions of rum.beacons, when it is created.
    #[arg(long, default_value_t = PARTITIONS, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    #[command(flatten)]
    definitions: DefinitionArgs,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    clickhouse: ClickHouseArgs,
    /// A clickhouse program to run instead of the downloaded library.
    #[arg(long, value_name = "PATH", conflicts_with = "clickhouse_url")]
    clickhouse_bin: Option<PathBuf>,
}

impl StackArgs {
    /// What the flags ask for.
    pub(crate) fn options(self) -> StackOptions {
        let port = |given: Option<u16>, default: PortChoice| given.map_or(default, PortChoice::Given);
        StackOptions {
            parts: Parts::All,
            dir: self.dir,
            ports: Ports {
                ingest: port(self.ingest_port, Ports::DEFAULT.ingest),
                ingest_admin: port(self.ingest_admin_port, Ports::DEFAULT.ingest_admin),
                aggregator_admin: port(self.aggregator_admin_port, Ports::DEFAULT.aggregator_admin),
                kafka: port(self.kafka_port, Ports::DEFAULT.kafka),
                clickhouse: port(self.clickhouse_port, Ports::DEFAULT.clickhouse),
                clickhouse_native: port(self.clickhouse_native_port, Ports::DEFAULT.clickhouse_native),
            },
            partitions: self.partitions,
            grace_ms: self.definitions.grace_ms,
            flush_interval_ms: self.definitions.flush_interval_ms,
            definitions_dir: self.definitions.definitions,
            kafka: self.kafka.existing(),
            clickhouse: self.clickhouse.existing(),
            clickhouse_bin: self.clickhouse_bin,
            progress: Progress::detect(),
            ..StackOptions::default()
        }
    }
}

impl KafkaArgs {
    /// The Kafka that the flags name.
    pub(crate) fn existing(self) -> Option<ExistingKafka> {
        let properties: BTreeMap<_, _> = self.kafka_property.into_iter().collect();
        self.kafka_brokers.map(|brokers| ExistingKafka { brokers, properties })
    }
}

impl ClickHouseArgs {
    /// The ClickHouse that the flags name.
    pub(crate) fn existing(self) -> Option<ExistingClickHouse> {
        let (user, password) = (self.clickhouse_user, self.clickhouse_password);
        self.clickhouse_url.map(|url| ExistingClickHouse { url, user, password })
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or("a property is KEY=VALUE, such as security.protocol=ssl")?;
    let Some(key_of_file) = key.strip_suffix("_file") else { return Ok((key.into(), value.into())) };
    let secret = std::fs::read_to_string(value).map_err(|error| format!("cannot read {value}: {error}"))?;
    Ok((key_of_file.into(), secret.trim_end_matches(['\r', '\n']).into()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_port_that_is_given_is_not_replaced() {
        let cli = Cli::parse_from(["deploy", "up", "--kafka-port", "19092"]);
        let Command::Up { stack } = cli.command else { panic!("another command") };
        let ports = stack.options().ports;
        assert_eq!(ports.kafka, PortChoice::Given(19_092));
        assert_eq!(ports.clickhouse, PortChoice::Preferred(8123));
    }

    #[test]
    fn a_property_needs_a_key_and_a_value() {
        let parse =
            |text| Cli::try_parse_from(["deploy", "up", "--kafka-brokers", "b:1", "--kafka-property", text]);
        assert!(parse("a.b=c=d").is_ok());
        assert!(parse("a.b").is_err());
        assert!(parse("=c").is_err());
    }

    #[test]
    fn a_property_comes_from_a_file_as_well() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let of_file = property(&format!("sasl.password_file={}", file.path().display()));
        assert_eq!(of_file, Ok(("sasl.password".into(), "s3cret".into())));
        assert!(property("sasl.password_file=/nowhere/at-all").unwrap_err().contains("/nowhere/at-all"));
    }
}
