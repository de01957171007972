//! Finding where partitions go on, beside the loop and however long it takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::Event;
use super::context::KafkaConsumer;
use crate::config::KafkaConfig;
use crate::kafka::Producer;
use crate::progress::{self, Start, StartKind};
use crate::snapshots::Snapshots;
use crate::writer::WriterContext;

/// Partitions whose starts are looked for at once; each may hold a snapshot in memory twice.
const LOOKUPS_MAX: usize = 4;
/// Pause between two tries to find where partitions go on.
const LOOKUP_DELAY: Duration = Duration::from_secs(1);

/// Number of a lookup. A partition that was taken away and given again is looked up again, and an answer from before
/// would miss the batches that were written in between.
pub(super) type LookupNumber = u64;

/// The lookups that are under way.
pub(super) struct Lookups {
    asked: Asked,
    runtime: Handle,
    events: Sender<Event>,
    latest: LookupNumber,
    running: BTreeMap<LookupNumber, JoinHandle<()>>,
}

/// What is asked where partitions go on.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) context: WriterContext,
    pub(super) log: Arc<KafkaConsumer>,
    pub(super) kafka: KafkaConfig,
    /// For snapshots.
    pub(super) producer: Producer,
    /// The topic of snapshots, once it was looked at, if there is one.
    pub(super) snapshots: Arc<OnceCell<Option<Snapshots>>>,
}

impl Lookups {
    pub(super) fn new(asked: Asked, runtime: Handle, events: Sender<Event>) -> Self {
        Self { asked, runtime, events, latest: 0, running: BTreeMap::new() }
    }

    /// The topic of snapshots, if it was found.
    pub(super) fn snapshots(&self) -> Option<&Snapshots> {
        self.asked.snapshots.get().and_then(Option::as_ref)
    }

    /// Looks for the starts of `partitions`; [`Event::Started`] brings them with the number that is given here.
    pub(super) fn begin(&mut self, partitions: Vec<i32>) -> LookupNumber {
        self.latest += 1;
        let (asked, number, events) = (self.asked.clone(), self.latest, self.events.clone());
        let task = self.runtime.spawn(async move {
            let starts = asked.find_starts(partitions).await;
            // The receiver is gone when the process stops.
            let _ = events.send(Event::Started(number, starts));
        });
        self.running.insert(number, task);
        number
    }

    /// Ends every lookup that nobody waits for any more.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(LookupNumber) -> bool) {
        self.running.retain(|number, task| {
            let kept = is_wanted(*number) && !task.is_finished();
            if !kept {
                task.abort();
            }
            kept
        });
    }
}

impl Asked {
    async fn find_starts(&self, partitions: Vec<i32>) -> Vec<Start> {
        let metrics = &self.context.metrics;
        let open = || Snapshots::open(&self.kafka, self.producer.clone(), Arc::clone(metrics));
        let snapshots = self.snapshots.get_or_init(open).await;
        futures::stream::iter(partitions)
            .map(|partition| self.find_start(snapshots.as_ref(), partition))
            .buffered(LOOKUPS_MAX)
            .collect()
            .await
    }

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

/// Says in the log where a partition goes on, and what is lost.
pub(super) fn tell_start(topic: &str, start: &Start) {
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
