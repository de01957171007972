//! The log: writing records to Kafka and knowing when they are durable.
//!
//! Each record carries a pointer to its request's [`Delivery`], which librdkafka gives back with the outcome; when the
//! last record of a request is acknowledged, the request is woken. What a record holds is `schema`'s.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::watch;

use crate::clock;
use crate::config::KafkaConfig;

/// Messages that wait for the broker at most; more are refused.
const QUEUE_MESSAGES_MAX: &str = "100000";
/// Memory of the messages that wait for the broker at most, KiB.
const QUEUE_KBYTES_MAX: &str = "131072";
/// How long records are gathered for a batch: none. Requests come one by one when a server is idle, and each would
/// wait this long; under load batches fill while the one before is on its way. `cargo run --release -p ingest
/// --example bound` measures it.
pub const LINGER_MS: &str = "0";
/// Records that wait for the broker, beyond which more go to the spool at once.
const QUEUED_MAX: i32 = 20_000;
/// How exact the time of the last acknowledgement in time is, ms: it is written no more often.
const TIMELY_RESOLUTION_MS: i64 = 50;
/// What librdkafka takes without `message.max.bytes`.
const RECORD_BYTES_MAX: usize = 1_000_000;
/// Properties that the guarantees depend on, so they cannot be configured.
pub const RESERVED_PROPERTIES: [&str; 9] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "transactional.id",
    "delivery.report.only.error",
];

/// The configuration of the producer.
pub fn producer_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "sli-ingest")
        .set("linger.ms", LINGER_MS)
        .set("compression.type", "lz4")
        // As Kafka's own clients do, so that a session's partition can be told elsewhere.
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", QUEUE_MESSAGES_MAX)
        .set("queue.buffering.max.kbytes", QUEUE_KBYTES_MAX)
        .set("socket.nagle.disable", "true")
        .set("topic.metadata.refresh.interval.ms", "30000")
        // A broker that comes back is found at once; requests are waiting.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000");
    kafka.properties.apply(&mut config);
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", kafka.acknowledge_timeout_ms.to_string());
    config
}

/// What a record, and a batch of them, may have at most: librdkafka's `message.max.bytes`.
pub fn record_bytes_max(kafka: &KafkaConfig) -> usize {
    let configured = kafka.properties.get("message.max.bytes").and_then(|bytes| bytes.parse().ok());
    configured.unwrap_or(RECORD_BYTES_MAX)
}

/// Why records did not become durable. One that timed out may still have been written: its repeat has the same
/// beacon id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Too much waits for the broker already.
    #[error("too many beacons wait for the log")]
    QueueFull,
    /// No acknowledgement came in time, or the broker refused.
    #[error("the log did not confirm in time")]
    NotConfirmed,
    /// Larger than the broker or the client takes.
    #[error("the record is larger than the log takes")]
    TooLarge,
}

/// The fate of one request's records.
#[derive(Debug)]
pub struct Delivery {
    remaining: AtomicU32,
    /// 0 while none has failed.
    failure: AtomicU32,
    waker: AtomicWaker,
}

const FAILED: u32 = 1;
const FAILED_TOO_LARGE: u32 = 2;

impl Delivery {
    fn new(records: u32) -> Arc<Self> {
        Arc::new(Self {
            remaining: AtomicU32::new(records),
            failure: AtomicU32::new(0),
            waker: AtomicWaker::new(),
        })
    }

    fn settle(&self, failure: u32, records: u32) {
        self.failure.fetch_max(failure, Ordering::Relaxed);
        // Release, so that who sees 0 sees the failure.
        if self.remaining.fetch_sub(records, Ordering::AcqRel) == records {
            self.waker.wake();
        }
    }

    /// Waits until every record is acknowledged or has failed.
    ///
    /// # Errors
    /// When one has failed.
    pub async fn confirmed(&self) -> Result<(), LogError> {
        poll_fn(|context| {
            if self.remaining.load(Ordering::Acquire) == 0 {
                return Poll::Ready(());
            }
            self.waker.register(context.waker());
            if self.remaining.load(Ordering::Acquire) == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        match self.failure.load(Ordering::Relaxed) {
            0 => Ok(()),
            FAILED_TOO_LARGE => Err(LogError::TooLarge),
            _ => Err(LogError::NotConfirmed),
        }
    }
}

/// What librdkafka calls back.
#[derive(Debug)]
pub struct Deliveries {
    started: Instant,
    /// Whether anything was acknowledged since [`Log::note_time`] last looked: cheaper than a clock a record.
    acknowledged: AtomicBool,
    /// When that was last so, ms since `started`; -1 before the first time.
    acknowledged_ms: AtomicI64,
    failures: AtomicU64,
    fatal: watch::Sender<Option<String>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => tracing::error!(facility, "{message}"),
            RDKafkaLogLevel::Warning => tracing::warn!(facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "{message}"),
            RDKafkaLogLevel::Debug => tracing::debug!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.fatal.send_replace(Some(reason.to_owned()));
        }
        tracing::warn!(%error, reason, "kafka");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Arc<Delivery>) {
        match result {
            Ok(_) => {
                // Written only once an interval, so that the cache line stays shared.
                if !self.acknowledged.load(Ordering::Relaxed) {
                    self.acknowledged.store(true, Ordering::Relaxed);
                }
                delivery.settle(0, 1);
            }
            Err((error, _)) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                delivery.settle(failure_of(error), 1);
            }
        }
    }
}

fn failure_of(error: &KafkaError) -> u32 {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            FAILED_TOO_LARGE
        }
        Some(_) | None => FAILED,
    }
}

/// What is known of the log, which decides where records go that can go to the spool as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogState {
    /// It acknowledges in time, or nothing speaks against it.
    Answers,
    /// It does not acknowledge in time.
    Away,
    /// Its topic was not seen since the start.
    Unchecked,
    /// Its topic cannot be used, for this reason.
    Wrong(String),
}

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// Key, which chooses the partition.
    pub key: &'a str,
    /// Content.
    pub content: &'a [u8],
}

/// The producer of one topic.
pub struct Log {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    state: watch::Sender<LogState>,
    /// When an acknowledgement last came in time, ms since the producer was made; -1 before the first one.
    timely_ms: AtomicI64,
    record_bytes_max: usize,
}

impl Log {
    /// Makes the producer; connects in the background.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn new(kafka: &KafkaConfig) -> Result<Self, KafkaError> {
        let deliveries = Deliveries {
            started: clock::monotonic(),
            acknowledged: AtomicBool::new(false),
            acknowledged_ms: AtomicI64::new(-1),
            failures: AtomicU64::new(0),
            fatal: watch::Sender::new(None),
        };
        let producer = producer_config(kafka).create_with_context(deliveries)?;
        Ok(Self {
            producer,
            topic: kafka.topic.clone(),
            state: watch::Sender::new(LogState::Answers),
            timely_ms: AtomicI64::new(-1),
            record_bytes_max: record_bytes_max(kafka),
        })
    }

    /// Begins the delivery of `records` records, to be handed over one by one.
    pub fn begin(&self, records: usize) -> Arc<Delivery> {
        Delivery::new(u32::try_from(records).unwrap_or(u32::MAX))
    }

    /// Hands a record over; its content is copied. What it comes to is told by the delivery.
    pub fn append(&self, record: LogRecord<'_>, delivery: &Arc<Delivery>) -> Result<(), LogError> {
        let message = BaseRecord::with_opaque_to(&self.topic, Arc::clone(delivery))
            .key(record.key)
            .payload(record.content);
        self.producer.send(message).map_err(|(error, _)| refused(&error))
    }

    /// Settles records of a delivery that were not handed over.
    pub fn give_up(&self, delivery: &Delivery, records: usize) {
        delivery.settle(FAILED, u32::try_from(records).unwrap_or(u32::MAX));
    }

    /// Hands a record for one partition over.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn append_to(
        &self,
        partition: i32,
        content: &[u8],
        delivery: &Arc<Delivery>,
    ) -> Result<(), LogError> {
        let message: BaseRecord<'_, (), [u8], _> =
            BaseRecord::with_opaque_to(&self.topic, Arc::clone(delivery))
                .partition(partition)
                .payload(content);
        self.producer.send(message).map_err(|(error, _)| refused(&error))
    }

    /// Bytes of key and content that a record may have.
    pub fn record_bytes_max(&self) -> usize {
        self.record_bytes_max
    }

    /// What is known of the log.
    pub fn state(&self) -> LogState {
        self.state.borrow().clone()
    }

    /// Sets what is known of the log.
    pub fn set_state(&self, state: LogState) {
        self.state.send_replace(state);
    }

    /// Whether a record that is handed over now is likely to be acknowledged soon.
    pub fn takes(&self) -> bool {
        *self.state.borrow() == LogState::Answers && self.queued() < QUEUED_MAX
    }

    /// Returns when the log answers.
    pub async fn answers(&self) {
        let mut state = self.state.subscribe();
        if state.wait_for(|state| *state == LogState::Answers).await.is_err() {
            std::future::pending().await
        }
    }

    /// Notes that an acknowledgement came in time.
    pub fn note_timely(&self) {
        let now_ms = self.elapsed_ms(clock::monotonic());
        // Seldom written, so that the cache line stays shared.
        if now_ms - self.timely_ms.load(Ordering::Relaxed) >= TIMELY_RESOLUTION_MS {
            self.timely_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    /// Notes that records handed over at `since` were not acknowledged in time. When nothing else was either, the
    /// log is away.
    pub fn suspect(&self, since: Instant) {
        if self.timely_ms.load(Ordering::Relaxed) > self.elapsed_ms(since) {
            return;
        }
        if self.change(&LogState::Answers, LogState::Away) {
            tracing::warn!("kafka does not acknowledge in time");
        }
    }

    /// Notes that records handed over while the log was away were acknowledged in time.
    pub fn note_return(&self) {
        self.note_timely();
        if self.change(&LogState::Away, LogState::Answers) {
            tracing::info!("kafka acknowledges again");
        }
    }

    fn change(&self, from: &LogState, to: LogState) -> bool {
        self.state.send_if_modified(|state| {
            let changes = state == from;
            if changes {
                *state = to;
            }
            changes
        })
    }

    fn elapsed_ms(&self, at: Instant) -> i64 {
        at.duration_since(self.producer.context().started).as_millis() as i64
    }

    /// Partitions of the topic, by a question to the broker. Blocks.
    ///
    /// # Errors
    /// When no broker answers within `timeout`.
    pub fn partitions(&self, timeout: Duration) -> Result<i32, KafkaError> {
        let metadata = self.producer.client().fetch_metadata(Some(&self.topic), timeout)?;
        let count = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == self.topic)
            .map(|topic| topic.partitions().len());
        Ok(count.and_then(|count| i32::try_from(count).ok()).unwrap_or_default())
    }

    /// Notes the time if anything was acknowledged since the last call.
    pub fn note_time(&self) {
        let deliveries = self.producer.context();
        if deliveries.acknowledged.swap(false, Ordering::Relaxed) {
            let elapsed_ms = clock::monotonic().duration_since(deliveries.started).as_millis() as i64;
            deliveries.acknowledged_ms.store(elapsed_ms, Ordering::Relaxed);
        }
    }

    /// Whether anything was acknowledged within `age`; ticks see to it that something is.
    pub fn is_live(&self, age: Duration) -> bool {
        self.note_time();
        let deliveries = self.producer.context();
        let acknowledged_ms = deliveries.acknowledged_ms.load(Ordering::Relaxed);
        let now_ms = clock::monotonic().duration_since(deliveries.started).as_millis() as i64;
        acknowledged_ms >= 0 && now_ms - acknowledged_ms <= age.as_millis() as i64
    }

    /// Records that wait for the broker.
    pub fn queued(&self) -> i32 {
        self.producer.in_flight_count()
    }

    /// Records that failed.
    pub fn failures(&self) -> u64 {
        self.producer.context().failures.load(Ordering::Relaxed)
    }

    /// Waits until the producer can go on no more: an idempotent producer stops when its order is in doubt.
    pub async fn broken(&self) -> String {
        let mut fatal = self.producer.context().fatal.subscribe();
        match fatal.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until everything handed over is acknowledged or has failed. Blocks.
    ///
    /// # Errors
    /// When that is not so within `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(), KafkaError> {
        self.producer.flush(timeout)
    }
}

fn refused(error: &KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => LogError::QueueFull,
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            LogError::TooLarge
        }
        Some(_) | None => LogError::NotConfirmed,
    }
}
