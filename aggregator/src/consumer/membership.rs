//! How partitions come and go: all at once, or only those that change.
//!
//! The group names partitions, but the client is given them only when it is known where they go on. Until then it
//! holds none of them, so what the group takes back may be less than what the client has.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;

use super::context::KafkaConsumer;

/// Whether partitions that stay with their owner are left alone in a rebalance.
fn is_incremental(log: &KafkaConsumer) -> bool {
    matches!(log.rebalance_protocol(), RebalanceProtocol::Cooperative)
}

/// Acknowledges what the group gives; nothing is read yet.
pub(super) fn acknowledge(log: &KafkaConsumer) -> KafkaResult<()> {
    let none = TopicPartitionList::new();
    if is_incremental(log) { log.incremental_assign(&none) } else { log.assign(&none) }
}

/// Reads these partitions, from the offsets in the list, beside those that are read already.
pub(super) fn take(log: &KafkaConsumer, partitions: &TopicPartitionList) -> KafkaResult<()> {
    if is_incremental(log) { log.incremental_assign(partitions) } else { log.assign(partitions) }
}

/// Acknowledges that the group takes `partitions` back, of which those that are read are read no more.
pub(super) fn give_back(log: &KafkaConsumer, partitions: &TopicPartitionList) -> KafkaResult<()> {
    if is_incremental(log) { log.incremental_unassign(&read_of(log, partitions)?) } else { log.unassign() }
}

/// Stops reading `partitions`, which are all that are read, and stays their owner.
pub(super) fn stop_reading(log: &KafkaConsumer, partitions: &TopicPartitionList) -> KafkaResult<()> {
    if is_incremental(log) {
        log.incremental_unassign(&read_of(log, partitions)?)
    } else {
        log.assign(&TopicPartitionList::new())
    }
}

/// Those of `partitions` that the client has.
fn read_of(log: &KafkaConsumer, partitions: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    let (read, mut both) = (log.assignment()?, TopicPartitionList::new());
    for partition in partitions.elements() {
        if read.find_partition(partition.topic(), partition.partition()).is_some() {
            both.add_partition(partition.topic(), partition.partition());
        }
    }
    Ok(both)
}
