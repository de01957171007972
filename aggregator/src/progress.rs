//! Where a partition goes on: the last row of `sli.batches` against what the log still holds.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use schema::definition::DefinitionSet;
use serde::Deserialize;

use crate::clickhouse::{ClickHouse, ClickHouseError};
use crate::engine::Resume;

const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a partition's last batch says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LastBatch {
    next_offset: i64,
    replay_from: i64,
    replay_log_time_ms: i64,
    replay_definition_set: String,
    log_time_ms: i64,
    definition_set: String,
}

/// The offsets that the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// First offset.
    pub low: i64,
    /// Offset after the last.
    pub high: i64,
}

/// Where to start reading, and what state the engine begins with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Partition.
    pub partition: i32,
    /// First offset to read.
    pub offset: i64,
    /// What the engine resumes; nothing for a log without history.
    pub resume: Option<Resume>,
    /// How it starts.
    pub kind: StartKind,
}

/// How a partition starts; all but the first two mean that something was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartKind {
    /// No batch was ever written.
    Fresh,
    /// The log holds everything that is needed.
    Resumed,
    /// The log no longer holds the oldest records that the state needs, but everything that is not yet counted.
    StateIncomplete,
    /// The log no longer holds records that were not yet counted.
    RecordsLost,
    /// The log ends before what was counted: it was truncated, or the topic made anew.
    WentBack,
}

impl StartKind {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Resumed => "resumed",
            Self::StateIncomplete => "state_incomplete",
            Self::RecordsLost => "records_lost",
            Self::WentBack => "went_back",
        }
    }
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

/// Finds where `partition` goes on.
///
/// # Errors
/// When ClickHouse or Kafka does not answer, or what is stored cannot be read; to be tried again.
pub async fn find_start<C: ConsumerContext + 'static>(
    clickhouse: &ClickHouse,
    log: &Arc<BaseConsumer<C>>,
    topic: &str,
    partition: i32,
) -> Result<Start, ProgressError> {
    let held = {
        let topic = topic.to_owned();
        on_broker(log, partition, move |log| {
            log.fetch_watermarks(&topic, partition, BROKER_TIMEOUT).map(|(low, high)| Held { low, high })
        })
        .await?
    };
    let Some(last) = last_batch(clickhouse, topic, partition).await? else {
        return Ok(Start { partition, offset: held.low, resume: None, kind: StartKind::Fresh });
    };
    let kind = kind_of(&last, held);
    let (offset, resume) = match kind {
        StartKind::WentBack => {
            let offset = first_newer(log, topic, partition, last.log_time_ms).await?.unwrap_or(held.high);
            let resume = Resume {
                replay_from: offset,
                replay_log_time_ms: last.log_time_ms,
                replay_definitions: definitions(clickhouse, &last.definition_set).await?,
                next_offset: offset,
            };
            (offset, resume)
        }
        StartKind::Fresh | StartKind::Resumed | StartKind::StateIncomplete | StartKind::RecordsLost => {
            let resume = Resume {
                replay_from: last.replay_from,
                replay_log_time_ms: last.replay_log_time_ms,
                replay_definitions: definitions(clickhouse, &last.replay_definition_set).await?,
                next_offset: last.next_offset,
            };
            (last.replay_from.max(held.low), resume)
        }
    };
    Ok(Start { partition, offset, resume: Some(resume), kind })
}

fn kind_of(last: &LastBatch, held: Held) -> StartKind {
    if held.high < last.next_offset {
        StartKind::WentBack
    } else if held.low > last.next_offset {
        StartKind::RecordsLost
    } else if held.low > last.replay_from {
        StartKind::StateIncomplete
    } else {
        StartKind::Resumed
    }
}

/// The last batch by log time, which never goes back, as offsets do when a topic is made anew.
async fn last_batch(
    clickhouse: &ClickHouse,
    topic: &str,
    partition: i32,
) -> Result<Option<LastBatch>, ClickHouseError> {
    let query = format!(
        "SELECT next_offset, replay_from, replay_log_time_ms, replay_definition_set, log_time_ms, definition_set \
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_still_holds_decides_how_a_partition_starts() {
        let last = LastBatch {
            next_offset: 100,
            replay_from: 60,
            replay_log_time_ms: 0,
            replay_definition_set: String::new(),
            log_time_ms: 0,
            definition_set: String::new(),
        };
        let check =
            |low, high, expect| assert_eq!(kind_of(&last, Held { low, high }), expect, "{low}..{high}");
        check(0, 100, StartKind::Resumed);
        check(60, 500, StartKind::Resumed);
        check(61, 500, StartKind::StateIncomplete);
        check(100, 500, StartKind::StateIncomplete);
        check(101, 500, StartKind::RecordsLost);
        check(0, 99, StartKind::WentBack);
        check(0, 0, StartKind::WentBack);
    }
}
