//! Making the records of a request durable, before it is answered 2xx.

use std::cell::RefCell;

use schema::record::encode_beacon;

use crate::admission::Admission;
use crate::log::{Log, LogError, LogRecord};

/// A record's buffer that has grown beyond this is not kept for the next one.
const BUFFER_BYTES_KEPT_MAX: usize = 64 << 10;

/// Writes every beacon and waits for the acknowledgement of all of them. Gives the bytes of the records.
///
/// # Errors
/// When not all of them are known to be durable.
pub async fn make_durable(
    admission: &Admission<'_>,
    log: &Log,
    kept: &RefCell<Vec<u8>>,
) -> Result<usize, LogError> {
    let records = admission.admitted.len();
    if records == 0 {
        return Ok(0);
    }
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
    if buffer.capacity() <= BUFFER_BYTES_KEPT_MAX {
        kept.replace(buffer);
    }
    if let Some(error) = refused {
        return Err(error);
    }
    delivery.confirmed().await?;
    Ok(record_bytes)
}
