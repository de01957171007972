//! Prints records of the log as JSON lines, for people who look into it.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use schema::record::Record;
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::KafkaConfig;
use crate::kafka::{self, Logged};

const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

impl rdkafka::consumer::ConsumerContext for Logged {}

/// Writes the records that the topic holds now to `out`, one JSON object a line, at most `records_max` of them.
///
/// # Errors
/// When the topic cannot be read, or `out` not written.
pub fn print(kafka: &KafkaConfig, records_max: u64, out: &mut impl Write) -> anyhow::Result<()> {
    let topic = kafka.topic.as_str();
    let reader: BaseConsumer<Logged> = kafka::reader(kafka).create_with_context(Logged)?;
    let metadata = reader
        .fetch_metadata(Some(topic), BROKER_TIMEOUT)
        .with_context(|| format!("kafka at {} does not answer", kafka.brokers))?;
    let partitions: Vec<_> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic)
        .flat_map(|found| found.partitions().iter().map(|partition| partition.id()))
        .collect();
    if partitions.is_empty() {
        bail!("topic {topic} does not exist at {}", kafka.brokers);
    }
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    reader.assign(&assignment)?;
    let (mut printed, mut open) = (0, partitions.len());
    while open > 0 && printed < records_max {
        match reader.poll(BROKER_TIMEOUT) {
            Some(Ok(message)) => {
                serde_json::to_writer(&mut *out, &line(&message))?;
                out.write_all(b"\n")?;
                printed += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => tracing::warn!(%error, "reading failed, kafka's client tries again"),
            None => bail!("kafka at {} gave nothing for {} s", kafka.brokers, BROKER_TIMEOUT.as_secs()),
        }
    }
    out.flush()?;
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    partition: i32,
    offset: i64,
    append_time_ms: Option<i64>,
    key: Option<String>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Value::is_null")]
    content: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(&'a str, String)>,
}

fn line<'a>(message: &'a BorrowedMessage<'_>) -> Line<'a> {
    use rdkafka::message::Headers;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (kind, content) = describe(message.payload().unwrap_or_default());
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key, header.value.map(text).unwrap_or_default())).collect()
    });
    Line {
        partition: message.partition(),
        offset: message.offset(),
        append_time_ms: message.timestamp().to_millis(),
        key: message.key().map(text),
        kind,
        content,
        headers,
    }
}

/// Kind and content of a record, or why it does not decode.
fn describe(payload: &[u8]) -> (&'static str, Value) {
    match Record::decode(payload) {
        Ok(Record::Beacon(beacon)) => ("beacon", json!(beacon)),
        Ok(Record::Tick) => ("tick", Value::Null),
        Ok(Record::Definitions(set)) => ("definitions", json!(set)),
        Err(error) => ("undecodable", json!({ "bytes": payload.len(), "detail": error.to_string() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_decode_is_said() {
        assert_eq!(describe(&schema::record::encode_tick()), ("tick", Value::Null));
        let (kind, content) = describe(b"\x07");
        assert_eq!((kind, &content["bytes"]), ("undecodable", &json!(1)));
    }
}
