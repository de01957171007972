//! Control records: ticks for quiet partitions, and the activation of definition sets on every partition.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureRecord, Producer as _};
use schema::definition::DefinitionSet;
use schema::record::{encode_definitions, encode_tick};

use crate::kafka::Producer;

const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes control records.
#[derive(Clone)]
pub struct Control {
    producer: Producer,
    topic: Arc<str>,
}

impl Control {
    /// To the log `topic`.
    pub fn new(producer: Producer, topic: &str) -> Self {
        Self { producer, topic: topic.into() }
    }

    /// Sends a tick; whether it arrives shows in the partition's log time, so nobody waits for it.
    pub fn tick(&self, partition: i32) {
        let payload = encode_tick();
        let record = FutureRecord::<(), [u8]>::to(&self.topic).partition(partition).payload(&payload);
        if let Err((error, _)) = self.producer.send_result(record) {
            tracing::debug!(partition, %error, "tick was not sent");
        }
    }

    /// Writes `set` to every partition and waits for the acknowledgements; gives the number of partitions.
    ///
    /// # Errors
    /// When a partition did not acknowledge; others may have, and repeating it is harmless.
    pub async fn activate(&self, set: &DefinitionSet) -> Result<usize, KafkaError> {
        let partitions = self.partitions().await?;
        let payload = encode_definitions(set);
        let sends = (0..partitions).map(|partition| {
            let record =
                FutureRecord::<(), [u8]>::to(&self.topic).partition(partition as i32).payload(&payload);
            async { self.producer.send(record, BROKER_TIMEOUT).await.map_err(|(error, _)| error) }
        });
        try_join_all(sends).await?;
        Ok(partitions)
    }

    /// How many partitions the log has.
    ///
    /// # Errors
    /// When Kafka does not tell, or knows no such topic.
    pub async fn partitions(&self) -> Result<usize, KafkaError> {
        let (producer, topic) = (self.producer.clone(), Arc::clone(&self.topic));
        let ask = move || {
            let metadata = producer.client().fetch_metadata(Some(&topic), BROKER_TIMEOUT)?;
            match metadata.topics().first().map_or(0, |topic| topic.partitions().len()) {
                0 => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
                partitions => Ok(partitions),
            }
        };
        tokio::task::spawn_blocking(ask).await.unwrap_or(Err(KafkaError::Canceled))
    }
}
