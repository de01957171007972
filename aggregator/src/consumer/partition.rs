//! One partition: its queue, its engine, and the way of its batches, and of its snapshots, to the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;

use super::context::{KafkaConsumer, LogContext};
use super::queue::{Messages, PartitionQueue};
use crate::clock;
use crate::engine::Engine;
use crate::progress::Start;
use crate::rejects::Rejects;
use crate::snapshots::{Cadence, PartitionSnapshots};
use crate::status::PartitionStatus;
use crate::writer::{self, QUEUED_BATCHES_MAX, Queued, WriterContext};

/// The task that writes a partition's batches, and the way to it.
pub(super) struct Writer {
    batches: mpsc::Sender<Queued>,
    task: JoinHandle<()>,
}

pub(super) fn spawn_writer(
    runtime: &Handle,
    context: WriterContext,
    log: Arc<KafkaConsumer>,
    snapshots: Option<PartitionSnapshots>,
) -> Writer {
    let (batches, received) = mpsc::channel(QUEUED_BATCHES_MAX);
    Writer { batches, task: runtime.spawn(writer::write_all(context, received, log, snapshots)) }
}

/// A partition that is being read.
pub(super) struct Partition {
    number: i32,
    queue: PartitionQueue<LogContext>,
    engine: Engine,
    /// Offset up to which records only rebuild state.
    replay_until: i64,
    /// Next offset to read.
    position: i64,
    /// Batches that the writer has no room for; nothing is read while there is one.
    waiting: VecDeque<Queued>,
    batches: Option<mpsc::Sender<Queued>>,
    writer: JoinHandle<()>,
    last_heard_at: Instant,
    /// When snapshots are due; never without a topic for them.
    cadence: Option<Cadence>,
}

/// Records of one reading.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) replayed: u64,
    pub(super) new: u64,
}

impl Partition {
    pub(super) fn new(
        start: Start,
        queue: PartitionQueue<LogContext>,
        writer: Writer,
        cadence: Option<Cadence>,
    ) -> Self {
        Self {
            number: start.partition,
            queue,
            replay_until: start.next_offset,
            position: start.offset,
            engine: start.engine,
            waiting: VecDeque::new(),
            batches: Some(writer.batches),
            writer: writer.task,
            last_heard_at: clock::monotonic(),
            cadence,
        }
    }

    pub(super) fn number(&self) -> i32 {
        self.number
    }

    /// Gives the writer what waits, as far as it has room; whether all of it went.
    pub(super) fn hand_over(&mut self) -> bool {
        while let (Some(batch), Some(batches)) = (self.waiting.pop_front(), &self.batches) {
            match batches.try_send(batch) {
                Ok(()) => {}
                Err(TrySendError::Full(batch) | TrySendError::Closed(batch)) => {
                    self.waiting.push_front(batch);
                    return false;
                }
            }
        }
        self.waiting.is_empty()
    }

    /// Feeds the engine what the queue holds, one buffer at most.
    ///
    /// # Errors
    /// What Kafka's client says of the partition; the records before it are taken.
    pub(super) fn read(
        &mut self,
        messages: &mut Messages,
        now: Instant,
        rejects: &Rejects,
    ) -> Result<Counts, RDKafkaErrorCode> {
        self.queue.take(messages);
        if messages.len() == 0 {
            return Ok(Counts::default());
        }
        self.last_heard_at = now;
        let mut counts = Counts::default();
        let mut problem = None;
        for message in messages.iter() {
            let record = match message {
                Ok(record) => record,
                Err(code) => {
                    problem = Some(code);
                    continue;
                }
            };
            let is_new = record.offset >= self.replay_until;
            counts.new += u64::from(is_new);
            counts.replayed += u64::from(!is_new);
            self.position = record.offset + 1;
            let outcome = self.engine.record(record);
            if let Some(batch) = outcome.batch {
                if let Some(cadence) = &mut self.cadence {
                    if let Some(snapshot) = &outcome.snapshot {
                        cadence.made(snapshot.cut.next_offset, snapshot.cut.log_time_ms);
                    }
                    if cadence.is_due(batch.row.next_offset, batch.row.replay_from, batch.row.log_time_ms) {
                        self.engine.snapshot_at_next_cut();
                    }
                }
                self.waiting.push_back((batch, outcome.snapshot));
            }
            if let Some(reject) = outcome.reject.filter(|_| is_new) {
                rejects.keep(self.number, record, reject);
            }
        }
        messages.clear();
        self.hand_over();
        problem.map_or(Ok(counts), Err)
    }

    /// Whether nothing came for `period` though the partition is read; begins the period anew if so.
    pub(super) fn is_quiet(&mut self, now: Instant, period: Duration) -> bool {
        let quiet = self.waiting.is_empty() && now.duration_since(self.last_heard_at) >= period;
        if quiet {
            self.last_heard_at = now;
        }
        quiet
    }

    pub(super) fn status(&self, end_offset: Option<i64>) -> PartitionStatus {
        PartitionStatus {
            position: self.position,
            end_offset,
            replay_until: self.replay_until,
            blocked: !self.waiting.is_empty(),
            gauges: self.engine.gauges(),
            written_log_time_ms: None,
            written_at_ms: None,
        }
    }

    /// Takes no more records; what is queued is still written.
    pub(super) fn finish(&mut self) {
        if self.hand_over() {
            self.batches = None;
        }
    }

    /// Whether everything that was queued is written, after [`Partition::finish`].
    pub(super) fn is_finished(&mut self) -> bool {
        self.finish();
        self.writer.is_finished()
    }

    /// Ends the writer at once: what was queued or under way is made again, with the same tokens, by the next owner.
    pub(super) fn discard(self) {
        self.writer.abort();
    }
}
