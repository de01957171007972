//! The client's callbacks: they acknowledge at once and leave the work to the loop.

use std::sync::mpsc::Sender;

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::{Event, membership};
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
        let numbers = numbers(partitions);
        let (done, event) = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            (membership::acknowledge(consumer), Event::Given(numbers))
        } else {
            let lost = consumer.assignment_lost();
            (membership::give_back(consumer, partitions), Event::Taken { partitions: numbers, lost })
        };
        if let Err(error) = done {
            tracing::warn!(%error, "rebalance was not acknowledged");
        }
        // The receiver is gone when the loop has ended; then the client is being closed.
        let _ = self.events.send(event);
    }
}

/// Partitions of a rebalance, in order.
fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    let mut numbers: Vec<_> = list.elements().iter().map(|element| element.partition()).collect();
    numbers.sort_unstable();
    numbers
}
