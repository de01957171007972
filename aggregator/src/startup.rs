//! Brings the process up in order and takes it down again; tests run the same server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use settings::kafka::PropertyError;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::admin::{self, Admin};
use crate::checks::{self, CheckError};
use crate::clickhouse::{ClickHouse, ClickHouseError};
use crate::clock;
use crate::config::Config;
use crate::consumer::{self, ConsumerContext, ConsumerError, RunningConsumer};
use crate::control::Control;
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::rejects::Rejects;
use crate::status::{PING, Status};
use crate::writer::WriterContext;

/// How often it is looked whether ClickHouse answers, beside the inserts.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const FINISHED_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A librdkafka property is not known or has a bad value.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// A client of Kafka could not be made.
    #[error("kafka's client: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// The client of ClickHouse could not be made.
    #[error(transparent)]
    ClickHouse(#[from] ClickHouseError),
    /// Metrics could not be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The admin server could not listen.
    #[error("admin_listen = {address}: {source}")]
    Listen {
        /// Address as configured.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// What the guarantees need does not hold.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// The running process.
pub struct Aggregator {
    admin_address: SocketAddr,
    admin: ServerHandle,
    consumer: RunningConsumer,
    prober: JoinHandle<()>,
}

impl Aggregator {
    /// Checks what the guarantees need and starts; health and metrics answer from the beginning.
    ///
    /// # Errors
    /// Says what does not hold, and what to do.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        crate::kafka::check_properties(&config.kafka)?;
        let timeouts = crate::kafka::group_timeouts(&config.kafka)?;
        let clickhouse = ClickHouse::new(&config.clickhouse)?;
        let (metrics, status) = (Arc::new(Metrics::new()?), Arc::new(Status::default()));
        let producer = crate::kafka::producer(&config.kafka)?;
        let control = Control::new(producer.clone(), &config.kafka.topic);
        let admin = Admin {
            metrics: Arc::clone(&metrics),
            status: Arc::clone(&status),
            control: control.clone(),
            clickhouse: clickhouse.clone(),
            timeouts,
            definitions_token: config.definitions_token.expose().into(),
        };
        let bound = admin::bind(admin, config.admin_listen)
            .map_err(|source| StartError::Listen { address: config.admin_listen, source })?;
        tokio::spawn(bound.server);
        status.waits_for(Some("kafka and the topic of the log".into()));
        let partitions = checks::check_log(&config.kafka).await?;
        status.waits_for(Some("clickhouse and its tables".into()));
        checks::check_tables(&clickhouse, &config.kafka.topic, partitions, timeouts).await?;
        status.waits_for(None);

        let prober = tokio::spawn(probe(clickhouse.clone(), Arc::clone(&status)));
        let runtime = Handle::current();
        let rejects = Rejects::new(producer.clone(), &config.kafka, Arc::clone(&metrics), runtime.clone());
        let lease = Arc::new(Lease::new(timeouts.session));
        let writer = WriterContext { clickhouse, metrics, status, lease };
        let context = ConsumerContext { kafka: config.kafka, producer, writer, control, rejects };
        let consumer = consumer::start(context, runtime)?;
        Ok(Self { admin_address: bound.address, admin: bound.handle, consumer, prober })
    }

    /// Where the admin server listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Returns when the consumer has ended, which it does by itself only when something is broken.
    pub async fn ended(&self) {
        while !self.consumer.is_finished() {
            tokio::time::sleep(FINISHED_CHECK_INTERVAL).await;
        }
    }

    /// Stops consuming, writes what is queued for a bounded time, and leaves the group.
    ///
    /// # Errors
    /// When the consumer had ended by itself.
    pub async fn stop(self) -> Result<(), ConsumerError> {
        self.consumer.stop();
        self.ended().await;
        self.prober.abort();
        self.admin.stop(true).await;
        self.consumer.join()
    }
}

async fn probe(clickhouse: ClickHouse, status: Arc<Status>) {
    loop {
        match clickhouse.ping().await {
            Ok(()) => status.clickhouse_succeeded(PING),
            Err(error) => status.clickhouse_failed(PING, &error.to_string(), clock::monotonic()),
        }
        tokio::time::sleep(PING_INTERVAL).await;
    }
}
