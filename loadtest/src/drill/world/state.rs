//! How a world is, as a whole: who owns what, whether everything was counted, and whether it has recovered.

use std::collections::BTreeMap;
use std::time::Duration;

use deploy::topic;
use tokio::time::{Instant, timeout};

use super::World;
use crate::observe::now_ms;
use crate::parts;

/// How long anything may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one question of ClickHouse may take before it is asked again.
const QUESTION_PATIENCE: Duration = Duration::from_secs(5);

impl World {
    /// Partitions of the log.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Makes the log larger as `docs/operating.md` says it: what is on the log is counted first, then there are more
    /// partitions, the set is on each of them, and the aggregators are started anew. Who stops ingest before and starts
    /// it afterwards is the drill.
    ///
    /// # Errors
    /// When the log is not drained or a step of it fails.
    pub async fn add_partitions(&mut self, partitions: usize) -> anyhow::Result<()> {
        self.until("the log to be drained", async || self.lag().await == Some(0.0)).await?;
        topic::add_partitions(self.stack.kafka_brokers(), &BTreeMap::new(), partitions).await?;
        self.activate(self.set.clone()).await?;
        self.stop_aggregators().await;
        self.aggregators.iter().try_for_each(|member| member.start())?;
        self.until("the aggregators to be back", async || self.are_ready().await).await?;
        self.partitions = partitions;
        Ok(())
    }

    /// Records behind the end of the log, all aggregators together; `None` while one does not answer.
    async fn lag(&self) -> Option<f64> {
        let mut lag = 0.0;
        for member in &self.aggregators {
            lag += member.metrics().await?.sum("aggregator_lag_records");
        }
        Some(lag)
    }

    /// How many partitions each aggregator owns; `None` for one that does not answer.
    pub async fn owned(&self) -> Vec<Option<usize>> {
        let mut owned = Vec::with_capacity(self.aggregators.len());
        for member in &self.aggregators {
            owned.push(member.metrics().await.map(|metrics| metrics.count("aggregator_position_offset")));
        }
        owned
    }

    /// Rows of a query as one number each; `None` while ClickHouse does not answer.
    pub async fn numbers(&self, sql: &str) -> Option<Vec<i64>> {
        let rows = timeout(QUESTION_PATIENCE, self.stack.query(sql)).await.ok()?.ok()?;
        rows.iter().map(|row| row.as_object()?.values().next()?.as_i64()).collect()
    }

    /// Returns when ClickHouse holds everything that was appended before this was called, every part does its work, and
    /// ingest keeps nothing in its spool; says how long that took.
    ///
    /// # Errors
    /// When it takes too long, with what is missing.
    pub async fn recovered(&self) -> anyhow::Result<Duration> {
        let (begun, begun_ms) = (Instant::now(), now_ms());
        self.until("everything to recover", async || self.holds_all_until(begun_ms).await).await?;
        Ok(begun.elapsed())
    }

    async fn holds_all_until(&self, until_ms: i64) -> bool {
        let spooled = self.ingest.metrics().await.map(|metrics| metrics.sum("ingest_spool_records"));
        if spooled != Some(0.0) || !self.ingest.is_ready().await || !self.are_ready().await {
            return false;
        }
        let reached = "SELECT max(log_time_ms) AS reached_ms FROM sli.batches GROUP BY partition";
        let reached = self.numbers(reached).await.unwrap_or_default();
        reached.len() >= self.partitions && reached.iter().all(|reached_ms| *reached_ms >= until_ms)
    }

    /// Whether every aggregator says that it does its work.
    pub async fn are_ready(&self) -> bool {
        parts::are_ready(&self.aggregators).await
    }

    /// Polls until `condition` holds.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        parts::until(what, PATIENCE, condition).await
    }
}
