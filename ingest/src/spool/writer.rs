//! The one thread that writes: all requests that wait when it comes to write share a write and an fsync.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::disk::SegmentFile;
use super::segment::{self, path_of};
use super::{Shared, SpoolError};
use crate::clock;

/// Bytes of a segment after which the next one begins.
pub const SEGMENT_BYTES: u64 = 8 << 20;
/// Bytes that are written at once, so that one fsync does not take long.
const GROUP_BYTES_MAX: usize = 2 << 20;
/// After a failure nothing is tried for so long: requests are refused at once meanwhile.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Frames of one request.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) frames: Vec<u8>,
    pub(super) records: u64,
    pub(super) received_at_ms: i64,
    pub(super) done: oneshot::Sender<Result<(), SpoolError>>,
}

/// Writes until nobody can append any more.
pub(super) fn run(shared: &Arc<Shared>, mut appends: UnboundedReceiver<Append>) {
    let mut open: Option<Open> = None;
    let mut failed: Option<(Instant, io::ErrorKind)> = None;
    while let Some(first) = appends.blocking_recv() {
        let mut bytes = first.frames.len();
        let mut group = vec![first];
        while bytes < GROUP_BYTES_MAX
            && let Ok(append) = appends.try_recv()
        {
            bytes += append.frames.len();
            group.push(append);
        }
        if let Some((since, kind)) = failed
            && clock::monotonic().duration_since(since) < RETRY_DELAY
        {
            shared.give_up(bytes);
            answer(group, Err(SpoolError::Disk(kind)));
            continue;
        }
        let (fits, full) = fitting(group, shared.room());
        let result = if fits.is_empty() { Ok(()) } else { write(shared, &mut open, &fits) };
        shared.written(bytes, &result);
        failed = result.as_ref().err().map(|error| (clock::monotonic(), error.kind()));
        answer(fits, result.map_err(|error| SpoolError::Disk(error.kind())));
        answer(full, Err(SpoolError::Full));
    }
}

/// Those that fit into `room`, and those that do not.
fn fitting(group: Vec<Append>, room: u64) -> (Vec<Append>, Vec<Append>) {
    let mut taken = 0;
    group.into_iter().partition(|append| {
        let size = append.frames.len() as u64;
        let fits = taken + size <= room;
        taken += if fits { size } else { 0 };
        fits
    })
}

/// Tells every request of a group. One that waits no more has been answered 503; its record is written all the same.
fn answer(group: Vec<Append>, outcome: Result<(), SpoolError>) {
    for append in group {
        let _ = append.done.send(outcome);
    }
}

/// The segment that is written now.
struct Open {
    number: u64,
    file: Box<dyn SegmentFile>,
}

fn write(shared: &Shared, open: &mut Option<Open>, group: &[Append]) -> io::Result<()> {
    let started = clock::monotonic();
    let current = open.take().filter(|current| shared.begin_write(current.number));
    let mut current = match current {
        Some(current) => current,
        None => {
            shared.hold_folder()?;
            let number = shared.next_number();
            let file = shared.disk.create(&path_of(&shared.dir, number))?;
            shared.begin_segment(number);
            Open { number, file }
        }
    };
    let frames: Vec<&[u8]> = group.iter().map(|append| append.frames.as_slice()).collect();
    let buffer = frames.concat();
    let written = current.file.append(&buffer).and_then(|()| current.file.sync());
    let records = group.iter().map(|append| append.records).sum();
    let received_at_ms = group.iter().map(|append| append.received_at_ms).min().unwrap_or_default();
    match written {
        Ok(()) => {
            shared.metrics.fsync_seconds.observe(clock::monotonic().duration_since(started).as_secs_f64());
            let bytes = buffer.len() as u64;
            if shared.end_write(current.number, bytes, records, received_at_ms) < SEGMENT_BYTES {
                *open = Some(current);
            } else {
                shared.seal(current.number);
            }
            Ok(())
        }
        Err(error) => {
            // What was written before is durable; what comes goes to another file.
            if shared.end_write(current.number, 0, 0, i64::MAX) == 0 {
                shared.forget(current.number);
                let _ = segment::retire(&shared.dir, current.number, false);
            } else {
                shared.seal(current.number);
            }
            Err(error)
        }
    }
}
