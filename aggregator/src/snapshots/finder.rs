//! Finds the newest snapshot of a partition that fits, reading the topic from its end.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::chunk::{Assembly, Chunk, Slot, Title};
use super::{BROKER_TIMEOUT, Snapshots};
use crate::clock;
use crate::engine::{Cut, ENGINE_VERSION, Engine, SnapshotError};
use crate::kafka::{self, Logged};
use crate::progress::{Held, LastBatch, Misfit, judge};

/// Looking for a snapshot must not take longer than the replay that it saves.
const FIND_TIMEOUT: Duration = Duration::from_secs(30);
/// Offsets that are read first; windows grow from there.
const WINDOW_MIN: i64 = 8;
/// What one window holds in memory at most: 64 chunks, 58 MB.
const WINDOW_MAX: i64 = 64;
/// Unfinished or damaged snapshots that are passed by on the way back.
const ASSEMBLIES_MAX: usize = 4;
const POLL_WAIT: Duration = Duration::from_millis(500);

/// What the topic held.
#[derive(Debug, Default)]
pub struct Found {
    /// The engine as it was at the cut, which expects the records from there on.
    pub restored: Option<(Cut, Engine)>,
    /// Where the next snapshot is to be written, so that the newest complete one stays.
    pub next_slot: Slot,
}

/// Where the partition is to go on.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The log.
    pub(crate) topic: String,
    /// Its partition.
    pub(crate) partition: i32,
    /// The last batch.
    pub(crate) last: LastBatch,
    /// What the log holds.
    pub(crate) held: Held,
}

/// Why the look ended without a snapshot.
#[derive(Debug, thiserror::Error)]
enum FindError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("nothing was found within {} s", FIND_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the partition is no longer wanted")]
    Cancelled,
}

impl Snapshots {
    /// The engine from the newest snapshot that leads to the last batch. Whatever goes wrong is told and counted.
    pub(crate) async fn find(&self, wanted: Wanted) -> Found {
        let partition = wanted.partition;
        let cancel = CancelOnDrop(Arc::default());
        let (this, cancelled) = (self.clone(), Arc::clone(&cancel.0));
        let looking = tokio::task::spawn_blocking(move || {
            let mut search = Search {
                snapshots: this,
                wanted,
                assemblies: Vec::new(),
                ignored: Vec::new(),
                found: Found::default(),
                is_over: false,
            };
            let result = search.run(&cancelled);
            (search.found, result)
        });
        let (found, result) = looking.await.unwrap_or_else(|_| (Found::default(), Err(FindError::Cancelled)));
        if let Err(error) = result {
            tracing::warn!(partition, %error, "looking for a snapshot was given up");
            self.metrics.count_snapshot_ignored("not_read");
        }
        found
    }
}

/// Ends the look when nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Search {
    snapshots: Snapshots,
    wanted: Wanted,
    /// Snapshots that fit by their titles, newest first.
    assemblies: Vec<(Slot, Assembly)>,
    /// Those that do not.
    ignored: Vec<Title>,
    found: Found,
    is_over: bool,
}

impl Search {
    fn run(&mut self, cancelled: &AtomicBool) -> Result<(), FindError> {
        let deadline = clock::monotonic() + FIND_TIMEOUT;
        let kafka = &self.snapshots.kafka;
        let (topic, partition) = (kafka.snapshots_topic.clone(), self.wanted.partition);
        let reader: BaseConsumer<Logged> = kafka::reader(kafka).create_with_context(Logged)?;
        let (low, high) = reader.fetch_watermarks(&topic, partition, BROKER_TIMEOUT)?;
        let (mut end, mut window) = (high, WINDOW_MIN);
        while end > low && !self.is_over {
            let range = (end - window).max(low)..end;
            end = range.start;
            window = (window * 2).min(WINDOW_MAX);
            let chunks = read(&reader, &topic, partition, range, || {
                if cancelled.load(Ordering::Relaxed) {
                    return Err(FindError::Cancelled);
                }
                if clock::monotonic() >= deadline { Err(FindError::TimedOut) } else { Ok(()) }
            })?;
            for (slot, chunk) in chunks.into_iter().rev() {
                self.take(slot, chunk);
                if self.is_over {
                    break;
                }
            }
        }
        for (_, assembly) in std::mem::take(&mut self.assemblies) {
            self.ignore(assembly.title(), "incomplete", &"not all of its chunks are there");
        }
        Ok(())
    }

    /// Takes the chunks from the newest to the oldest.
    fn take(&mut self, slot: Slot, chunk: Option<Chunk>) {
        let Some(chunk) = chunk else {
            let partition = self.wanted.partition;
            tracing::warn!(partition, "a record on the topic of snapshots is no chunk of this version");
            self.snapshots.metrics.count_snapshot_ignored("unknown");
            return;
        };
        let title = chunk.title;
        let place = match self.assemblies.iter().position(|(_, assembly)| assembly.title() == title) {
            Some(place) => place,
            None => {
                if self.ignored.contains(&title) || !self.fits(title) {
                    return;
                }
                self.assemblies.push((slot, Assembly::new(title)));
                self.assemblies.len() - 1
            }
        };
        self.assemblies[place].1.add(chunk);
        if self.assemblies[place].1.is_complete() {
            let (slot, assembly) = self.assemblies.remove(place);
            self.restore(slot, assembly);
        }
    }

    /// Whether a snapshot of this title would be used.
    fn fits(&mut self, title: Title) -> bool {
        if self.assemblies.len() >= ASSEMBLIES_MAX {
            self.is_over = true;
            return false;
        }
        if title.engine_version != ENGINE_VERSION {
            self.ignore(title, "version", &format_args!("this is engine {ENGINE_VERSION}"));
            return false;
        }
        match judge(&self.wanted.last, self.wanted.held, title.cut) {
            Ok(()) => true,
            Err(misfit) => {
                let ends_at = self.wanted.last.next_offset;
                self.ignore(title, misfit.as_str(), &format_args!("the last batch ends at {ends_at}"));
                // What lies before it on the topic is older still.
                self.is_over = matches!(misfit, Misfit::Outdated | Misfit::NotHeld);
                false
            }
        }
    }

    /// Has the engine read a complete snapshot.
    fn restore(&mut self, slot: Slot, assembly: Assembly) {
        let title = assembly.title();
        let snapshot = assembly.into_snapshot();
        let Wanted { topic, partition, last, .. } = &self.wanted;
        match Engine::restore(topic.clone(), *partition, &snapshot, last.next_offset) {
            Ok(engine) => {
                let metrics = &self.snapshots.metrics;
                metrics.count_snapshot("read");
                metrics.count_snapshot_bytes("read", snapshot.bytes.len() as u64);
                self.found = Found { restored: Some((title.cut, engine)), next_slot: slot.other() };
                self.is_over = true;
            }
            Err(error) => {
                let reason = match error {
                    SnapshotError::Version { .. } => "version",
                    SnapshotError::Damaged(_) | SnapshotError::Definitions(_) => "damaged",
                    SnapshotError::Ahead { .. } => "ahead",
                };
                self.ignore(title, reason, &error);
            }
        }
    }

    /// Says once of a snapshot why it is not used.
    fn ignore(&mut self, title: Title, reason: &str, detail: &dyn std::fmt::Display) {
        if self.ignored.contains(&title) {
            return;
        }
        self.ignored.push(title);
        let (partition, next_offset) = (self.wanted.partition, title.cut.next_offset);
        tracing::warn!(partition, next_offset, reason, %detail, "snapshot ignored");
        self.snapshots.metrics.count_snapshot_ignored(reason);
    }
}

/// The records of a range of offsets, of which compaction may have taken some, or all.
fn read(
    reader: &BaseConsumer<Logged>,
    topic: &str,
    partition: i32,
    range: Range<i64>,
    may_go_on: impl Fn() -> Result<(), FindError>,
) -> Result<Vec<(Slot, Option<Chunk>)>, FindError> {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(range.start))?;
    reader.assign(&assignment)?;
    let mut chunks = Vec::new();
    loop {
        may_go_on()?;
        match reader.poll(POLL_WAIT) {
            Some(Ok(message)) if message.offset() >= range.end => break,
            Some(Ok(message)) => {
                let chunk = message.payload().and_then(Chunk::decode);
                let slot = message.key().and_then(Slot::of_key);
                chunks.push((slot.unwrap_or_default(), chunk.filter(|_| slot.is_some())));
                if message.offset() + 1 >= range.end {
                    break;
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => {
                tracing::debug!(partition, %error, "reading snapshots, kafka's client tries again")
            }
            None => {}
        }
    }
    Ok(chunks)
}
