//! The configuration: defaults, a TOML file, then the environment; validated before any socket opens.
//!
//! What changes results is not here but in the definition set, which travels in the log
//! ([`schema::definition::EngineSettings`]).

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
pub use settings::Environment;
use settings::kafka::{Properties, are_brokers, is_topic_name};
use settings::{Secret, SettingsError};

/// Properties of librdkafka that the guarantees depend on, so they cannot be configured.
const RESERVED_PROPERTIES: [&str; 9] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "partition.assignment.strategy",
];

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of `/metrics`, `/healthz`, `/readyz` and `/definitions`; port 0 takes a free one.
    pub admin_listen: SocketAddr,
    /// Bearer token of `POST /definitions`; without one nobody can activate definitions.
    pub definitions_token: Secret,
    /// The log.
    pub kafka: KafkaConfig,
    /// Where the batches go.
    pub clickhouse: ClickHouseConfig,
}

/// How the log is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers, `host:port` separated by commas.
    pub brokers: String,
    /// The log of beacons and control records.
    pub topic: String,
    /// Where undecodable records are kept.
    pub rejects_topic: String,
    /// Compacted topic of the engines' snapshots, with as many partitions as the log; empty for none.
    pub snapshots_topic: String,
    /// When snapshots are made.
    pub snapshots: SnapshotsConfig,
    /// Consumer group.
    pub group: String,
    /// Name of this process in the group, different for each (static membership): a process that comes back under its
    /// name within the session timeout goes on with its partitions at once, even after `kill -9` unless the broker
    /// assigns ([`Assignment::Consumer`]). Empty: a new member at each start.
    pub instance_id: String,
    /// How the group assigns partitions.
    pub assignment: Assignment,
    /// Any other property of librdkafka, such as those of TLS and SASL.
    pub properties: Properties,
}

/// How the group assigns partitions; the same for all of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assignment {
    /// Each rebalance takes all partitions from everyone and gives them anew; each then replays.
    Range,
    /// A rebalance moves only the partitions that change their owner; the others go on.
    #[default]
    CooperativeSticky,
    /// The broker assigns, and moves only what must (KIP-848; Kafka 4.0 or newer). The group's
    /// `consumer.session.timeout.ms` holds instead of `session.timeout.ms`. Kafka's client does not notice by itself that
    /// it is cut off from the broker: until it is back it writes what it has read, which the next owner writes as well,
    /// and the deduplication window has to absorb.
    Consumer,
}

impl Assignment {
    /// As it is configured.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Consumer => "consumer",
        }
    }

    /// Whether partitions that stay with their owner are left alone in a rebalance.
    pub fn is_incremental(self) -> bool {
        self != Self::Range
    }
}

/// When a partition's engine is written to the topic of snapshots: after enough records or enough time since the last
/// one, if a replay would be long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotsConfig {
    /// Records of the partition between two snapshots: a start replays about as many. A replay takes some seconds for a
    /// million records.
    pub interval_records: u64,
    /// Seconds of log time between two snapshots, for partitions with fewer records.
    pub interval_s: u64,
    /// Records that a start would have to replay before a snapshot is worth its bytes.
    pub replay_records_min: u64,
}

/// How ClickHouse is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClickHouseConfig {
    /// Base URL of the HTTP interface.
    pub url: String,
    /// User that may insert and read.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// File (PEM) with the authorities that sign the certificate of an HTTPS server, beside those of the system;
    /// empty for none.
    pub ca_file: String,
    /// Database of the tables.
    pub database: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8082)),
            definitions_token: Secret::default(),
            kafka: KafkaConfig::default(),
            clickhouse: ClickHouseConfig::default(),
        }
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            topic: "rum.beacons".into(),
            rejects_topic: "rum.rejects".into(),
            snapshots_topic: "rum.snapshots".into(),
            snapshots: SnapshotsConfig::default(),
            group: "sli-aggregator".into(),
            instance_id: String::new(),
            assignment: Assignment::default(),
            properties: Properties::default(),
        }
    }
}

impl Default for SnapshotsConfig {
    fn default() -> Self {
        Self { interval_records: 500_000, interval_s: 600, replay_records_min: 100_000 }
    }
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".into(),
            user: "sli_writer".into(),
            password: Secret::default(),
            ca_file: String::new(),
            database: "sli".into(),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read, a value has the wrong shape, or a key is not known.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A value has the right shape but cannot be used.
    #[error("{key} = {value:?}: {detail}")]
    Value {
        /// Path of the key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is wrong and what is allowed.
        detail: String,
    },
}

impl Config {
    /// Reads the defaults, then `file`, then `AGGREGATOR_…` of `environment` (`__` separates the parts of a key), and validates.
    ///
    /// # Errors
    /// Names the file or variable, the key and what is allowed there.
    pub fn load(file: Option<&Path>, environment: Environment) -> Result<Self, ConfigError> {
        let config: Self = settings::read("AGGREGATOR_", file, &environment)?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key, value: &str, detail: &str| {
            Err(ConfigError::Value { key, value: value.into(), detail: detail.into() })
        };
        let kafka = &self.kafka;
        if !are_brokers(&kafka.brokers) {
            return refuse("kafka.brokers", &kafka.brokers, "want host:port, several separated by commas");
        }
        for (key, topic) in [("kafka.topic", &kafka.topic), ("kafka.rejects_topic", &kafka.rejects_topic)] {
            if !is_topic_name(topic) {
                return refuse(key, topic, "want 1 to 249 of letters, digits, '.', '_' and '-'");
            }
        }
        if kafka.topic == kafka.rejects_topic {
            return refuse("kafka.rejects_topic", &kafka.rejects_topic, "must not be the log itself");
        }
        let snapshots = &kafka.snapshots_topic;
        if !snapshots.is_empty() && !is_topic_name(snapshots) {
            return refuse("kafka.snapshots_topic", snapshots, "want a name of a topic, or nothing");
        }
        if [&kafka.topic, &kafka.rejects_topic].contains(&snapshots) {
            return refuse("kafka.snapshots_topic", snapshots, "must be a topic of its own");
        }
        for (key, value) in [
            ("kafka.snapshots.interval_records", kafka.snapshots.interval_records),
            ("kafka.snapshots.interval_s", kafka.snapshots.interval_s),
        ] {
            if value == 0 {
                return refuse(key, "0", "want 1 or more");
            }
        }
        if kafka.group.is_empty() {
            return refuse("kafka.group", "", "must not be empty");
        }
        if let Some(name) = kafka.properties.keys().find(|name| RESERVED_PROPERTIES.contains(&name.as_str()))
        {
            return refuse("kafka.properties", name, "is set by the aggregator and cannot be configured");
        }
        let clickhouse = &self.clickhouse;
        match reqwest::Url::parse(&clickhouse.url) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                return refuse("clickhouse.url", "…", "user and password have keys of their own");
            }
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            Ok(_) | Err(_) => {
                return refuse(
                    "clickhouse.url",
                    &clickhouse.url,
                    "want http://host:port or https://host:port",
                );
            }
        }
        if !is_identifier(&clickhouse.database) {
            return refuse("clickhouse.database", &clickhouse.database, "want letters, digits and '_' only");
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
