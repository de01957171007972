//! Everything that is kept behind `ingest`, as bytes to search.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::stack::Stack;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::lines;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Kafka's indexes hold offsets, and are as large as they may become.
const INDEXES: [&str; 2] = ["index", "timeindex"];

/// Places and what is in them, in small letters.
pub(super) struct Found(Vec<(String, String)>);

impl Found {
    fn new(content: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let small = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        Self(content.into_iter().map(|(place, bytes)| (place, small(bytes))).collect())
    }

    /// Whether a text is anywhere.
    pub(super) fn is_in(&self, text: &str) -> bool {
        !self.places_of(text).is_empty()
    }

    /// Where a text is, in any case of letters.
    pub(super) fn places_of(&self, text: &str) -> Vec<&str> {
        let text = text.to_ascii_lowercase();
        self.0
            .iter()
            .filter(|(_, content)| content.contains(&text))
            .map(|(place, _)| place.as_str())
            .collect()
    }
}

/// Key, content and headers of every record of every topic.
pub(super) async fn on_the_log(stack: &Stack) -> Found {
    let brokers = stack.kafka_brokers().to_owned();
    tokio::task::spawn_blocking(move || Found::new(records(&brokers))).await.unwrap()
}

fn records(brokers: &str) -> Vec<(String, Vec<u8>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "planted")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(None, TIMEOUT).unwrap();
    let mut assignment = TopicPartitionList::new();
    let mut remaining = Vec::new();
    for topic in metadata.topics() {
        for partition in topic.partitions() {
            let (low, high) = consumer.fetch_watermarks(topic.name(), partition.id(), TIMEOUT).unwrap();
            if high > low {
                assignment.add_partition_offset(topic.name(), partition.id(), Offset::Offset(low)).unwrap();
                remaining.push((topic.name().to_owned(), partition.id(), high));
            }
        }
    }
    consumer.assign(&assignment).unwrap();
    let mut records = Vec::new();
    while !remaining.is_empty() {
        // The last offsets of a compacted or transactional topic may be no records.
        let Some(message) = consumer.poll(Duration::from_secs(5)) else { break };
        let message = message.unwrap();
        let place = format!("{} {} {}", message.topic(), message.partition(), message.offset());
        let mut content =
            [message.key().unwrap_or_default(), b" ", message.payload().unwrap_or_default()].concat();
        for header in message.headers().into_iter().flat_map(Headers::iter) {
            content.extend_from_slice(header.key.as_bytes());
            content.extend_from_slice(header.value.unwrap_or_default());
        }
        records.push((place, content));
        remaining.retain(|(topic, partition, high)| {
            (topic.as_str(), *partition) != (message.topic(), message.partition())
                || message.offset() + 1 < *high
        });
    }
    records
}

/// Every column of every row of every table, those of ClickHouse's own logs included.
pub(super) async fn in_tables(stack: &Stack) -> Found {
    // A name that begins with a point is of a table that ClickHouse replaces another with.
    let tables = "SELECT concat(database, '.', name) AS name FROM system.tables WHERE NOT engine LIKE '%View' \
        AND name NOT LIKE '.%' AND (database = 'sli' OR (database = 'system' AND name LIKE '%\\_log'))";
    let mut found = Vec::new();
    for table in lines(stack, tables).await {
        let rows = stack
            .query(&format!("SELECT formatRowNoNewline('JSONEachRow', *) AS row FROM {table}"))
            .await
            .unwrap();
        found.extend(rows.into_iter().map(|row| (table.clone(), row["row"].as_str().unwrap().into())));
    }
    Found::new(found)
}

/// A file.
pub(super) fn in_file(path: &Path) -> Found {
    Found::new([(path.display().to_string(), std::fs::read(path).unwrap())])
}

/// Every file below a folder.
pub(super) fn below(dir: &Path) -> Found {
    let mut folders: Vec<PathBuf> = vec![dir.into()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && !path.extension().is_some_and(|end| INDEXES.iter().any(|index| end == *index))
            {
                // Merges remove files at any time.
                found.extend(std::fs::read(&path).map(|content| (path.display().to_string(), content)));
            }
        }
    }
    Found::new(found)
}
