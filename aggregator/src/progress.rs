//! Where a partition goes on: the last row of `sli.batches` against what the log still holds, and the newest snapshot
//! that fits both. The decision itself is pure and public; keeping and finding snapshots is left to
//! [`crate::snapshots`].

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use schema::definition::DefinitionSet;
use serde::Deserialize;

use crate::clickhouse::{ClickHouse, ClickHouseError};
use crate::engine::{Engine, Resume};
use crate::snapshots::{Found, Slot, Snapshots, Wanted};

mod decision;

pub use decision::{Beginning, Held, LastBatch, Misfit, StartKind, State, decide, judge};

const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to start reading, and the engine to begin with.
#[derive(Debug)]
pub struct Start {
    /// Partition.
    pub partition: i32,
    /// First offset to read.
    pub offset: i64,
    /// Log time before that offset, ms; 0 for a log without history.
    pub log_time_ms: i64,
    /// First offset that no batch holds yet; records before only rebuild state.
    pub next_offset: i64,
    /// The state before `offset`.
    pub engine: Engine,
    /// How it starts.
    pub kind: StartKind,
    /// Whether the state comes from a snapshot.
    pub from_snapshot: bool,
    /// Where the next snapshot is to be written.
    pub snapshot_slot: Slot,
}

/// Why a starting point could not be found yet.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// The last batch could not be read.
    #[error(transparent)]
    ClickHouse(#[from] ClickHouseError),
    /// The log's bounds could not be read.
    #[error("kafka does not tell the offsets of partition {partition}: {source}")]
    Kafka {
        /// Partition.
        partition: i32,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// A batch names a definition set that is not stored.
    #[error("definition set {0} of the last batch is not in table definitions")]
    DefinitionsMissing(String),
    /// A stored definition set cannot be read.
    #[error("definition set {id} does not decode: {source}")]
    Definitions {
        /// Its id.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The lookup was cut short.
    #[error("the lookup of partition {0} was cut short")]
    Interrupted(i32),
}

/// Finds where `partition` goes on, and the newest snapshot that shortens the way.
///
/// That something was lost is believed only when a second look finds the same batch: the log is asked first, and
/// between both questions another owner may have written on, or the log deleted what the batch before still needed.
///
/// # Errors
/// When ClickHouse or Kafka does not answer, or what is stored cannot be read; to be tried again. Nothing about
/// snapshots is an error.
pub async fn find_start<C: ConsumerContext + 'static>(
    clickhouse: &ClickHouse,
    log: &Arc<BaseConsumer<C>>,
    snapshots: Option<&Snapshots>,
    topic: &str,
    partition: i32,
) -> Result<Start, ProgressError> {
    let mut doubted = None;
    let (last, held, without) = loop {
        let (low, high) = watermarks(log, topic, partition).await?;
        let last = last_batch(clickhouse, topic, partition).await?;
        let newer = match &last {
            Some(last) => first_newer(log, topic, partition, last.log_time_ms).await?,
            None => None,
        };
        let held = Held { low, high, newer };
        let beginning = decide(last.as_ref(), held, None);
        if !beginning.kind.is_loss() || doubted.as_ref() == Some(&last) {
            break (last, held, beginning);
        }
        doubted = Some(last);
    };
    let found = match (snapshots, &last, without.kind) {
        (Some(snapshots), Some(last), StartKind::Resumed | StartKind::StateIncomplete) => {
            let last = last.clone();
            snapshots.find(Wanted { topic: topic.into(), partition, last, held }).await
        }
        (None, ..) | (_, None, _) => Found::default(),
        (_, _, StartKind::Fresh | StartKind::RecordsLost | StartKind::WentBack) => Found::default(),
    };
    let (cut, restored) = found.restored.unzip();
    let Beginning { offset, kind, state } = decide(last.as_ref(), held, cut);
    let from_snapshot = matches!(state, State::Snapshot { .. });
    let (next_offset, log_time_ms, engine) = match state {
        State::Snapshot { cut, next_offset } => {
            let engine = restored.ok_or(ProgressError::Interrupted(partition))?;
            (next_offset, cut.log_time_ms, engine)
        }
        State::Replay { generation, replay_from, definition_set, next_offset } => {
            let last = last.unwrap_or_default();
            let resume = Resume {
                generation,
                replay_from,
                replay_log_time_ms: last.replay_log_time_ms,
                replay_definitions: definitions(clickhouse, &definition_set).await?,
                next_offset,
                log_time_ms: last.log_time_ms,
                definitions: definitions(clickhouse, &last.definition_set).await?,
            };
            (next_offset, last.replay_log_time_ms, Engine::new(topic.into(), partition, resume))
        }
    };
    let snapshot_slot = found.next_slot;
    Ok(Start { partition, offset, log_time_ms, next_offset, engine, kind, from_snapshot, snapshot_slot })
}

async fn watermarks<C: ConsumerContext + 'static>(
    log: &Arc<BaseConsumer<C>>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), ProgressError> {
    let topic = topic.to_owned();
    on_broker(log, partition, move |log| log.fetch_watermarks(&topic, partition, BROKER_TIMEOUT)).await
}

/// The last batch by log time, which never goes back, as offsets do when a topic is made anew.
async fn last_batch(
    clickhouse: &ClickHouse,
    topic: &str,
    partition: i32,
) -> Result<Option<LastBatch>, ClickHouseError> {
    let query = format!(
        "SELECT generation, next_offset, replay_from, replay_log_time_ms, replay_definition_set, log_time_ms, definition_set \
         FROM `{}`.batches WHERE topic = {{topic:String}} AND partition = {{partition:Int32}} \
         ORDER BY log_time_ms DESC, next_offset DESC LIMIT 1",
        clickhouse.database()
    );
    let parameters = [("topic", topic), ("partition", &partition.to_string())];
    Ok(clickhouse.rows(&query, &parameters).await?.pop())
}

async fn definitions(clickhouse: &ClickHouse, id: &str) -> Result<Option<Arc<DefinitionSet>>, ProgressError> {
    #[derive(Deserialize)]
    struct Content {
        content: String,
    }
    if id.is_empty() {
        return Ok(None);
    }
    let query = format!(
        "SELECT content FROM `{}`.definitions WHERE set_id = {{id:String}} LIMIT 1",
        clickhouse.database()
    );
    let row: Option<Content> = clickhouse.rows(&query, &[("id", id)]).await?.pop();
    let Some(Content { content }) = row else {
        return Err(ProgressError::DefinitionsMissing(id.into()));
    };
    match serde_json::from_str(&content) {
        Ok(set) => Ok(Some(Arc::new(set))),
        Err(source) => Err(ProgressError::Definitions { id: id.into(), source }),
    }
}

/// The first offset that was appended after `log_time_ms`: what is older was counted before the log went back.
async fn first_newer<C: ConsumerContext + 'static>(
    log: &Arc<BaseConsumer<C>>,
    topic: &str,
    partition: i32,
    log_time_ms: i64,
) -> Result<Option<i64>, ProgressError> {
    let topic = topic.to_owned();
    on_broker(log, partition, move |log| {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&topic, partition, Offset::Offset(log_time_ms + 1))?;
        let found = log.offsets_for_times(times, BROKER_TIMEOUT)?;
        Ok(found.find_partition(&topic, partition).and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => {
                None
            }
        }))
    })
    .await
}

/// Asks the broker on a thread that may block.
async fn on_broker<C: ConsumerContext + 'static, T: Send + 'static>(
    log: &Arc<BaseConsumer<C>>,
    partition: i32,
    ask: impl FnOnce(&BaseConsumer<C>) -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, ProgressError> {
    let log = Arc::clone(log);
    tokio::task::spawn_blocking(move || ask(&log))
        .await
        .map_err(|_| ProgressError::Interrupted(partition))?
        .map_err(|source| ProgressError::Kafka { partition, source })
}
