//! Keeps undecodable records on the rejects topic, as they are and with the reason, so that they can be looked
//! at and sent again. A bounded best effort: the counts in `sli.batches` do not depend on it.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::config::KafkaConfig;
use crate::engine::{LogRecord, Reject};
use crate::kafka::Producer;
use crate::metrics::Metrics;

/// Rejects on their way; more are counted as not kept.
const UNDER_WAY_MAX: usize = 1_000;
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes rejects.
#[derive(Clone)]
pub struct Rejects {
    producer: Producer,
    topic: Arc<str>,
    log_topic: Arc<str>,
    under_way: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    runtime: Handle,
}

impl Rejects {
    /// To the topic that `kafka` names.
    pub fn new(producer: Producer, kafka: &KafkaConfig, metrics: Arc<Metrics>, runtime: Handle) -> Self {
        Self {
            producer,
            topic: kafka.rejects_topic.as_str().into(),
            log_topic: kafka.topic.as_str().into(),
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
            metrics,
            runtime,
        }
    }

    /// Sends `record`, which could not be decoded; does not wait.
    pub fn keep(&self, partition: i32, record: LogRecord<'_>, reject: Reject) {
        tracing::warn!(
            partition,
            offset = reject.offset,
            reason = reject.reason,
            detail = reject.detail,
            "undecodable record"
        );
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            self.metrics.count_reject(reject.reason, false);
            return;
        };
        let (key, payload) = (record.key.to_vec(), record.payload.to_vec());
        let headers = headers(&self.log_topic, partition, &reject);
        let this = self.clone();
        self.runtime.spawn(async move {
            let record = FutureRecord::to(&this.topic).key(&key).payload(&payload).headers(headers);
            let result = this.producer.send(record, QUEUE_TIMEOUT).await;
            this.metrics.count_reject(reject.reason, result.is_ok());
            if let Err((error, _)) = result {
                tracing::warn!(partition, offset = reject.offset, %error, "undecodable record was not kept");
            }
            drop(permit);
        });
    }
}

fn headers(log_topic: &str, partition: i32, reject: &Reject) -> OwnedHeaders {
    let (partition, offset) = (partition.to_string(), reject.offset.to_string());
    [
        ("topic", log_topic),
        ("partition", &partition),
        ("offset", &offset),
        ("reason", reject.reason),
        ("detail", &reject.detail),
    ]
    .into_iter()
    .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
