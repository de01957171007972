//! The programs of the pipeline, and how one is run: for those who bring up more of them than a stack has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use deploy::executable::Executables;
use deploy::launch::Launcher;
use deploy::part::{PartCommand, StopBy};
use deploy::progress::Progress;
use deploy::stack::{AGGREGATOR, DEFINITIONS_TOKEN, GRACE_MS, INGEST, PASSWORD, Stack};
use schema::definition::EngineSettings;

/// Flush intervals after which a quiet partition moves on: the product's own number would make every settling wait a minute.
const IDLE_FLUSH_INTERVALS: i64 = 2;

/// Settings of the definitions for what is measured: those of the product, but attempts settle as soon as in the local
/// stack, which costs the same and is waited for.
pub(crate) fn engine_settings() -> EngineSettings {
    EngineSettings {
        grace_ms: GRACE_MS,
        idle_flush_intervals: IDLE_FLUSH_INTERVALS,
        ..EngineSettings::default()
    }
}

/// Programs and what is needed to run them.
pub(crate) struct Programs {
    /// `ingest`.
    pub(crate) ingest: PathBuf,
    /// `aggregator`.
    pub(crate) aggregator: PathBuf,
    /// Folder of the definitions.
    pub(crate) definitions: PathBuf,
    /// What binds processes to this one.
    pub(crate) launcher: Launcher,
}

impl Programs {
    /// Finds them, built first where there is a checkout.
    ///
    /// # Errors
    /// When they do not build or are not there.
    pub(crate) async fn find() -> anyhow::Result<Self> {
        tokio::task::spawn_blocking(Self::locate).await.context("finding the programs")?
    }

    fn locate() -> anyhow::Result<Self> {
        let progress = Progress::detect();
        let executables = Executables::locate()?;
        let mut found = executables.get(&[INGEST, AGGREGATOR], progress)?.into_iter();
        let (Some(ingest), Some(aggregator)) = (found.next(), found.next()) else {
            bail!("ingest and aggregator were not found");
        };
        let launcher = executables.launcher(progress)?;
        Ok(Self { ingest, aggregator, definitions: executables.folder("definitions"), launcher })
    }

    /// Variables of an ingest that listens on these addresses (`host:port`), beside what its caller adds.
    pub(crate) fn ingest_env(&self, stack: &Stack, listen: &str, admin: &str) -> BTreeMap<String, String> {
        let variables = [
            ("LISTEN", listen.to_owned()),
            ("ADMIN_LISTEN", admin.to_owned()),
            ("APPS_DIR", self.definitions.join("apps").display().to_string()),
            ("KAFKA__BROKERS", stack.kafka_brokers().to_owned()),
        ];
        variables.into_iter().map(|(name, value)| (format!("INGEST_{name}"), value)).collect()
    }

    /// Variables of an aggregator whose admin server listens on `admin` (`host:port`), beside what its caller adds.
    pub(crate) fn aggregator_env(
        stack: &Stack,
        clickhouse_url: &str,
        admin: &str,
    ) -> BTreeMap<String, String> {
        let variables = [
            ("ADMIN_LISTEN", admin.to_owned()),
            ("DEFINITIONS_TOKEN", DEFINITIONS_TOKEN.to_owned()),
            ("CLICKHOUSE__URL", clickhouse_url.to_owned()),
            ("CLICKHOUSE__PASSWORD", PASSWORD.to_owned()),
            ("KAFKA__BROKERS", stack.kafka_brokers().to_owned()),
        ];
        variables.into_iter().map(|(name, value)| (format!("AGGREGATOR_{name}"), value)).collect()
    }
}

/// What runs `program` as `name` in the folder of a stack.
pub(crate) fn command(
    dir: &Path,
    name: &str,
    program: PathBuf,
    env: BTreeMap<String, String>,
) -> PartCommand {
    let log = dir.join("logs").join(format!("{name}.log"));
    PartCommand { program, args: Vec::new(), env, dir: dir.to_owned(), log, stop_by: StopBy::Terminate }
}
