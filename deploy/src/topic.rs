//! The topics of the pipeline, created by Kafka's admin protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use crate::error::StackError;

/// Topic of the records.
pub const BEACONS: &str = "rum.beacons";
/// Topic of the records that could not be decoded.
pub const REJECTS: &str = "rum.rejects";

/// Topic of the engines' snapshots; a partition belongs to that of the same number of the records.
pub const SNAPSHOTS: &str = "rum.snapshots";

/// How long the topics keep records: an aggregator that was away for a week loses nothing. A snapshot that is older
/// than the log is of no use, and what remains of a larger former one goes with it.
const RETENTION_MS: &str = "604800000";
/// Bytes of a segment of snapshots: only segments that are full, or older than [`SNAPSHOT_SEGMENT_MS`], are compacted.
const SNAPSHOT_SEGMENT_BYTES: &str = "67108864";
/// Older snapshots are of no use, so what was overwritten goes within about two hours.
const SNAPSHOT_SEGMENT_MS: &str = "3600000";
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the topics are asked for: a broker that has just started may not answer the first time, and what
/// was created by then is no error.
const ATTEMPTS_MAX: u32 = 5;
/// The broker's own default.
const REPLICATION_OF_BROKER: TopicReplication<'static> = TopicReplication::Fixed(-1);

/// An administrative client.
fn admin(
    brokers: &str,
    properties: &BTreeMap<String, String>,
) -> Result<AdminClient<DefaultClientContext>, StackError> {
    let mut config = ClientConfig::new();
    properties.iter().for_each(|(key, value)| {
        config.set(key, value);
    });
    config.set("bootstrap.servers", brokers);
    config.create().map_err(|error| refused(brokers, "create a client", error))
}

/// Creates the topics that are missing. One that exists stays as it is: whether it serves is checked by the
/// processes that depend on it.
///
/// # Errors
/// When Kafka does not answer or refuses.
pub async fn create(
    brokers: &str,
    properties: &BTreeMap<String, String>,
    partitions: i32,
) -> Result<(), StackError> {
    let beacons = NewTopic::new(BEACONS, partitions, REPLICATION_OF_BROKER)
        .set("message.timestamp.type", "LogAppendTime")
        .set("retention.ms", RETENTION_MS)
        .set("retention.bytes", "-1");
    let rejects = NewTopic::new(REJECTS, 1, REPLICATION_OF_BROKER).set("retention.ms", RETENTION_MS);
    let snapshots = NewTopic::new(SNAPSHOTS, partitions, REPLICATION_OF_BROKER)
        .set("cleanup.policy", "compact,delete")
        .set("retention.ms", RETENTION_MS)
        .set("segment.bytes", SNAPSHOT_SEGMENT_BYTES)
        .set("segment.ms", SNAPSHOT_SEGMENT_MS)
        .set("max.compaction.lag.ms", SNAPSHOT_SEGMENT_MS)
        .set("min.cleanable.dirty.ratio", "0.2");
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let admin = admin(brokers, properties)?;
    for attempt in 1.. {
        let failure = match admin.create_topics([&beacons, &rejects, &snapshots], &options).await {
            Ok(results) => results.into_iter().find_map(|result| match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => None,
                Err((topic, code)) => Some(format!("{topic}: {code}")),
            }),
            Err(error) => Some(error.to_string()),
        };
        match failure {
            None => break,
            Some(failure) if attempt == ATTEMPTS_MAX => {
                return Err(refused(brokers, "create topics", failure));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Makes the log larger, and with it the topic of snapshots; both then have `partitions`. What else that takes says
/// `docs/operating.md`.
///
/// # Errors
/// When Kafka does not answer, or refuses: it takes no partitions away.
pub async fn add_partitions(
    brokers: &str,
    properties: &BTreeMap<String, String>,
    partitions: usize,
) -> Result<(), StackError> {
    let larger = [BEACONS, SNAPSHOTS].map(|topic| NewPartitions::new(topic, partitions));
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let results = admin(brokers, properties)?.create_partitions(&larger, &options).await;
    let failure = match results {
        Ok(results) => results.into_iter().find_map(|result| match result {
            Ok(_) => None,
            Err((topic, code)) => Some(format!("{topic}: {code}")),
        }),
        Err(error) => Some(error.to_string()),
    };
    match failure {
        None => Ok(()),
        Some(failure) => Err(refused(brokers, "add partitions", failure)),
    }
}

/// Asks the cluster for its metadata.
///
/// # Errors
/// When no broker answers within `timeout`.
pub fn ping(
    brokers: &str,
    properties: &BTreeMap<String, String>,
    timeout: Duration,
) -> Result<(), StackError> {
    let metadata = admin(brokers, properties)?.inner().fetch_metadata(None, timeout);
    match metadata {
        Ok(metadata) if !metadata.brokers().is_empty() => Ok(()),
        Ok(_) => Err(unreachable_brokers(brokers, "no broker is registered yet".into())),
        Err(error) => Err(unreachable_brokers(brokers, error.to_string())),
    }
}

fn unreachable_brokers(brokers: &str, detail: String) -> StackError {
    StackError::Unreachable { what: "Kafka", address: brokers.into(), detail }
}

fn refused(brokers: &str, action: &str, error: impl std::fmt::Display) -> StackError {
    StackError::Kafka { brokers: brokers.into(), action: action.into(), detail: error.to_string() }
}
