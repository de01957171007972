//! Records that cannot be decoded are counted and kept, and stop nothing.

use aggregator::config::KafkaConfig;
use aggregator::records;
use aggregator::startup::Aggregator;

use crate::stand::{Stand, get, wait_for};

fn records_of(stand: &Stand, topic: &str) -> Vec<serde_json::Value> {
    let kafka = KafkaConfig { topic: topic.into(), ..stand.config().kafka };
    let mut lines = Vec::new();
    records::print(&kafka, u64::MAX, &mut lines).unwrap();
    lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_records_are_kept_with_their_reason() {
    let stand = Stand::new("damaged").await;
    let aggregator = Aggregator::start(stand.config()).await.unwrap();
    let damaged: [&[u8]; 3] = [b"\x01", b"\x09\x01later", b"\x01\x01\xff\xff"];
    for payload in damaged {
        stand.produce(Some(1), "session-x", payload).await;
    }
    stand.produce_sessions(0..50).await;
    stand.wait_for_sessions(50).await;
    let admin = aggregator.admin_address();
    wait_for("rejects that are kept", async || {
        let text = get(admin, "/metrics").await.1;
        text.lines().filter(|line| line.starts_with("aggregator_rejects_total{kept=\"true\"")).count() == 3
    })
    .await;
    aggregator.stop().await.unwrap();

    let undecodable = stand
        .row("SELECT sum(reasons['undecodable']) AS records FROM sli.batches WHERE topic = '{topic}'")
        .await;
    assert_eq!(undecodable["records"], 3);

    let on_the_log: Vec<_> = records_of(&stand, &stand.topic)
        .into_iter()
        .filter(|record| record["kind"] == "undecodable")
        .map(|record| (record["partition"].clone(), record["offset"].clone()))
        .collect();
    let kept: Vec<_> = records_of(&stand, &stand.rejects_topic);
    assert_eq!((on_the_log.len(), kept.len()), (3, 3));
    let header = |record: &serde_json::Value, name: &str| {
        let headers = record["headers"].as_array().unwrap();
        headers.iter().find(|header| header[0] == name).unwrap()[1].as_str().unwrap().to_owned()
    };
    let mut reasons = Vec::new();
    for record in &kept {
        assert_eq!(header(record, "topic"), stand.topic);
        assert_eq!(record["key"], "session-x");
        let place = (header(record, "partition").parse::<i64>(), header(record, "offset").parse::<i64>());
        let (partition, offset) = (place.0.unwrap(), place.1.unwrap());
        assert!(on_the_log.contains(&(partition.into(), offset.into())), "{record}");
        reasons.push(header(record, "reason"));
    }
    reasons.sort_unstable();
    assert_eq!(reasons, ["damaged_beacon", "too_short", "unknown_version"]);
}
