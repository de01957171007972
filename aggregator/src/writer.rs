//! Writes the batches of one partition, in order: every table's rows, and only then the batch's own row, which
//! is the progress.
//!
//! An insert that was not confirmed is sent again, byte for byte and with the same token, until it is: nothing
//! is dropped and nothing counts twice. What an insert looks like is in [`inserts`]; how fast batches come is the
//! consumer's.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::clickhouse::{ClickHouse, Insert};
use crate::clock;
use crate::consumer::KafkaConsumer;
use crate::engine::{Batch, Snapshot};
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::snapshots::PartitionSnapshots;
use crate::status::Status;

pub mod inserts;

/// Batches of one partition that may wait for the writer.
pub const QUEUED_BATCHES_MAX: usize = 2;

const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);
/// A failure that lasts is told this often.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// What every writer of the process shares.
#[derive(Clone)]
pub struct WriterContext {
    /// Where batches go.
    pub clickhouse: ClickHouse,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What the admin server tells.
    pub status: Arc<Status>,
    /// Whether the consumer still confirms that it owns its partitions.
    pub lease: Arc<Lease>,
}

/// A batch on its way, with the state at its end when that is to be kept.
pub(crate) type Queued = (Batch, Option<Snapshot>);

/// Writes what comes by `batches` until the sender is gone. A snapshot follows its batch's row and holds up nothing.
pub(crate) async fn write_all(
    context: WriterContext,
    mut batches: mpsc::Receiver<Queued>,
    log: Arc<KafkaConsumer>,
    mut snapshots: Option<PartitionSnapshots>,
) {
    while let Some((batch, snapshot)) = batches.recv().await {
        write(&context, &batch).await;
        context.metrics.count_batch(&batch.row);
        context.status.batch_written(&batch.row, clock::wall_ms());
        commit(&log, &batch);
        if let (Some(snapshots), Some(snapshot)) = (&mut snapshots, snapshot) {
            snapshots.keep(snapshot).await;
        }
    }
    if let Some(snapshots) = &mut snapshots {
        snapshots.finish().await;
    }
}

/// Writes one batch; returns when ClickHouse has confirmed all of it.
pub async fn write(context: &WriterContext, batch: &Batch) {
    let inserts = inserts::of_batch(batch);
    join_all(inserts.tables.iter().map(|insert| insert_until_confirmed(context, insert))).await;
    // In order: the last of them says that the definition set is complete.
    for insert in inserts.definitions.iter().chain([&inserts.progress]) {
        insert_until_confirmed(context, insert).await;
    }
    tracing::debug!(
        partition = batch.row.partition,
        first_offset = batch.row.first_offset,
        next_offset = batch.row.next_offset,
        "batch written"
    );
}

async fn insert_until_confirmed(context: &WriterContext, insert: &Insert) {
    let mut delay = RETRY_DELAY_MIN;
    let mut complained_at = None;
    loop {
        context.lease.held().await;
        let began = clock::monotonic();
        let result = context.clickhouse.insert(insert).await;
        context.metrics.observe_insert(insert.table, result.is_ok(), began.elapsed());
        match result {
            Ok(()) => {
                context.status.clickhouse_succeeded(&insert.token);
                context.metrics.count_rows(insert.table, insert.rows);
                if complained_at.is_some() {
                    tracing::info!(token = insert.token, "insert succeeded after retries");
                }
                return;
            }
            Err(error) => {
                let now = clock::monotonic();
                context.status.clickhouse_failed(&insert.token, &error.to_string(), now);
                if complained_at.is_none_or(|at| now.duration_since(at) >= COMPLAINT_INTERVAL) {
                    complained_at = Some(now);
                    tracing::warn!(token = insert.token, %error, "insert is not confirmed, trying again until it is");
                }
            }
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RETRY_DELAY_MAX);
    }
}

/// Tells Kafka how far this is, for tools that show lag. Nothing reads it here, so a failure is of no interest.
fn commit(log: &KafkaConsumer, batch: &Batch) {
    let mut offsets = TopicPartitionList::new();
    let offset = Offset::Offset(batch.row.next_offset);
    let result = offsets
        .add_partition_offset(&batch.row.topic, batch.row.partition, offset)
        .and_then(|()| log.commit(&offsets, CommitMode::Async));
    if let Err(error) = result {
        tracing::debug!(partition = batch.row.partition, %error, "offset for lag tools was not committed");
    }
}
