//! Starting and stopping the whole: checks, producer, both servers, ticks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use settings::kafka::PropertyError;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::admin::{self, Admin};
use crate::apps::{Apps, AppsError};
use crate::body::budget::Budget;
use crate::checks::{self, CheckError};
use crate::config::Config;
use crate::connection::{Connection, Connections, Times};
use crate::endpoint::{self, Service};
use crate::log::{Log, LogState, producer_config};
use crate::metrics::Metrics;
use crate::openapi;
use crate::rate::{self, Limiter};
use crate::spool::{OpenError, Spool, drain};
use crate::ticks;
use crate::user_agent::{Families, FamiliesError};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 2_048;
/// How long what a refused client still sends is read, so that it can read the answer.
const LINGER: Duration = Duration::from_secs(5);

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The app files.
    #[error("apps_dir: {0}")]
    Apps(#[from] AppsError),
    /// The embedded database.
    #[error(transparent)]
    Families(#[from] FamiliesError),
    /// A property that librdkafka refuses.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// The client of Kafka could not be made.
    #[error("kafka's client: {0}")]
    Client(rdkafka::error::KafkaError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] OpenError),
    /// Kafka or the topic.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A list that the configuration's validation has not seen.
    #[error("{0}: {1}")]
    Proxies(&'static str, String),
    /// Names of metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// An address is in use, or not ours.
    #[error("{key} = {address}: {source}")]
    Bind {
        /// Key of the configuration.
        key: &'static str,
        /// Address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A running server.
pub struct Ingest {
    address: SocketAddr,
    admin_address: SocketAddr,
    public: ServerHandle,
    admin: ServerHandle,
    tasks: Vec<JoinHandle<()>>,
    log: Arc<Log>,
    spool: Option<Arc<Spool>>,
    stopping: Arc<AtomicBool>,
    shutdown_timeout: Duration,
}

impl Ingest {
    /// Checks what the guarantees need, then opens the sockets.
    ///
    /// # Errors
    /// Says what is missing, in use or set wrong.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let apps = Apps::load(&config.apps_dir)?;
        let families = Families::load()?;
        settings::kafka::check(&producer_config(&config.kafka))?;
        let log = Arc::new(Log::new(&config.kafka).map_err(StartError::Client)?);
        let spool = open_spool(&config)?;
        let checking = check(&config, &log, spool.is_some()).await?;
        let metrics = Arc::new(Metrics::new()?);
        let proxies = config.proxies().map_err(|(key, detail)| StartError::Proxies(key, detail))?;
        let limiter = Arc::new(Limiter::new(&config.rates, apps.slots()));
        let bodies = Arc::new(Budget::new(config.limits.bodies_bytes_max));
        if let Some(spool) = &spool {
            metrics.register(spool.metrics().collectors())?;
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let shutdown_timeout = Duration::from_secs(config.shutdown_timeout_s);
        let admin_service = Data::new(Admin {
            metrics: Arc::clone(&metrics),
            log: Arc::clone(&log),
            bodies: Arc::clone(&bodies),
            spool: spool.clone(),
            openapi: openapi::description(&config).to_string(),
            stopping: Arc::clone(&stopping),
        });
        let (admin, admin_address) = bind_admin(admin_service, config.admin_listen)?;
        let networks = Arc::clone(&metrics);
        let sweep = rate::sweep(Arc::clone(&limiter), move |left| networks.set_networks(left));
        let timely = spool.as_ref().map_or(ticks::INTERVAL, |spool| spool.after());
        let service = Service {
            config,
            apps,
            proxies,
            limiter,
            bodies,
            families,
            log: Arc::clone(&log),
            spool: spool.clone(),
            metrics,
        };
        let (public, address) = bind_public(Data::new(service))?;
        let (public_handle, admin_handle) = (public.handle(), admin.handle());
        tokio::spawn(serve("public", public));
        tokio::spawn(serve("admin", admin));
        let mut tasks = vec![tokio::spawn(ticks::run(Arc::clone(&log), timely)), tokio::spawn(sweep)];
        tasks.extend(checking.map(tokio::spawn));
        tasks.extend(spool.iter().map(|spool| tokio::spawn(drain::run(Arc::clone(spool), Arc::clone(&log)))));
        Ok(Self {
            address,
            admin_address,
            public: public_handle,
            admin: admin_handle,
            tasks,
            log,
            spool,
            stopping,
            shutdown_timeout,
        })
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics and health are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Waits until the producer can go on no more, which only a new process mends. Gives the reason.
    pub async fn broken(&self) -> String {
        self.log.broken().await
    }

    /// Stops accepting, answers what is in flight, and waits until the log has everything. What is in the spool stays
    /// there for the next process.
    pub async fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.public.stop(true).await;
        for task in &self.tasks {
            task.abort();
        }
        if let Some(spool) = &self.spool {
            spool.unlock();
            if self.log.state() != LogState::Answers {
                // Every request was answered; what still waits for the log is in the spool, or was refused.
                return self.admin.stop(true).await;
            }
        }
        let (log, timeout) = (Arc::clone(&self.log), self.shutdown_timeout);
        match tokio::task::spawn_blocking(move || log.flush(timeout)).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, queued = self.log.queued(), "records are lost at the end")
            }
        }
        self.admin.stop(true).await;
    }
}

/// Runs a server until it is told to end.
async fn serve(name: &'static str, server: Server) {
    if let Err(error) = server.await {
        tracing::error!(%error, name, "a server has ended");
    }
}

fn open_spool(config: &Config) -> Result<Option<Arc<Spool>>, OpenError> {
    if config.spool.dir.as_os_str().is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Spool::open(&config.spool)?)))
}

/// Checks the topic. With a spool a broker that is away does not keep the process from starting: the log is not used
/// before the check has succeeded, which the given future sees to.
async fn check(
    config: &Config,
    log: &Arc<Log>,
    has_spool: bool,
) -> Result<Option<impl Future<Output = ()> + use<>>, CheckError> {
    let wait = if has_spool { checks::SPOOL_WAIT } else { checks::DEPENDENCY_WAIT };
    match checks::check_topic(&config.kafka, wait).await {
        Ok(()) => Ok(None),
        Err(error @ CheckError::KafkaAway { .. }) if has_spool => {
            tracing::warn!(%error, "beacons go to the spool");
            log.set_state(LogState::Unchecked);
            Ok(Some(checks::check_until_right(config.kafka.clone(), Arc::clone(log))))
        }
        Err(error) => Err(error),
    }
}

fn bind_public(service: Data<Service>) -> Result<(Server, SocketAddr), StartError> {
    let config = &service.config;
    let (listen, limits, shutdown_timeout_s) =
        (config.listen, config.limits.clone(), config.shutdown_timeout_s);
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let connections = Arc::new(Connections::new(
        service.proxies.clone(),
        Arc::clone(&service.bodies),
        Times {
            head: Duration::from_secs(limits.head_timeout_s),
            idle: Duration::from_secs(limits.keep_alive_s + limits.head_timeout_s),
        },
        limits.network_connections_max,
    ));
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(limits.connections_max.div_ceil(workers))
        .shutdown_timeout(shutdown_timeout_s)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    // As the framework's own server does it, but for the connections, which are ours.
    let worker = move || {
        let (service, stopping, connections) =
            (Data::clone(&service), stopping.clone(), Arc::clone(&connections));
        let app = App::new()
            .configure(|routes| endpoint::configure(routes, &service))
            .default_service(web::to(endpoint::no_endpoint))
            .into_factory()
            .map_err(|error: actix_web::Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(Duration::from_secs(limits.keep_alive_s))
            .client_request_timeout(Duration::from_secs(limits.head_timeout_s))
            .client_disconnect_timeout(LINGER)
            .local_addr(listen)
            .on_connect_ext(|connection: &Connection, extensions| connection.attach(extensions))
            .h1(map_config(app, |_| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let connections = Arc::clone(&connections);
            async move {
                stream.set_nodelay(true)?;
                let peer = stream.peer_addr().ok();
                match connections.open(stream, peer) {
                    Some(connection) => Ok((connection, peer)),
                    None => Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into())),
                }
            }
        })
        .and_then(http)
    };
    let server = listener(listen).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((vec![address], builder.listen("public", listener, worker)?.run()))
    });
    bound(server, "listen", listen)
}

fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn bind_admin(admin: Data<Admin>, listen: SocketAddr) -> Result<(Server, SocketAddr), StartError> {
    let app = move || App::new().configure(|routes| admin::configure(routes, &admin));
    let server = HttpServer::new(app).workers(1).shutdown_timeout(1).disable_signals();
    bound(server.bind(listen).map(|server| (server.addrs(), server.run())), "admin_listen", listen)
}

fn bound(
    server: io::Result<(Vec<SocketAddr>, Server)>,
    key: &'static str,
    listen: SocketAddr,
) -> Result<(Server, SocketAddr), StartError> {
    let (addresses, server) = server.map_err(|source| StartError::Bind { key, address: listen, source })?;
    Ok((server, addresses.first().copied().unwrap_or(listen)))
}
