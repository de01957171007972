//! What a stack consists of and where it listens.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::secured::Secured;
use super::{AGGREGATOR, CLICKHOUSE, INGEST, KAFKA};
use crate::error::StackError;
use crate::port::{Port, PortChoice};
use crate::progress::Progress;

/// Grace period of the local stack: attempts settle soon, because nobody waits long in front of a demo.
pub const GRACE_MS: i64 = 10_000;
/// Flush interval of the local stack.
pub const FLUSH_INTERVAL_MS: i64 = 2_000;
/// Partitions of `rum.beacons` in the local stack.
pub const PARTITIONS: i32 = 4;

/// Which parts a stack has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Kafka with its topics.
    Kafka,
    /// ClickHouse with the tables and views of database `sli`.
    ClickHouse,
    /// Both, without processes of this project.
    Stores,
    /// Both, `ingest` and `aggregator`, with the definitions deployed.
    All,
}

impl Parts {
    /// Whether Kafka belongs to it.
    pub fn has_kafka(self) -> bool {
        matches!(self, Self::Kafka | Self::Stores | Self::All)
    }

    /// Whether ClickHouse belongs to it.
    pub fn has_clickhouse(self) -> bool {
        matches!(self, Self::ClickHouse | Self::Stores | Self::All)
    }
}

/// How each port is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// `ingest`, public.
    pub ingest: PortChoice,
    /// `ingest`, admin.
    pub ingest_admin: PortChoice,
    /// `aggregator`, admin.
    pub aggregator_admin: PortChoice,
    /// Kafka.
    pub kafka: PortChoice,
    /// ClickHouse, HTTP.
    pub clickhouse: PortChoice,
    /// ClickHouse, native protocol.
    pub clickhouse_native: PortChoice,
}

impl Ports {
    /// Any free ports: for tests.
    pub const FREE: Self = Self {
        ingest: PortChoice::Free,
        ingest_admin: PortChoice::Free,
        aggregator_admin: PortChoice::Free,
        kafka: PortChoice::Free,
        clickhouse: PortChoice::Free,
        clickhouse_native: PortChoice::Free,
    };

    /// The documented ports, or free ones where those are in use.
    pub const DEFAULT: Self = Self {
        ingest: PortChoice::Preferred(8080),
        ingest_admin: PortChoice::Preferred(8081),
        aggregator_admin: PortChoice::Preferred(8082),
        kafka: PortChoice::Preferred(9092),
        clickhouse: PortChoice::Preferred(8123),
        clickhouse_native: PortChoice::Preferred(9000),
    };
}

/// A Kafka that runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingKafka {
    /// Bootstrap servers.
    pub brokers: String,
    /// Properties of librdkafka, such as `security.protocol`.
    pub properties: BTreeMap<String, String>,
}

/// A ClickHouse that runs already, with a user who may create database `sli`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingClickHouse {
    /// Base URL of its HTTP interface.
    pub url: String,
    /// User.
    pub user: String,
    /// The user's password.
    pub password: String,
}

/// How to bring up a stack. The default is what tests want: everything on free ports in a temporary folder,
/// quietly.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Which parts.
    pub parts: Parts,
    /// Folder for configurations, logs and data; a temporary one that is removed afterwards if there is none.
    pub dir: Option<PathBuf>,
    /// Where it listens.
    pub ports: Ports,
    /// Partitions of `rum.beacons`, when the topic is created.
    pub partitions: i32,
    /// Grace period of the definition set.
    pub grace_ms: i64,
    /// Flush interval of the definition set.
    pub flush_interval_ms: i64,
    /// Folder of the definition files; the project's own if there is none.
    pub definitions_dir: Option<PathBuf>,
    /// A Kafka to use instead of an own one.
    pub kafka: Option<ExistingKafka>,
    /// A ClickHouse to use instead of an own one.
    pub clickhouse: Option<ExistingClickHouse>,
    /// A `clickhouse` program to use instead of the downloaded library.
    pub clickhouse_bin: Option<PathBuf>,
    /// An own Kafka listens with TLS and a login as well, and the services of this project connect to that.
    pub secured: Option<Secured>,
    /// Listeners that an own Kafka has besides, each advertised at a port where somebody else is to listen and pass
    /// everything on ([`KafkaFront`](super::KafkaFront)).
    pub kafka_fronts: usize,
    /// Variables for `ingest`, which override its configuration.
    pub ingest_env: BTreeMap<String, String>,
    /// Variables for `aggregator`, which override its configuration.
    pub aggregator_env: BTreeMap<String, String>,
    /// Who is told about progress.
    pub progress: Progress,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            parts: Parts::All,
            dir: None,
            ports: Ports::FREE,
            partitions: PARTITIONS,
            grace_ms: GRACE_MS,
            flush_interval_ms: FLUSH_INTERVAL_MS,
            definitions_dir: None,
            kafka: None,
            clickhouse: None,
            clickhouse_bin: None,
            secured: None,
            kafka_fronts: 0,
            ingest_env: BTreeMap::new(),
            aggregator_env: BTreeMap::new(),
            progress: Progress::Quiet,
        }
    }
}

impl StackOptions {
    /// Refuses a given port that is in use, before anything is built or downloaded.
    pub(super) fn check_given_ports(&self) -> Result<(), StackError> {
        let kafka = self.parts.has_kafka() && self.kafka.is_none();
        let clickhouse = self.parts.has_clickhouse() && self.clickhouse.is_none();
        let services = self.parts == Parts::All;
        let ports = &self.ports;
        let used = [
            (kafka, ports.kafka, KAFKA, "--kafka-port"),
            (clickhouse, ports.clickhouse, CLICKHOUSE, "--clickhouse-port"),
            (clickhouse, ports.clickhouse_native, CLICKHOUSE, "--clickhouse-native-port"),
            (services, ports.ingest, INGEST, "--ingest-port"),
            (services, ports.ingest_admin, INGEST, "--ingest-admin-port"),
            (services, ports.aggregator_admin, AGGREGATOR, "--aggregator-admin-port"),
        ];
        for (is_used, choice, part, flag) in used {
            if is_used && matches!(choice, PortChoice::Given(_)) {
                drop(Port::choose(choice, part, flag)?);
            }
        }
        Ok(())
    }

    /// The given parts, else the default.
    pub fn of(parts: Parts) -> Self {
        Self { parts, ..Self::default() }
    }
}
