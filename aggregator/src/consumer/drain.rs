//! Reads everything that a topic holds, as fast as the aggregator itself could: what measuring needs.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::MESSAGES_MAX;
use super::queue::{Messages, PartitionQueue};
use crate::config::KafkaConfig;
use crate::engine::LogRecord;
use crate::kafka::{self, Logged};

const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_WAIT: Duration = Duration::from_millis(1);

/// Hands every record that the topic holds now to `each`, with its partition; gives their number.
///
/// # Errors
/// When the topic cannot be read.
pub fn drain(kafka: &KafkaConfig, mut each: impl FnMut(i32, LogRecord<'_>)) -> Result<u64, KafkaError> {
    let topic = kafka.topic.as_str();
    let log: Arc<BaseConsumer<Logged>> = Arc::new(kafka::consumer(kafka).create_with_context(Logged)?);
    let metadata = log.fetch_metadata(Some(topic), BROKER_TIMEOUT)?;
    let numbers: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions().iter().map(|partition| partition.id()))
        .collect();
    let (mut assignment, mut open) = (TopicPartitionList::new(), Vec::new());
    for number in numbers {
        let (low, high) = log.fetch_watermarks(topic, number, BROKER_TIMEOUT)?;
        assignment.add_partition_offset(topic, number, rdkafka::Offset::Offset(low))?;
        let queue = PartitionQueue::split(&log, topic, number)
            .ok_or_else(|| KafkaError::ClientCreation(format!("partition {number} has no queue")))?;
        if high > low {
            open.push((number, queue, high));
        }
    }
    log.assign(&assignment)?;
    let (mut messages, mut records) = (Messages::with_capacity(MESSAGES_MAX), 0);
    while !open.is_empty() {
        let mut taken = 0;
        open.retain(|(number, queue, high)| {
            let mut next = 0;
            queue.take(&mut messages);
            taken += messages.len();
            for record in messages.iter().flatten().filter(|record| record.offset < *high) {
                next = record.offset + 1;
                records += 1;
                each(*number, record);
            }
            next < *high
        });
        messages.clear();
        log.poll(if taken == 0 { IDLE_WAIT } else { Duration::ZERO });
    }
    Ok(records)
}
