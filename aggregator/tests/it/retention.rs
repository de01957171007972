//! What the log lost, and what was away at the start: said, counted, and nothing else changed by it.

use std::net::{SocketAddr, TcpListener};

use aggregator::config::KafkaConfig;
use aggregator::records;
use aggregator::startup::Aggregator;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::{Offset, TopicPartitionList};
use schema::definition::DefinitionSet;
use schema::record::encode_definitions;
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::stand::{PARTITIONS, Stand, get, wait_for};

/// Offsets that nobody had read when they were deleted.
const LOST: i64 = 10;

/// Deletes the records before these offsets, by partition.
async fn delete_records(stand: &Stand, before: [i64; 2]) {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", stand.stack.kafka_brokers());
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(before) {
        offsets.add_partition_offset(&stand.topic, partition, Offset::Offset(offset)).unwrap();
    }
    let deleted = admin.delete_records(&offsets, &AdminOptions::new()).await.unwrap();
    deleted.elements().iter().for_each(|element| element.error().unwrap());
}

/// Sessions whose beacon is in this range of partition 1.
fn sessions_in(stand: &Stand, offsets: std::ops::Range<i64>) -> u64 {
    let kafka = KafkaConfig { topic: stand.topic.clone(), ..stand.config().kafka };
    let mut lines = Vec::new();
    records::print(&kafka, u64::MAX, &mut lines).unwrap();
    let records = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let is_in = |record: &Value| {
        record["kind"] == "beacon"
            && record["partition"] == 1
            && record["offset"].as_i64().is_some_and(|offset| offsets.contains(&offset))
    };
    records.filter(is_in).count() as u64
}

/// Makes another set active, in the midst of what a replay needs; gives its id.
async fn activate_second_set(stand: &Stand) -> String {
    let DefinitionSet { mut settings, apps, journeys, .. } = stand.definitions();
    settings.grace_ms += 100;
    let second = DefinitionSet::new(settings, apps, journeys);
    for partition in 0..PARTITIONS {
        stand.produce(Some(partition), "", &encode_definitions(&second)).await;
    }
    let expect =
        json!({"sets": [second.id], "replay_sets": [stand.definitions().id], "partitions": PARTITIONS});
    wait_for("batches of the second set", async || {
        let last = "SELECT groupUniqArray(last.1) AS sets, groupUniqArray(last.2) AS replay_sets, \
                    count() AS partitions FROM (SELECT argMax((definition_set, replay_definition_set), next_offset) \
                    AS last FROM sli.batches WHERE topic = '{topic}' GROUP BY partition)";
        stand.row(last).await == expect
    })
    .await;
    second.id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_lost_is_said_and_the_rest_is_counted() {
    let stand = Stand::new("retention").await;
    let aggregator = Aggregator::start(stand.config()).await.unwrap();
    stand.produce_sessions(0..100).await;
    stand.wait_for_sessions(100).await;
    let second = activate_second_set(&stand).await;
    aggregator.stop().await.unwrap();

    let next_offsets = stand
        .row(
            "SELECT maxIf(next_offset, partition = 0) AS of_0, maxIf(next_offset, partition = 1) AS of_1, \
             minIf(replay_from, partition = 0 AND next_offset > 1) AS replay_from \
             FROM sli.batches WHERE topic = '{topic}'",
        )
        .await;
    let [of_0, of_1, replay_from] =
        ["of_0", "of_1", "replay_from"].map(|column| next_offsets[column].as_i64().unwrap());
    assert!(replay_from < of_0, "the state of partition 0 needs records that were counted");
    stand.produce_sessions(100..200).await;
    let lost_sessions = sessions_in(&stand, of_1..of_1 + LOST);
    assert!(lost_sessions > 0);
    delete_records(&stand, [of_0, of_1 + LOST]).await;

    let aggregator = Aggregator::start(stand.config()).await.unwrap();
    stand.produce_sessions(200..300).await;
    let expected = 300 - lost_sessions;
    wait_for("the sessions that the log still held", async || {
        let counted = "SELECT (SELECT sum(attempts) FROM sli.journey_minutes WHERE app = '{app}') AS attempts, \
                       (SELECT sum(counted) FROM sli.batches WHERE topic = '{topic}') AS beacons";
        stand.row(counted).await == json!({"attempts": expected, "beacons": expected})
    })
    .await;
    let metrics = get(aggregator.admin_address(), "/metrics").await.1;
    for line in [
        "aggregator_partition_starts_total{how=\"state_incomplete\"} 1\n",
        "aggregator_partition_starts_total{how=\"records_lost\"} 1\n",
        "aggregator_missing_offsets_total 10\n",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    aggregator.stop().await.unwrap();

    let audit = stand
        .row(
            "SELECT count() AS findings, any(problem) AS problem, any(partition) AS partition, \
             any(detail) AS detail FROM sli.audit WHERE topic = '{topic}'",
        )
        .await;
    let missing = json!({"findings": 1, "problem": "missing", "partition": 1,
                         "detail": "10 offsets were no longer in the log"});
    assert_eq!(audit, missing);
    let sets = stand
        .row(&format!(
            "SELECT groupUniqArray(definition_set) AS sets, uniqExact(partition) AS partitions \
             FROM sli.batches WHERE topic = '{{topic}}' AND first_offset >= if(partition = 0, {of_0}, {of_1})"
        ))
        .await;
    assert_eq!(sets, json!({"sets": [second], "partitions": PARTITIONS}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_clickhouse_and_says_so() {
    let stand = Stand::new("late-clickhouse").await;
    let proxy = Proxy::start(stand.stack.clickhouse_url(), false).await;
    proxy.refuse(true);
    let mut config = stand.config();
    config.clickhouse.url = proxy.url();
    let admin = free_address();
    config.admin_listen = admin;
    let starting = tokio::spawn(Aggregator::start(config));
    wait_for("a sentence about clickhouse", async || {
        let Ok(answer) = reqwest::get(format!("http://{admin}/readyz")).await else { return false };
        let status = answer.status().as_u16();
        status == 503 && answer.text().await.is_ok_and(|text| text.contains("waits for clickhouse"))
    })
    .await;
    stand.produce_sessions(0..50).await;
    proxy.refuse(false);
    let aggregator = starting.await.unwrap().unwrap();
    stand.wait_for_sessions(50).await;
    wait_for("ready", async || get(admin, "/readyz").await.0 == 200).await;
    aggregator.stop().await.unwrap();
}

/// An address that was free a moment ago, known before the server listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
