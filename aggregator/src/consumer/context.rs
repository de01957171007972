//! The client's callbacks: they acknowledge at once and leave the work to the loop.

use std::sync::mpsc::Sender;

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::{Event, gives, numbers};
use crate::kafka;

/// The consumer of the log.
pub(crate) type KafkaConsumer = BaseConsumer<LogContext>;

/// Passes rebalances to the loop.
pub(crate) struct LogContext {
    events: Sender<Event>,
}

impl LogContext {
    pub(super) fn new(events: Sender<Event>) -> Self {
        Self { events }
    }
}

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka");
    }
}

impl ConsumerContext for LogContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        // Partitions are taken for real when it is known where they go on; until then none is read.
        let (done, event) = if gives(code) {
            (consumer.assign(&TopicPartitionList::new()), Event::Assigned(numbers(partitions)))
        } else {
            (consumer.unassign(), Event::Revoked)
        };
        if let Err(error) = done {
            tracing::warn!(%error, "rebalance was not acknowledged");
        }
        // The receiver is gone when the loop has ended; then the client is being closed.
        let _ = self.events.send(event);
    }
}
