//! How Kafka is reached: any property of librdkafka, and the refusals that no waiting mends.
//!
//! Which properties a client needs for its guarantees is decided by who makes it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaConfRes;
use serde::{Deserialize, Deserializer, Serialize};

/// Properties of librdkafka whose values are names of files though their names end in `file`.
pub(crate) const PROPERTIES_THAT_NAME_FILES: [&str; 3] = [
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
];

/// Parts of the names of properties whose values nobody may see.
const SECRET_NAMES: [&str; 6] = ["password", "secret", "key", "config", "assertion", "token"];

/// Properties of librdkafka by name. Printing shows the names alone.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Sets them in a client's configuration.
    pub fn apply(&self, config: &mut ClientConfig) {
        for (name, value) in &self.0 {
            config.set(name, value);
        }
    }
}

impl Deref for Properties {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Properties {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<BTreeMap<String, String>> for Properties {
    fn from(properties: BTreeMap<String, String>) -> Self {
        Self(properties)
    }
}

impl FromIterator<(String, String)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = (&'a String, &'a String);
    type IntoIter = std::collections::btree_map::Iter<'a, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Values may be numbers or truth values, and `a.b = 1` without quotes is a nested table in TOML.
impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut flat = BTreeMap::new();
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Object(nested) => {
                for (name, value) in nested {
                    flatten(name, value, &mut flat).map_err(serde::de::Error::custom)?;
                }
                Ok(Self(flat))
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_)
            | serde_json::Value::Array(_) => Err(serde::de::Error::custom("want a table of properties")),
        }
    }
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

/// Whether `text` names brokers: `host:port`, several separated by commas.
pub fn are_brokers(text: &str) -> bool {
    text.split(',').all(|broker| {
        let broker = broker.trim().rsplit_once(':');
        broker.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    })
}

/// Whether Kafka takes `name` for a topic.
pub fn is_topic_name(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// A property that librdkafka refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kafka.properties: {0}")]
pub struct PropertyError(String);

/// Whether librdkafka knows every property and takes its value; connects to nothing.
///
/// # Errors
/// Names the property, and never shows a secret.
pub fn check(config: &ClientConfig) -> Result<(), PropertyError> {
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(kind, detail, name, _)) => {
            let unknown = kind == RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN;
            let detail = if !unknown && SECRET_NAMES.iter().any(|part| name.contains(part)) {
                "librdkafka does not take its value"
            } else {
                detail.trim_end_matches('\0')
            };
            Err(PropertyError(format!("{name}: {detail}")))
        }
        Err(error) => Err(PropertyError(error.to_string())),
    }
}

/// The context of a client that only asks. It stays silent, since its failures are told by who asks, and remembers
/// the refusal that no waiting mends.
#[derive(Debug, Clone, Default)]
pub struct Asking(Arc<Mutex<Option<String>>>);

impl Asking {
    /// What the broker or the client refused, with what to do.
    pub fn refusal(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, message: &str) {
        if let Some(sentence) = refusal(message) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(sentence);
        }
    }
}

impl ClientContext for Asking {
    fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
        self.note(message);
    }

    fn error(&self, _: KafkaError, reason: &str) {
        self.note(reason);
    }
}

impl ConsumerContext for Asking {}

/// Nothing is produced by who only asks.
impl ProducerContext for Asking {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// What to do about a failed connection, if waiting does not mend it.
fn refusal(message: &str) -> Option<String> {
    let remedy = if message.contains("hostname mismatch") || message.contains("IP address mismatch") {
        "connect by a name that the broker's certificate holds, see kafka.brokers"
    } else if message.contains("certificate verify failed") {
        "name the file of the authority that signed the broker's certificate as ssl.ca.location in kafka.properties"
    } else if message.contains("SASL authentication error") || message.contains("Authentication failed") {
        "check sasl.username, sasl.password (or sasl.password_file) and sasl.mechanism in kafka.properties"
    } else if message.contains("SASL handshake failed") || message.contains("mechanism handshake failed") {
        "set sasl.mechanism in kafka.properties to one that the broker offers"
    } else {
        return None;
    };
    // Before the reason stand the thread's name and the broker's, after it the state of the connection.
    let reason = message.rsplit_once("]: ").map_or(message, |(_, reason)| reason);
    let reason = reason.split(" (after ").next().unwrap_or(reason);
    Some(format!("{}: {remedy}", reason.trim()))
}
