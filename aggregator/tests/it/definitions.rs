//! `POST /definitions`: who may, what is refused, and that every partition gets the set.

use std::net::SocketAddr;

use aggregator::config::KafkaConfig;
use aggregator::records;
use aggregator::startup::Aggregator;
use serde_json::{Value, json};

use crate::stand::{PARTITIONS, Stand, TOKEN, wait_for};

async fn post(address: SocketAddr, token: Option<&str>, body: Vec<u8>) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(format!("http://{address}/definitions")).body(body);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_reaches_every_partition_and_only_from_who_may() {
    let stand = Stand::without_definitions("activated").await;
    let aggregator = Aggregator::start(stand.config()).await.unwrap();
    let admin = aggregator.admin_address();
    let set = stand.definitions();
    let body = serde_json::to_vec(&set).unwrap();

    for token in [None, Some("wrong")] {
        let (status, answer) = post(admin, token, body.clone()).await;
        assert_eq!((status, &answer["error"]), (401, &json!("unauthorized")));
    }
    let mut changed = set.clone();
    changed.settings.grace_ms += 1;
    for bad in [b"{".to_vec(), serde_json::to_vec(&changed).unwrap()] {
        let (status, answer) = post(admin, Some(TOKEN), bad).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_definitions")));
    }
    let (status, answer) = post(admin, Some(TOKEN), body).await;
    assert_eq!((status, answer), (202, json!({"id": set.id, "partitions": PARTITIONS})));

    stand.produce_sessions(0..20).await;
    stand.wait_for_sessions(20).await;
    wait_for("the set in its table", async || {
        let query = format!("SELECT count() > 0 AS found FROM sli.definitions WHERE set_id = '{}'", set.id);
        stand.row(&query).await["found"] == 1
    })
    .await;
    aggregator.stop().await.unwrap();

    let kafka = KafkaConfig { topic: stand.topic.clone(), ..stand.config().kafka };
    let mut lines = Vec::new();
    records::print(&kafka, u64::MAX, &mut lines).unwrap();
    let partitions: Vec<_> = lines
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|record| record["kind"] == "definitions" && record["content"]["id"] == set.id)
        .map(|record| record["partition"].as_i64().unwrap())
        .collect();
    assert_eq!(partitions.len(), PARTITIONS as usize);
}
