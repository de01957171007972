//! Draining: the spool's records go to the log in the order of their arrival, as soon as it answers.
//!
//! One batch is on its way at a time, and a pause as long as it took follows, so that half of the time is left for
//! live beacons. Until little waits, those go behind what is in the spool ([`Spool::is_behind`]): a session's
//! beacons then reach the log in their order however long the outage was, and nobody waits for more than an fsync.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::frame::{self, Found, SpoolRecord};
use super::segment::{self, Position};
use super::{Segment, Shared, Spool};
use crate::clock;
use crate::log::{Delivery, Log, LogError, LogRecord};

/// Records of a batch at most.
const BATCH_RECORDS_MAX: usize = 500;
/// Bytes of a batch, beyond which no record is added.
const BATCH_BYTES_MAX: usize = 512 << 10;
/// Pause before what the log refused is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// A segment that cannot be read for so long is given up: what comes after it must not wait for ever.
const READ_PATIENCE: Duration = Duration::from_secs(60);
/// Longest pause between batches.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// Receives the frames of records that the log refuses for good.
const UNDELIVERABLE: &str = "undeliverable";

/// Drains for ever.
pub async fn run(spool: Arc<Spool>, log: Arc<Log>) {
    let shared = Arc::clone(&spool.shared);
    let mut position = segment::read_cursor(&shared.dir);
    let mut damaged = false;
    loop {
        log.answers().await;
        let Some(front) = shared.front() else {
            shared.grown.notified().await;
            continue;
        };
        if front.number != position.segment {
            position = Position { segment: front.number, offset: 0 };
            damaged = false;
        }
        if position.offset < front.bytes {
            damaged |= drain(&spool, &log, front, &mut position).await;
        } else if front.sealed {
            retire(&shared, front.number, damaged);
        } else {
            shared.seal_if_idle(front.number, front.bytes);
            if shared.front().is_some_and(|front| !front.sealed && position.offset >= front.bytes) {
                // A write is under way, and wakes this when it has ended.
                shared.grown.notified().await;
            }
        }
    }
}

/// Drains what is durable of a segment beyond `position`; tells whether any of it was damaged.
async fn drain(spool: &Spool, log: &Log, front: Segment, position: &mut Position) -> bool {
    let shared = &*spool.shared;
    let (from, to) = (position.offset, front.bytes);
    let bytes = match read_patiently(&spool.shared, front.number, from..to).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let offset = from;
            tracing::error!(%error, segment = front.number, offset, "a segment of the spool cannot be read");
            shared.metrics.unreadable.with_label_values(&["file"]).inc();
            position.offset = to;
            return true;
        }
    };
    let (mut at, mut damaged) = (0, false);
    while at < bytes.len() {
        let started = clock::monotonic();
        let mut batch = Vec::new();
        let begin = at;
        while batch.len() < BATCH_RECORDS_MAX
            && at - begin < BATCH_BYTES_MAX
            && let Some(found) = frame::next(&bytes, at)
        {
            let (what, end) = match found {
                Found::Record(record, end) => {
                    batch.push(record);
                    at = end;
                    continue;
                }
                Found::Damaged(end) => ("damaged", end),
                Found::Torn(end) => ("torn", end),
            };
            let offset = from + at as u64;
            tracing::error!(
                what,
                segment = front.number,
                offset,
                bytes = end - at,
                "the spool is unreadable"
            );
            shared.metrics.unreadable.with_label_values(&[what]).inc();
            damaged |= what == "damaged";
            at = end;
        }
        deliver(shared, log, &batch).await;
        position.offset = from + at as u64;
        shared.drained(front.number, batch.len() as u64, batch.last().map_or(0, |last| last.received_at_ms));
        if let Err(error) = segment::write_cursor(&shared.dir, *position) {
            tracing::debug!(%error, "no cursor: more is sent again after a restart");
        }
        tokio::time::sleep(clock::monotonic().duration_since(started).min(PAUSE_MAX)).await;
    }
    // The file may be shorter than it was when it was found.
    position.offset = to;
    damaged
}

/// Reads a part of a segment, and tries again what may have failed for a moment: too many open files, say.
pub(super) async fn read_patiently(
    shared: &Arc<Shared>,
    number: u64,
    range: Range<u64>,
) -> io::Result<Vec<u8>> {
    let started = clock::monotonic();
    loop {
        let (shared, range) = (Arc::clone(shared), range.clone());
        let reading = tokio::task::spawn_blocking(move || {
            shared.disk.read(&segment::path_of(&shared.dir, number), range)
        });
        match reading.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Err(error)
                if error.kind() != io::ErrorKind::NotFound
                    && clock::monotonic().duration_since(started) < READ_PATIENCE =>
            {
                tracing::warn!(%error, segment = number, "reading the spool, trying again");
            }
            read => return read,
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Sends a batch until the log has acknowledged all of it; what was acknowledged is not sent again.
async fn deliver(shared: &Shared, log: &Log, batch: &[SpoolRecord<'_>]) {
    let mut left: Vec<SpoolRecord<'_>> = batch.to_vec();
    while !left.is_empty() {
        log.answers().await;
        let deliveries: Vec<_> = left.drain(..).map(|record| (record, begin(log, record))).collect();
        let mut large = Vec::new();
        for (record, delivery) in deliveries {
            match confirmed(delivery).await {
                Ok(()) => {}
                Err(LogError::TooLarge) => large.push(record),
                Err(LogError::QueueFull | LogError::NotConfirmed) => left.push(record),
            }
        }
        // A broker refuses a whole batch of Kafka's: only what it refuses alone is too large.
        for record in large {
            match confirmed(begin(log, record)).await {
                Ok(()) => {}
                Err(LogError::TooLarge) => put_aside(shared, record),
                Err(LogError::QueueFull | LogError::NotConfirmed) => left.push(record),
            }
        }
        shared.stuck.store(!left.is_empty(), Ordering::Relaxed);
        if !left.is_empty() {
            tracing::warn!(records = left.len(), "the log did not take all of a batch of the spool");
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}

fn begin(log: &Log, record: SpoolRecord<'_>) -> Result<Arc<Delivery>, LogError> {
    let delivery = log.begin(1);
    log.append(LogRecord { key: record.key, content: record.content }, &delivery).map(|()| delivery)
}

async fn confirmed(delivery: Result<Arc<Delivery>, LogError>) -> Result<(), LogError> {
    delivery?.confirmed().await
}

/// Keeps a record that the log will never take, and that a client was told is durable.
fn put_aside(shared: &Shared, record: SpoolRecord<'_>) {
    shared.metrics.undeliverable.inc();
    let mut frames = Vec::new();
    frame::write(&mut frames, record);
    let path = shared.dir.join(UNDELIVERABLE);
    let kept = std::fs::OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
        io::Write::write_all(&mut file, &frames)?;
        file.sync_data()
    });
    let bytes = record.content.len();
    match kept {
        Ok(()) => tracing::error!(bytes, path = %path.display(), "the log refuses a record as too large"),
        Err(error) => tracing::error!(bytes, %error, "the log refuses a record as too large, and it is lost"),
    }
}

fn retire(shared: &Shared, number: u64, damaged: bool) {
    if let Err(error) = segment::retire(&shared.dir, number, damaged) {
        tracing::error!(%error, segment = number, "a drained segment cannot be removed");
    }
    shared.forget(number);
}
