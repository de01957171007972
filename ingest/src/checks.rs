//! What must hold of Kafka before a socket opens: a topic whose time is the broker's.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer, ThreadedProducer};
use settings::kafka::Asking;

use crate::clock;
use crate::config::KafkaConfig;
use crate::log::{Log, LogState, producer_config, record_bytes_max};

/// A broker that starts together with this process gets this long to answer.
pub const DEPENDENCY_WAIT: Duration = Duration::from_secs(30);
/// With a spool requests can be answered meanwhile, so it gets this long.
pub const SPOOL_WAIT: Duration = Duration::from_secs(2);
/// A topic that is wrong is looked at again after this.
const RECHECK_DELAY: Duration = Duration::from_secs(5);
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The setting that log time depends on, and its value.
const TIMESTAMP_TYPE: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// Why the process refuses to start.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Kafka does not answer.
    #[error("kafka at {brokers} does not answer: {source}")]
    KafkaAway {
        /// Brokers as configured.
        brokers: String,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// Kafka or the client refuses the connection, and waiting does not mend that.
    #[error("kafka at {brokers}: {refusal}")]
    KafkaRefuses {
        /// Brokers as configured.
        brokers: String,
        /// The reason and what to do.
        refusal: String,
    },
    /// The topic is not there.
    #[error("topic {0} does not exist: create it with message.timestamp.type=LogAppendTime")]
    TopicMissing(String),
    /// A batch of records that the client thinks small enough would be refused, and each of its beacons with it.
    #[error(
        "topic {topic} takes batches of max.message.bytes={takes}, but the client makes them of message.max.bytes={sends}: \
         raise the one, or lower the other in [kafka.properties]"
    )]
    BatchBytes {
        /// The topic.
        topic: String,
        /// What it takes.
        takes: usize,
        /// What is sent at most.
        sends: usize,
    },
    /// The log's time would be the producers'.
    #[error(
        "topic {topic} has message.timestamp.type={found}, but log time must be the broker's: set it to LogAppendTime"
    )]
    TimestampType {
        /// The topic.
        topic: String,
        /// Its setting.
        found: String,
    },
}

/// Checks the topic until it is right, and lets the log be used then: after a start without Kafka.
pub async fn check_until_right(kafka: KafkaConfig, log: Arc<Log>) {
    loop {
        match check_topic(&kafka, DEPENDENCY_WAIT).await {
            Ok(()) => {
                tracing::info!(topic = kafka.topic, "the topic is right");
                return log.set_state(LogState::Answers);
            }
            Err(CheckError::KafkaAway { .. }) => {}
            Err(error) => {
                tracing::error!(%error, "nothing is written to kafka, everything stays in the spool");
                log.set_state(LogState::Wrong(error.to_string()));
                tokio::time::sleep(RECHECK_DELAY).await;
            }
        }
    }
}

/// Checks the topic; a broker that is away gets `wait` to answer.
///
/// # Errors
/// Says what is missing or set wrong.
pub async fn check_topic(kafka: &KafkaConfig, wait: Duration) -> Result<(), CheckError> {
    let away = |source| CheckError::KafkaAway { brokers: kafka.brokers.clone(), source };
    let deadline = clock::monotonic() + wait;
    let asking = Asking::default();
    // Hears what went wrong, which a client for administration does not.
    let asker: ThreadedProducer<Asking> =
        producer_config(kafka).create_with_context(asking.clone()).map_err(away)?;
    let asker = Arc::new(asker);
    let partitions = loop {
        let (asker, topic) = (Arc::clone(&asker), kafka.topic.clone());
        let asked =
            tokio::task::spawn_blocking(move || partitions(&asker, &topic, wait.min(BROKER_TIMEOUT))).await;
        match asked.unwrap_or(Err(KafkaError::Canceled)) {
            Ok(partitions) => break partitions,
            Err(source) => {
                if let Some(refusal) = asking.refusal() {
                    return Err(CheckError::KafkaRefuses { brokers: kafka.brokers.clone(), refusal });
                }
                if clock::monotonic() >= deadline {
                    return Err(away(source));
                }
                tracing::info!(error = %source, brokers = kafka.brokers, "waiting for kafka");
            }
        }
        tokio::time::sleep(RETRY_DELAY).await;
    };
    if partitions == 0 {
        return Err(CheckError::TopicMissing(kafka.topic.clone()));
    }
    let admin: AdminClient<DefaultClientContext> = producer_config(kafka).create().map_err(away)?;
    let options = AdminOptions::new().request_timeout(Some(BROKER_TIMEOUT));
    let answers =
        admin.describe_configs(&[ResourceSpecifier::Topic(&kafka.topic)], &options).await.map_err(away)?;
    let resources: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    let setting = |name| resources.iter().find_map(|resource| resource.get(name)?.value.clone());
    let found = setting(TIMESTAMP_TYPE.0).unwrap_or_else(|| "unknown".into());
    if found != TIMESTAMP_TYPE.1 {
        return Err(CheckError::TimestampType { topic: kafka.topic.clone(), found });
    }
    let (takes, sends) = (setting("max.message.bytes"), record_bytes_max(kafka));
    match takes.and_then(|bytes| bytes.parse().ok()) {
        Some(takes) if takes < sends => {
            Err(CheckError::BatchBytes { topic: kafka.topic.clone(), takes, sends })
        }
        _ => Ok(()),
    }
}

/// The topic's partitions, none when there is no topic. Blocks.
fn partitions(asker: &ThreadedProducer<Asking>, topic: &str, timeout: Duration) -> Result<usize, KafkaError> {
    let metadata = asker.client().fetch_metadata(Some(topic), timeout)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(found.map_or(0, |found| found.partitions().len()))
}
