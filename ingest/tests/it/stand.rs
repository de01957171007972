//! A Kafka for all tests, a server for each, and a reader of what became durable.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use deploy::stack::{Parts, Stack, StackOptions};
use ingest::config::Config;
use ingest::startup::Ingest;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use reqwest::{Client, RequestBuilder};
use schema::record::Record;
use tokio::sync::Mutex;

/// The topic of the local stack.
pub(crate) const TOPIC: &str = "rum.beacons";
/// The page that app `web` lists.
pub(crate) const ORIGIN: &str = "https://app.example";
/// How long an answer, or a condition, may take.
const PATIENCE: Duration = Duration::from_secs(60);

static KAFKA: Mutex<Weak<Stack>> = Mutex::const_new(Weak::new());

/// A Kafka that tests share while any of them runs, and none stops.
pub(crate) async fn shared_kafka() -> Arc<Stack> {
    let mut shared = KAFKA.lock().await;
    if let Some(stack) = shared.upgrade() {
        return stack;
    }
    let stack = Arc::new(start_kafka().await);
    *shared = Arc::downgrade(&stack);
    stack
}

/// A Kafka of its own.
pub(crate) async fn start_kafka() -> Stack {
    Stack::start(StackOptions::of(Parts::Kafka)).await.unwrap()
}

/// A server on free ports, with its app files.
pub(crate) struct Stand {
    pub(crate) ingest: Ingest,
    pub(crate) client: Client,
    pub(crate) kafka: Arc<Stack>,
    _apps: tempfile::TempDir,
}

pub(crate) fn app_files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "web.yaml",
        &format!("app: web\nkeys: [web-key]\norigins: [\"{ORIGIN}\"]\nroutes: [\"/lectures/:id\"]\n"),
    );
    write("ios.yaml", "app: ios\nkeys: [ios-key]\nplatform: ios\n");
    dir
}

pub(crate) fn config(brokers: &str, apps_dir: PathBuf) -> Config {
    let mut config = Config { apps_dir, workers: 2, ..Config::default() };
    config.listen.set_port(0);
    config.admin_listen.set_port(0);
    config.kafka.brokers = brokers.into();
    config
}

impl Stand {
    pub(crate) async fn start() -> Self {
        Self::start_on(shared_kafka().await, |_| ()).await
    }

    pub(crate) async fn start_on(kafka: Arc<Stack>, change: impl FnOnce(&mut Config)) -> Self {
        let apps = app_files();
        let mut config = config(kafka.kafka_brokers(), apps.path().into());
        change(&mut config);
        let ingest = Ingest::start(config).await.unwrap();
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self { ingest, client, kafka, _apps: apps }
    }

    pub(crate) fn brokers(&self) -> &str {
        self.kafka.kafka_brokers()
    }

    pub(crate) fn post(&self, target: &str) -> RequestBuilder {
        self.client.post(format!("http://{}{target}", self.ingest.address()))
    }

    /// A native beacon with the right key.
    pub(crate) fn beacon(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.post("/v1/beacons")
            .header("x-api-key", "web-key")
            .header("content-type", "application/json")
            .body(body)
    }

    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        let answer =
            self.client.get(format!("http://{}{path}", self.ingest.admin_address())).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// A session that no other test has.
pub(crate) fn session(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// Waits until `condition` holds.
pub(crate) async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {what} in time"));
}

/// What stands on the log now, as text: of each beacon its session, key and debug form.
pub(crate) fn beacons(brokers: &str) -> Vec<(String, String, String)> {
    read(brokers, |key, record| match record {
        Record::Beacon(beacon) => Some((beacon.session.to_string(), key.to_owned(), format!("{beacon:?}"))),
        Record::Tick | Record::Definitions(_) => None,
    })
}

/// The partitions that hold a tick.
pub(crate) fn ticked_partitions(brokers: &str) -> Vec<i32> {
    let mut partitions: Vec<i32> = read_with_partition(brokers, |partition, _, record| {
        matches!(record, Record::Tick).then_some(partition)
    });
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

fn read<T>(brokers: &str, mut keep: impl FnMut(&str, Record<'_>) -> Option<T>) -> Vec<T> {
    read_with_partition(brokers, |_, key, record| keep(key, record))
}

fn read_with_partition<T>(brokers: &str, mut keep: impl FnMut(i32, &str, Record<'_>) -> Option<T>) -> Vec<T> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "ingest-tests")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let timeout = Duration::from_secs(20);
    let metadata = consumer.fetch_metadata(Some(TOPIC), timeout).unwrap();
    let mut assignment = TopicPartitionList::new();
    let mut remaining = Vec::new();
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(TOPIC, partition.id(), timeout).unwrap();
        if high > low {
            assignment.add_partition_offset(TOPIC, partition.id(), Offset::Offset(low)).unwrap();
            remaining.push((partition.id(), high));
        }
    }
    consumer.assign(&assignment).unwrap();
    let mut kept = Vec::new();
    while !remaining.is_empty() {
        let message = consumer.poll(timeout).expect("a record before the end").unwrap();
        let key = message.key().map(|key| std::str::from_utf8(key).unwrap()).unwrap_or_default();
        kept.extend(keep(message.partition(), key, Record::decode(message.payload().unwrap()).unwrap()));
        remaining
            .retain(|(partition, high)| *partition != message.partition() || message.offset() + 1 < *high);
    }
    kept
}
