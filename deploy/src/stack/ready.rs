//! Waiting until a part answers.

use std::time::Duration;

use super::{AGGREGATOR, CLICKHOUSE, INGEST, KAFKA, Stack, blocking};
use crate::clickhouse::with_sources;
use crate::error::StackError;
use crate::topic;

/// How often a part is asked.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// How long a part may take to answer; a machine that is busy with builds is slow.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(3);

impl Stack {
    /// Waits until a part answers.
    ///
    /// # Errors
    /// When it ends or does not answer in time.
    pub async fn wait_ready(&self, name: &str) -> Result<(), StackError> {
        let part = self.part(name).ok();
        let mut said = String::from("not asked yet");
        let answered = tokio::time::timeout(PATIENCE, async {
            loop {
                match self.ask(name).await {
                    Ok(()) => return Ok(()),
                    Err(error) => said = error.to_string(),
                }
                if let Some(part) = part {
                    part.check_running()?;
                }
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
        match (answered, part) {
            (Ok(result), _) => result,
            (Err(_), Some(part)) => Err(part.silent(PATIENCE, said)),
            (Err(_), None) => Err(StackError::Settings(said)),
        }
    }

    async fn ask(&self, name: &str) -> Result<(), StackError> {
        match name {
            KAFKA => {
                let brokers = self.kafka_brokers().to_owned();
                let own = self.part(KAFKA).is_ok();
                if own {
                    // Cheaper than a client that logs its failed connections.
                    tokio::net::TcpStream::connect(&brokers).await.map_err(|error| {
                        StackError::Unreachable {
                            what: "Kafka",
                            address: brokers.clone(),
                            detail: error.to_string(),
                        }
                    })?;
                }
                let properties = self.kafka_properties.clone();
                blocking(move || topic::ping(&brokers, &properties, ATTEMPT)).await
            }
            CLICKHOUSE => self.clickhouse()?.ping().await,
            INGEST => answers(INGEST, self.ingest_admin_url()).await,
            AGGREGATOR => answers(AGGREGATOR, self.aggregator_url()).await,
            _ => Err(StackError::NoSuchPart(name.into())),
        }
    }
}

/// Asks a process of this project whether it is ready.
pub(crate) async fn answers(what: &'static str, admin_url: &str) -> Result<(), StackError> {
    let unreachable = |detail| StackError::Unreachable { what, address: admin_url.to_owned(), detail };
    let client = reqwest::Client::builder()
        .timeout(ATTEMPT)
        .no_proxy()
        .build()
        .map_err(|error| StackError::Settings(format!("no HTTP client: {error}")))?;
    let answer = client
        .get(format!("{admin_url}/readyz"))
        .send()
        .await
        .map_err(|error| unreachable(with_sources(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = answer.text().await.unwrap_or_default();
    Err(unreachable(format!("{status} {}", body.trim())))
}
