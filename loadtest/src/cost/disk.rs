//! Bytes on disk: Kafka's log of a topic, and ClickHouse's tables.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use deploy::clickhouse::ClickHouse;
use deploy::stack::KAFKA;
use serde::{Deserialize, Serialize};

const POLL: Duration = Duration::from_millis(250);
/// Merges that take longer than this belong to the size that is told.
const MERGES_PATIENCE: Duration = Duration::from_secs(15);

/// A table on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Database and name.
    pub table: String,
    /// Rows of its active parts.
    pub rows: u64,
    /// Bytes of its active parts, compressed, with marks, indexes and projections.
    pub bytes: u64,
}

/// Bytes of a topic's segments in the folder of a stack's own Kafka: what producers compressed, once, without the files of
/// indexes, which are allocated ahead.
///
/// # Errors
/// When the folder cannot be read.
pub fn topic_bytes(stack: &Path, topic: &str) -> anyhow::Result<u64> {
    let data = stack.join(KAFKA).join("data");
    let mut bytes = 0;
    for entry in std::fs::read_dir(&data).with_context(|| format!("reading {}", data.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let partition = name.strip_prefix(topic).and_then(|rest| rest.strip_prefix('-'));
        if partition.is_none_or(|partition| partition.parse::<u32>().is_err()) {
            continue;
        }
        for file in std::fs::read_dir(entry.path())? {
            let file = file?;
            if file.path().extension().is_some_and(|ending| ending == "log") {
                bytes += file.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}

/// The tables of a database, largest first.
///
/// # Errors
/// When ClickHouse does not answer.
pub async fn tables(clickhouse: &ClickHouse, database: &str) -> anyhow::Result<Vec<Table>> {
    let sql = "SELECT concat(database, '.', table) AS table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes \
               FROM system.parts WHERE active AND database = {database:String} GROUP BY database, table \
               ORDER BY bytes DESC, table";
    Ok(clickhouse.query_as(sql, &[("database", database.to_owned())]).await?)
}

/// Waits until nothing is merged in a database, a while at most: sizes and questions are then of tables at rest.
///
/// # Errors
/// When ClickHouse does not answer.
pub async fn merged(clickhouse: &ClickHouse, database: &str) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Merges {
        merges: u64,
    }
    let sql = "SELECT count() AS merges FROM system.merges WHERE database = {database:String}";
    let waiting = async {
        loop {
            let rows: Vec<Merges> = clickhouse.query_as(sql, &[("database", database.to_owned())]).await?;
            if rows.first().is_none_or(|row| row.merges == 0) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    // What is still merged then is large, and its parts are counted as they are.
    tokio::time::timeout(MERGES_PATIENCE, waiting).await.unwrap_or(Ok(()))
}

/// Bytes of all of them.
pub fn sum(tables: &[Table]) -> u64 {
    tables.iter().map(|table| table.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_segments_of_the_topic_itself_count() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("kafka/data");
        let write = |topic: &str, file: &str, bytes: usize| {
            std::fs::create_dir_all(data.join(topic)).unwrap();
            std::fs::write(data.join(topic).join(file), vec![0; bytes]).unwrap();
        };
        write("rum.beacons-0", "0.log", 5);
        write("rum.beacons-11", "7.log", 7);
        write("rum.beacons-0", "0.index", 100);
        write("rum.beacons-copy-0", "0.log", 100);
        write("rum.beacons.more-0", "0.log", 100);
        assert_eq!(topic_bytes(folder.path(), "rum.beacons").unwrap(), 12);
        assert_eq!(topic_bytes(folder.path(), "none").unwrap(), 0);
        assert!(topic_bytes(&folder.path().join("none"), "rum.beacons").is_err());
    }
}
