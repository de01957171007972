//! Everything that runs while peers are compared, and how traffic is sent to it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use deploy::definitions;
use deploy::executable::Executables;
use deploy::launch::Launcher;
use deploy::progress::Progress;
use deploy::stack::{CLICKHOUSE, DEFINITIONS_TOKEN, Parts, Stack, StackOptions};

use super::Settings;
use crate::drive;
use crate::fleet::engine_settings;
use crate::observe::{Process, metrics::Metrics};
use crate::scenario::Profile;
use crate::schedule::{Arrivals, Traffic};
use crate::summary::Summary;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long beacons are tried again after the last sending.
const DRAIN: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 64;
/// How long the definitions may take to be active.
const DEFINITIONS_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// See the module. Dropping it ends every process.
pub(super) struct Place {
    /// Ours.
    pub(super) stack: Arc<Stack>,
    /// The peers' ClickHouse.
    pub(super) theirs: Arc<Stack>,
    /// What binds processes to this one.
    pub(super) launcher: Launcher,
    /// What is played.
    pub(super) settings: Settings,
}

impl Place {
    pub(super) async fn start(settings: Settings, progress: Progress) -> anyhow::Result<Self> {
        let options = StackOptions { dir: settings.dir.clone(), progress, ..StackOptions::default() };
        let stack = Arc::new(Stack::start(options).await?);
        activate(&stack).await?;
        let theirs_dir = settings.dir.as_ref().map(|dir| dir.join("peers"));
        let theirs = StackOptions { dir: theirs_dir, ..StackOptions::of(Parts::ClickHouse) };
        let theirs = Arc::new(Stack::start(theirs).await.context("starting the peers' ClickHouse")?);
        let launcher = tokio::task::spawn_blocking(move || Executables::locate()?.launcher(progress));
        let launcher = launcher.await.context("finding the launcher")??;
        Ok(Self { stack, theirs, launcher, settings })
    }

    pub(super) async fn stop(self) {
        for stack in [self.theirs, self.stack] {
            if let Some(stack) = Arc::into_inner(stack) {
                stack.stop().await;
            }
        }
    }

    pub(super) fn traffic(&self, profile: Profile) -> Traffic {
        let Settings { rate, seconds, seed, .. } = self.settings;
        Traffic { rate, seconds, seed, profile, arrivals: Arrivals::Poisson }
    }

    /// A process of our stack.
    pub(super) fn part(&self, name: &'static str) -> Process {
        process_of(&self.stack, name)
    }

    pub(super) fn their_clickhouse(&self) -> Process {
        process_of(&self.theirs, CLICKHOUSE)
    }

    pub(super) async fn drive(&self, url: &str, profile: Profile, ledger: &str) -> anyhow::Result<Summary> {
        drive::run(drive::Settings {
            ingest: url.to_owned(),
            traffic: self.traffic(profile),
            ledger: self.stack.dir().join(format!("{ledger}.jsonl")),
            connections: CONNECTIONS,
            timeout: ANSWER_TIMEOUT,
            drain: DRAIN,
        })
        .await
    }

    /// Events that ingest has made durable since its start.
    pub(super) async fn ingested_events(&self) -> anyhow::Result<u64> {
        let url = format!("{}/metrics", self.stack.ingest_admin_url());
        let client = reqwest::Client::builder().no_proxy().build()?;
        let text = client.get(url).send().await?.error_for_status()?.text().await?;
        Ok(Metrics::parse(&text).sum("ingest_events_total").round() as u64)
    }
}

/// Activates the definitions with the settings of what is measured.
async fn activate(stack: &Stack) -> anyhow::Result<()> {
    let executables =
        tokio::task::spawn_blocking(Executables::locate).await.context("finding the definitions")??;
    let set = definitions::load(&executables.folder("definitions"), engine_settings())?;
    definitions::post(stack.aggregator_url(), DEFINITIONS_TOKEN, &set).await?;
    let sql = format!("SELECT count() AS active FROM sli.definitions WHERE set_id = '{}'", set.id);
    let active = tokio::time::timeout(DEFINITIONS_PATIENCE, async {
        loop {
            let rows = stack.query(&sql).await?;
            if rows.first().and_then(|row| row["active"].as_u64()).is_some_and(|active| active > 0) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    });
    match active.await {
        Ok(result) => result,
        Err(_) => bail!("the definitions were not active after {} s", DEFINITIONS_PATIENCE.as_secs()),
    }
}

fn process_of(stack: &Arc<Stack>, name: &'static str) -> Process {
    let stack = Arc::downgrade(stack);
    Process::asked(name, move || stack.upgrade()?.pid(name))
}
