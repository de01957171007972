//! What must hold before anything starts, since the guarantees depend on it: a log whose time is the broker's, and
//! tables that drop repeated inserts.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use schema::rows::BATCH_TABLES;
use schema::rows::definitions::DEFINITION_TABLES;
use serde::Deserialize;

use crate::clickhouse::{ClickHouse, ClickHouseError};
use crate::clock;
use crate::config::KafkaConfig;
use crate::kafka::{self, Logged};

/// A dependency that starts together with this process gets this long to answer.
pub const DEPENDENCY_WAIT: Duration = Duration::from_secs(30);
/// Parts that a table must remember at least. A former owner can have at most a few batches under way, and its
/// successor writes at most this many inserts a table before that owner has noticed.
pub const DEDUPLICATION_WINDOW_MIN: u64 = 1_000;

const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
const TOPIC_LOOKS: u32 = 6;
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Why the process refuses to start.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Kafka does not answer.
    #[error("kafka at {brokers} does not answer: {source}")]
    KafkaAway {
        /// Brokers as configured.
        brokers: String,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// The log is not there.
    #[error(
        "topic {0} does not exist; create it with message.timestamp.type=LogAppendTime, keyed records need a fixed number of partitions"
    )]
    TopicMissing(String),
    /// The log's time would be the producers'.
    #[error(
        "topic {topic} has message.timestamp.type={found}, but log time must be the broker's: set it to LogAppendTime"
    )]
    TimestampType {
        /// The log.
        topic: String,
        /// Its setting.
        found: String,
    },
    /// ClickHouse does not answer, or refuses the user.
    #[error("cannot check the tables: {0}")]
    ClickHouse(#[from] ClickHouseError),
    /// Tables are missing.
    #[error("database {database} has no table {tables}: apply the migrations first")]
    TablesMissing {
        /// Database.
        database: String,
        /// Names of the tables.
        tables: String,
    },
    /// A table would count repeated inserts again.
    #[error(
        "table {database}.{table} remembers {found} inserts, fewer than {DEDUPLICATION_WINDOW_MIN}: set {setting}"
    )]
    Deduplication {
        /// Database.
        database: String,
        /// Table.
        table: String,
        /// Its window.
        found: u64,
        /// The setting to raise.
        setting: &'static str,
    },
}

/// Checks the log.
///
/// # Errors
/// Says what is missing or set wrong.
pub async fn check_log(kafka: &KafkaConfig) -> Result<(), CheckError> {
    let away = |source| CheckError::KafkaAway { brokers: kafka.brokers.clone(), source };
    let admin: AdminClient<Logged> = kafka::producer(kafka).create_with_context(Logged).map_err(away)?;
    let deadline = clock::monotonic() + DEPENDENCY_WAIT;
    let mut looked = 0;
    let exists = loop {
        match topic_exists(kafka).await {
            // A topic that was just created is not known to every broker at once.
            Ok(false) if looked < TOPIC_LOOKS => looked += 1,
            Ok(exists) => break exists,
            Err(source) if clock::monotonic() >= deadline => return Err(away(source)),
            Err(error) => tracing::info!(%error, brokers = kafka.brokers, "waiting for kafka"),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    };
    if !exists {
        return Err(CheckError::TopicMissing(kafka.topic.clone()));
    }
    let options = AdminOptions::new().request_timeout(Some(BROKER_TIMEOUT));
    let answers =
        admin.describe_configs(&[ResourceSpecifier::Topic(&kafka.topic)], &options).await.map_err(away)?;
    let found = answers
        .into_iter()
        .filter_map(Result::ok)
        .find_map(|resource| resource.get("message.timestamp.type").and_then(|entry| entry.value.clone()))
        .unwrap_or_else(|| "unknown".into());
    if found == "LogAppendTime" {
        Ok(())
    } else {
        Err(CheckError::TimestampType { topic: kafka.topic.clone(), found })
    }
}

/// Asks without creating the topic.
async fn topic_exists(kafka: &KafkaConfig) -> Result<bool, KafkaError> {
    let (config, topic) = (kafka::reader(kafka), kafka.topic.clone());
    let ask = move || {
        let reader: BaseConsumer<Quiet> = config.create_with_context(Quiet)?;
        let metadata = reader.fetch_metadata(Some(&topic), BROKER_TIMEOUT)?;
        Ok(metadata.topics().iter().any(|found| found.name() == topic && !found.partitions().is_empty()))
    };
    tokio::task::spawn_blocking(ask).await.unwrap_or(Err(KafkaError::Canceled))
}

/// A client that only asks; its failures are told by who asks.
struct Quiet;

impl rdkafka::client::ClientContext for Quiet {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

/// Checks the tables.
///
/// # Errors
/// Says what is missing or set wrong.
pub async fn check_tables(clickhouse: &ClickHouse) -> Result<(), CheckError> {
    let deadline = clock::monotonic() + DEPENDENCY_WAIT;
    let tables = loop {
        match tables(clickhouse).await {
            Ok(tables) => break tables,
            Err(error @ ClickHouseError::NoAnswer { .. }) if clock::monotonic() < deadline => {
                tracing::info!(%error, "waiting for clickhouse");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    };
    judge_tables(clickhouse.database(), &tables)
}

#[derive(Debug, Deserialize)]
struct Table {
    name: String,
    engine: String,
    engine_full: String,
    create_table_query: String,
}

impl Table {
    /// The table that this one, a materialized view, writes to.
    fn target(&self) -> Option<&str> {
        if self.engine != "MaterializedView" {
            return None;
        }
        let target = self.create_table_query.split_once(" TO ")?.1.split([' ', '(']).next()?;
        Some(target.rsplit_once('.').map_or(target, |(_, name)| name).trim_matches('`'))
    }
}

async fn tables(clickhouse: &ClickHouse) -> Result<Vec<Table>, ClickHouseError> {
    let query = "SELECT name, engine, engine_full, create_table_query FROM system.tables \
                 WHERE database = {database:String} AND (engine LIKE '%MergeTree' OR engine = 'MaterializedView') \
                 ORDER BY name";
    clickhouse.rows(query, &[("database", clickhouse.database())]).await
}

fn judge_tables(database: &str, tables: &[Table]) -> Result<(), CheckError> {
    let written: Vec<_> =
        BATCH_TABLES.iter().chain(&["batches"]).chain(&DEFINITION_TABLES).copied().collect();
    let missing: Vec<_> =
        written.iter().copied().filter(|name| !tables.iter().any(|table| table.name == *name)).collect();
    if !missing.is_empty() {
        return Err(CheckError::TablesMissing { database: database.into(), tables: missing.join(", ") });
    }
    let rollups: Vec<_> = tables.iter().filter_map(Table::target).collect();
    // A view without a named target has a table of its own.
    let is_reached =
        |name: &str| written.contains(&name) || rollups.contains(&name) || name.starts_with(".inner");
    for table in tables.iter().filter(|table| table.target().is_none() && is_reached(&table.name)) {
        // Replicated tables remember by default; the others only when they are told to.
        let (setting, default) = if table.engine.starts_with("Replicated") {
            ("replicated_deduplication_window", 10_000)
        } else {
            ("non_replicated_deduplication_window", 0)
        };
        let found = setting_of(&table.engine_full, setting).unwrap_or(default);
        if found < DEDUPLICATION_WINDOW_MIN {
            let (database, table) = (database.into(), table.name.clone());
            return Err(CheckError::Deduplication { database, table, found, setting });
        }
    }
    Ok(())
}

/// The value of `setting` in a table's definition.
fn setting_of(engine_full: &str, setting: &str) -> Option<u64> {
    let settings = engine_full.rsplit_once("SETTINGS ")?.1;
    settings
        .split(',')
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim() == setting)
        .and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, engine_full: &str) -> Table {
        let engine = engine_full.split([' ', '(']).next().unwrap().into();
        Table {
            name: name.into(),
            engine,
            engine_full: engine_full.into(),
            create_table_query: String::new(),
        }
    }

    fn all(engine_full: &str) -> Vec<Table> {
        let names = BATCH_TABLES.iter().chain(&["batches"]).chain(&DEFINITION_TABLES);
        names.map(|name| table(name, engine_full)).collect()
    }

    #[test]
    fn every_table_needs_a_window() {
        let with = |window| {
            format!(
                "MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = {window}, index_granularity = 8192"
            )
        };
        assert!(judge_tables("sli", &all(&with(DEDUPLICATION_WINDOW_MIN))).is_ok());
        let refused = |tables: &[Table]| judge_tables("sli", tables).unwrap_err().to_string();
        assert_eq!(
            refused(&all(&with(DEDUPLICATION_WINDOW_MIN - 1))),
            "table sli.journey_minutes remembers 999 inserts, fewer than 1000: set non_replicated_deduplication_window"
        );
        let mut rollup = all(&with(10_000));
        rollup
            .push(table("journey_days", "AggregatingMergeTree ORDER BY a SETTINGS index_granularity = 8192"));
        assert!(judge_tables("sli", &rollup).is_ok(), "a table that nothing here writes to");
        let mut view = table("to_days", "MaterializedView");
        view.create_table_query =
            "CREATE MATERIALIZED VIEW sli.to_days TO sli.journey_days (`a` String) AS …".into();
        rollup.push(view);
        assert!(refused(&rollup).starts_with("table sli.journey_days remembers 0 inserts"));
        rollup[0] = table("journey_minutes", "ReplicatedMergeTree('/x', '{replica}') ORDER BY a");
        rollup.truncate(rollup.len() - 2);
        assert!(judge_tables("sli", &rollup).is_ok());
    }

    #[test]
    fn missing_tables_are_named() {
        let tables: Vec<_> =
            all("MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10000").split_off(2);
        assert_eq!(
            judge_tables("sli", &tables).unwrap_err().to_string(),
            "database sli has no table journey_minutes, journey_hours: apply the migrations first"
        );
    }
}
