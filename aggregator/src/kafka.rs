//! Clients of Kafka: what is configured, and what the guarantees fix.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;
use settings::kafka::PropertyError;

use crate::config::{Assignment, KafkaConfig};

/// What every client begins with: the brokers and the configured properties.
pub(crate) fn client(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("client.id", "sli-aggregator");
    kafka.properties.apply(&mut config);
    config.set("bootstrap.servers", &kafka.brokers);
    config
}

/// The consumer of the log. Offsets come from `sli.batches`, so nothing is committed or reset by itself.
pub fn consumer(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = client(kafka);
    let defaults = [
        // A queue that was full is looked at again after this; the default of a second halves the speed.
        ("fetch.queue.backoff.ms", "5"),
        // Of each partition.
        ("queued.max.messages.kbytes", "8192"),
        ("queued.min.messages", "10000"),
        ("fetch.wait.max.ms", "100"),
    ];
    for (name, value) in defaults {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    // The loop asks every few milliseconds, so one that is silent for longer hangs and may lose its partitions as soon
    // as a process that is gone. librdkafka's default of five minutes would have the deduplication window hold as long.
    if config.get("max.poll.interval.ms").is_none() {
        config.set("max.poll.interval.ms", config.get("session.timeout.ms").unwrap_or("45000").to_owned());
    }
    config
        .set("group.id", &kafka.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error");
    match kafka.assignment {
        Assignment::Range => config.set("partition.assignment.strategy", "range"),
        Assignment::CooperativeSticky => config.set("partition.assignment.strategy", "cooperative-sticky"),
        Assignment::Consumer => config.set("group.protocol", "consumer"),
    };
    if !kafka.instance_id.is_empty() {
        config.set("group.instance.id", &kafka.instance_id);
    }
    config
}

/// A reader without a group, for looking at topics.
pub fn reader(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = client(kafka);
    // librdkafka wants a group to assign partitions by hand; nothing joins it or commits.
    config
        .set("group.id", "sli-aggregator-reader")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("fetch.queue.backoff.ms", "5");
    config
}

/// The producer of a process: of control records, rejects and snapshots. Clones share its connections and its
/// thread, which looks every millisecond for answers to hand out; one such thread is enough.
pub type Producer = FutureProducer<Logged>;

/// Connects by itself, and again whenever it must.
///
/// # Errors
/// When a property is not known or has a bad value.
pub fn producer(kafka: &KafkaConfig) -> Result<Producer, KafkaError> {
    client(kafka)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "20000")
        .set("queue.buffering.max.messages", "10000")
        .create_with_context(Logged)
}

/// Whether librdkafka knows every configured property and takes its value; connects to nothing.
///
/// # Errors
/// Names the property.
pub fn check_properties(kafka: &KafkaConfig) -> Result<(), PropertyError> {
    settings::kafka::check(&consumer(kafka))
}

/// How long the group bears a silent member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupTimeouts {
    /// `session.timeout.ms`: without a heartbeat, which a thread of librdkafka sends. Where the broker assigns
    /// ([`Assignment::Consumer`]) it has its own, of which [`crate::checks`] sees that it is not longer.
    pub session: Duration,
    /// `max.poll.interval.ms`: without a round of the consumer's loop.
    pub poll: Duration,
}

/// The timeouts that the consumer will have, librdkafka's defaults included.
///
/// # Errors
/// When a property is not known or has a bad value.
pub fn group_timeouts(kafka: &KafkaConfig) -> Result<GroupTimeouts, KafkaError> {
    let config = consumer(kafka).create_native_config()?;
    let read = |name: &str| {
        let text = config.get(name)?;
        let ms = text.trim_end_matches('\0').parse().map_err(|_| {
            KafkaError::ClientCreation(format!("{name} = {text:?} is not a number of milliseconds"))
        })?;
        Ok::<_, KafkaError>(Duration::from_millis(ms))
    };
    Ok(GroupTimeouts { session: read("session.timeout.ms")?, poll: read("max.poll.interval.ms")? })
}

/// Passes librdkafka's messages to the log of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka");
    }
}

/// A message of librdkafka at the level of this process's log.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // Producers and consumers share the configured properties, and each warns of the other's.
    if facility == "CONFWARN" {
        tracing::debug!(facility, "{message}");
        return;
    }
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(facility, "{message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_member_is_borne_as_long_as_configured() {
        let timeouts = |properties: &[(&str, &str)]| {
            let properties = properties.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            let kafka = KafkaConfig { properties: properties.collect(), ..KafkaConfig::default() };
            let GroupTimeouts { session, poll } = group_timeouts(&kafka).unwrap();
            (session.as_millis(), poll.as_millis())
        };
        assert_eq!(timeouts(&[]), (45_000, 45_000));
        assert_eq!(timeouts(&[("session.timeout.ms", "6000")]), (6_000, 6_000));
        let both = [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "60000")];
        assert_eq!(timeouts(&both), (6_000, 60_000));
    }
}
