//! Reading a partition's queue in batches: the safe face of `rd_kafka_consume_batch_queue`, which `rdkafka`
//! does not wrap. It costs about a third of polling message by message.
//!
//! A partition that is not read is not fetched any more once its queue is full
//! (`queued.max.messages.kbytes`), so leaving it alone is all the backpressure that is needed.
#![expect(unsafe_code, reason = "calls librdkafka; every block says why it is sound")]

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as native;

use crate::engine::LogRecord;

/// The queue of one partition, apart from the consumer's own queue of rebalances and errors.
pub(super) struct PartitionQueue<C: ConsumerContext + 'static> {
    queue: NonNull<native::rd_kafka_queue_t>,
    /// The queue must go before its client.
    _client: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues are guarded by their own locks and may be used from any thread.
unsafe impl<C: ConsumerContext> Send for PartitionQueue<C> {}

impl<C: ConsumerContext> PartitionQueue<C> {
    /// Takes the partition's messages out of the consumer's own queue; to be called before the partition is assigned.
    pub(super) fn split(client: &Arc<BaseConsumer<C>>, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client's handle is valid as long as `client` lives; the returned reference is ours.
        let queue = unsafe {
            native::rd_kafka_queue_get_partition(client.client().native_ptr(), topic.as_ptr(), partition)
        };
        let queue = NonNull::new(queue)?;
        // SAFETY: the queue is valid; forwarding to null only turns forwarding off.
        unsafe { native::rd_kafka_queue_forward(queue.as_ptr(), std::ptr::null_mut()) };
        Some(Self { queue, _client: Arc::clone(client) })
    }

    /// Moves what is there into `messages`, up to its capacity, without waiting.
    pub(super) fn take(&self, messages: &mut Messages) {
        messages.clear();
        // SAFETY: the array has as many slots as is said, and librdkafka writes only valid messages into them.
        let taken = unsafe {
            native::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                0,
                messages.slots.as_mut_ptr(),
                messages.slots.len(),
            )
        };
        messages.taken = usize::try_from(taken).unwrap_or(0);
    }
}

impl<C: ConsumerContext> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and is given up once.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Messages of one reading; the memory of their content is librdkafka's until they are cleared.
pub(super) struct Messages {
    slots: Vec<*mut native::rd_kafka_message_t>,
    taken: usize,
}

// SAFETY: a message belongs to whoever took it and may be read and given back from any thread.
unsafe impl Send for Messages {}

impl Messages {
    pub(super) fn with_capacity(messages_max: usize) -> Self {
        Self { slots: vec![std::ptr::null_mut(); messages_max], taken: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// The messages in their order; an error is the partition's, such as an offset that is gone.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<LogRecord<'_>, RDKafkaErrorCode>> {
        self.slots[..self.taken].iter().map(|message| {
            // SAFETY: the first `taken` slots hold messages that live until `clear`, which needs `&mut self`.
            let message = unsafe { &**message };
            if message.err != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(message.err.into());
            }
            let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            // SAFETY: both pointers are valid for the call.
            let append_ms = unsafe { native::rd_kafka_message_timestamp(message, &raw mut kind) };
            Ok(LogRecord {
                offset: message.offset,
                append_ms,
                key: bytes(message.key.cast(), message.key_len),
                payload: bytes(message.payload.cast(), message.len),
            })
        })
    }

    pub(super) fn clear(&mut self) {
        for message in &self.slots[..self.taken] {
            // SAFETY: each message is ours and is given back once, since `taken` is set to nothing below.
            unsafe { native::rd_kafka_message_destroy(*message) };
        }
        self.taken = 0;
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bytes<'a>(start: *const u8, len: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: librdkafka gives a pointer to `len` bytes that live as long as the message.
    unsafe { std::slice::from_raw_parts(start, len) }
}

/// The end of the partition's log as the last fetch saw it.
pub(super) fn end_offset<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (0, 0);
    // SAFETY: the handle is valid as long as `client` lives, and so are the two numbers for the call.
    let error = unsafe {
        native::rd_kafka_get_watermark_offsets(
            client.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    (error == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}
