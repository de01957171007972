//! The spool: records on this host's disk, durable, for as long as Kafka does not acknowledge.
//!
//! Records stand in segments: files that are only appended to, numbered in order of arrival. One `writer` makes
//! many requests durable by one fsync, [`drain`] hands the records to the log in the order of their arrival and takes
//! segments away whose records are all acknowledged. What stands in a segment is [`frame`]'s. A record may reach the
//! log twice (the process was killed between acknowledgement and cursor); it has the same beacon id then.
//!
//! No segment that is found in the folder keeps the process from starting: what cannot be read is counted and kept
//! under another name. When the spool is used is [`crate::durable`]'s.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};

use crate::clock;
use crate::config::SpoolConfig;

pub mod disk;
pub mod drain;
pub mod frame;
pub mod metrics;
pub mod segment;
mod writer;

use disk::{Disk, FileSystem};
use metrics::SpoolMetrics;
use segment::Position;
pub use writer::SEGMENT_BYTES;

/// Bytes that wait for the disk at most; more are refused at once rather than queued.
const PENDING_BYTES_MAX: u64 = 16 << 20;
/// How long a request waits for the disk.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
/// While more records than this wait, new ones go behind them rather than past them.
const BEHIND_RECORDS: u64 = 500;
/// How often, and after what pause, what an earlier process left is read before it is given up.
const FIND_TRIES: (u32, Duration) = (5, Duration::from_millis(200));

/// Why records are not in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// `spool.bytes_max` is reached.
    #[error("the log is away and the spool is full")]
    Full,
    /// Too much waits for the disk, or it did not answer in time.
    #[error("the log is away and the disk is too slow")]
    Slow,
    /// The disk refused.
    #[error("the log is away and the spool's disk refuses: {0}")]
    Disk(io::ErrorKind),
}

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two processes must not write into one folder.
    #[error("spool.dir = {0}: another process uses this folder")]
    InUse(PathBuf),
    /// Nobody knows what an earlier process left, and it must not be taken for drained.
    #[error("spool.dir = {dir}: the folder cannot be read: {source}; make it readable, or name another")]
    Unreadable {
        /// The folder.
        dir: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// No thread can be made.
    #[error("the spool's thread does not start: {0}")]
    Thread(io::Error),
    /// Names of metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// See the module.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    appends: UnboundedSender<writer::Append>,
    after: Duration,
}

/// What requests, the writer and the drain share.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    disk: Box<dyn Disk>,
    /// Held while this process writes to the folder.
    lock: Mutex<Option<File>>,
    bytes_max: u64,
    segments: Mutex<Segments>,
    /// Records that are durable here and not acknowledged by the log.
    records: AtomicU64,
    /// Bytes of requests that wait for the disk.
    pending_bytes: AtomicU64,
    /// Bytes of all segments.
    bytes: AtomicU64,
    /// The last write failed.
    failing: AtomicBool,
    /// The log answers, but does not take what is first in the spool.
    stuck: AtomicBool,
    /// Something was appended.
    grown: Notify,
    metrics: SpoolMetrics,
}

#[derive(Debug)]
struct Segments {
    /// In order of arrival.
    present: VecDeque<Segment>,
    next_number: u64,
    /// The writer is between the beginning and the end of a write.
    writing: bool,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    /// Durable bytes.
    bytes: u64,
    /// Records that are not drained.
    records: u64,
    /// Receipt of the earliest record that is not drained, ms since the epoch.
    oldest_ms: i64,
    /// Nothing is appended any more.
    sealed: bool,
}

impl Spool {
    /// Opens a spool and finds what an earlier process left. Blocks.
    ///
    /// # Errors
    /// When another process uses the folder, or it is there and cannot be read. A disk that cannot be written is no
    /// error: the log says so, and every append tries again.
    pub fn open(config: &SpoolConfig) -> Result<Self, OpenError> {
        Self::open_on(config, FileSystem)
    }

    /// Opens a spool on `disk`.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open_on(config: &SpoolConfig, disk: impl Disk) -> Result<Self, OpenError> {
        let dir = config.dir.clone();
        let metrics = SpoolMetrics::new()?;
        let lock = match lock(&config.dir) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(OpenError::InUse(dir)),
            Err(error) => {
                tracing::error!(%error, dir = %dir.display(), "the spool's folder cannot be written");
                None
            }
        };
        let cursor = segment::read_cursor(&dir);
        let (present, records) = found(&disk, &dir, cursor, &metrics)
            .map_err(|source| OpenError::Unreadable { dir: dir.clone(), source })?;
        let last = present.back().map_or(0, |segment| segment.number).max(cursor.segment);
        let bytes = present.iter().map(|segment| segment.bytes).sum();
        if records > 0 {
            tracing::warn!(records, bytes, dir = %dir.display(), "the spool holds records of an earlier process");
        }
        let shared = Arc::new(Shared {
            dir,
            disk: Box::new(disk),
            lock: Mutex::new(lock),
            bytes_max: config.bytes_max,
            segments: Mutex::new(Segments { present, next_number: last + 1, writing: false }),
            records: AtomicU64::new(records),
            pending_bytes: AtomicU64::new(0),
            bytes: AtomicU64::new(bytes),
            failing: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            grown: Notify::new(),
            metrics,
        });
        let (appends, waiting) = unbounded_channel();
        let writing = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("spool".into())
            .spawn(move || writer::run(&writing, waiting))
            .map_err(OpenError::Thread)?;
        Ok(Self { shared, appends, after: Duration::from_millis(config.after_ms) })
    }

    /// How long a request waits for the log before it comes here.
    pub fn after(&self) -> Duration {
        self.after
    }

    /// Whether so much waits here that new records go behind it, so that they reach the log in order.
    pub fn is_behind(&self) -> bool {
        self.records() > BEHIND_RECORDS && !self.shared.stuck.load(Ordering::Relaxed)
    }

    /// Records that wait.
    pub fn records(&self) -> u64 {
        self.shared.records.load(Ordering::Relaxed)
    }

    /// Why a beacon would be refused now, if so.
    pub fn refusal(&self) -> Option<&'static str> {
        if self.shared.failing.load(Ordering::Relaxed) {
            Some("the spool's disk refuses writes")
        } else if self.shared.room() == 0 {
            Some("the spool is full")
        } else {
            None
        }
    }

    /// Makes the frames of a request durable; they are made by [`frame::write`].
    ///
    /// # Errors
    /// When they are not, or were not in time.
    pub async fn append(&self, frames: Vec<u8>, records: u64, received_at_ms: i64) -> Result<(), SpoolError> {
        let size = frames.len() as u64;
        let shared = &self.shared;
        let pending = shared.pending_bytes.fetch_add(size, Ordering::Relaxed);
        let refusal = if pending + size > PENDING_BYTES_MAX {
            Some(SpoolError::Slow)
        } else if pending + size > shared.room() {
            Some(SpoolError::Full)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            shared.pending_bytes.fetch_sub(size, Ordering::Relaxed);
            return Err(refusal);
        }
        let (done, outcome) = oneshot::channel();
        let append = writer::Append { frames, records, received_at_ms, done };
        if self.appends.send(append).is_err() {
            return Err(SpoolError::Disk(io::ErrorKind::BrokenPipe));
        }
        match tokio::time::timeout(WRITE_PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(SpoolError::Disk(io::ErrorKind::BrokenPipe)),
            Err(_) => Err(SpoolError::Slow),
        }
    }

    /// The counters, to be registered.
    pub fn metrics(&self) -> &SpoolMetrics {
        &self.shared.metrics
    }

    /// Sets the gauges; `active` is whether new beacons come here.
    pub fn refresh(&self, active: bool) {
        let metrics = &self.shared.metrics;
        metrics.bytes.set(self.shared.bytes.load(Ordering::Relaxed) as i64);
        metrics.records.set(self.records() as i64);
        metrics.active.set(i64::from(active));
        let oldest_ms = self.shared.segments().present.iter().map(|segment| segment.oldest_ms).min();
        let waits = oldest_ms.filter(|oldest_ms| self.records() > 0 && *oldest_ms < i64::MAX);
        metrics
            .oldest_age_seconds
            .set(waits.map_or(0, |oldest_ms| (clock::wall_ms() - oldest_ms).max(0) / 1_000));
    }

    /// Lets another process have the folder.
    pub fn unlock(&self) {
        if let Some(lock) = self.shared.folder_lock().take()
            && let Err(error) = lock.unlock()
        {
            tracing::warn!(%error, "the spool's folder stays locked");
        }
    }
}

fn lock(dir: &Path) -> io::Result<File> {
    disk::make_folder(dir)?;
    let file = File::create(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What an earlier process left beyond its cursor.
fn found(
    disk: &impl Disk,
    dir: &Path,
    cursor: Position,
    metrics: &SpoolMetrics,
) -> io::Result<(VecDeque<Segment>, u64)> {
    let (mut present, mut records) = (VecDeque::new(), 0);
    let numbers = patiently(|| match disk.list(dir) {
        // It is made with the first segment.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        listed => listed,
    })?;
    for number in numbers {
        if number < cursor.segment {
            // It was drained, and could not be removed.
            let _ = segment::retire(dir, number, false);
            continue;
        }
        let path = segment::path_of(dir, number);
        match patiently(|| disk.read(&path, 0..u64::MAX)) {
            Ok(bytes) => {
                let from = if number == cursor.segment { cursor.offset as usize } else { 0 };
                let survey = segment::survey(&bytes, from);
                records += survey.records;
                present.push_back(Segment {
                    number,
                    bytes: bytes.len() as u64,
                    records: survey.records,
                    oldest_ms: survey.oldest_ms,
                    sealed: true,
                });
            }
            Err(error) => {
                tracing::error!(%error, segment = number, "a segment of the spool cannot be read");
                metrics.unreadable.with_label_values(&["file"]).inc();
                let _ = segment::retire(dir, number, true);
            }
        }
    }
    Ok((present, records))
}

/// Tries again what may have failed for a moment.
fn patiently<T>(attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let (tries, pause) = FIND_TRIES;
    for _ in 1..tries {
        match attempt() {
            Err(error) => tracing::warn!(%error, "reading the spool, trying again"),
            done => return done,
        }
        std::thread::sleep(pause);
    }
    attempt()
}

impl Shared {
    fn folder_lock(&self) -> MutexGuard<'_, Option<File>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that no other process writes to the folder: it could not be locked before it could be written.
    fn hold_folder(&self) -> io::Result<()> {
        let mut held = self.folder_lock();
        if held.is_none() {
            *held = Some(lock(&self.dir)?);
        }
        Ok(())
    }

    fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that may still be written.
    fn room(&self) -> u64 {
        self.bytes_max.saturating_sub(self.bytes.load(Ordering::Relaxed))
    }

    fn next_number(&self) -> u64 {
        let mut segments = self.segments();
        segments.next_number += 1;
        segments.next_number - 1
    }

    fn begin_segment(&self, number: u64) {
        let mut segments = self.segments();
        segments.present.push_back(Segment {
            number,
            bytes: 0,
            records: 0,
            oldest_ms: i64::MAX,
            sealed: false,
        });
        segments.writing = true;
    }

    /// Whether the segment is still there to be appended to; if so nobody seals it until the write has ended.
    fn begin_write(&self, number: u64) -> bool {
        let mut segments = self.segments();
        segments.writing =
            segments.present.back().is_some_and(|segment| segment.number == number && !segment.sealed);
        segments.writing
    }

    /// Notes what became durable; gives the bytes of the segment.
    fn end_write(&self, number: u64, bytes: u64, records: u64, received_at_ms: i64) -> u64 {
        let mut segments = self.segments();
        segments.writing = false;
        let Some(segment) = segments.present.back_mut().filter(|segment| segment.number == number) else {
            return bytes;
        };
        segment.bytes += bytes;
        segment.records += records;
        segment.oldest_ms = segment.oldest_ms.min(received_at_ms);
        let size = segment.bytes;
        drop(segments);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.metrics.appended.inc_by(records);
        self.grown.notify_one();
        size
    }

    fn seal(&self, number: u64) {
        let mut segments = self.segments();
        segments.present.iter_mut().filter(|segment| segment.number == number).for_each(|segment| {
            segment.sealed = true;
        });
    }

    /// Seals the segment if nothing was appended beyond `bytes` and nothing is being appended.
    fn seal_if_idle(&self, number: u64, bytes: u64) {
        let mut segments = self.segments();
        if segments.writing {
            return;
        }
        segments
            .present
            .iter_mut()
            .filter(|segment| segment.number == number && segment.bytes == bytes)
            .for_each(|segment| segment.sealed = true);
    }

    fn front(&self) -> Option<Segment> {
        self.segments().present.front().copied()
    }

    /// Notes that a group does not wait any more.
    fn give_up(&self, bytes: usize) {
        self.pending_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that a group was written or not.
    fn written(&self, bytes: usize, result: &io::Result<()>) {
        self.give_up(bytes);
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        if let Err(error) = result {
            self.metrics.write_failures.inc();
            if !failed_before {
                tracing::error!(%error, dir = %self.dir.display(), "the spool cannot be written");
            }
        } else if failed_before {
            tracing::info!(dir = %self.dir.display(), "the spool can be written again");
        }
    }

    /// Notes that `records` of the first segment were drained, up to one received at `received_at_ms`.
    fn drained(&self, number: u64, records: u64, received_at_ms: i64) {
        let mut segments = self.segments();
        if let Some(segment) = segments.present.front_mut().filter(|segment| segment.number == number) {
            segment.oldest_ms = segment.oldest_ms.max(received_at_ms);
            segment.records = segment.records.saturating_sub(records);
        }
        drop(segments);
        self.records.fetch_sub(records, Ordering::Relaxed);
        self.metrics.drained.inc_by(records);
    }

    /// Forgets a segment whose file is gone.
    fn forget(&self, number: u64) {
        let mut segments = self.segments();
        if let Some(at) = segments.present.iter().position(|segment| segment.number == number)
            && let Some(segment) = segments.present.remove(at)
        {
            self.bytes.fetch_sub(segment.bytes, Ordering::Relaxed);
            // Those of a file that could not be read.
            self.records.fetch_sub(segment.records, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
