//! A start from a snapshot gives the numbers of a start without one, whatever became of the snapshots.

use std::time::Duration;

use aggregator::clock;
use aggregator::config::{Config, SnapshotsConfig};
use aggregator::snapshots::{Chunk, Slot};
use aggregator::startup::Aggregator;
use nix::sys::signal::Signal;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};
use schema::definition::DefinitionSet;
use schema::record::encode_definitions;
use serde_json::Value;

use crate::exactly_once::Process;
use crate::stand::{PARTITIONS, Stand, client, ended, get, started, wait_for};

const SESSIONS: u64 = 400;
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// Outlasts what the machine may take between the two halves of an attempt.
const TIMEOUT_MS: u64 = 600_000;

/// What becomes of the snapshots while nobody runs.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Kept,
    Deleted,
    Damaged,
    /// A later one was begun and not finished.
    Unfinished,
    /// The restarted process has no topic for them.
    NoTopic,
}

/// What is compared: the tables, but for when it was.
#[derive(Debug, PartialEq)]
struct Picture {
    attempts: Value,
    records: Value,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_from_snapshots_gives_the_same_tables_as_one_without() {
    let began_ms = clock::wall_ms();
    let (kept, deleted, damaged, unfinished, no_topic) = tokio::join!(
        killed_and_restarted("snapshots-kept", Fate::Kept, began_ms),
        killed_and_restarted("snapshots-deleted", Fate::Deleted, began_ms),
        killed_and_restarted("snapshots-damaged", Fate::Damaged, began_ms),
        killed_and_restarted("snapshots-unfinished", Fate::Unfinished, began_ms),
        killed_and_restarted("snapshots-no-topic", Fate::NoTopic, began_ms),
    );
    let partitions = PARTITIONS as u64;
    assert_eq!(counter(&kept.1, "aggregator_snapshots_total{what=\"read\"}"), partitions);
    assert_eq!(counter(&unfinished.1, "aggregator_snapshots_total{what=\"read\"}"), partitions);
    for (_, metrics) in [&deleted, &damaged, &no_topic] {
        assert_eq!(counter(metrics, "aggregator_snapshots_total{what=\"read\"}"), 0);
    }
    let damaged_ignored = counter(&damaged.1, "aggregator_snapshots_ignored_total{reason=\"damaged\"}");
    assert!(damaged_ignored >= partitions, "{damaged_ignored} of {}", damaged.1);
    // A replay reads the log from its beginning, a snapshot spares most of that.
    let replayed = |metrics: &str| counter(metrics, "aggregator_records_total{replay=\"true\"}");
    assert!(replayed(&deleted.1) >= SESSIONS, "{}", replayed(&deleted.1));
    assert!(replayed(&kept.1) < replayed(&deleted.1) / 2, "{}", replayed(&kept.1));

    assert_eq!(deleted.0.attempts["attempts"], SESSIONS);
    assert_eq!(deleted.0.attempts["success"], SESSIONS - SESSIONS / 10);
    assert_eq!(deleted.0.records["duplicates"], SESSIONS);
    for other in [&kept, &damaged, &unfinished, &no_topic] {
        assert_eq!(other.0, deleted.0);
    }
}

/// Begins attempts, kills the aggregator when there are snapshots, and ends the attempts when it runs again, which
/// only the state from before knows: what the tables say, and the metrics of the second run.
async fn killed_and_restarted(name: &str, fate: Fate, began_ms: i64) -> (Picture, String) {
    let stand = Stand::without_definitions(name).await;
    let mut set = stand.definitions();
    set.journeys[0].timeout_ms = TIMEOUT_MS;
    let set = DefinitionSet::new(set.settings, set.apps, set.journeys);
    for partition in 0..PARTITIONS {
        stand.produce(Some(partition), "", &encode_definitions(&set)).await;
    }
    let mut config = stand.config();
    config.kafka.snapshots = SnapshotsConfig { interval_records: 50, interval_s: 1, replay_records_min: 50 };

    let mut process = Process::start(&config);
    produce_halves(&stand, 0..SESSIONS - 20, began_ms, "start").await;
    wait_for("snapshots", async || (0..PARTITIONS).all(|partition| held(&stand, partition).1 > 0)).await;
    // Something to replay after the snapshot.
    produce_halves(&stand, SESSIONS - 20..SESSIONS, began_ms, "start").await;
    wait_for("progress", async || records(&stand).await["counted"] == SESSIONS).await;
    process.signal(Signal::SIGKILL);

    apply(fate, &stand, &mut config).await;
    let aggregator = Aggregator::start(config).await.unwrap();
    produce_halves(&stand, 0..SESSIONS, began_ms, "start").await;
    produce_halves(&stand, 0..SESSIONS, began_ms, "end").await;
    let expected = 2 * SESSIONS;
    wait_for("both halves", async || records(&stand).await["counted"] == expected).await;
    wait_for("settled attempts", async || attempts(&stand).await["attempts"] == SESSIONS).await;
    let (_, metrics) = get(aggregator.admin_address(), "/metrics").await;
    aggregator.stop().await.unwrap();
    let gaps = stand.row("SELECT count() AS gaps FROM sli.audit WHERE topic = '{topic}'").await;
    assert_eq!(gaps["gaps"], 0, "{name}");
    (Picture { attempts: attempts(&stand).await, records: records(&stand).await }, metrics)
}

/// One beacon a session: the journey's beginning or its end.
async fn produce_halves(stand: &Stand, sessions: std::ops::Range<u64>, began_ms: i64, half: &str) {
    let sends = sessions.map(|session| async move {
        let key = format!("session-{session}");
        let ended_ms = began_ms + 100 + (session % 50) as i64;
        let event = match (half, session % 10) {
            ("start", _) => started(began_ms),
            (_, 9) => ended(ended_ms, "failure"),
            (_, _) => ended(ended_ms, "success"),
        };
        let beacon = stand.beacon_of(&format!("{half}-{session}"), &key, ended_ms, vec![event]);
        stand.produce(None, &key, &beacon).await;
    });
    futures::future::join_all(sends).await;
}

async fn attempts(stand: &Stand) -> Value {
    stand
        .row(
            "SELECT sum(attempts) AS attempts, sum(success) AS success, sum(failure) AS failure, \
             sum(timeout) AS timeout, sum(unknown) AS unknown, sum(sessions) AS sessions, \
             sum(sessions_hurt) AS hurt, toString(sumMap(latency)) AS latency \
             FROM sli.journey_minutes WHERE app = '{app}'",
        )
        .await
}

async fn records(stand: &Stand) -> Value {
    stand
        .row(
            "SELECT sum(counted) AS counted, sum(reasons['duplicate']) AS duplicates, sum(events) AS events, \
             sum(missing_offsets) AS missing FROM sli.batches WHERE topic = '{topic}'",
        )
        .await
}

async fn apply(fate: Fate, stand: &Stand, config: &mut Config) {
    match fate {
        Fate::Kept => {}
        Fate::NoTopic => config.kafka.snapshots_topic = format!("{}.nowhere", stand.name),
        Fate::Deleted => {
            let admin: AdminClient<DefaultClientContext> = client(&stand.stack).create().unwrap();
            let mut all = TopicPartitionList::new();
            for partition in 0..PARTITIONS {
                all.add_partition_offset(&stand.snapshots_topic, partition, Offset::End).unwrap();
            }
            admin.delete_records(&all, &AdminOptions::new()).await.unwrap();
            for partition in 0..PARTITIONS {
                let (low, high) = held(stand, partition);
                assert_eq!(low, high, "nothing is left");
            }
        }
        Fate::Damaged => {
            for (partition, key, mut chunk) in chunks(stand) {
                *chunk.bytes.last_mut().unwrap() ^= 1;
                keep(stand, partition, &key, &chunk).await;
            }
        }
        Fate::Unfinished => {
            let mut newest = std::collections::BTreeMap::new();
            for (partition, key, chunk) in chunks(stand) {
                newest.insert(partition, (key, chunk));
            }
            for (partition, (key, mut chunk)) in newest {
                chunk.title.chunks += 1;
                let slot = Slot::of_key(&key).unwrap().other();
                keep(stand, partition, slot.key(0).as_bytes(), &chunk).await;
            }
        }
    }
}

async fn keep(stand: &Stand, partition: i32, key: &[u8], chunk: &Chunk) {
    let payload = chunk.encode();
    let record = FutureRecord::to(&stand.snapshots_topic).partition(partition).key(key).payload(&payload);
    stand.producer.send(record, BROKER_TIMEOUT).await.map_err(|(error, _)| error).unwrap();
}

fn reader(stand: &Stand) -> BaseConsumer {
    let mut config = client(&stand.stack);
    config.set("group.id", "test-reader").set("enable.partition.eof", "true");
    config.create().unwrap()
}

/// Offsets that a partition of the snapshots holds.
fn held(stand: &Stand, partition: i32) -> (i64, i64) {
    reader(stand).fetch_watermarks(&stand.snapshots_topic, partition, BROKER_TIMEOUT).unwrap()
}

/// Every chunk on the topic of snapshots, with its partition and key.
fn chunks(stand: &Stand) -> Vec<(i32, Vec<u8>, Chunk)> {
    let reader = reader(stand);
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(&stand.snapshots_topic, partition, Offset::Beginning).unwrap();
    }
    reader.assign(&all).unwrap();
    let (mut chunks, mut open) = (Vec::new(), PARTITIONS);
    while open > 0 {
        match reader.poll(BROKER_TIMEOUT).unwrap() {
            Ok(message) => {
                let chunk = Chunk::decode(message.payload().unwrap()).unwrap();
                chunks.push((message.partition(), message.key().unwrap().to_vec(), chunk));
            }
            Err(KafkaError::PartitionEOF(_)) => open -= 1,
            Err(error) => panic!("{error}"),
        }
    }
    chunks
}

/// The value of a metric; nothing counted is 0.
fn counter(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}
