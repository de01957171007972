//! Reads the log and drives the engines: one thread, one loop, one engine a partition.
//!
//! The group only says which partitions are ours. Where each goes on comes from `sli.batches`, which is looked up
//! when partitions are given; when they are taken away, their engines and queued batches are dropped, since whoever
//! owns them next makes the same batches again. A partition whose writer is behind is not read until it has caught up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;

use crate::clock;
use crate::config::{Assignment, KafkaConfig};
use crate::control::Control;
use crate::kafka::{self, Producer};
use crate::progress::Start;
use crate::rejects::Rejects;
use crate::snapshots::Cadence;
use crate::writer::WriterContext;

mod context;
mod drain;
mod lookup;
mod membership;
mod partition;
mod queue;

pub(crate) use context::KafkaConsumer;
pub use drain::drain;

use context::LogContext;
use lookup::{Asked, LookupNumber, Lookups};
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

/// Everything that the loop reacts to, beside records.
enum Event {
    /// The group gave these partitions, beside those that are ours.
    Given(Vec<i32>),
    /// The group took these partitions back.
    Taken { partitions: Vec<i32>, lost: bool },
    /// Starting points that this lookup found.
    Started(LookupNumber, Vec<Start>),
    /// The process stops.
    Stop,
}

/// Why the consumer ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// Another process has taken this one's place in the group.
    #[error(
        "another process joined the group as kafka.instance_id = {0:?} and has this one's partitions: \
         give each process an id of its own"
    )]
    Fenced(String),
    /// Another process has this one's place in the group.
    #[error(
        "another process is in the group as kafka.instance_id = {0:?}: give each process an id of its own, or wait \
         until the group has removed one that was killed"
    )]
    Unreleased(String),
    /// The client can go on no more.
    #[error("kafka's client cannot go on: {0}")]
    Fatal(String),
    /// The thread ended without a reason.
    #[error("the consumer has ended unexpectedly")]
    Unexpected,
}

/// The running consumer.
pub struct RunningConsumer {
    events: Sender<Event>,
    thread: JoinHandle<Result<(), ConsumerError>>,
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

    /// Waits for the end. Blocks.
    ///
    /// # Errors
    /// When it ended by itself.
    pub fn join(self) -> Result<(), ConsumerError> {
        self.thread.join().unwrap_or(Err(ConsumerError::Unexpected))
    }
}

/// What the loop works with.
pub struct ConsumerContext {
    /// The log.
    pub kafka: KafkaConfig,
    /// For snapshots.
    pub producer: Producer,
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
    if context.kafka.assignment == Assignment::Consumer {
        // A member that the broker needs for nothing is not told so.
        context.writer.status.given(&[]);
    }
    let now = clock::monotonic();
    let log = Arc::new(log);
    let asked = Asked {
        context: context.writer.clone(),
        log: Arc::clone(&log),
        kafka: context.kafka.clone(),
        producer: context.producer.clone(),
        snapshots: Arc::default(),
    };
    let pipeline = Loop {
        lookups: Lookups::new(asked, runtime.clone(), events.clone()),
        context,
        runtime,
        log,
        received,
        owned: BTreeMap::new(),
        partitions: BTreeMap::new(),
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
    received: Receiver<Event>,
    lookups: Lookups,
    /// Partitions that the group gave, and the lookup that says where each goes on.
    owned: BTreeMap<i32, LookupNumber>,
    /// Those of them that have begun.
    partitions: BTreeMap<i32, Partition>,
    messages: Messages,
    housekept_at: Instant,
    stop_by: Option<Instant>,
}

impl Loop {
    fn run(mut self) -> Result<(), ConsumerError> {
        let ended = loop {
            if !self.context.writer.lease.renew() {
                tracing::warn!("was paused for longer than the lease, beginning anew from the last batches");
                self.begin_anew();
                self.context.writer.lease.take();
            }
            let busy = self.stop_by.is_none() && self.read_partitions();
            if let Err(error) = self.serve_group(if busy { Duration::ZERO } else { IDLE_WAIT }) {
                break Err(error);
            }
            while let Ok(event) = self.received.try_recv() {
                self.handle(event);
            }
            let now = clock::monotonic();
            if now.duration_since(self.housekept_at) >= HOUSEKEEPING_INTERVAL {
                self.housekept_at = now;
                self.keep_house(now);
            }
            if self.has_stopped(now) {
                break Ok(());
            }
        };
        self.discard(|_| true);
        // Closing the client leaves the group.
        drop(self);
        tracing::info!("left the consumer group");
        ended
    }

    /// Rebalances and errors of the client.
    fn serve_group(&mut self, wait: Duration) -> Result<(), ConsumerError> {
        match self.log.poll(wait) {
            None => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "consumer");
                // The error itself does not say whether it is the end.
                return self.fatal_error().map_or(Ok(()), Err);
            }
            Some(Ok(_)) => {
                // Every assigned partition has its own queue, so this one was split too late.
                tracing::error!("a record came by the consumer's own queue, beginning anew");
                self.begin_anew();
            }
        }
        Ok(())
    }

    fn fatal_error(&self) -> Option<ConsumerError> {
        let (code, reason) = self.log.client().fatal_error()?;
        let instance_id = || self.context.kafka.instance_id.clone();
        Some(match code {
            RDKafkaErrorCode::FencedInstanceId => ConsumerError::Fenced(instance_id()),
            RDKafkaErrorCode::UnreleasedInstanceId => ConsumerError::Unreleased(instance_id()),
            _ => ConsumerError::Fatal(reason),
        })
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Given(partitions) => {
                tracing::info!(?partitions, "partitions given");
                self.context.writer.status.given(&partitions);
                self.look_up(partitions);
            }
            Event::Taken { partitions, lost } => {
                tracing::info!(?partitions, lost, "partitions taken back");
                self.discard(|number| partitions.contains(&number));
                self.owned.retain(|number, _| !partitions.contains(number));
                self.keep_wanted_lookups();
                let rejoins = lost || !self.context.kafka.assignment.is_incremental();
                self.context.writer.status.taken(&partitions, rejoins);
                self.tell_begun();
            }
            Event::Started(lookup, starts) => self.begin(lookup, starts),
            Event::Stop => self.begin_stop(),
        }
    }

    /// Drops all state of the owned partitions and looks up again where they go on.
    fn begin_anew(&mut self) {
        let mut read = TopicPartitionList::with_capacity(self.partitions.len());
        for number in self.partitions.keys() {
            read.add_partition(&self.context.kafka.topic, *number);
        }
        self.discard(|_| true);
        if let Err(error) = membership::stop_reading(&self.log, &read) {
            tracing::warn!(%error, "partitions were not given up");
        }
        let owned: Vec<_> = self.owned.keys().copied().collect();
        if !owned.is_empty() {
            self.context.writer.status.begun_anew(&owned);
            self.look_up(owned);
        }
    }

    fn look_up(&mut self, partitions: Vec<i32>) {
        if partitions.is_empty() || self.stop_by.is_some() {
            return;
        }
        let lookup = self.lookups.begin(partitions.clone());
        self.owned.extend(partitions.into_iter().map(|number| (number, lookup)));
        self.keep_wanted_lookups();
    }

    fn keep_wanted_lookups(&mut self) {
        self.lookups.keep(|lookup| self.owned.values().any(|wanted| *wanted == lookup));
    }

    /// Starts reading where the lookup said.
    fn begin(&mut self, lookup: LookupNumber, mut starts: Vec<Start>) {
        starts.retain(|start| self.owned.get(&start.partition) == Some(&lookup));
        if starts.is_empty() {
            return;
        }
        let topic = &self.context.kafka.topic;
        let mut assignment = TopicPartitionList::with_capacity(starts.len());
        for start in starts {
            lookup::tell_start(topic, &start);
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
            let keep = self
                .lookups
                .snapshots()
                .map(|topic| topic.of_partition(start.partition, start.snapshot_slot));
            let settings = self.context.kafka.snapshots;
            let cadence = keep.is_some().then(|| Cadence::new(settings, start.offset, start.log_time_ms));
            let (context, log) = (self.context.writer.clone(), Arc::clone(&self.log));
            let writer = partition::spawn_writer(&self.runtime, context, log, keep);
            self.partitions.insert(start.partition, Partition::new(start, queue, writer, cadence));
        }
        if let Err(error) = membership::take(&self.log, &assignment) {
            tracing::error!(%error, "partitions were not assigned, trying again");
            self.begin_anew();
            return;
        }
        self.tell_begun();
        self.tell_status();
    }

    /// Tells that nothing is waited for, once every partition that the group gave has begun.
    fn tell_begun(&self) {
        if self.owned.keys().all(|number| self.partitions.contains_key(number)) {
            self.context.writer.status.waits_for(None);
        }
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

    /// Drops the state of these partitions; their lookups, if any, go on.
    fn discard(&mut self, is_dropped: impl Fn(i32) -> bool) {
        self.messages.clear();
        let dropped = self.partitions.extract_if(.., |number, _| is_dropped(*number));
        dropped.for_each(|(_, partition)| partition.discard());
    }
}
