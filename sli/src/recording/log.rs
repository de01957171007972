//! Beacons that are on the log now.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Recorded, Recording};

/// Longest wait for an answer of Kafka.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Wait for one message.
const POLL: Duration = Duration::from_millis(200);

/// The log, and how far back it is read.
#[derive(Debug, Clone, Args)]
pub(super) struct LogArgs {
    /// Kafka's brokers, with commas between them.
    #[arg(long, env = "SLI_KAFKA_BROKERS", default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    kafka_brokers: String,
    /// The log.
    #[arg(long, env = "SLI_KAFKA_TOPIC", default_value = "rum.beacons", value_name = "TOPIC")]
    kafka_topic: String,
    /// Any property of librdkafka, such as those of TLS; may be given again.
    #[arg(long, value_name = "NAME=VALUE", value_parser = property)]
    kafka_property: Vec<(String, String)>,
    /// Beacons of the last so many minutes.
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_080))]
    minutes: u32,
    /// Beacons at most, the oldest of each partition first.
    #[arg(long, default_value_t = 500_000, value_name = "N")]
    limit: usize,
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a property is such as security.protocol=SSL")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl LogArgs {
    /// Reads from the log what was appended in the last minutes and is there now.
    pub(super) async fn read(&self) -> anyhow::Result<Recording> {
        let args = self.clone();
        tokio::task::spawn_blocking(move || args.read_blocking()).await?
    }

    /// What is read, for people.
    pub(super) fn source(&self) -> String {
        format!("the last {} minutes of {} on {}", self.minutes, self.kafka_topic, self.kafka_brokers)
    }

    fn read_blocking(&self) -> anyhow::Result<Recording> {
        let consumer: BaseConsumer = self.config().create().context("cannot make a client of Kafka")?;
        let mut ranges = self.ranges(&consumer)?;
        let mut assignment = TopicPartitionList::new();
        for (partition, range) in &ranges {
            assignment.add_partition_offset(&self.kafka_topic, *partition, Offset::Offset(range.0))?;
        }
        consumer.assign(&assignment)?;
        let mut records = Vec::new();
        let mut silent = Duration::ZERO;
        while !ranges.is_empty() && records.len() < self.limit {
            let Some(message) = consumer.poll(POLL) else {
                silent += POLL;
                if silent > TIMEOUT {
                    bail!(
                        "{} is silent: partitions {:?} were not read to their end",
                        self.kafka_brokers,
                        ranges.keys()
                    );
                }
                continue;
            };
            silent = Duration::ZERO;
            let message = message?;
            let partition = message.partition();
            if let Some(append_ms) = message.timestamp().to_millis()
                && let Some(payload) = message.payload()
                && ranges.contains_key(&partition)
            {
                let (key, payload) = (message.key().unwrap_or_default().to_vec(), payload.to_vec());
                records.push(Recorded { partition, append_ms, key, payload });
            }
            ranges.retain(|known, (_, end)| *known != partition || message.offset() + 1 < *end);
        }
        Ok(Recording::from(records))
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "sli");
        for (name, value) in &self.kafka_property {
            config.set(name, value);
        }
        // librdkafka wants a group to assign partitions by hand; nothing joins it or commits.
        config
            .set("bootstrap.servers", &self.kafka_brokers)
            .set("group.id", "sli-reader")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        config
    }

    /// First offset of the period and end of each partition that has any.
    fn ranges(&self, consumer: &BaseConsumer) -> anyhow::Result<BTreeMap<i32, (i64, i64)>> {
        let topic = &self.kafka_topic;
        let unreachable = || format!("cannot ask {} for {topic}", self.kafka_brokers);
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).with_context(unreachable)?;
        let partitions =
            metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|known| known.id());
        let since_ms = jiff::Timestamp::now().as_millisecond() - i64::from(self.minutes) * 60_000;
        let mut wanted = TopicPartitionList::new();
        for partition in partitions {
            wanted.add_partition_offset(topic, partition, Offset::Offset(since_ms))?;
        }
        if wanted.count() == 0 {
            bail!("{} has no topic {topic}", self.kafka_brokers);
        }
        let begins = consumer.offsets_for_times(wanted, TIMEOUT).with_context(unreachable)?;
        let mut ranges = BTreeMap::new();
        for begin in begins.elements() {
            let (_, end) =
                consumer.fetch_watermarks(topic, begin.partition(), TIMEOUT).with_context(unreachable)?;
            if let Offset::Offset(first) = begin.offset()
                && first < end
            {
                ranges.insert(begin.partition(), (first, end));
            }
        }
        Ok(ranges)
    }
}
