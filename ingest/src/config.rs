//! The configuration: defaults, a TOML file, then the environment; validated before any socket opens.
//!
//! What an app may send is not here but in its app file, which [`crate::apps`] reads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use serde::{Deserialize, Deserializer, Serialize};

use crate::adapter::Format;
use crate::log::RESERVED_PROPERTIES;

mod environment;

pub use environment::Environment;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address that clients send to; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of `/metrics`, `/healthz` and `/readyz`; port 0 takes a free one.
    pub admin_listen: SocketAddr,
    /// Folder of the app files.
    pub apps_dir: PathBuf,
    /// Threads that answer requests; 0 takes one a core.
    pub workers: usize,
    /// Header in which a proxy says the client's country (ISO 3166), such as `cf-ipcountry`; empty: none does.
    pub country_header: String,
    /// What `Retry-After` tells clients when the log does not confirm, s.
    pub retry_after_s: u64,
    /// How long requests in flight have when the process is told to stop, s.
    pub shutdown_timeout_s: u64,
    /// Where each format is received: ad blockers know the usual paths.
    pub paths: Paths,
    /// Bounds of a request.
    pub limits: Limits,
    /// The log.
    pub kafka: KafkaConfig,
}

/// Paths of the formats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// The native beacon API.
    pub beacons: String,
    /// Faro.
    pub faro: String,
    /// Log records of OTLP.
    pub otlp_logs: String,
    /// Spans of OTLP.
    pub otlp_traces: String,
    /// boomerang.
    pub boomerang: String,
    /// The web-vitals library.
    pub web_vitals: String,
    /// Network Error Logging: what browsers report to.
    pub network_errors: String,
}

/// Bounds of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a body as it is sent.
    pub body_bytes_max: usize,
    /// Bytes of a body once decompressed.
    pub decompressed_bytes_max: usize,
    /// Time for a whole body, s.
    pub body_timeout_s: u64,
}

/// How the log is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers, `host:port` separated by commas.
    pub brokers: String,
    /// The log of beacons and control records.
    pub topic: String,
    /// How long a request waits for the acknowledgement of its records, ms; then it is answered 503.
    pub acknowledge_timeout_ms: u64,
    /// Any other property of librdkafka, such as those of TLS and SASL, or `linger.ms`.
    #[serde(deserialize_with = "flat_text")]
    pub properties: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            apps_dir: "definitions/apps".into(),
            workers: 0,
            country_header: String::new(),
            retry_after_s: 5,
            shutdown_timeout_s: 15,
            paths: Paths::default(),
            limits: Limits::default(),
            kafka: KafkaConfig::default(),
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            beacons: "/v1/beacons".into(),
            faro: "/collect".into(),
            otlp_logs: "/v1/logs".into(),
            otlp_traces: "/v1/traces".into(),
            boomerang: "/beacon".into(),
            web_vitals: "/v1/web-vitals".into(),
            network_errors: "/v1/reports".into(),
        }
    }
}

impl Paths {
    /// The path of a format.
    pub fn of(&self, format: Format) -> &str {
        match format {
            Format::Native => &self.beacons,
            Format::Faro => &self.faro,
            Format::OtlpLogs => &self.otlp_logs,
            Format::OtlpTraces => &self.otlp_traces,
            Format::Boomerang => &self.boomerang,
            Format::WebVitals => &self.web_vitals,
            Format::NetworkErrors => &self.network_errors,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes_max: 256 << 10, decompressed_bytes_max: 1 << 20, body_timeout_s: 20 }
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            topic: "rum.beacons".into(),
            acknowledge_timeout_ms: 10_000,
            properties: BTreeMap::new(),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
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
    #[error("{place}: {key} = {value:?}: {detail}")]
    Value {
        /// The file, or `configuration` without one.
        place: String,
        /// Path of the key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is wrong and what is allowed.
        detail: String,
    },
}

impl Config {
    /// Reads the defaults, then `file`, then `INGEST_…` of `environment` (`__` separates the parts of a key), and
    /// validates.
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
        let config: Self =
            figment.merge(environment).extract().map_err(|error| shape_error(&place, error))?;
        config.validate(&place)?;
        Ok(config)
    }

    fn validate(&self, place: &str) -> Result<(), ConfigError> {
        let refuse = |key, value: String, detail: &str| {
            Err(ConfigError::Value { place: place.into(), key, value, detail: detail.into() })
        };
        let kafka = &self.kafka;
        if kafka.brokers.split(',').any(|broker| !is_host_and_port(broker.trim())) {
            return refuse(
                "kafka.brokers",
                kafka.brokers.clone(),
                "want host:port, several separated by commas",
            );
        }
        if !is_topic_name(&kafka.topic) {
            return refuse(
                "kafka.topic",
                kafka.topic.clone(),
                "want 1 to 249 of letters, digits, '.', '_' and '-'",
            );
        }
        if let Some(name) = kafka.properties.keys().find(|name| RESERVED_PROPERTIES.contains(&name.as_str()))
        {
            return refuse("kafka.properties", name.clone(), "is set by ingest and cannot be configured");
        }
        for (key, value, low, high) in [
            ("kafka.acknowledge_timeout_ms", kafka.acknowledge_timeout_ms, 100, 300_000),
            ("retry_after_s", self.retry_after_s, 1, 3_600),
            ("shutdown_timeout_s", self.shutdown_timeout_s, 1, 300),
            ("workers", self.workers as u64, 0, 1_024),
            ("limits.body_bytes_max", self.limits.body_bytes_max as u64, 1_024, 16 << 20),
            ("limits.decompressed_bytes_max", self.limits.decompressed_bytes_max as u64, 1_024, 64 << 20),
            ("limits.body_timeout_s", self.limits.body_timeout_s, 1, 300),
        ] {
            if !(low..=high).contains(&value) {
                return refuse(key, value.to_string(), &format!("want {low} to {high}"));
            }
        }
        let paths = [
            ("paths.beacons", &self.paths.beacons),
            ("paths.faro", &self.paths.faro),
            ("paths.otlp_logs", &self.paths.otlp_logs),
            ("paths.otlp_traces", &self.paths.otlp_traces),
            ("paths.boomerang", &self.paths.boomerang),
            ("paths.web_vitals", &self.paths.web_vitals),
            ("paths.network_errors", &self.paths.network_errors),
        ];
        for (at, (key, path)) in paths.iter().enumerate() {
            if !is_path(path) {
                return refuse(
                    key,
                    (*path).clone(),
                    "want `/` and then letters, digits, '/', '.', '_' and '-'",
                );
            }
            if paths[..at].iter().any(|(_, other)| other == path) {
                return refuse(key, (*path).clone(), "is the path of another format");
            }
        }
        if !self.country_header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return refuse("country_header", self.country_header.clone(), "want the name of a header");
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

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-'))
}

fn shape_error(file: &str, error: figment::Error) -> ConfigError {
    let from_environment = error.metadata.as_ref().is_some_and(|source| source.name == environment::NAME);
    ConfigError::Shape {
        place: if from_environment { environment::NAME.into() } else { file.into() },
        key: error.path.join("."),
        detail: error.kind.to_string(),
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
