//! Making the records of a request durable, before it is answered 2xx: on the log, or in the spool where that does
//! not acknowledge in time.
//!
//! A request waits for the log at most [`Spool::after`] and then for the disk; while the log is known to be away it
//! goes to the disk at once. A record that the log got as well is there twice, with the same beacon id.

use std::cell::RefCell;

use schema::record::encode_beacon;

use crate::admission::Admission;
use crate::clock;
use crate::log::{Log, LogError, LogRecord};
use crate::refusal::Refusal;
use crate::spool::frame::{self, SpoolRecord};
use crate::spool::{Spool, SpoolError};

/// A record's buffer that has grown beyond this is not kept for the next one.
const BUFFER_BYTES_KEPT_MAX: usize = 64 << 10;

/// What librdkafka adds to the bytes of a record when it compares them with `message.max.bytes`
/// (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD`).
const RECORD_OVERHEAD_BYTES: usize = 36;

/// Why a request is not known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurableError {
    /// The log refuses it, or there is no spool and this is the log's answer.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Neither the log nor the spool took it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl From<DurableError> for Refusal {
    fn from(error: DurableError) -> Self {
        Self::NotDurable(match error {
            DurableError::Log(LogError::TooLarge) => return Self::RecordTooLarge,
            DurableError::Log(LogError::QueueFull) => "too many beacons wait for the log",
            DurableError::Log(LogError::NotConfirmed) => "the log did not confirm in time",
            DurableError::Spool(SpoolError::Full) => "the log is away and the spool is full",
            DurableError::Spool(SpoolError::Slow) => "the log is away and the disk is too slow",
            DurableError::Spool(SpoolError::Disk(_)) => "the log is away and the disk refuses",
        })
    }
}

/// Writes every beacon and waits until all of them are durable. Gives the bytes of the records.
///
/// # Errors
/// When not all of them are known to be durable.
pub async fn make_durable(
    admission: &Admission<'_>,
    log: &Log,
    spool: Option<&Spool>,
    kept: &RefCell<Vec<u8>>,
) -> Result<usize, DurableError> {
    if admission.admitted.is_empty() {
        return Ok(0);
    }
    let Some(spool) = spool else { return Ok(on_log(admission, log, kept).await?) };
    if log.takes() && !spool.is_behind() {
        let started = clock::monotonic();
        match tokio::time::timeout(spool.after(), on_log(admission, log, kept)).await {
            Ok(Ok(record_bytes)) => {
                log.note_timely();
                return Ok(record_bytes);
            }
            Ok(Err(LogError::TooLarge)) => return Err(LogError::TooLarge.into()),
            Ok(Err(LogError::QueueFull)) => {}
            Ok(Err(LogError::NotConfirmed)) | Err(_) => log.suspect(started),
        }
    }
    in_spool(admission, log.record_bytes_max(), spool, kept).await
}

/// Writes every beacon to the log and waits for the acknowledgement of all of them.
async fn on_log(admission: &Admission<'_>, log: &Log, kept: &RefCell<Vec<u8>>) -> Result<usize, LogError> {
    let records = admission.admitted.len();
    let delivery = log.begin(records);
    let mut record_bytes = 0;
    let mut refused = None;
    let mut buffer = kept.take();
    for (at, admitted) in admission.admitted.iter().enumerate() {
        buffer = encode_beacon(&admitted.beacon, buffer);
        record_bytes += buffer.len();
        if let Err(error) = log.append(LogRecord { key: &admitted.kafka_key, content: &buffer }, &delivery) {
            log.give_up(&delivery, records - at);
            refused = Some(error);
            break;
        }
    }
    keep(kept, buffer);
    if let Some(error) = refused {
        return Err(error);
    }
    delivery.confirmed().await?;
    Ok(record_bytes)
}

/// Writes every beacon to the spool and waits for its fsync.
async fn in_spool(
    admission: &Admission<'_>,
    record_bytes_max: usize,
    spool: &Spool,
    kept: &RefCell<Vec<u8>>,
) -> Result<usize, DurableError> {
    let mut buffer = kept.take();
    let (mut frames, mut record_bytes, mut received_at_ms) = (Vec::new(), 0, i64::MAX);
    let mut too_large = false;
    for admitted in &admission.admitted {
        buffer = encode_beacon(&admitted.beacon, buffer);
        record_bytes += buffer.len();
        // The log would refuse it for good once it is back.
        too_large |= buffer.len() + admitted.kafka_key.len() + RECORD_OVERHEAD_BYTES > record_bytes_max;
        received_at_ms = received_at_ms.min(admitted.beacon.received_at_ms);
        let record = SpoolRecord {
            received_at_ms: admitted.beacon.received_at_ms,
            key: &admitted.kafka_key,
            content: &buffer,
        };
        frame::write(&mut frames, record);
    }
    keep(kept, buffer);
    if too_large {
        return Err(LogError::TooLarge.into());
    }
    spool.append(frames, admission.admitted.len() as u64, received_at_ms).await?;
    Ok(record_bytes)
}

fn keep(kept: &RefCell<Vec<u8>>, buffer: Vec<u8>) {
    if buffer.capacity() <= BUFFER_BYTES_KEPT_MAX {
        kept.replace(buffer);
    }
}
