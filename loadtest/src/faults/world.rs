//! What faults are done to: a stack of real parts with several aggregators, each behind a proxy to ClickHouse.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use deploy::progress::Progress;
use deploy::stack::{
    AGGREGATOR, CLICKHOUSE, DEFINITIONS_TOKEN, INGEST, KAFKA, PARTITIONS, Parts, Signal, Stack, StackOptions,
};
use deploy::{definitions, demo};

use super::gate::{Blow, Gate};
use super::proxy::Listening;
use crate::parts::{self, AggregatorPlace, IngestPlace, Member, Ports, Programs, command};

/// How long anything may take to recover on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(180);
/// Folder of ingest's spool.
const SPOOL: &str = "ingest-spool";

/// What to bring up.
#[derive(Debug, Clone)]
pub struct WorldSettings {
    /// Aggregators.
    pub members: usize,
    /// Folder for data and logs; a temporary one if there is none.
    pub dir: Option<PathBuf>,
    /// Grace period, ms.
    pub grace_ms: i64,
    /// Flush interval, ms.
    pub flush_interval_ms: i64,
    /// After this long without a heartbeat Kafka gives an aggregator's partitions to another, ms.
    pub session_timeout_ms: u32,
}

/// See the module. Dropping it ends every process.
pub struct World {
    // Processes that send come before those that receive: fields are dropped in order.
    // Not watched: who kills it starts it again.
    ingest: Arc<Member>,
    ingest_url: String,
    members: Vec<Arc<Member>>,
    watching: Vec<tokio::task::JoinHandle<()>>,
    gate: Arc<Gate>,
    stack: Arc<Stack>,
    _ports: Ports,
}

impl World {
    /// Brings everything up; traffic may be sent when it returns.
    ///
    /// # Errors
    /// When anything does not start.
    pub async fn start(settings: &WorldSettings) -> anyhow::Result<Self> {
        let programs = Programs::find().await?;
        let options = StackOptions {
            parts: Parts::Stores,
            dir: settings.dir.clone(),
            progress: Progress::detect(),
            ..StackOptions::default()
        };
        let stack = Arc::new(Stack::start(options).await?);
        let mut ports = Ports::default();

        let mut members = Vec::with_capacity(settings.members);
        let mut proxies = Vec::with_capacity(settings.members);
        for number in 1..=settings.members {
            let proxy = Listening::bind().await?;
            let admin = ports.address(AGGREGATOR)?;
            let place = AggregatorPlace {
                admin: admin.clone(),
                brokers: stack.kafka_brokers().to_owned(),
                clickhouse_url: proxy.url(),
                session_timeout_ms: settings.session_timeout_ms,
            };
            let name = format!("{AGGREGATOR}-{number}");
            let command = command(stack.dir(), &name, programs.aggregator.clone(), place.env());
            let admin_url = format!("http://{admin}");
            members.push(Member::new(AGGREGATOR, command, programs.launcher.clone(), admin_url)?);
            proxies.push(proxy);
        }
        let gate = Arc::new(Gate::new(strike(members.clone(), Arc::clone(&stack))));
        for (number, proxy) in proxies.into_iter().enumerate() {
            proxy.serve(stack.clickhouse_url(), Arc::clone(&gate), number)?;
        }
        members.iter().try_for_each(|member| member.start())?;
        let watching = members.iter().map(|member| tokio::spawn(Arc::clone(member).watch())).collect();

        let (listen, admin) = (ports.address(INGEST)?, ports.address(INGEST)?);
        let place = IngestPlace {
            listen: listen.clone(),
            admin: admin.clone(),
            brokers: stack.kafka_brokers().to_owned(),
            apps: programs.definitions.join("apps"),
            spool: stack.dir().join(SPOOL),
        };
        let command = command(stack.dir(), INGEST, programs.ingest, place.env());
        let world = Self {
            ingest: Member::new(INGEST, command, programs.launcher, format!("http://{admin}"))?,
            ingest_url: format!("http://{listen}"),
            members,
            watching,
            gate,
            stack,
            _ports: ports,
        };

        world.until("the aggregators to be ready", async || world.is_ready().await).await?;
        let set = definitions::load(
            &programs.definitions,
            demo::settings(settings.grace_ms, settings.flush_interval_ms),
        )?;
        definitions::post(world.members[0].admin_url(), DEFINITIONS_TOKEN, &set).await?;
        world.ingest.start()?;
        world.until("ingest to be ready", async || world.ingest.is_ready().await).await?;
        Ok(world)
    }

    /// What goes to ClickHouse, and what strikes there.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Base URL of ingest.
    pub fn ingest_url(&self) -> &str {
        &self.ingest_url
    }

    /// Base URL of ClickHouse itself.
    pub fn clickhouse_url(&self) -> &str {
        self.stack.clickhouse_url()
    }

    /// Folder of data and logs.
    pub fn dir(&self) -> &Path {
        self.stack.dir()
    }

    /// The aggregators.
    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// The aggregator that a draw picks.
    pub fn pick(&self, pick: u64) -> usize {
        (pick % self.members.len() as u64) as usize
    }

    /// Returns when every aggregator does its work and every partition has got a batch since this was called.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn recovered(&self) -> anyhow::Result<()> {
        let batches =
            || (0..PARTITIONS).map(|partition| self.gate.read(|written| written.batches(partition, None)));
        let before: Vec<u64> = batches().collect();
        self.until("every partition to make progress", async || {
            batches().zip(&before).all(|(now, before)| now > *before)
        })
        .await?;
        self.until("every aggregator to be ready", async || self.is_ready().await).await
    }

    /// Returns when ClickHouse answers, after it was killed.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn clickhouse_is_back(&self) -> anyhow::Result<()> {
        Ok(self.stack.wait_ready(CLICKHOUSE).await?)
    }

    /// Restarts Kafka and waits until it answers.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn restart_kafka(&self, killed: bool) -> anyhow::Result<()> {
        if !killed {
            return Ok(self.stack.restart_part(KAFKA).await?);
        }
        let before = self.stack.pid(KAFKA);
        self.stack.kill_part(KAFKA, Signal::SIGKILL)?;
        self.until("Kafka to be started again", async || {
            self.stack.pid(KAFKA).is_some_and(|pid| Some(pid) != before)
        })
        .await?;
        Ok(self.stack.wait_ready(KAFKA).await?)
    }

    /// Stops Kafka, which stays so.
    ///
    /// # Errors
    /// Never with a stack that has one.
    pub async fn stop_kafka(&self) -> anyhow::Result<()> {
        Ok(self.stack.stop_part(KAFKA).await?)
    }

    /// Starts Kafka again.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn start_kafka(&self) -> anyhow::Result<()> {
        Ok(self.stack.start_part(KAFKA).await?)
    }

    /// Kills ingest by SIGKILL, starts it again and waits until it answers.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn kill_ingest(&self) -> anyhow::Result<()> {
        self.ingest.kill();
        self.until("ingest to be gone", async || self.ingest.pid().is_none()).await?;
        self.ingest.start()?;
        self.until("ingest to be back", async || self.ingest.answers("healthz").await).await
    }

    /// Stops the aggregators cleanly: what they have under way is written or left to a successor.
    pub async fn stop_members(&self) {
        for member in &self.members {
            member.stop().await;
        }
    }

    /// Stops everything in order.
    pub async fn stop(self) {
        self.ingest.stop().await;
        self.stop_members().await;
        self.watching.iter().for_each(tokio::task::JoinHandle::abort);
        for part in [KAFKA, CLICKHOUSE] {
            // What does not stop is killed when it is dropped.
            let _ = self.stack.stop_part(part).await;
        }
    }

    async fn is_ready(&self) -> bool {
        parts::are_ready(&self.members).await
    }

    /// Polls until `condition` holds.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        let waited = parts::until(what, PATIENCE, condition).await;
        waited.map_err(|error| anyhow!("{error}: see the logs in {}", self.dir().display()))
    }
}

fn strike(members: Vec<Arc<Member>>, stack: Arc<Stack>) -> super::gate::Strike {
    Box::new(move |blow, member| match blow {
        Blow::KillMember => members[member].kill(),
        Blow::StopMember => members[member].pause(),
        // A stack of stores has this part.
        Blow::KillServer => drop(stack.kill_part(CLICKHOUSE, Signal::SIGKILL)),
    })
}
