//! `ingest` and `aggregator` as parts: their configuration files and commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::StackError;
use crate::part::{PartCommand, StopBy};
use crate::topic;

/// Token that `POST /definitions` wants in the local stack.
pub const DEFINITIONS_TOKEN: &str = "local";

/// `ingest.toml`.
#[derive(Debug, Serialize)]
pub(super) struct IngestConfig {
    pub(super) listen: String,
    pub(super) admin_listen: String,
    pub(super) apps_dir: PathBuf,
    pub(super) kafka: IngestKafka,
    pub(super) spool: IngestSpool,
}

/// Section `spool` of `ingest.toml`.
#[derive(Debug, Serialize)]
pub(super) struct IngestSpool {
    pub(super) dir: PathBuf,
}

/// Section `kafka` of `ingest.toml`.
#[derive(Debug, Serialize)]
pub(super) struct IngestKafka {
    brokers: String,
    topic: &'static str,
    properties: BTreeMap<String, String>,
}

impl IngestKafka {
    pub(super) fn new(brokers: &str, properties: &BTreeMap<String, String>) -> Self {
        Self { brokers: brokers.into(), topic: topic::BEACONS, properties: properties.clone() }
    }
}

/// `aggregator.toml`.
#[derive(Debug, Serialize)]
pub(super) struct AggregatorConfig {
    pub(super) admin_listen: String,
    pub(super) definitions_token: &'static str,
    pub(super) kafka: AggregatorKafka,
    pub(super) clickhouse: AggregatorClickHouse,
}

/// Section `kafka` of `aggregator.toml`.
#[derive(Debug, Serialize)]
pub(super) struct AggregatorKafka {
    brokers: String,
    topic: &'static str,
    rejects_topic: &'static str,
    group: &'static str,
    properties: BTreeMap<String, String>,
}

impl AggregatorKafka {
    pub(super) fn new(brokers: &str, properties: &BTreeMap<String, String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic: topic::BEACONS,
            rejects_topic: topic::REJECTS,
            group: "sli-aggregator",
            properties: properties.clone(),
        }
    }
}

/// Section `clickhouse` of `aggregator.toml`.
#[derive(Debug, Serialize)]
pub(super) struct AggregatorClickHouse {
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: &'static str,
}

/// Writes the configuration and gives the command of a service.
pub(super) fn prepare(
    dir: &Path,
    log: PathBuf,
    name: &str,
    executable: PathBuf,
    config: &impl Serialize,
    env: &BTreeMap<String, String>,
) -> Result<PartCommand, StackError> {
    let path = dir.join(format!("{name}.toml"));
    let text = toml::to_string(config)
        .map_err(|error| StackError::Settings(format!("{name}.toml can't be written: {error}")))?;
    std::fs::write(&path, text).map_err(StackError::io("write", &path))?;
    Ok(PartCommand {
        program: executable,
        args: vec!["--config".into(), path.into()],
        env: env.clone(),
        dir: dir.to_owned(),
        log,
        stop_by: StopBy::Terminate,
    })
}
