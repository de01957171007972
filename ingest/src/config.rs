//! The configuration: defaults, a TOML file, then the environment; validated before any socket opens.
//!
//! What an app may send is not here but in its app file, which [`crate::apps`] reads.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
pub use settings::Environment;
use settings::SettingsError;
use settings::kafka::{Properties, are_brokers, is_topic_name};

use crate::adapter::Format;
use crate::address::Proxies;
use crate::log::RESERVED_PROPERTIES;

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
    /// Networks or addresses of the proxies that tell the client's address, separated by commas. With none of them
    /// a client is who connects.
    pub trusted_proxies: String,
    /// The header that these proxies append the address to: `x-forwarded-for` or `forwarded`; empty: none.
    pub forwarded_header: String,
    /// What `Retry-After` tells clients when the log does not confirm, s.
    pub retry_after_s: u64,
    /// How long requests in flight have when the process is told to stop, s.
    pub shutdown_timeout_s: u64,
    /// Where each format is received: ad blockers know the usual paths.
    pub paths: Paths,
    /// Bounds of a request, and of all of them.
    pub limits: Limits,
    /// How many requests may come in a time.
    pub rates: Rates,
    /// The log.
    pub kafka: KafkaConfig,
    /// Where beacons are kept while Kafka is away.
    pub spool: SpoolConfig,
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
    /// Bytes of a decompressed body for each byte as it is sent, at most; the first 64 KiB are free.
    pub decompressed_ratio_max: usize,
    /// Time for a whole body, s.
    pub body_timeout_s: u64,
    /// Bytes that all requests hold together, from their first byte to the answer.
    pub bodies_bytes_max: usize,
    /// Time for the head of a request, s.
    pub head_timeout_s: u64,
    /// How long a connection waits for the next request, s.
    pub keep_alive_s: u64,
    /// Connections at the same time; more wait to be accepted.
    pub connections_max: usize,
    /// Connections of one network at the same time; more are closed. Trusted proxies have no such bound.
    pub network_connections_max: usize,
}

/// How many requests may come in a time; what is more is answered 429. 0 a second is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Requests a second of one network of clients: /24 of IPv4, /48 of IPv6.
    pub network_requests_per_s: u32,
    /// Requests of a network that may come at once.
    pub network_burst: u32,
    /// Requests a second with one write key.
    pub key_requests_per_s: u32,
    /// Requests with a write key that may come at once.
    pub key_burst: u32,
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
    pub properties: Properties,
}

/// Where beacons are kept while Kafka is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Folder, of one process alone; empty: no spool, so that requests are refused while Kafka is away.
    pub dir: PathBuf,
    /// Bytes that it may hold; then requests are refused.
    pub bytes_max: u64,
    /// How long Kafka has to acknowledge before a request is kept in the spool, ms.
    pub after_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            apps_dir: "definitions/apps".into(),
            workers: 0,
            country_header: String::new(),
            trusted_proxies: "127.0.0.0/8, ::1".into(),
            forwarded_header: "x-forwarded-for".into(),
            retry_after_s: 5,
            shutdown_timeout_s: 15,
            paths: Paths::default(),
            limits: Limits::default(),
            rates: Rates::default(),
            kafka: KafkaConfig::default(),
            spool: SpoolConfig::default(),
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
        Self {
            body_bytes_max: 256 << 10,
            decompressed_bytes_max: 1 << 20,
            decompressed_ratio_max: 100,
            body_timeout_s: 20,
            bodies_bytes_max: 24 << 20,
            head_timeout_s: 5,
            keep_alive_s: 30,
            connections_max: 10_000,
            network_connections_max: 1_000,
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            network_requests_per_s: 1_000,
            network_burst: 5_000,
            key_requests_per_s: 100_000,
            key_burst: 200_000,
        }
    }
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { dir: PathBuf::new(), bytes_max: 1 << 30, after_ms: 1_000 }
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            topic: "rum.beacons".into(),
            acknowledge_timeout_ms: 10_000,
            properties: Properties::default(),
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
        let config: Self = settings::read("INGEST_", file, &environment)?;
        config.validate(&file.map_or_else(|| "configuration".into(), |path| path.display().to_string()))?;
        Ok(config)
    }

    /// Who may tell a client's address.
    ///
    /// # Errors
    /// The key that is wrong, and what is allowed.
    pub fn proxies(&self) -> Result<Proxies, (&'static str, String)> {
        Proxies::parse(&self.trusted_proxies, &self.forwarded_header)
    }

    fn validate(&self, place: &str) -> Result<(), ConfigError> {
        let refuse = |key, value: String, detail: &str| {
            Err(ConfigError::Value { place: place.into(), key, value, detail: detail.into() })
        };
        let kafka = &self.kafka;
        if !are_brokers(&kafka.brokers) {
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
            ("spool.bytes_max", self.spool.bytes_max, 1 << 20, 1 << 40),
            ("spool.after_ms", self.spool.after_ms, 50, 60_000),
            ("retry_after_s", self.retry_after_s, 1, 3_600),
            ("shutdown_timeout_s", self.shutdown_timeout_s, 1, 300),
            ("workers", self.workers as u64, 0, 1_024),
            ("limits.body_bytes_max", self.limits.body_bytes_max as u64, 1_024, 16 << 20),
            ("limits.decompressed_bytes_max", self.limits.decompressed_bytes_max as u64, 1_024, 64 << 20),
            ("limits.decompressed_ratio_max", self.limits.decompressed_ratio_max as u64, 2, 10_000),
            ("limits.body_timeout_s", self.limits.body_timeout_s, 1, 300),
            ("limits.bodies_bytes_max", self.limits.bodies_bytes_max as u64, 16 << 20, 64 << 30),
            ("limits.head_timeout_s", self.limits.head_timeout_s, 1, 300),
            ("limits.keep_alive_s", self.limits.keep_alive_s, 1, 3_600),
            ("limits.connections_max", self.limits.connections_max as u64, 16, 1_000_000),
            ("limits.network_connections_max", self.limits.network_connections_max as u64, 1, 1_000_000),
            ("rates.network_burst", u64::from(self.rates.network_burst), 1, u64::from(u32::MAX)),
            ("rates.key_burst", u64::from(self.rates.key_burst), 1, u64::from(u32::MAX)),
        ] {
            if !(low..=high).contains(&value) {
                return refuse(key, value.to_string(), &format!("want {low} to {high}"));
            }
        }
        if let Err((key, detail)) = self.proxies() {
            let value = if key == "trusted_proxies" { &self.trusted_proxies } else { &self.forwarded_header };
            return refuse(key, value.clone(), &detail);
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

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
