//! What can be asked of a running stack and done to its parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{CLICKHOUSE, KafkaFront, STOP_ORDER, STOP_PATIENCE, Stack, blocking, ready};
use crate::clickhouse::ClickHouse;
use crate::error::StackError;

impl Stack {
    /// The line that says that everything answers.
    pub fn ready_line(&self) -> String {
        format!(
            "ready ingest={} kafka={} clickhouse={}",
            self.ingest_url(),
            self.kafka_brokers(),
            self.clickhouse_url()
        )
    }

    /// Folder of configurations, logs and data.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Base URL of `ingest`; empty without it.
    pub fn ingest_url(&self) -> &str {
        self.addresses.ingest.as_deref().unwrap_or_default()
    }

    /// Base URL of `ingest`'s admin interface; empty without it.
    pub fn ingest_admin_url(&self) -> &str {
        self.addresses.ingest_admin.as_deref().unwrap_or_default()
    }

    /// Base URL of `aggregator`'s admin interface; empty without it.
    pub fn aggregator_url(&self) -> &str {
        self.addresses.aggregator.as_deref().unwrap_or_default()
    }

    /// Bootstrap servers of Kafka, `host:port`; empty without it.
    pub fn kafka_brokers(&self) -> &str {
        self.addresses.kafka.as_deref().unwrap_or_default()
    }

    /// Bootstrap servers of Kafka's listener with TLS and a login; empty without one.
    pub fn kafka_secured_brokers(&self) -> &str {
        self.addresses.kafka_secured.as_deref().unwrap_or_default()
    }

    /// Kafka's listeners behind something else, as many as were asked for.
    pub fn kafka_fronts(&self) -> &[KafkaFront] {
        &self.addresses.kafka_fronts
    }

    /// Base URL of ClickHouse's HTTP interface; empty without it.
    pub fn clickhouse_url(&self) -> &str {
        self.addresses.clickhouse.as_deref().unwrap_or_default()
    }

    /// Port of ClickHouse's native protocol, where the stack has its own server.
    pub fn clickhouse_native_port(&self) -> Option<u16> {
        self.addresses.clickhouse_native
    }

    /// ClickHouse as the user who may do everything.
    ///
    /// # Errors
    /// When the stack has none.
    pub fn clickhouse(&self) -> Result<&ClickHouse, StackError> {
        self.clickhouse.as_ref().ok_or_else(|| StackError::NoSuchPart(CLICKHOUSE.into()))
    }

    /// Rows of a query as JSON objects.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn query(&self, sql: &str) -> Result<Vec<Value>, StackError> {
        self.clickhouse()?.query(sql).await
    }

    /// Process id of a part that runs now.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.part(name).ok()?.pid()
    }

    /// Log file of a part.
    pub fn log_of(&self, name: &str) -> PathBuf {
        self.log(name)
    }

    /// Sends a signal to a part, which is started again when it dies of it. Returns at once.
    ///
    /// # Errors
    /// When the stack has no such part.
    pub fn kill_part(&self, name: &str, signal: Signal) -> Result<(), StackError> {
        self.part(name)?.signal(signal);
        Ok(())
    }

    /// Stops a part cleanly and leaves it stopped.
    ///
    /// # Errors
    /// When the stack has no such part.
    pub async fn stop_part(&self, name: &str) -> Result<(), StackError> {
        let part = Arc::clone(self.part(name)?);
        blocking(move || part.stop(STOP_PATIENCE)).await;
        Ok(())
    }

    /// Starts a part that was stopped, on the same ports, and waits until it answers.
    ///
    /// # Errors
    /// When the stack has no such part or it does not start.
    pub async fn start_part(&self, name: &str) -> Result<(), StackError> {
        self.part(name)?.start()?;
        self.wait_ready(name).await
    }

    /// Stops a part cleanly, starts it again on the same ports and waits until it answers.
    ///
    /// # Errors
    /// When the stack has no such part or it does not start.
    pub async fn restart_part(&self, name: &str) -> Result<(), StackError> {
        self.stop_part(name).await?;
        self.start_part(name).await
    }

    /// Waits until a part is given up; never ends while all of them run or are started again.
    pub async fn failed(&self) -> String {
        loop {
            for part in &self.parts {
                if let Some(reason) = part.gave_up() {
                    return format!("{} {reason}", part.name());
                }
            }
            tokio::time::sleep(ready::POLL).await;
        }
    }

    /// Stops every part cleanly: who sends before who receives.
    pub async fn stop(self) {
        for name in STOP_ORDER {
            if let Ok(part) = self.part(name) {
                let part = Arc::clone(part);
                blocking(move || part.stop(STOP_PATIENCE)).await;
            }
        }
    }
}
