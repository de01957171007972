//! A copy of the log for peers that cannot read its encoding: the same events as JSON, at the pace of the traffic.
//!
//! A record becomes one message with a line of JSON for each of its events, under the same key, in a topic with as many
//! partitions, compressed as `ingest` compresses. Reading, decoding and writing JSON happen here and are nobody's cost.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use schema::beacon::{Beacon, Event};
use schema::record::Record;
use schema::value::SCALE;
use serde::{Serialize, Serializer};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// Longest wait for the broker.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// Records that are produced before the clock is looked at again.
const PACED_TOGETHER: u64 = 16;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Beacons.
    pub beacons: u64,
    /// Their events: rows of whoever keeps all of them.
    pub events: u64,
    /// Events of beacons that had been there before: a client that was not answered sends again.
    pub repeated_events: u64,
}

/// One event with its beacon's context, as a row of JSON.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    app: &'a str,
    environment: &'a str,
    session: &'a str,
    sequence: u64,
    release: &'a str,
    platform: &'a str,
    os: &'a str,
    browser: &'a str,
    device_class: &'a str,
    country: &'a str,
    connection: &'a str,
    segment: &'a str,
    received_at_ms: i64,
    bot: bool,
    weight: u32,
    name: &'a str,
    time_ms: i64,
    value: Option<f64>,
    #[serde(serialize_with = "as_map")]
    attributes: &'a Event<'a>,
}

fn as_map<S: Serializer>(event: &&Event<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(event.attributes.iter().map(|(name, value)| (name, value)))
}

/// Creates a topic with the broker's defaults.
///
/// # Errors
/// When the broker does not answer or refuses.
pub async fn create_topic(brokers: &str, topic: &str, partitions: i32) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().context("a client of Kafka")?;
    let topic_wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    for result in admin.create_topics([&topic_wanted], &options).await? {
        if let Err((topic, code)) = result {
            bail!("Kafka did not create topic {topic}: {code}");
        }
    }
    Ok(())
}

/// Copies everything that topic `from` holds now to `to`, `rate` beacons a second. Blocks.
///
/// # Errors
/// When the broker does not answer, or a record is none of this project's.
pub fn copy(brokers: &str, from: &str, to: &str, rate: f64) -> anyhow::Result<Copied> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "loadtest-copy")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .create()
        .context("a consumer")?;
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("compression.type", "lz4")
        .create()
        .context("a producer")?;
    let mut left = assign_all(&consumer, from)?;
    let mut copied = Copied::default();
    let mut seen = HashSet::new();
    let (started, mut heard) = (Instant::now(), Instant::now());
    let mut lines = Vec::new();
    while left > 0 {
        let Some(message) = consumer.poll(POLL) else {
            if heard.elapsed() >= PATIENCE {
                bail!("Kafka gave nothing of {from} for {} s, {left} records are left", PATIENCE.as_secs());
            }
            continue;
        };
        let message = message.context("reading the log")?;
        heard = Instant::now();
        left -= 1;
        let Record::Beacon(beacon) = Record::decode(message.payload().unwrap_or_default())? else { continue };
        let events = beacon.events.len() as u64;
        copied.beacons += 1;
        copied.events += events;
        if !seen.insert(xxh3_64(beacon.id.as_bytes())) {
            copied.repeated_events += events;
        }
        lines.clear();
        write_rows(&beacon, &mut lines)?;
        produce(&producer, to, message.key().unwrap_or_default(), &lines)?;
        if copied.beacons.is_multiple_of(PACED_TOGETHER) {
            let due = started + Duration::from_secs_f64(copied.beacons as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    producer.flush(PATIENCE).context("the last of the copy")?;
    Ok(copied)
}

/// Reads every partition from its beginning, and says how many records there are.
fn assign_all(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<u64> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).context("asking for the topic")?;
    let partitions = metadata.topics().first().map(|topic| topic.partitions()).unwrap_or_default();
    let mut list = TopicPartitionList::new();
    let mut records = 0;
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
        records += (high - low).max(0) as u64;
        if high > low {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        }
    }
    consumer.assign(&list)?;
    Ok(records)
}

fn write_rows(beacon: &Beacon<'_>, lines: &mut Vec<u8>) -> anyhow::Result<()> {
    for event in &beacon.events {
        let row = Row {
            id: &beacon.id,
            app: &beacon.app,
            environment: &beacon.environment,
            session: &beacon.session,
            sequence: beacon.sequence.unwrap_or_default(),
            release: &beacon.release,
            platform: &beacon.platform,
            os: &beacon.os,
            browser: &beacon.browser,
            device_class: &beacon.device_class,
            country: &beacon.country,
            connection: &beacon.connection,
            segment: &beacon.segment,
            received_at_ms: beacon.received_at_ms,
            bot: beacon.bot,
            weight: beacon.weight,
            name: &event.name,
            time_ms: event.time_ms,
            value: event.value.map(|value| value.scaled() as f64 / SCALE as f64),
            attributes: event,
        };
        serde_json::to_writer(&mut *lines, &row)?;
        lines.push(b'\n');
    }
    Ok(())
}

fn produce(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    key: &[u8],
    payload: &[u8],
) -> anyhow::Result<()> {
    // A beacon whose events were all refused has no rows.
    if payload.is_empty() {
        return Ok(());
    }
    let mut record = BaseRecord::to(topic).key(key).payload(payload);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                record = unsent;
                std::thread::sleep(POLL);
            }
            Err((error, _)) => return Err(error).context("writing the copy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::beacon::TimeMethod;
    use schema::value::Value;

    use super::*;

    #[test]
    fn a_beacon_is_a_line_for_each_event() {
        let event = |name: &'static str, value: Option<f64>| Event {
            name: name.into(),
            time_ms: 1_000,
            time_method: TimeMethod::AsSent,
            time_correction_ms: 0,
            value: value.and_then(|value| Value::from_f64(value).ok()),
            attributes: vec![("route".into(), "/a \"b\"".into())],
        };
        let beacon = Beacon {
            id: "b-1".into(),
            app: "web".into(),
            environment: "production".into(),
            session: "s-1".into(),
            sequence: None,
            release: "1".into(),
            platform: "web".into(),
            os: "".into(),
            browser: "".into(),
            device_class: "".into(),
            country: "".into(),
            connection: "".into(),
            segment: "".into(),
            received_at_ms: 1_500,
            sent_at_ms: None,
            bot: false,
            weight: 1,
            events: vec![event("browser.navigation", Some(83.5)), event("session.end", None)],
            rejected: Vec::new(),
        };
        let mut lines = Vec::new();
        write_rows(&beacon, &mut lines).unwrap();
        let rows: Vec<serde_json::Value> = String::from_utf8(lines)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[0]["id"], &rows[0]["value"]), (&"b-1".into(), &83.5.into()));
        assert_eq!(rows[0]["attributes"]["route"], "/a \"b\"");
        assert!(rows[1]["value"].is_null() && rows[1]["name"] == "session.end");
    }
}
