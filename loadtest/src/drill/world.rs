//! What a drill happens to: a stack of real parts, with whatever its steps need in between: proxies, small disks,
//! clocks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use deploy::progress::Progress;
use deploy::stack::{
    AGGREGATOR, CLICKHOUSE, DEFINITIONS_TOKEN, INGEST, KAFKA, KafkaFront, PARTITIONS, Parts, Stack,
    StackOptions,
};
use deploy::{definitions, demo};
use schema::definition::DefinitionSet;
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::disk::Disk;
use super::file::Drill;
use super::link::{Link, Proxy, Toxiproxy, address_of};
use super::step::{ClockName, DiskName, LinkName};
use crate::faults::gate::Gate;
use crate::faults::proxy::Listening;
use crate::parts::{AggregatorPlace, IngestPlace, Member, Ports, Programs, command};

mod processes;
mod state;

/// Batches come often, so that recovery is seen soon, ms.
const FLUSH_INTERVAL_MS: i64 = 1_000;
/// Folder of ingest's spool.
const SPOOL: &str = "ingest-spool";

/// See the module. Dropping it ends every process and unmounts every disk.
pub struct World {
    // Processes that send come before those that receive, and disks last: fields are dropped in order.
    ingest: Arc<Member>,
    ingest_url: String,
    aggregators: Vec<Arc<Member>>,
    watching: Vec<JoinHandle<()>>,
    links: Vec<Link>,
    toxiproxy: Option<Toxiproxy>,
    clocks: Vec<(ClockName, Clock)>,
    gate: Arc<Gate>,
    set: DefinitionSet,
    partitions: usize,
    stack: Arc<Stack>,
    disks: Vec<(DiskName, Disk)>,
    _ports: Ports,
}

/// Why there is no world for a drill.
#[derive(Debug)]
pub enum NoWorld {
    /// This machine lacks something that the drill needs.
    Lacking(anyhow::Error),
    /// Something did not start.
    Failed(anyhow::Error),
}

impl World {
    /// Brings everything up in `dir`; traffic may be sent when it returns.
    ///
    /// # Errors
    /// When this machine lacks something, or anything does not start.
    pub async fn start(drill: &Drill, programs: &Programs, dir: &Path) -> Result<Self, NoWorld> {
        let mut disks = Vec::new();
        for name in drill.disks() {
            let path = match name {
                DiskName::Clickhouse => dir.join(CLICKHOUSE).join("data"),
                DiskName::Spool => dir.join(SPOOL),
            };
            disks.push((name, Disk::mount(&path).map_err(NoWorld::Lacking)?));
        }
        let mut clocks = Vec::new();
        for name in drill.clocks() {
            std::fs::create_dir_all(dir).map_err(|error| NoWorld::Failed(error.into()))?;
            let file = dir.join(format!("clock-{}", name.part()).replace(' ', "-"));
            clocks.push((name, Clock::new(file).map_err(NoWorld::Lacking)?));
        }
        let names = drill.links();
        let toxiproxy = match names.is_empty() {
            true => None,
            false => {
                std::fs::create_dir_all(dir.join("logs")).map_err(|error| NoWorld::Failed(error.into()))?;
                let started = Toxiproxy::start(&programs.drills, dir, programs.launcher.clone()).await;
                Some(started.map_err(NoWorld::Lacking)?)
            }
        };
        Self::bring_up(drill, programs, dir, Extras { disks, clocks, names, toxiproxy })
            .await
            .map_err(NoWorld::Failed)
    }

    async fn bring_up(
        drill: &Drill,
        programs: &Programs,
        dir: &Path,
        extras: Extras,
    ) -> anyhow::Result<Self> {
        let is_behind = |name| extras.names.contains(&name);
        let kafka_fronts = [LinkName::IngestKafka, LinkName::AggregatorKafka].map(is_behind);
        let options = StackOptions {
            parts: Parts::Stores,
            dir: Some(dir.to_owned()),
            kafka_fronts: kafka_fronts.iter().filter(|behind| **behind).count(),
            progress: Progress::Quiet,
            ..StackOptions::default()
        };
        let stack = Arc::new(Stack::start(options).await?);
        let mut fronts = stack.kafka_fronts().iter();
        let mut links = Vec::new();
        let mut brokers = |name: LinkName, behind: bool| match behind.then(|| fronts.next()).flatten() {
            None => stack.kafka_brokers().to_owned(),
            Some(KafkaFront { listens, advertised }) => {
                let proxy = Proxy {
                    name: name.as_str().into(),
                    listen: advertised.clone(),
                    upstream: listens.clone(),
                };
                links.push(Link { name, proxies: vec![proxy] });
                advertised.clone()
            }
        };
        let of_ingest = brokers(LinkName::IngestKafka, kafka_fronts[0]);
        let of_aggregators = brokers(LinkName::AggregatorKafka, kafka_fronts[1]);

        let mut ports = Ports::default();
        let gate = Arc::new(Gate::new(Box::new(|_, _| {})));
        let mut aggregators = Vec::with_capacity(drill.aggregators);
        let mut to_clickhouse = Vec::with_capacity(drill.aggregators);
        for number in 0..drill.aggregators {
            let journal = Listening::bind().await?;
            let mut clickhouse_url = journal.url();
            if is_behind(LinkName::AggregatorClickhouse) {
                let listen = ports.address(CLICKHOUSE)?;
                let upstream = address_of(&clickhouse_url)?.to_owned();
                clickhouse_url = format!("http://{listen}");
                let name = format!("{}-{}", LinkName::AggregatorClickhouse.as_str(), number + 1);
                to_clickhouse.push(Proxy { name, listen, upstream });
            }
            let admin = ports.address(AGGREGATOR)?;
            let place = AggregatorPlace {
                admin: admin.clone(),
                brokers: of_aggregators.clone(),
                clickhouse_url,
                session_timeout_ms: drill.session_timeout.as_millis() as u32,
            };
            let mut env = place.env();
            if number == 0 {
                env.extend(extras.env_of(ClockName::Aggregator));
            }
            let name = format!("{AGGREGATOR}-{}", number + 1);
            let command = command(stack.dir(), &name, programs.aggregator.clone(), env);
            let admin_url = format!("http://{admin}");
            aggregators.push(Member::new(AGGREGATOR, command, programs.launcher.clone(), admin_url)?);
            journal.serve(stack.clickhouse_url(), Arc::clone(&gate), number)?;
        }
        if !to_clickhouse.is_empty() {
            links.push(Link { name: LinkName::AggregatorClickhouse, proxies: to_clickhouse });
        }

        let (listen, admin) = (ports.address(INGEST)?, ports.address(INGEST)?);
        let mut clients_come_to = listen.clone();
        if is_behind(LinkName::ClientsIngest) {
            clients_come_to = ports.address(INGEST)?;
            let name = LinkName::ClientsIngest;
            let proxy = Proxy {
                name: name.as_str().into(),
                listen: clients_come_to.clone(),
                upstream: listen.clone(),
            };
            links.push(Link { name, proxies: vec![proxy] });
        }
        let place = IngestPlace {
            listen,
            admin: admin.clone(),
            brokers: of_ingest,
            apps: programs.definitions.join("apps"),
            spool: stack.dir().join(SPOOL),
        };
        let mut env = place.env();
        env.extend(extras.env_of(ClockName::Ingest));
        let command = command(stack.dir(), INGEST, programs.ingest.clone(), env);
        let ingest = Member::new(INGEST, command, programs.launcher.clone(), format!("http://{admin}"))?;

        let Extras { disks, clocks, toxiproxy, .. } = extras;
        if let Some(toxiproxy) = &toxiproxy {
            for link in &links {
                toxiproxy.open(link).await?;
            }
        }
        let grace_ms = drill.grace.as_millis() as i64;
        let set = definitions::load(&programs.definitions, demo::settings(grace_ms, FLUSH_INTERVAL_MS))?;
        let mut world = Self {
            ingest,
            ingest_url: format!("http://{clients_come_to}"),
            aggregators,
            watching: Vec::new(),
            links,
            toxiproxy,
            clocks,
            gate,
            set,
            partitions: PARTITIONS as usize,
            stack,
            disks,
            _ports: ports,
        };
        world.begin().await?;
        Ok(world)
    }

    async fn begin(&mut self) -> anyhow::Result<()> {
        for member in &self.aggregators {
            member.start()?;
            self.watching.push(tokio::spawn(Arc::clone(member).watch()));
        }
        self.until("the aggregators to be ready", async || self.are_ready().await).await?;
        self.activate(self.set.clone()).await?;
        self.ingest.start()?;
        self.watching.push(tokio::spawn(Arc::clone(&self.ingest).watch()));
        self.until("ingest to be ready", async || self.ingest.is_ready().await).await
    }

    /// Where clients send.
    pub fn ingest_url(&self) -> &str {
        &self.ingest_url
    }

    /// The stores.
    pub fn stack(&self) -> &Arc<Stack> {
        &self.stack
    }

    /// What goes to ClickHouse.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Folder of data and logs.
    pub fn dir(&self) -> &Path {
        self.stack.dir()
    }

    /// Ingest.
    pub fn ingest(&self) -> &Arc<Member> {
        &self.ingest
    }

    /// The aggregators.
    pub fn aggregators(&self) -> &[Arc<Member>] {
        &self.aggregators
    }

    /// The definition set that was activated last.
    pub fn set(&self) -> &DefinitionSet {
        &self.set
    }

    /// The link of that name, and what makes it bad.
    ///
    /// # Errors
    /// When the drill has no step for it.
    pub fn link(&self, name: LinkName) -> anyhow::Result<(&Toxiproxy, &Link)> {
        let link = self.links.iter().find(|link| link.name == name);
        self.toxiproxy.as_ref().zip(link).with_context(|| format!("there is no proxy from {name}"))
    }

    /// The disk of that name.
    ///
    /// # Errors
    /// When the drill has no step for it.
    pub fn disk(&self, name: DiskName) -> anyhow::Result<&Disk> {
        let disk = self.disks.iter().find(|(found, _)| *found == name);
        disk.map(|(_, disk)| disk).with_context(|| format!("{name} is no disk of its own"))
    }

    /// The clock of that name, and whose it is.
    ///
    /// # Errors
    /// When the drill has no step for it.
    pub fn clock(&self, name: ClockName) -> anyhow::Result<(&Clock, &Arc<Member>)> {
        let clock = self.clocks.iter().find(|(found, _)| *found == name);
        let clock = clock
            .map(|(_, clock)| clock)
            .with_context(|| format!("{} has no clock of its own", name.part()))?;
        let member = match name {
            ClockName::Ingest => &self.ingest,
            ClockName::Aggregator => self.first(),
        };
        Ok((clock, member))
    }

    /// The aggregator that steps are about.
    pub fn first(&self) -> &Arc<Member> {
        &self.aggregators[0]
    }

    /// Activates a set.
    ///
    /// # Errors
    /// When no aggregator takes it.
    pub async fn activate(&mut self, set: DefinitionSet) -> anyhow::Result<()> {
        definitions::post(self.first().admin_url(), DEFINITIONS_TOKEN, &set).await?;
        self.set = set;
        Ok(())
    }

    /// Stops the aggregators cleanly: what they have under way is written or left to a successor.
    pub async fn stop_aggregators(&self) {
        for member in &self.aggregators {
            member.stop().await;
        }
    }

    /// Stops everything in order.
    pub async fn stop(self) {
        self.ingest.stop().await;
        self.stop_aggregators().await;
        for part in [KAFKA, CLICKHOUSE] {
            // What does not stop is killed when it is dropped.
            let _ = self.stack.stop_part(part).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A member is started again for as long as it is watched.
        self.watching.iter().for_each(JoinHandle::abort);
    }
}

/// What stands between the parts of a world.
struct Extras {
    disks: Vec<(DiskName, Disk)>,
    clocks: Vec<(ClockName, Clock)>,
    names: Vec<LinkName>,
    toxiproxy: Option<Toxiproxy>,
}

impl Extras {
    fn env_of(&self, name: ClockName) -> BTreeMap<String, String> {
        let clock = self.clocks.iter().find(|(found, _)| *found == name);
        clock.map(|(_, clock)| clock.env()).unwrap_or_default()
    }
}
