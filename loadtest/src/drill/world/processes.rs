//! The processes of a world, one by one: ended, stopped and started by their part's name.

use anyhow::bail;
use deploy::stack::{CLICKHOUSE, KAFKA, Signal};

use super::World;
use crate::drill::step::PartName;

impl World {
    /// Id of the process that a part is now.
    pub fn pid(&self, part: PartName) -> Option<u32> {
        match part {
            PartName::Ingest => self.ingest.pid(),
            PartName::Aggregator => self.first().pid(),
            PartName::Kafka => self.stack.pid(KAFKA),
            PartName::Clickhouse => self.stack.pid(CLICKHOUSE),
        }
    }

    /// Sends a signal that does not end it, or SIGKILL; what is killed is started again.
    ///
    /// # Errors
    /// Never with the parts that a world has.
    pub fn signal(&self, part: PartName, signal: Signal) -> anyhow::Result<()> {
        let member = match part {
            PartName::Kafka => return Ok(self.stack.kill_part(KAFKA, signal)?),
            PartName::Clickhouse => return Ok(self.stack.kill_part(CLICKHOUSE, signal)?),
            PartName::Ingest => &self.ingest,
            PartName::Aggregator => self.first(),
        };
        match signal {
            Signal::SIGKILL => member.kill(),
            Signal::SIGSTOP => member.pause(),
            Signal::SIGCONT => member.go_on(),
            other => bail!("{other} is sent to nobody here"),
        }
        Ok(())
    }

    /// Stops a part cleanly and leaves it stopped.
    ///
    /// # Errors
    /// Never with the parts that a world has.
    pub async fn stop_part(&self, part: PartName) -> anyhow::Result<()> {
        match part {
            PartName::Ingest => self.ingest.stop().await,
            PartName::Aggregator => self.first().stop().await,
            PartName::Kafka => self.stack.stop_part(KAFKA).await?,
            PartName::Clickhouse => self.stack.stop_part(CLICKHOUSE).await?,
        }
        Ok(())
    }

    /// Starts a part that was stopped; what answers is waited for only where others need it to start.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_part(&self, part: PartName) -> anyhow::Result<()> {
        match part {
            PartName::Ingest => {
                self.ingest.start()?;
                self.until("ingest to be back", async || self.ingest.answers("healthz").await).await
            }
            PartName::Aggregator => self.first().start(),
            PartName::Kafka => Ok(self.stack.start_part(KAFKA).await?),
            PartName::Clickhouse => Ok(self.stack.start_part(CLICKHOUSE).await?),
        }
    }
}
