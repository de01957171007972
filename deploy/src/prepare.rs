//! Preparing servers that run already: topics, tables, definitions. Each waits until its server answers, so
//! that it can be a job beside servers that are starting.

use std::path::Path;
use std::time::Duration;

use schema::definition::EngineSettings;

use crate::clickhouse::ClickHouse;
use crate::error::StackError;
use crate::progress::Progress;
use crate::stack::{ExistingKafka, answers};
use crate::{definitions as definition_files, migration, topic};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two attempts.
const POLL: Duration = Duration::from_millis(500);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Creates the topics that are missing.
///
/// # Errors
/// When Kafka does not answer or refuses.
pub async fn topics(kafka: &ExistingKafka, partitions: i32, progress: Progress) -> Result<(), StackError> {
    let step = progress.step("creating topics");
    until_it_answers(|| async {
        let kafka = kafka.clone();
        let asked =
            tokio::task::spawn_blocking(move || topic::ping(&kafka.brokers, &kafka.properties, ATTEMPT));
        asked.await.unwrap_or_else(|error| Err(StackError::Settings(error.to_string())))
    })
    .await?;
    topic::create(&kafka.brokers, &kafka.properties, partitions).await?;
    step.done(format_args!("{}, {} and {} are there", topic::BEACONS, topic::REJECTS, topic::SNAPSHOTS));
    Ok(())
}

/// Applies the migrations that are missing.
///
/// # Errors
/// When ClickHouse does not answer or refuses.
pub async fn tables(clickhouse: &ClickHouse, progress: Progress) -> Result<(), StackError> {
    let step = progress.step("migrating ClickHouse");
    until_it_answers(|| clickhouse.ping()).await?;
    let applied = migration::migrate(clickhouse).await?;
    step.done(format_args!(
        "{} migrations applied, database {} is up to date",
        applied.len(),
        migration::DATABASE
    ));
    Ok(())
}

/// Activates the definitions of a folder.
///
/// # Errors
/// When a file is not valid, or the aggregator does not answer or refuses.
pub async fn definitions(
    aggregator_url: &str,
    token: &str,
    dir: &Path,
    settings: EngineSettings,
    progress: Progress,
) -> Result<(), StackError> {
    let set = definition_files::load(dir, settings)?;
    let step = progress.step("activating definitions");
    until_it_answers(|| answers("the aggregator", aggregator_url)).await?;
    definition_files::post(aggregator_url, token, &set).await?;
    step.done(format_args!("set {} with {} journeys", set.id, set.journeys.len()));
    Ok(())
}

async fn until_it_answers<F>(mut ask: impl FnMut() -> F) -> Result<(), StackError>
where
    F: Future<Output = Result<(), StackError>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Err(_) if tokio::time::Instant::now() < deadline => tokio::time::sleep(POLL).await,
            answered => return answered,
        }
    }
}
