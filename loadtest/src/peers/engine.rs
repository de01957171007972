//! ClickHouse by itself: its Kafka engine reads the events as JSON, and materialized views fill tables.
//!
//! The tables are what a team would write for the same questions: every event with its attributes, and latencies by
//! journey, route and minute as mergeable states of a t-digest.

use std::time::Duration;

use anyhow::bail;
use deploy::clickhouse::ClickHouse;
use serde::Deserialize;
use tokio::time::Instant;

use crate::fleet::engine_settings;

/// A look costs the server CPU that is measured.
const POLL: Duration = Duration::from_millis(500);
/// Columns of an event as they are in the topic.
const COLUMNS: &str = "id String, app LowCardinality(String), environment LowCardinality(String), session String, \
    sequence UInt64, release LowCardinality(String), platform LowCardinality(String), os LowCardinality(String), \
    browser LowCardinality(String), device_class LowCardinality(String), country LowCardinality(String), \
    connection LowCardinality(String), segment LowCardinality(String), received_at_ms Int64, bot Bool, weight UInt32, \
    name LowCardinality(String), value Nullable(Float64), attributes Map(LowCardinality(String), String)";

/// What the engine fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fills {
    /// Every event, and latencies by the minute.
    EventsAndMinutes,
    /// Every event.
    Events,
}

/// Tables of a database, which the engine fills from a topic.
#[derive(Debug, Clone, Copy)]
pub struct Engine<'a> {
    /// The server, as a user who may do everything.
    pub clickhouse: &'a ClickHouse,
    /// The database.
    pub database: &'a str,
    /// What is filled.
    pub fills: Fills,
}

#[derive(Debug, Deserialize)]
struct Count {
    count: u64,
}

impl Engine<'_> {
    /// Creates everything; from then on the engine reads `topic`, in which nothing must be yet: reading begins with the
    /// first view.
    ///
    /// # Errors
    /// When ClickHouse refuses, such as for want of its Kafka engine.
    pub async fn create(&self, brokers: &str, topic: &str) -> anyhow::Result<()> {
        for sql in self.statements(brokers, topic) {
            self.clickhouse.execute(&sql).await?;
        }
        Ok(())
    }

    fn statements(&self, brokers: &str, topic: &str) -> Vec<String> {
        let Self { database, .. } = self;
        // As fresh as the aggregator's tables.
        let flush_ms = engine_settings().flush_interval_ms;
        let (queue, events) = (format!("{database}.queue"), format!("{database}.events"));
        let mut statements = vec![
            format!("CREATE DATABASE {database}"),
            format!(
                "CREATE TABLE {events} ({COLUMNS}, time DateTime64(3, 'UTC') CODEC(Delta, ZSTD)) ENGINE = MergeTree \
                 PARTITION BY toMonday(time) ORDER BY (app, name, time)"
            ),
            format!(
                "CREATE TABLE {queue} ({COLUMNS}, time_ms Int64) ENGINE = Kafka SETTINGS \
                 kafka_broker_list = '{brokers}', kafka_topic_list = '{topic}', kafka_group_name = '{database}', \
                 kafka_format = 'JSONEachRow', kafka_num_consumers = 1, kafka_flush_interval_ms = {flush_ms}"
            ),
        ];
        if self.fills == Fills::EventsAndMinutes {
            statements.push(format!(
                "CREATE TABLE {database}.minutes (app LowCardinality(String), event LowCardinality(String), \
                 journey LowCardinality(String), route LowCardinality(String), platform LowCardinality(String), \
                 window_start DateTime('UTC') CODEC(DoubleDelta, ZSTD), events SimpleAggregateFunction(sum, UInt64), \
                 latency AggregateFunction(quantilesTDigestIf(0.5, 0.75, 0.95, 0.99), Float64, UInt8)) \
                 ENGINE = AggregatingMergeTree PARTITION BY toMonday(window_start) \
                 ORDER BY (app, event, journey, route, platform, window_start)"
            ));
            statements.push(format!(
                "CREATE MATERIALIZED VIEW {database}.to_minutes TO {database}.minutes AS \
                 SELECT app, name AS event, attributes['journey'] AS journey, attributes['route'] AS route, platform, \
                 toStartOfMinute(fromUnixTimestamp64Milli(time_ms, 'UTC')) AS window_start, count() AS events, \
                 quantilesTDigestIfState(0.5, 0.75, 0.95, 0.99)(ifNull(value, 0), isNotNull(value)) AS latency \
                 FROM {queue} GROUP BY app, event, journey, route, platform, window_start"
            ));
        }
        statements.push(format!(
            "CREATE MATERIALIZED VIEW {database}.to_events TO {events} AS \
             SELECT * EXCEPT time_ms, fromUnixTimestamp64Milli(time_ms, 'UTC') AS time FROM {queue}"
        ));
        statements
    }

    /// Returns when `events` rows are there, in every table.
    ///
    /// # Errors
    /// When they do not come within `patience`, or more come.
    pub async fn filled(&self, events: u64, patience: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let found = self.count().await?;
            if found == events {
                return Ok(());
            }
            if found > events || begun.elapsed() >= patience {
                bail!("{} holds {found} events where {events} were sent", self.database);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Events that every table has.
    async fn count(&self) -> anyhow::Result<u64> {
        let Self { database, .. } = self;
        let sql = match self.fills {
            Fills::Events => format!("SELECT count() AS count FROM {database}.events"),
            Fills::EventsAndMinutes => format!(
                "SELECT least((SELECT count() FROM {database}.events), (SELECT sum(events) FROM {database}.minutes)) AS count"
            ),
        };
        let rows: Vec<Count> = self.clickhouse.query_as(&sql, &[]).await?;
        Ok(rows.first().map_or(0, |row| row.count))
    }

    /// Stops reading; the tables stay.
    ///
    /// # Errors
    /// When ClickHouse does not answer.
    pub async fn detach(&self) -> anyhow::Result<()> {
        for table in ["to_minutes", "to_events", "queue"] {
            self.clickhouse.execute(&format!("DROP TABLE IF EXISTS {}.{table} SYNC", self.database)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_fill_the_tables_from_the_topic() {
        let clickhouse = ClickHouse::new("http://127.0.0.1:1", "u", "p").unwrap();
        let engine = Engine { clickhouse: &clickhouse, database: "peers", fills: Fills::EventsAndMinutes };
        let statements = engine.statements("127.0.0.1:9092", "peers.events");
        assert!(statements.last().unwrap().contains("VIEW peers.to_events TO peers.events"));
        assert!(statements[2].contains("kafka_topic_list = 'peers.events'"), "{}", statements[2]);
        let fewer = Engine { fills: Fills::Events, ..engine }.statements("b", "t");
        assert_eq!(fewer.len() + 2, statements.len());
    }
}
