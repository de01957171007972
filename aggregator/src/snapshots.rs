//! Snapshots of engines on a compacted topic, so that a start with long sessions needs no long replay.
//!
//! Partition p of the topic belongs to partition p of the log. A snapshot is written only after the row of its batch
//! was confirmed, and read when a partition starts. It only saves time: whatever is missing, damaged or does not fit
//! is told, counted and left to the plain replay, so no failure here stops anything. What a snapshot holds is the
//! engine's; which one fits is decided by [`crate::progress`].

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureRecord;
use tokio::task::JoinHandle;

use crate::config::KafkaConfig;
use crate::engine::Snapshot;
use crate::kafka::{self, Logged, Producer};
use crate::metrics::Metrics;

mod cadence;
mod chunk;
mod finder;

pub use cadence::Cadence;
pub use chunk::{Assembly, CHUNK_BYTES_MAX, CHUNKS_MAX, Chunk, Slot, Title, split};
pub use finder::Found;
pub(crate) use finder::Wanted;

const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// A snapshot that is not on the topic by then is given up; the next one is due soon.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Chunks that are sent at once, since Kafka's client copies them.
const CHUNKS_UNDER_WAY_MAX: usize = 8;

/// The topic of the snapshots.
#[derive(Clone)]
pub struct Snapshots {
    kafka: Arc<KafkaConfig>,
    producer: Producer,
    metrics: Arc<Metrics>,
}

/// Why a snapshot was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{bytes} bytes are more than {CHUNKS_MAX} chunks of {CHUNK_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    #[error("not on the topic after {} s", WRITE_TIMEOUT.as_secs())]
    TimedOut,
}

impl Snapshots {
    /// The topic that `kafka` names; nothing, with a warning, when it is not there or has too few partitions.
    pub async fn open(kafka: &KafkaConfig, producer: Producer, metrics: Arc<Metrics>) -> Option<Self> {
        let topic = kafka.snapshots_topic.as_str();
        if topic.is_empty() {
            tracing::info!("kafka.snapshots_topic is empty: starts replay the log");
            return None;
        }
        let asked = kafka.clone();
        let asking = tokio::task::spawn_blocking(move || partitions_of_topics(&asked));
        let (log, snapshots) = match asking.await.unwrap_or(Err(KafkaError::Canceled)) {
            Ok(partitions) => partitions,
            Err(error) => {
                tracing::warn!(topic, %error, "cannot look at the topic of snapshots: starts replay the log");
                return None;
            }
        };
        if snapshots < log {
            tracing::warn!(
                topic,
                partitions = snapshots,
                partitions_of_log = log,
                "NO SNAPSHOTS: the topic is missing or has fewer partitions than the log, so a start with long \
                 sessions replays all of them; create it with cleanup.policy=compact (deploy prepare does)"
            );
            return None;
        }
        Some(Self { kafka: Arc::new(kafka.clone()), producer, metrics })
    }

    /// What writes the snapshots of one partition, the first of them into `slot`.
    pub fn of_partition(&self, partition: i32, slot: Slot) -> PartitionSnapshots {
        PartitionSnapshots { snapshots: self.clone(), partition, slot, under_way: None }
    }

    /// Writes all chunks; which of them are there does not matter as long as one is missing.
    async fn write(&self, partition: i32, slot: Slot, snapshot: &Snapshot) -> Result<(), WriteError> {
        let bytes = snapshot.bytes.len();
        let mut chunks = split(snapshot).ok_or(WriteError::TooLarge { bytes })?;
        let sending = async {
            loop {
                let some: Vec<_> = chunks.by_ref().take(CHUNKS_UNDER_WAY_MAX).collect();
                if some.is_empty() {
                    return Ok(());
                }
                try_join_all(some.iter().map(|chunk| self.send(partition, slot, chunk))).await?;
            }
        };
        tokio::time::timeout(WRITE_TIMEOUT, sending).await.unwrap_or(Err(WriteError::TimedOut))
    }

    async fn send(&self, partition: i32, slot: Slot, chunk: &Chunk) -> Result<(), WriteError> {
        let (key, payload) = (slot.key(chunk.number), chunk.encode());
        let topic = &self.kafka.snapshots_topic;
        let record = FutureRecord::to(topic).partition(partition).key(&key).payload(&payload);
        match self.producer.send(record, WRITE_TIMEOUT).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.into()),
        }
    }
}

/// Writes the snapshots of one partition, one at a time, beside the batches.
pub struct PartitionSnapshots {
    snapshots: Snapshots,
    partition: i32,
    slot: Slot,
    /// Whether it was written, when it ends.
    under_way: Option<JoinHandle<bool>>,
}

impl PartitionSnapshots {
    /// Writes a snapshot whose batch is confirmed; does not wait. The one before is waited for by nobody: while it is
    /// under way another is left out.
    pub async fn keep(&mut self, snapshot: Snapshot) {
        if self.under_way.as_ref().is_some_and(|task| !task.is_finished()) {
            tracing::warn!(
                partition = self.partition,
                "the last snapshot is still under way, this one is left out"
            );
            self.snapshots.metrics.count_snapshot("not_written");
            return;
        }
        self.finish().await;
        let (snapshots, partition, slot) = (self.snapshots.clone(), self.partition, self.slot);
        self.under_way = Some(tokio::spawn(async move {
            let (next_offset, bytes) = (snapshot.cut.next_offset, snapshot.bytes.len());
            match snapshots.write(partition, slot, &snapshot).await {
                Ok(()) => {
                    tracing::info!(partition, next_offset, bytes, "snapshot written");
                    snapshots.metrics.count_snapshot("written");
                    snapshots.metrics.count_snapshot_bytes("written", bytes as u64);
                    true
                }
                Err(error) => {
                    tracing::warn!(partition, next_offset, bytes, %error, "snapshot was not written");
                    snapshots.metrics.count_snapshot("not_written");
                    false
                }
            }
        }));
    }

    /// Waits for the one under way, which ends within `WRITE_TIMEOUT`. An unfinished one is overwritten by the next.
    pub async fn finish(&mut self) {
        if let Some(task) = self.under_way.take()
            && task.await.unwrap_or(false)
        {
            self.slot = self.slot.other();
        }
    }
}

impl Drop for PartitionSnapshots {
    /// The next owner may use the slot.
    fn drop(&mut self) {
        if let Some(task) = &self.under_way {
            task.abort();
        }
    }
}

/// Partitions of the log and of the topic of snapshots; none of a topic that is not there. Creates none.
fn partitions_of_topics(kafka: &KafkaConfig) -> Result<(usize, usize), KafkaError> {
    let reader: BaseConsumer<Logged> = kafka::reader(kafka).create_with_context(Logged)?;
    let partitions = |topic: &str| {
        let metadata = reader.fetch_metadata(Some(topic), BROKER_TIMEOUT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok::<_, KafkaError>(found.map_or(0, |found| found.partitions().len()))
    };
    Ok((partitions(&kafka.topic)?, partitions(&kafka.snapshots_topic)?))
}
