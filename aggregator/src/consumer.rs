//! Reads the log and drives the engines: one thread, one loop, one engine a partition.
//!
//! The group only says which partitions are ours. Where each goes on comes from `sli.batches`, which is looked up
//! when partitions are assigned; when they are taken away, engines and queued batches are dropped, since whoever owns
//! them next makes the same batches again. A partition whose writer is behind is not read until it has caught up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::StreamExt;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::clock;
use crate::config::KafkaConfig;
use crate::control::Control;
use crate::kafka;
use crate::progress::{self, Start, StartKind};
use crate::rejects::Rejects;
use crate::snapshots::{Cadence, Snapshots};
use crate::writer::WriterContext;

mod context;
mod drain;
mod partition;
mod queue;

pub(crate) use context::KafkaConsumer;
pub use drain::drain;

use context::LogContext;
use partition::Partition;
use queue::{Messages, PartitionQueue};

/// Messages of one partition that are taken at once.
const MESSAGES_MAX: usize = 1_000;
/// How long the loop rests when there is nothing to do.
const IDLE_WAIT: Duration = Duration::from_millis(10);
/// How often gauges are told, and quiet partitions looked for.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);
/// A partition without a record for this long gets a tick, so that its time passes without ingest.
const QUIET_PERIOD: Duration = Duration::from_secs(3);
/// Queued batches may take this long to be written when the process stops; the rest is made again by the next owner.
const STOP_PERIOD: Duration = Duration::from_secs(20);
/// Partitions whose starts are looked for at once; each may hold a snapshot in memory twice.
const LOOKUPS_MAX: usize = 4;
/// Pause between two tries to find where partitions go on.
const LOOKUP_DELAY: Duration = Duration::from_secs(1);

/// Everything that the loop reacts to, beside records.
enum Event {
    /// The group gave these partitions.
    Assigned(Vec<i32>),
    /// The group took all partitions back.
    Revoked,
    /// Starting points of the assignment of this number.
    Started(u64, Vec<Start>),
    /// The process stops.
    Stop,
}

/// The running consumer.
pub struct RunningConsumer {
    events: Sender<Event>,
    thread: JoinHandle<()>,
}

impl RunningConsumer {
    /// Asks it to stop: queued batches are written for a bounded time, then the group is left.
    pub fn stop(&self) {
        // The receiver is gone when the thread has ended already.
        let _ = self.events.send(Event::Stop);
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// What the loop works with.
pub struct ConsumerContext {
    /// The log.
    pub kafka: KafkaConfig,
    /// For the writers.
    pub writer: WriterContext,
    /// For ticks.
    pub control: Control,
    /// For undecodable records.
    pub rejects: Rejects,
}

/// Joins the group and starts the thread.
///
/// # Errors
/// When the consumer cannot be set up.
pub fn start(context: ConsumerContext, runtime: Handle) -> Result<RunningConsumer, KafkaError> {
    let (events, received) = channel();
    let log: KafkaConsumer =
        kafka::consumer(&context.kafka).create_with_context(LogContext::new(events.clone()))?;
    log.subscribe(&[&context.kafka.topic])?;
    let now = clock::monotonic();
    let pipeline = Loop {
        context,
        runtime,
        log: Arc::new(log),
        events: events.clone(),
        received,
        assignment: 0,
        lookup: None,
        owned: Vec::new(),
        partitions: BTreeMap::new(),
        snapshots: Arc::default(),
        messages: Messages::with_capacity(MESSAGES_MAX),
        housekept_at: now,
        stop_by: None,
    };
    let thread = std::thread::Builder::new()
        .name("consumer".into())
        .spawn(move || pipeline.run())
        .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
    Ok(RunningConsumer { events, thread })
}

struct Loop {
    context: ConsumerContext,
    runtime: Handle,
    log: Arc<KafkaConsumer>,
    events: Sender<Event>,
    received: Receiver<Event>,
    /// Counts assignments, so that an answer for a former one is recognised.
    assignment: u64,
    /// Finds where the partitions of this assignment go on.
    lookup: Option<tokio::task::JoinHandle<()>>,
    /// Partitions that the group gave.
    owned: Vec<i32>,
    /// Those of them that have begun.
    partitions: BTreeMap<i32, Partition>,
    /// The topic of snapshots, once it was looked at, if there is one.
    snapshots: Arc<OnceCell<Option<Snapshots>>>,
    messages: Messages,
    housekept_at: Instant,
    stop_by: Option<Instant>,
}

impl Loop {
    fn run(mut self) {
        loop {
            if !self.context.writer.lease.renew() {
                tracing::warn!("was paused for longer than the lease, beginning anew from the last batches");
                self.begin_anew();
                self.context.writer.lease.take();
            }
            let busy = self.stop_by.is_none() && self.read_partitions();
            self.serve_group(if busy { Duration::ZERO } else { IDLE_WAIT });
            while let Ok(event) = self.received.try_recv() {
                self.handle(event);
            }
            let now = clock::monotonic();
            if now.duration_since(self.housekept_at) >= HOUSEKEEPING_INTERVAL {
                self.housekept_at = now;
                self.keep_house(now);
            }
            if self.has_stopped(now) {
                break;
            }
        }
        self.drop_partitions();
        // Closing the client leaves the group.
        drop(self);
        tracing::info!("left the consumer group");
    }

    /// Rebalances and errors of the client.
    fn serve_group(&mut self, wait: Duration) {
        match self.log.poll(wait) {
            None => {}
            Some(Err(error)) => tracing::warn!(%error, "consumer"),
            Some(Ok(_)) => {
                // Every assigned partition has its own queue, so this one was split too late.
                tracing::error!("a record came by the consumer's own queue, beginning anew");
                self.begin_anew();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Assigned(partitions) => {
                tracing::info!(?partitions, "partitions assigned");
                self.drop_partitions();
                self.owned = partitions;
                self.look_up_starts();
            }
            Event::Revoked => {
                tracing::info!(partitions = ?self.owned, "partitions taken back");
                self.drop_partitions();
                self.owned.clear();
                self.assignment += 1;
                self.context.writer.status.revoked();
            }
            Event::Started(assignment, starts) if assignment == self.assignment => self.begin(starts),
            Event::Started(..) => {}
            Event::Stop => self.begin_stop(),
        }
    }

    /// Drops all state of the owned partitions and looks up again where they go on.
    fn begin_anew(&mut self) {
        self.drop_partitions();
        if let Err(error) = self.log.assign(&TopicPartitionList::new()) {
            tracing::warn!(%error, "partitions were not given up");
        }
        if !self.owned.is_empty() {
            self.look_up_starts();
        }
    }

    fn look_up_starts(&mut self) {
        self.assignment += 1;
        self.context.writer.status.assigned(&self.owned);
        if self.owned.is_empty() || self.stop_by.is_some() {
            return;
        }
        self.lookup = Some(self.runtime.spawn(find_starts(
            Lookup {
                context: self.context.writer.clone(),
                log: Arc::clone(&self.log),
                kafka: self.context.kafka.clone(),
                snapshots: Arc::clone(&self.snapshots),
            },
            self.owned.clone(),
            self.assignment,
            self.events.clone(),
        )));
    }

    /// Starts reading where the lookup said.
    fn begin(&mut self, starts: Vec<Start>) {
        let topic = &self.context.kafka.topic;
        let mut assignment = TopicPartitionList::with_capacity(starts.len());
        let mut begun = BTreeMap::new();
        for start in starts {
            tell_start(topic, &start);
            self.context.writer.metrics.count_start(start.kind.as_str());
            let added = assignment.add_partition_offset(
                topic,
                start.partition,
                rdkafka::Offset::Offset(start.offset),
            );
            let queue = PartitionQueue::split(&self.log, topic, start.partition);
            let (Ok(()), Some(queue)) = (added, queue) else {
                tracing::error!(partition = start.partition, "the partition cannot be read");
                continue;
            };
            let snapshots = self.snapshots.get().and_then(Option::as_ref);
            let keep = snapshots.map(|topic| topic.of_partition(start.partition, start.snapshot_slot));
            let settings = self.context.kafka.snapshots;
            let cadence = keep.is_some().then(|| Cadence::new(settings, start.offset, start.log_time_ms));
            let (context, log) = (self.context.writer.clone(), Arc::clone(&self.log));
            let writer = partition::spawn_writer(&self.runtime, context, log, keep);
            begun.insert(start.partition, Partition::new(start, queue, writer, cadence));
        }
        self.partitions = begun;
        if let Err(error) = self.log.assign(&assignment) {
            tracing::error!(%error, "partitions were not assigned, trying again");
            self.begin_anew();
            return;
        }
        self.context.writer.status.waits_for(None);
        self.tell_status();
    }

    /// Reads every partition that is not held up, once. Whether there was anything.
    fn read_partitions(&mut self) -> bool {
        let now = clock::monotonic();
        let mut read = false;
        let mut problem = None;
        for partition in self.partitions.values_mut() {
            if !partition.hand_over() {
                continue;
            }
            let taken = partition.read(&mut self.messages, now, &self.context.rejects);
            match taken {
                Ok(counts) => {
                    read |= counts.replayed + counts.new > 0;
                    self.context.writer.metrics.count_records(true, counts.replayed);
                    self.context.writer.metrics.count_records(false, counts.new);
                }
                Err(code) => problem = Some((partition.number(), code)),
            }
        }
        if let Some((partition, code)) = problem {
            self.handle_problem(partition, code);
        }
        read
    }

    /// An error of a partition: what the client repairs by itself is left to it.
    fn handle_problem(&mut self, partition: i32, code: RDKafkaErrorCode) {
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                tracing::error!(partition, %code, "the log does not hold the next offset, beginning anew");
                self.begin_anew();
            }
            _ => tracing::warn!(partition, %code, "reading failed, kafka's client tries again"),
        }
    }

    fn keep_house(&mut self, now: Instant) {
        for partition in self.partitions.values_mut() {
            if partition.is_quiet(now, QUIET_PERIOD) {
                self.context.control.tick(partition.number());
                self.context.writer.metrics.count_tick();
            }
        }
        self.tell_status();
    }

    fn tell_status(&self) {
        for partition in self.partitions.values() {
            let end_offset = queue::end_offset(&self.log, &self.context.kafka.topic, partition.number());
            self.context.writer.status.update(partition.number(), partition.status(end_offset));
        }
    }

    fn begin_stop(&mut self) {
        if self.stop_by.is_none() {
            tracing::info!("stopping: writing what is queued");
            self.stop_by = Some(clock::monotonic() + STOP_PERIOD);
            for partition in self.partitions.values_mut() {
                partition.finish();
            }
        }
    }

    fn has_stopped(&mut self, now: Instant) -> bool {
        let Some(stop_by) = self.stop_by else { return false };
        // What waits in a partition is handed over as its writer gets on.
        let written = self.partitions.values_mut().all(Partition::is_finished);
        if !written && now >= stop_by {
            tracing::warn!("not everything queued was written in time, the next owner makes it again");
        }
        written || now >= stop_by
    }

    fn drop_partitions(&mut self) {
        self.messages.clear();
        if let Some(lookup) = self.lookup.take() {
            lookup.abort();
        }
        for partition in std::mem::take(&mut self.partitions).into_values() {
            partition.discard();
        }
    }
}

/// What is asked where partitions go on.
struct Lookup {
    context: WriterContext,
    log: Arc<KafkaConsumer>,
    kafka: KafkaConfig,
    snapshots: Arc<OnceCell<Option<Snapshots>>>,
}

/// Finds where `partitions` go on, however long it takes, and tells the loop.
async fn find_starts(lookup: Lookup, partitions: Vec<i32>, assignment: u64, events: Sender<Event>) {
    let metrics = &lookup.context.metrics;
    let snapshots =
        lookup.snapshots.get_or_init(|| Snapshots::open(&lookup.kafka, Arc::clone(metrics))).await;
    let starts = futures::stream::iter(partitions)
        .map(|partition| lookup.find_start(snapshots.as_ref(), partition))
        .buffered(LOOKUPS_MAX)
        .collect()
        .await;
    // The receiver is gone when the process stops.
    let _ = events.send(Event::Started(assignment, starts));
}

impl Lookup {
    async fn find_start(&self, snapshots: Option<&Snapshots>, partition: i32) -> Start {
        let Self { context, log, kafka, .. } = self;
        loop {
            match progress::find_start(&context.clickhouse, log, snapshots, &kafka.topic, partition).await {
                Ok(start) => return start,
                Err(error) => {
                    tracing::warn!(partition, %error, "cannot find where the partition goes on, trying again");
                    context.status.waits_for(Some(format!("the start of partition {partition}: {error}")));
                    tokio::time::sleep(LOOKUP_DELAY).await;
                }
            }
        }
    }
}

fn tell_start(topic: &str, start: &Start) {
    let (partition, offset) = (start.partition, start.offset);
    let next_offset = start.next_offset;
    match start.kind {
        StartKind::Fresh => tracing::info!(topic, partition, offset, "starting: no batch yet"),
        StartKind::Resumed => {
            let from = if start.from_snapshot { "snapshot" } else { "replay" };
            tracing::info!(topic, partition, offset, next_offset, from, "going on, replaying first")
        }
        StartKind::StateIncomplete => tracing::error!(
            topic,
            partition,
            offset,
            next_offset,
            "the log no longer holds the oldest records of open attempts: some of them will be unknown"
        ),
        StartKind::RecordsLost => tracing::error!(
            topic,
            partition,
            offset,
            next_offset,
            "the log no longer holds records that were not counted: they are lost, and counted as missing offsets"
        ),
        StartKind::WentBack => tracing::error!(
            topic,
            partition,
            offset,
            "the log ends before what was counted (truncated or made anew): going on with what was appended since"
        ),
    }
}

/// Partitions of a rebalance, in order.
fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    let mut numbers: Vec<_> = list.elements().iter().map(|element| element.partition()).collect();
    numbers.sort_unstable();
    numbers
}

/// Whether a rebalance gives partitions; everything else takes them.
fn gives(code: RDKafkaRespErr) -> bool {
    code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
}
