//! The configuration: defaults, a TOML file, then the environment; validated before any socket opens.
//!
//! What changes results is not here but in the definition set, which travels in the log
//! ([`schema::definition::EngineSettings`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use serde::{Deserialize, Deserializer, Serialize};

mod environment;

pub use environment::Environment;

/// Properties of librdkafka that the guarantees depend on, so they cannot be configured.
const RESERVED_PROPERTIES: [&str; 7] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
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
    pub definitions_token: String,
    /// File that holds the token instead, for mounted secrets.
    pub definitions_token_file: Option<PathBuf>,
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
    /// Any other property of librdkafka, such as those of TLS and SASL.
    #[serde(deserialize_with = "flat_text")]
    pub properties: BTreeMap<String, String>,
}

/// When a partition's engine is written to the topic of snapshots: after enough records or enough time since the last
/// one, if a replay would be long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotsConfig {
    /// Records of the partition between two snapshots: a start replays about as many. A replay takes some seconds for a
    /// million records.
    #[serde(deserialize_with = "count")]
    pub interval_records: u64,
    /// Seconds of log time between two snapshots, for partitions with fewer records.
    #[serde(deserialize_with = "count")]
    pub interval_s: u64,
    /// Records that a start would have to replay before a snapshot is worth its bytes.
    #[serde(deserialize_with = "count")]
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
    pub password: String,
    /// File that holds the password instead, for mounted secrets.
    pub password_file: Option<PathBuf>,
    /// Database of the tables.
    pub database: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8082)),
            definitions_token: String::new(),
            definitions_token_file: None,
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
            properties: BTreeMap::new(),
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
            password: String::new(),
            password_file: None,
            database: "sli".into(),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The configuration or secret file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A value has the wrong shape, or a key is not known.
    #[error("{place}: {key}: {detail}")]
    Shape {
        /// The file or the environment variables.
        place: String,
        /// Path of the key, empty when the file is no TOML.
        key: String,
        /// What is wrong.
        detail: String,
    },
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
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
            figment = figment.merge(Toml::string(&text));
        }
        let place = file.map_or_else(|| "configuration".into(), |path| path.display().to_string());
        let mut config: Self =
            figment.merge(environment).extract().map_err(|error| shape_error(&place, error))?;
        if let Some(path) = config.definitions_token_file.take() {
            config.definitions_token = read_secret(&path)?;
        }
        if let Some(path) = config.clickhouse.password_file.take() {
            config.clickhouse.password = read_secret(&path)?;
        }
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key, value: &str, detail: &str| {
            Err(ConfigError::Value { key, value: value.into(), detail: detail.into() })
        };
        let kafka = &self.kafka;
        if kafka.brokers.split(',').any(|broker| !is_host_and_port(broker.trim())) {
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
            Ok(url) if url.scheme() == "http" && url.has_host() => {}
            Ok(_) | Err(_) => return refuse("clickhouse.url", &clickhouse.url, "want http://host:port"),
        }
        if !is_identifier(&clickhouse.database) {
            return refuse("clickhouse.database", &clickhouse.database, "want letters, digits and '_' only");
        }
        Ok(())
    }
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_topic_name(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn read_secret(path: &Path) -> Result<String, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).into()),
        Err(source) => Err(ConfigError::Unreadable { path: path.into(), source }),
    }
}

fn shape_error(file: &str, error: figment::Error) -> ConfigError {
    let from_environment = error.metadata.as_ref().is_some_and(|source| source.name == environment::NAME);
    ConfigError::Shape {
        place: if from_environment { environment::NAME.into() } else { file.into() },
        key: error.path.join("."),
        detail: error.kind.to_string(),
    }
}

/// A whole number, which the environment gives as text.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u64),
        Text(String),
    }
    let wanted = "want a whole number, 0 or more";
    match Count::deserialize(deserializer).map_err(|_| serde::de::Error::custom(wanted))? {
        Count::Number(number) => Ok(number),
        Count::Text(text) => text.parse().map_err(|_| serde::de::Error::custom(wanted)),
    }
}

/// Properties may be numbers or truth values, and `a.b = 1` without quotes is a nested table in TOML.
fn flat_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let nested = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
    let mut flat = BTreeMap::new();
    for (name, value) in nested {
        flatten(name, value, &mut flat).map_err(serde::de::Error::custom)?;
    }
    Ok(flat)
}

fn flatten(
    name: String,
    value: serde_json::Value,
    flat: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    use serde_json::Value;
    match value {
        Value::String(text) => drop(flat.insert(name, text)),
        Value::Number(number) => drop(flat.insert(name, number.to_string())),
        Value::Bool(truth) => drop(flat.insert(name, truth.to_string())),
        Value::Object(parts) => {
            for (part, value) in parts {
                flatten(format!("{name}.{part}"), value, flat)?;
            }
        }
        Value::Null | Value::Array(_) => return Err(format!("property {name} wants text or a number")),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
