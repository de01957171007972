//! The local stack: Kafka, ClickHouse, `ingest` and `aggregator` as processes of this machine, in order.
//!
//! ```no_run
//! # async fn example() -> Result<(), deploy::error::StackError> {
//! use deploy::stack::{Parts, Stack, StackOptions};
//!
//! let stack = Stack::start(StackOptions::of(Parts::Stores)).await?;
//! let rows = stack.query("SELECT count() AS tables FROM system.tables WHERE database = 'sli'").await?;
//! println!("{} has {}", stack.clickhouse_url(), rows[0]["tables"]);
//! stack.stop().await;
//! # Ok(()) }
//! ```
//!
//! Dropping a stack kills what it started; [`Stack::stop`] stops it cleanly. Each process's life is
//! [`crate::part`]'s.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use nix::sys::signal::Signal;

use crate::cache::{self, Cache};
use crate::clickhouse::ClickHouse;
use crate::error::StackError;
use crate::executable::Executables;
use crate::part::{OnChange, Part, PartCommand};
use crate::port::Port;
use crate::{definitions, demo, migration, topic};

mod clickhouse;
mod control;
mod kafka;
mod options;
mod processes;
mod ready;
mod secured;
mod service;

pub use kafka::KafkaFront;
pub use options::{
    ExistingClickHouse, ExistingKafka, FLUSH_INTERVAL_MS, GRACE_MS, PARTITIONS, Parts, Ports, StackOptions,
};
pub(crate) use ready::answers;
pub use secured::Secured;
pub use service::DEFINITIONS_TOKEN;

use processes::Processes;

/// Name of Kafka in `processes.json`.
pub const KAFKA: &str = "kafka";
/// Name of ClickHouse in `processes.json`.
pub const CLICKHOUSE: &str = "clickhouse";
/// Name of ingest in `processes.json`.
pub const INGEST: &str = "ingest";
/// Name of aggregator in `processes.json`.
pub const AGGREGATOR: &str = "aggregator";

/// Password of the local stack's ClickHouse users.
pub const PASSWORD: &str = "local";
/// User who may do everything, for migrations and tests.
pub const ADMIN: &str = "sli_admin";
/// User of `aggregator`.
pub const WRITER: &str = "sli_writer";
/// User who reads.
pub const READER: &str = "sli_reader";

/// Order of stopping: who sends before who receives.
const STOP_ORDER: [&str; 4] = [INGEST, AGGREGATOR, KAFKA, CLICKHOUSE];
/// Time that a part has to stop cleanly.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// Room that the stack's folder needs.
const DIR_BYTES_MIN: u64 = 512 << 20;

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    // Parts come first: fields are dropped in order, and processes end before their folder goes.
    parts: Vec<Arc<Part>>,
    addresses: Addresses,
    clickhouse: Option<ClickHouse>,
    kafka_properties: BTreeMap<String, String>,
    _ports: Vec<Port>,
    dir: PathBuf,
    _dir_lock: File,
    _temporary_dir: Option<tempfile::TempDir>,
}

#[derive(Debug, Clone, Default)]
struct Addresses {
    ingest: Option<String>,
    ingest_admin: Option<String>,
    aggregator: Option<String>,
    kafka: Option<String>,
    clickhouse: Option<String>,
    clickhouse_native: Option<u16>,
    kafka_secured: Option<String>,
    kafka_fronts: Vec<KafkaFront>,
}

impl Stack {
    /// Brings up a stack and returns when all of it answers.
    ///
    /// # Errors
    /// When something is missing, in use or does not start; what was started by then is stopped.
    pub async fn start(options: StackOptions) -> Result<Self, StackError> {
        let progress = options.progress;
        options.check_given_ports()?;
        let mut stack = Self::prepare(&options)?;
        let processes = Processes::new(&stack.dir);
        let (executables, programs, cache) = {
            let options = options.clone();
            blocking(move || -> Result<_, StackError> {
                let executables = Executables::locate()?;
                let programs = match options.parts {
                    Parts::All => executables.get(&[INGEST, AGGREGATOR], progress)?,
                    Parts::Kafka | Parts::ClickHouse | Parts::Stores => Vec::new(),
                };
                Ok((executables, programs, Cache::of_user()?))
            })
            .await?
        };
        let launcher = {
            let executables = executables.clone();
            blocking(move || executables.launcher(progress)).await?
        };
        let part = |name, command: PartCommand| {
            let on_change = OnChange(Arc::new({
                let processes = processes.clone();
                move || processes.write()
            }));
            let part = Arc::new(Part::new(name, command, launcher.clone(), progress, on_change)?);
            processes.add(&part);
            Ok::<_, StackError>(part)
        };
        let step = progress.step("starting Kafka and ClickHouse");
        if options.parts.has_kafka() && options.kafka.is_none() {
            let port = stack.take_port(options.ports.kafka, KAFKA, "--kafka-port", progress)?;
            let controller_port = stack.take_port(crate::port::PortChoice::Free, KAFKA, "", progress)?;
            let secured = match &options.secured {
                Some(secured) => {
                    let port = stack.take_port(crate::port::PortChoice::Free, KAFKA, "", progress)?;
                    Some((secured.clone(), port))
                }
                None => None,
            };
            stack.addresses.kafka_secured = secured.as_ref().map(|(_, port)| format!("127.0.0.1:{port}"));
            for _ in 0..options.kafka_fronts {
                let mut free = || stack.take_port(crate::port::PortChoice::Free, KAFKA, "", progress);
                let (listens, advertised) = (free()?, free()?);
                let [listens, advertised] = [listens, advertised].map(|port| format!("127.0.0.1:{port}"));
                stack.addresses.kafka_fronts.push(KafkaFront { listens, advertised });
            }
            let fronts = stack.addresses.kafka_fronts.clone();
            let listeners = kafka::Listeners { port, controller_port, secured, fronts };
            let (dir, log, cache) = (stack.dir.join(KAFKA), stack.log(KAFKA), cache.clone());
            let command = blocking(move || {
                let libraries = cache.part(&cache::KAFKA, progress)?;
                kafka::prepare(&dir, log, &libraries, &listeners)
            })
            .await?;
            stack.addresses.kafka = Some(format!("127.0.0.1:{port}"));
            stack.begin(part(KAFKA, command)?)?;
        }
        if options.parts.has_clickhouse() && options.clickhouse.is_none() {
            let port =
                stack.take_port(options.ports.clickhouse, CLICKHOUSE, "--clickhouse-port", progress)?;
            let native = stack.take_port(
                options.ports.clickhouse_native,
                CLICKHOUSE,
                "--clickhouse-native-port",
                progress,
            )?;
            let (dir, log) = (stack.dir.join(CLICKHOUSE), stack.log(CLICKHOUSE));
            let executable = launcher.executable().map(Path::to_owned).unwrap_or_default();
            let binary = options.clickhouse_bin.clone();
            let command = blocking(move || {
                let program = match binary {
                    Some(binary) => clickhouse::Program::Binary(binary),
                    None => clickhouse::Program::Library {
                        launcher: executable,
                        library: cache.part(&cache::CLICKHOUSE, progress)?.join("libchdb.so"),
                    },
                };
                clickhouse::prepare(&dir, log, program, port, native)
            })
            .await?;
            let url = format!("http://127.0.0.1:{port}");
            stack.clickhouse = Some(ClickHouse::new(&url, ADMIN, PASSWORD)?);
            stack.addresses.clickhouse = Some(url);
            stack.addresses.clickhouse_native = Some(native);
            stack.begin(part(CLICKHOUSE, command)?)?;
        }
        stack.wait_for_stores(&options).await?;
        step.done("both answer");
        if options.parts == Parts::All {
            stack.start_services(&options, &executables, programs, part).await?;
        }
        stack.parts.iter().for_each(|part| part.keep_alive(true));
        Ok(stack)
    }

    /// Checks the folder and what the options say.
    fn prepare(options: &StackOptions) -> Result<Self, StackError> {
        let temporary = match &options.dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("client-sli-")
                    .tempdir()
                    .map_err(StackError::io("create a folder in", &std::env::temp_dir()))?,
            ),
        };
        let dir = match (&options.dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        for path in [dir.clone(), dir.join("logs"), dir.join(KAFKA), dir.join(CLICKHOUSE)] {
            std::fs::create_dir_all(&path).map_err(StackError::io("create", &path))?;
        }
        let dir = std::fs::canonicalize(&dir).map_err(StackError::io("resolve", &dir))?;
        cache::require_space(&dir, DIR_BYTES_MIN, "the stack", "--dir")?;
        let lock_path = dir.join("lock");
        let dir_lock = File::create(&lock_path).map_err(StackError::io("create", &lock_path))?;
        if dir_lock.try_lock().is_err() {
            return Err(StackError::Settings(format!(
                "another stack runs in {}: stop it, or give another folder by --dir",
                dir.display()
            )));
        }
        let clickhouse = match &options.clickhouse {
            Some(server) => Some(ClickHouse::new(&server.url, &server.user, &server.password)?),
            None => None,
        };
        Ok(Self {
            parts: Vec::new(),
            addresses: Addresses {
                kafka: options.kafka.as_ref().map(|kafka| kafka.brokers.clone()),
                clickhouse: clickhouse.as_ref().map(|clickhouse| clickhouse.url().to_owned()),
                ..Addresses::default()
            },
            clickhouse,
            kafka_properties: options
                .kafka
                .as_ref()
                .map(|kafka| kafka.properties.clone())
                .unwrap_or_default(),
            _ports: Vec::new(),
            dir,
            _dir_lock: dir_lock,
            _temporary_dir: temporary,
        })
    }

    async fn start_services(
        &mut self,
        options: &StackOptions,
        executables: &Executables,
        programs: Vec<PathBuf>,
        part: impl Fn(&'static str, PartCommand) -> Result<Arc<Part>, StackError>,
    ) -> Result<(), StackError> {
        let progress = options.progress;
        let definitions_dir =
            options.definitions_dir.clone().unwrap_or_else(|| executables.folder("definitions"));
        // The parts run in folders of their own.
        let definitions_dir =
            std::path::absolute(&definitions_dir).map_err(StackError::io("resolve", &definitions_dir))?;
        let set =
            definitions::load(&definitions_dir, demo::settings(options.grace_ms, options.flush_interval_ms))?;
        let mut programs = programs.into_iter();
        let (Some(ingest), Some(aggregator)) = (programs.next(), programs.next()) else {
            return Err(StackError::NoSuchPart(INGEST.into()));
        };
        let step = progress.step("starting aggregator and ingest");
        let brokers = self.addresses.kafka_secured.as_deref().unwrap_or(self.kafka_brokers()).to_owned();
        let properties = match (&options.secured, &self.addresses.kafka_secured) {
            (Some(secured), Some(_)) => secured.kafka_properties(),
            _ => self.kafka_properties.clone(),
        };
        let admin_port =
            self.take_port(options.ports.aggregator_admin, AGGREGATOR, "--aggregator-admin-port", progress)?;
        let (user, password) = match &options.clickhouse {
            Some(server) => (server.user.clone(), server.password.clone()),
            None => (WRITER.into(), PASSWORD.into()),
        };
        let config = service::AggregatorConfig {
            admin_listen: format!("127.0.0.1:{admin_port}"),
            definitions_token: DEFINITIONS_TOKEN,
            kafka: service::AggregatorKafka::new(&brokers, &properties),
            clickhouse: service::AggregatorClickHouse {
                url: self.clickhouse_url().into(),
                user,
                password,
                database: migration::DATABASE,
            },
        };
        let log = self.log(AGGREGATOR);
        let command =
            service::prepare(&self.dir, log, AGGREGATOR, aggregator, &config, &options.aggregator_env)?;
        let url = format!("http://127.0.0.1:{admin_port}");
        self.addresses.aggregator = Some(url.clone());
        self.begin(part(AGGREGATOR, command)?)?;
        self.wait_ready(AGGREGATOR).await?;
        definitions::post(&url, DEFINITIONS_TOKEN, &set).await?;

        let port = self.take_port(options.ports.ingest, INGEST, "--ingest-port", progress)?;
        let admin_port =
            self.take_port(options.ports.ingest_admin, INGEST, "--ingest-admin-port", progress)?;
        let config = service::IngestConfig {
            listen: format!("127.0.0.1:{port}"),
            admin_listen: format!("127.0.0.1:{admin_port}"),
            apps_dir: definitions_dir.join("apps"),
            kafka: service::IngestKafka::new(&brokers, &properties),
            spool: service::IngestSpool { dir: self.dir.join("ingest-spool") },
        };
        let log = self.log(INGEST);
        let command = service::prepare(&self.dir, log, INGEST, ingest, &config, &options.ingest_env)?;
        self.addresses.ingest = Some(format!("http://127.0.0.1:{port}"));
        self.addresses.ingest_admin = Some(format!("http://127.0.0.1:{admin_port}"));
        self.begin(part(INGEST, command)?)?;
        self.wait_ready(INGEST).await?;
        step.done("both are ready");
        Ok(())
    }

    fn begin(&mut self, part: Arc<Part>) -> Result<(), StackError> {
        self.parts.push(Arc::clone(&part));
        part.start()
    }

    fn take_port(
        &mut self,
        choice: crate::port::PortChoice,
        part: &'static str,
        flag: &'static str,
        progress: crate::progress::Progress,
    ) -> Result<u16, StackError> {
        let port = Port::choose(choice, part, flag)?;
        let number = port.number();
        if let crate::port::PortChoice::Preferred(wanted) = choice
            && wanted != number
        {
            progress
                .say(format_args!("port {wanted} is in use: {part} takes {number} ({flag} chooses another)"));
        }
        self._ports.push(port);
        Ok(number)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    fn part(&self, name: &str) -> Result<&Arc<Part>, StackError> {
        self.parts.iter().find(|part| part.name() == name).ok_or_else(|| StackError::NoSuchPart(name.into()))
    }

    async fn wait_for_stores(&self, options: &StackOptions) -> Result<(), StackError> {
        let kafka = async {
            if options.parts.has_kafka() {
                self.wait_ready(KAFKA).await?;
                topic::create(self.kafka_brokers(), &self.kafka_properties, options.partitions).await?;
            }
            Ok(())
        };
        let clickhouse = async {
            if options.parts.has_clickhouse() {
                self.wait_ready(CLICKHOUSE).await?;
                migration::migrate(self.clickhouse()?).await?;
            }
            Ok(())
        };
        tokio::try_join!(kafka, clickhouse).map(drop)
    }
}

/// Runs what blocks beside the runtime's own threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
