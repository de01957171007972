//! The processes of this project as something that is struck under load: their programs, how they are started, and
//! how they are kept running.
//!
//! What they are put together to is [`crate::faults::world`]'s and [`crate::drill::world`]'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use deploy::executable::Executables;
use deploy::launch::Launcher;
use deploy::part::{PartCommand, StopBy};
use deploy::port::{Port, PortChoice};
use deploy::progress::Progress;
use deploy::stack::{AGGREGATOR, DEFINITIONS_TOKEN, INGEST, PASSWORD};

pub mod member;

pub use member::Member;

const POLL: Duration = Duration::from_millis(100);
/// What ingest tells clients when Kafka is away, s: soon, so that the beacons of a session stay together.
const RETRY_AFTER_S: &str = "1";

/// Folder of the drills: in the crate of a checkout, else beside the programs.
const DRILLS: &str = "drills";

/// Programs and what is needed to run them.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The program of ingest.
    pub ingest: PathBuf,
    /// The program of an aggregator.
    pub aggregator: PathBuf,
    /// Folder of the study app's definitions.
    pub definitions: PathBuf,
    /// Folder of the drills.
    pub drills: PathBuf,
    /// Starts processes that end with this one.
    pub launcher: Launcher,
}

impl Programs {
    /// Those that belong to this program, built first where there is a checkout.
    ///
    /// # Errors
    /// When they don't build, or are not there.
    pub async fn find() -> anyhow::Result<Self> {
        tokio::task::spawn_blocking(Self::find_blocking).await.context("finding the programs")?
    }

    /// Folder of the drills, without building anything.
    ///
    /// # Errors
    /// When the operating system does not say where this program is.
    pub fn drills_folder() -> anyhow::Result<PathBuf> {
        Ok(drills_of(&Executables::locate()?))
    }

    fn find_blocking() -> anyhow::Result<Self> {
        let progress = Progress::detect();
        let executables = Executables::locate()?;
        let mut found = executables.get(&[INGEST, AGGREGATOR], progress)?.into_iter();
        let (Some(ingest), Some(aggregator)) = (found.next(), found.next()) else {
            bail!("ingest and aggregator were not found");
        };
        let launcher = executables.launcher(progress)?;
        let (definitions, drills) = (executables.folder("definitions"), drills_of(&executables));
        Ok(Self { ingest, aggregator, definitions, drills, launcher })
    }
}

fn drills_of(executables: &Executables) -> PathBuf {
    match executables {
        Executables::Checkout { root, .. } => root.join("loadtest").join(DRILLS),
        // A folder of the crate's name cannot be there: the program has it.
        Executables::Beside(dir) => dir.join(DRILLS),
    }
}

/// Where an aggregator finds the others, and how patient Kafka is with it.
#[derive(Debug, Clone)]
pub struct AggregatorPlace {
    /// Address of its admin server, `host:port`.
    pub admin: String,
    /// Bootstrap servers of Kafka.
    pub brokers: String,
    /// Base URL of ClickHouse's HTTP interface.
    pub clickhouse_url: String,
    /// After this long without a heartbeat Kafka gives its partitions to another, ms.
    pub session_timeout_ms: u32,
}

impl AggregatorPlace {
    /// The same as variables.
    pub fn env(&self) -> BTreeMap<String, String> {
        let Self { admin, brokers, clickhouse_url, session_timeout_ms } = self;
        let variables = [
            ("ADMIN_LISTEN", admin.clone()),
            ("DEFINITIONS_TOKEN", DEFINITIONS_TOKEN.to_owned()),
            ("CLICKHOUSE__URL", clickhouse_url.clone()),
            ("CLICKHOUSE__PASSWORD", PASSWORD.to_owned()),
            ("KAFKA__BROKERS", brokers.clone()),
            ("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", session_timeout_ms.to_string()),
            ("KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS", (session_timeout_ms / 6).to_string()),
        ];
        variables.into_iter().map(|(name, value)| (format!("AGGREGATOR_{name}"), value)).collect()
    }
}

/// Where ingest listens and finds the others.
#[derive(Debug, Clone)]
pub struct IngestPlace {
    /// Address for clients, `host:port`.
    pub listen: String,
    /// Address of its admin server, `host:port`.
    pub admin: String,
    /// Bootstrap servers of Kafka.
    pub brokers: String,
    /// Folder of the app files.
    pub apps: PathBuf,
    /// Folder of its spool.
    pub spool: PathBuf,
}

impl IngestPlace {
    /// The same as variables.
    pub fn env(&self) -> BTreeMap<String, String> {
        let Self { listen, admin, brokers, apps, spool } = self;
        let variables = [
            ("LISTEN", listen.clone()),
            ("ADMIN_LISTEN", admin.clone()),
            ("APPS_DIR", apps.display().to_string()),
            ("KAFKA__BROKERS", brokers.clone()),
            ("RETRY_AFTER_S", RETRY_AFTER_S.to_owned()),
            ("SPOOL__DIR", spool.display().to_string()),
        ];
        variables.into_iter().map(|(name, value)| (format!("INGEST_{name}"), value)).collect()
    }
}

/// Ports of this machine that are reserved as long as they are held.
#[derive(Debug, Default)]
pub struct Ports(Vec<Port>);

impl Ports {
    /// A free address for `part`, `host:port`.
    ///
    /// # Errors
    /// When there is none.
    pub fn address(&mut self, part: &'static str) -> anyhow::Result<String> {
        let port = Port::choose(PortChoice::Free, part, "")?;
        let address = format!("127.0.0.1:{}", port.number());
        self.0.push(port);
        Ok(address)
    }
}

/// Whether every one of them says that it does its work.
pub async fn are_ready(members: &[Arc<Member>]) -> bool {
    for member in members {
        if !member.is_ready().await {
            return false;
        }
    }
    true
}

/// Polls until `condition` holds.
///
/// # Errors
/// When that takes longer than `patience`.
pub async fn until(what: &str, patience: Duration, condition: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(patience, waiting).await.is_err() {
        bail!("waited {} s in vain for {what}", patience.as_secs());
    }
    Ok(())
}

/// The command of `program`, whose output goes to `logs/<name>.log` in `dir`.
pub fn command(dir: &Path, name: &str, program: PathBuf, env: BTreeMap<String, String>) -> PartCommand {
    let log = dir.join("logs").join(format!("{name}.log"));
    PartCommand { program, args: Vec::new(), env, dir: dir.to_owned(), log, stop_by: StopBy::Terminate }
}
