//! What must hold before anything starts, since the guarantees depend on it: a log whose time is the broker's, and
//! tables that drop repeated inserts for as long as they can come ([`window`]).

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use schema::definition::EngineSettings;
use schema::rows::BATCH_TABLES;
use schema::rows::definitions::DEFINITION_TABLES;
use serde::Deserialize;
use settings::kafka::Asking;

use crate::clickhouse::{ClickHouse, ClickHouseError};
use crate::clock;
use crate::config::{Assignment, KafkaConfig};
use crate::kafka::{self, GroupTimeouts, Logged};

pub mod window;

use window::Inserting;

/// A dependency that starts together with this process gets this long to answer.
pub const DEPENDENCY_WAIT: Duration = Duration::from_secs(30);

/// Tables whose rows are in the window of log time; those of the others are where attempts and events were.
const LOG_TIME_TABLES: [&str; 2] = ["quality", "batches"];

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
    /// Kafka or the client refuses the connection, and waiting does not mend that.
    #[error("kafka at {brokers}: {refusal}")]
    KafkaRefuses {
        /// Brokers as configured.
        brokers: String,
        /// The reason and what to do.
        refusal: String,
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
    /// The broker bears a silent member for longer than the deduplication window is computed for.
    #[error(
        "the group has consumer.session.timeout.ms={found}, want {most} at most with \
         kafka.assignment=consumer: lower it, or choose another kafka.assignment"
    )]
    SessionTimeout {
        /// The group's setting, ms; the greatest number where the broker does not say.
        found: u128,
        /// What is assumed, ms.
        most: u128,
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
        "table {database}.{table} remembers {found} parts, but {needed} can be inserted in the {silence_s} s after \
         which an insert may still come twice ({partitions} partitions, a batch each {flush_interval_ms} ms or \
         {batch_records_max} records, {parts} parts an insert): ALTER TABLE {database}.{table} MODIFY SETTING \
         {setting} = {needed}, or more"
    )]
    Deduplication {
        /// Database.
        database: String,
        /// Table.
        table: String,
        /// Its window.
        found: u64,
        /// What the window must be at least.
        needed: u64,
        /// How long an insert can take to come twice.
        silence_s: u64,
        /// Partitions of the log.
        partitions: usize,
        /// Longest part of log time in a batch.
        flush_interval_ms: i64,
        /// Records of a batch at most.
        batch_records_max: u64,
        /// Parts that one insert into the table can make.
        parts: u64,
        /// The setting to raise.
        setting: &'static str,
    },
    /// A definition set that is active cannot be read.
    #[error("an active definition set does not decode: {0}")]
    Definitions(#[from] serde_json::Error),
}

/// Checks the log; gives the number of its partitions.
///
/// # Errors
/// Says what is missing or set wrong.
pub async fn check_log(kafka: &KafkaConfig) -> Result<usize, CheckError> {
    let away = |source| CheckError::KafkaAway { brokers: kafka.brokers.clone(), source };
    let admin: AdminClient<Logged> = kafka::client(kafka).create_with_context(Logged).map_err(away)?;
    let deadline = clock::monotonic() + DEPENDENCY_WAIT;
    let mut looked = 0;
    let asking = Asking::default();
    let partitions = loop {
        match partitions(kafka, &asking).await {
            // A topic that was just created is not known to every broker at once.
            Ok(0) if looked < TOPIC_LOOKS => looked += 1,
            Ok(partitions) => break partitions,
            Err(source) => {
                if let Some(refusal) = asking.refusal() {
                    return Err(CheckError::KafkaRefuses { brokers: kafka.brokers.clone(), refusal });
                }
                if clock::monotonic() >= deadline {
                    return Err(away(source));
                }
                tracing::info!(error = %source, brokers = kafka.brokers, "waiting for kafka");
            }
        }
        tokio::time::sleep(RETRY_DELAY).await;
    };
    if partitions == 0 {
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
    if found != "LogAppendTime" {
        return Err(CheckError::TimestampType { topic: kafka.topic.clone(), found });
    }
    if kafka.assignment == Assignment::Consumer {
        check_session_timeout(kafka, &admin, &options).await.map_err(away)??;
    }
    Ok(partitions)
}

/// Where the broker assigns, how long a silent member is borne is a setting of the group, or else of the broker.
async fn check_session_timeout(
    kafka: &KafkaConfig,
    admin: &AdminClient<Logged>,
    options: &AdminOptions,
) -> Result<Result<(), CheckError>, KafkaError> {
    let most = kafka::group_timeouts(kafka)?.session.as_millis();
    let answers = admin.describe_configs(&[ResourceSpecifier::Group(&kafka.group)], options).await?;
    let found = answers.into_iter().filter_map(Result::ok).find_map(|group| {
        group.get("consumer.session.timeout.ms").and_then(|entry| entry.value.as_deref()?.parse().ok())
    });
    Ok(match found {
        Some(found) if found <= most => Ok(()),
        found => Err(CheckError::SessionTimeout { found: found.unwrap_or(u128::MAX), most }),
    })
}

/// The topic's partitions, none when there is no topic; asks without creating it.
async fn partitions(kafka: &KafkaConfig, asking: &Asking) -> Result<usize, KafkaError> {
    let (config, topic, asking) = (kafka::reader(kafka), kafka.topic.clone(), asking.clone());
    let ask = move || {
        let reader: BaseConsumer<Asking> = config.create_with_context(asking)?;
        let metadata = reader.fetch_metadata(Some(&topic), BROKER_TIMEOUT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map_or(0, |found| found.partitions().len()))
    };
    tokio::task::spawn_blocking(ask).await.unwrap_or(Err(KafkaError::Canceled))
}

/// Checks the tables, for a log of `topic` with these partitions and a group with these timeouts.
///
/// # Errors
/// Says what is missing or set wrong.
pub async fn check_tables(
    clickhouse: &ClickHouse,
    topic: &str,
    partitions: usize,
    timeouts: GroupTimeouts,
) -> Result<(), CheckError> {
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
    let written = written_tables(clickhouse.database(), &tables)?;
    for settings in active_settings(clickhouse, topic).await? {
        let inserting = Inserting { partitions, timeouts, settings: &settings };
        judge_windows(clickhouse.database(), &written, &inserting)?;
    }
    Ok(())
}

/// Checks the tables for what is about to be activated; does not wait for ClickHouse.
///
/// # Errors
/// Says what is missing or set wrong.
pub async fn check_windows(clickhouse: &ClickHouse, inserting: &Inserting<'_>) -> Result<(), CheckError> {
    let tables = tables(clickhouse).await?;
    judge_windows(clickhouse.database(), &written_tables(clickhouse.database(), &tables)?, inserting)
}

/// The settings of the sets by which the topic's last batches were made; the defaults when there is none yet.
async fn active_settings(clickhouse: &ClickHouse, topic: &str) -> Result<Vec<EngineSettings>, CheckError> {
    #[derive(Deserialize)]
    struct Content {
        content: String,
    }
    #[derive(Deserialize)]
    struct Set {
        settings: EngineSettings,
    }
    let query = format!(
        "SELECT DISTINCT content FROM `{0}`.definitions WHERE set_id IN (SELECT argMax(definition_set, \
         (log_time_ms, next_offset)) FROM `{0}`.batches WHERE topic = {{topic:String}} GROUP BY partition)",
        clickhouse.database()
    );
    let contents: Vec<Content> = clickhouse.rows(&query, &[("topic", topic)]).await?;
    let mut active = Vec::with_capacity(contents.len());
    for Content { content } in contents {
        active.push(serde_json::from_str::<Set>(&content)?.settings);
    }
    if active.is_empty() {
        active.push(EngineSettings::default());
    }
    Ok(active)
}

#[derive(Debug, Deserialize)]
struct Table {
    name: String,
    engine: String,
    engine_full: String,
    partition_key: String,
    create_table_query: String,
}

impl Table {
    /// The table that this one, a materialized view, adds to whenever something is inserted. What a view refreshes by
    /// itself is replaced as a whole.
    fn target(&self) -> Option<&str> {
        if self.engine != "MaterializedView" || self.create_table_query.contains(" REFRESH ") {
            return None;
        }
        let target = self.create_table_query.split_once(" TO ")?.1.split([' ', '(']).next()?;
        Some(target.rsplit_once('.').map_or(target, |(_, name)| name).trim_matches('`'))
    }
}

async fn tables(clickhouse: &ClickHouse) -> Result<Vec<Table>, ClickHouseError> {
    let query = "SELECT name, engine, engine_full, partition_key, create_table_query FROM system.tables \
                 WHERE database = {database:String} AND (engine LIKE '%MergeTree' OR engine = 'MaterializedView') \
                 ORDER BY name";
    clickhouse.rows(query, &[("database", clickhouse.database())]).await
}

/// The tables that inserts reach, rollups included.
fn written_tables<'t>(database: &str, tables: &'t [Table]) -> Result<Vec<&'t Table>, CheckError> {
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
    Ok(tables.iter().filter(|table| table.target().is_none() && is_reached(&table.name)).collect())
}

/// Whether every table remembers as many parts as can be inserted before the last repetition of an insert.
fn judge_windows(database: &str, tables: &[&Table], inserting: &Inserting<'_>) -> Result<(), CheckError> {
    for table in tables {
        // Replicated tables remember by default; the others only when they are told to.
        let (setting, default) = if table.engine.starts_with("Replicated") {
            ("replicated_deduplication_window", 10_000)
        } else {
            ("non_replicated_deduplication_window", 0)
        };
        let found = setting_of(&table.engine_full, setting).unwrap_or(default);
        let name = table.name.as_str();
        let reaches_back = !LOG_TIME_TABLES.contains(&name) && !DEFINITION_TABLES.contains(&name);
        let parts = inserting.parts(&table.partition_key, reaches_back);
        let needed = inserting.batches() * parts;
        tracing::debug!(table = name, window = found, needed, "deduplication window");
        if found < needed {
            return Err(CheckError::Deduplication {
                database: database.into(),
                table: name.into(),
                found,
                needed,
                silence_s: inserting.silence().as_secs(),
                partitions: inserting.partitions,
                flush_interval_ms: inserting.settings.flush_interval_ms,
                batch_records_max: inserting.settings.batch_records_max,
                parts,
                setting,
            });
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
            partition_key: "toMonday(window_start)".into(),
            create_table_query: String::new(),
        }
    }

    fn all(engine_full: &str) -> Vec<Table> {
        let names = BATCH_TABLES.iter().chain(&["batches"]).chain(&DEFINITION_TABLES);
        names.map(|name| table(name, engine_full)).collect()
    }

    fn judge(tables: &[Table]) -> Result<(), String> {
        let session = Duration::from_secs(45);
        let timeouts = GroupTimeouts { session, poll: session };
        let inserting = Inserting { partitions: 12, timeouts, settings: &EngineSettings::default() };
        let judged =
            written_tables("sli", tables).and_then(|written| judge_windows("sli", &written, &inserting));
        judged.map_err(|error| error.to_string())
    }

    #[test]
    fn every_table_needs_a_window() {
        let with = |window| {
            format!(
                "MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = {window}, index_granularity = 8192"
            )
        };
        // (12 × 19 + 450) × 2
        assert_eq!(judge(&all(&with(1_356))), Ok(()));
        assert_eq!(
            judge(&all(&with(1_355))).unwrap_err(),
            "table sli.journey_minutes remembers 1355 parts, but 1356 can be inserted in the 90 s after which an insert \
             may still come twice (12 partitions, a batch each 5000 ms or 200000 records, 2 parts an insert): ALTER \
             TABLE sli.journey_minutes MODIFY SETTING non_replicated_deduplication_window = 1356, or more"
        );
        let mut rollup = all(&with(10_000));
        rollup
            .push(table("journey_days", "AggregatingMergeTree ORDER BY a SETTINGS index_granularity = 8192"));
        assert_eq!(judge(&rollup), Ok(()), "a table that nothing here writes to");
        let mut view = table("to_days", "MaterializedView");
        view.create_table_query =
            "CREATE MATERIALIZED VIEW sli.to_days TO sli.journey_days (`a` String) AS …".into();
        rollup.push(view);
        assert!(judge(&rollup).unwrap_err().starts_with("table sli.journey_days remembers 0 parts"));
        if let Some(view) = rollup.last_mut() {
            view.create_table_query =
                "CREATE MATERIALIZED VIEW sli.to_days REFRESH EVERY 10 SECOND TO sli.journey_days (`a` String) AS …".into();
        }
        assert_eq!(judge(&rollup), Ok(()), "a table that is replaced as a whole");
        rollup[0] = table("journey_minutes", "ReplicatedMergeTree('/x', '{replica}') ORDER BY a");
        rollup.truncate(rollup.len() - 2);
        assert_eq!(judge(&rollup), Ok(()));
    }

    #[test]
    fn missing_tables_are_named() {
        let tables: Vec<_> =
            all("MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10000").split_off(2);
        assert_eq!(
            judge(&tables).unwrap_err(),
            "database sli has no table journey_minutes, journey_hours: apply the migrations first"
        );
    }
}
