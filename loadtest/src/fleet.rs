//! Kafka and ClickHouse with any number of ingests and aggregators, each a process of its own, to see what more of them cost.
//!
//! Parts are told apart by kind: the CPU of all ingests is one number. Nothing is started again when it ends: a measurement
//! in which something died is none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use deploy::definitions;
use deploy::migration::DATABASE;
use deploy::progress::Progress;
use deploy::stack::{
    AGGREGATOR, CLICKHOUSE, DEFINITIONS_TOKEN, GRACE_MS, INGEST, KAFKA, Parts, Stack, StackOptions,
};
use schema::definition::EngineSettings;

use crate::cost::settled::{Aggregators, settling_ms};
use crate::cost::{Cpu, disk};
use crate::observe::{Process, now_ms};
use crate::parts::{AggregatorPlace, IngestPlace, Member, Ports, Programs, command};

/// How long anything may take to start on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);
/// The kinds of parts, in the way of a beacon.
pub const KINDS: [&str; 4] = [INGEST, KAFKA, AGGREGATOR, CLICKHOUSE];

/// Kafka's own default, ms.
const SESSION_TIMEOUT_MS: u32 = 45_000;
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

/// How many of what.
#[derive(Debug, Clone)]
pub struct Size {
    /// Partitions of the log.
    pub partitions: i32,
    /// Ingests.
    pub ingests: usize,
    /// Aggregators.
    pub aggregators: usize,
    /// Folder for data and logs; a temporary one if there is none.
    pub dir: Option<PathBuf>,
}

/// One process of ours.
#[derive(Debug)]
struct Service {
    name: String,
    // Not watched, so that it stays away when it ends.
    member: Arc<Member>,
    url: String,
}

/// See the module. Dropping it ends every process.
#[derive(Debug)]
pub struct Fleet {
    // Processes that send come before those that receive: fields are dropped in order.
    ingests: Vec<Service>,
    aggregators: Vec<Service>,
    stack: Arc<Stack>,
    partitions: usize,
    ports: Ports,
}

impl Fleet {
    /// Brings everything up; traffic may be sent when it returns.
    ///
    /// # Errors
    /// When anything does not start.
    pub async fn start(size: &Size) -> anyhow::Result<Self> {
        let programs = Programs::find().await?;
        let options = StackOptions {
            parts: Parts::Stores,
            partitions: size.partitions,
            dir: size.dir.clone(),
            progress: Progress::Quiet,
            ..StackOptions::default()
        };
        let stack = Arc::new(Stack::start(options).await?);
        let mut fleet = Self {
            ingests: Vec::new(),
            aggregators: Vec::new(),
            stack,
            partitions: usize::try_from(size.partitions)?,
            ports: Ports::default(),
        };
        for number in 1..=size.aggregators {
            let (url, admin) = (fleet.ports.address(AGGREGATOR)?, fleet.ports.address(AGGREGATOR)?);
            let place = AggregatorPlace {
                admin: admin.clone(),
                brokers: fleet.stack.kafka_brokers().to_owned(),
                clickhouse_url: fleet.stack.clickhouse_url().to_owned(),
                session_timeout_ms: SESSION_TIMEOUT_MS,
            };
            let env = place.env();
            let service = fleet.service(AGGREGATOR, number, &programs, env, (&url, &admin))?;
            fleet.aggregators.push(service);
        }
        fleet.launch_aggregators()?;
        fleet.aggregators_ready().await?;
        let set = definitions::load(&programs.definitions, engine_settings())?;
        if let Some(aggregator) = fleet.aggregators.first() {
            definitions::post(aggregator.member.admin_url(), DEFINITIONS_TOKEN, &set).await?;
        }
        for number in 1..=size.ingests {
            let (listen, admin) = (fleet.ports.address(INGEST)?, fleet.ports.address(INGEST)?);
            let place = IngestPlace {
                listen: listen.clone(),
                admin: admin.clone(),
                brokers: fleet.stack.kafka_brokers().to_owned(),
                apps: programs.definitions.join("apps"),
                spool: fleet.stack.dir().join(format!("spool-{number}")),
            };
            let env = place.env();
            let service = fleet.service(INGEST, number, &programs, env, (&listen, &admin))?;
            service.member.start()?;
            fleet.ingests.push(service);
        }
        fleet.ready(&fleet.ingests).await?;
        Ok(fleet)
    }

    fn service(
        &self,
        kind: &'static str,
        number: usize,
        programs: &Programs,
        env: std::collections::BTreeMap<String, String>,
        (listen, admin): (&str, &str),
    ) -> anyhow::Result<Service> {
        let name = format!("{kind}-{number}");
        let program = if kind == INGEST { &programs.ingest } else { &programs.aggregator };
        let command = command(self.stack.dir(), &name, program.clone(), env);
        let member = Member::new(kind, command, programs.launcher.clone(), format!("http://{admin}"))?;
        Ok(Service { name, member, url: format!("http://{listen}") })
    }

    /// Waits until all of them say that they do their work.
    async fn ready(&self, services: &[Service]) -> anyhow::Result<()> {
        let waiting = async {
            for service in services {
                while !service.member.is_ready().await {
                    service.member.check_running()?;
                    tokio::time::sleep(POLL).await;
                }
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(result) => result,
            Err(_) => bail!(
                "{} were not ready after {} s: see the logs in {}",
                services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", "),
                PATIENCE.as_secs(),
                self.stack.dir().display()
            ),
        }
    }

    /// Starts the processes of all aggregators.
    ///
    /// # Errors
    /// When one does not start.
    pub fn launch_aggregators(&self) -> anyhow::Result<()> {
        self.aggregators.iter().try_for_each(|service| service.member.start())
    }

    /// Returns when all aggregators do their work.
    ///
    /// # Errors
    /// When one does not.
    pub async fn aggregators_ready(&self) -> anyhow::Result<()> {
        self.ready(&self.aggregators).await
    }

    /// Stops all aggregators cleanly.
    pub async fn stop_aggregators(&self) {
        stop(&self.aggregators).await;
    }

    /// Kafka and ClickHouse.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Base URLs of the ingests.
    pub fn ingest_urls(&self) -> Vec<String> {
        self.ingests.iter().map(|service| service.url.clone()).collect()
    }

    /// The aggregators, as far as they tell what they have written.
    pub fn aggregators(&self) -> Aggregators {
        let urls = self.aggregators.iter().map(|service| service.member.admin_url().to_owned()).collect();
        Aggregators { urls, partitions: self.partitions }
    }

    /// Returns when nothing is left to do: attempts have settled, their rows are written, and nothing is merged.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn at_rest(&self, patience: Duration) -> anyhow::Result<()> {
        self.aggregators().written(now_ms() + settling_ms(GRACE_MS), patience).await?;
        disk::merged(self.stack.clickhouse()?, DATABASE).await
    }

    /// Every process that runs now, of the kinds that are asked for.
    pub fn processes(&self, kinds: &[&'static str]) -> Vec<Process> {
        let services = self.ingests.iter().chain(&self.aggregators).filter(|service| {
            kinds.iter().any(|kind| kind_of(&service.name) == *kind) && service.member.pid().is_some()
        });
        let own = services.map(|service| {
            let member = Arc::downgrade(&service.member);
            Process::asked(&service.name, move || member.upgrade()?.pid())
        });
        let stores = [KAFKA, CLICKHOUSE].into_iter().filter(|name| kinds.contains(name)).map(|name| {
            let stack = Arc::downgrade(&self.stack);
            Process::asked(name, move || stack.upgrade()?.pid(name))
        });
        own.chain(stores).collect()
    }

    /// Stops everything in order.
    pub async fn stop(self) {
        stop(&self.ingests).await;
        stop(&self.aggregators).await;
        for name in [KAFKA, CLICKHOUSE] {
            // What does not stop is killed when it is dropped.
            let _ = self.stack.stop_part(name).await;
        }
    }
}

async fn stop(services: &[Service]) {
    for service in services {
        service.member.stop().await;
    }
}

/// The kind of a process: its name without the number.
fn kind_of(name: &str) -> &str {
    name.split_once('-').map_or(name, |(kind, _)| kind)
}

/// CPU by kind, where there are several processes of one.
#[must_use]
pub fn by_kind(cpu: &Cpu) -> Cpu {
    let mut parts = std::collections::BTreeMap::new();
    for (name, seconds) in &cpu.parts {
        *parts.entry(kind_of(name).to_owned()).or_default() += seconds;
    }
    Cpu { wall_s: cpu.wall_s, parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_a_kind_are_one_number() {
        let parts = [("ingest-1", 1.0), ("ingest-2", 2.0), ("kafka", 4.0)];
        let cpu =
            Cpu { wall_s: 10.0, parts: parts.map(|(name, s)| (name.to_owned(), s)).into_iter().collect() };
        let sum = by_kind(&cpu);
        assert_eq!((sum.seconds(INGEST), sum.seconds(KAFKA), sum.wall_s), (3.0, 4.0, 10.0));
        assert_eq!(sum.parts.len(), 2);
    }
}
