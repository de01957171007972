//! What the guarantees need is checked at the start, and refused with a sentence.

use aggregator::startup::Aggregator;
use schema::definition::{DefinitionSet, EngineSettings};

use crate::stand::{Stand, TOKEN, create_topic};

#[tokio::test(flavor = "multi_thread")]
async fn what_would_break_the_guarantees_is_refused() {
    let stand = Stand::without_definitions("refused").await;
    let refusal = async |config| match Aggregator::start(config).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };

    let mut config = stand.config();
    config.kafka.topic = "refused.nowhere".into();
    assert!(refusal(config).await.starts_with("topic refused.nowhere does not exist"));

    create_topic(&stand.stack, "refused.client-time", 1, "CreateTime").await;
    let mut config = stand.config();
    config.kafka.topic = "refused.client-time".into();
    let sentence = refusal(config).await;
    assert!(sentence.contains("has message.timestamp.type=CreateTime"), "{sentence}");

    let mut config = stand.config();
    config.clickhouse.password = "wrong".into();
    let sentence = refusal(config).await;
    assert!(sentence.contains("Authentication failed"), "{sentence}");

    let mut config = stand.config();
    config.kafka.properties.insert("max.poll.interval.ms".into(), "3600000".into());
    let sentence = refusal(config).await;
    // 2 × 727 batches by time and 18,150 by records, each with samples of eight days.
    let expect = "table sli.attempt_samples remembers 20000 parts, but 156832 can be inserted in the 3630 s";
    assert!(sentence.starts_with(expect), "{sentence}");

    stand.clickhouse.execute("CREATE DATABASE IF NOT EXISTS refused").await.unwrap();
    let mut config = stand.config();
    config.clickhouse.database = "refused".into();
    let sentence = refusal(config).await;
    assert!(sentence.starts_with("database refused has no table journey_minutes"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_the_tables_cannot_bear_is_not_activated() {
    let stand = Stand::without_definitions("unbearable").await;
    let aggregator = Aggregator::start(stand.config()).await.unwrap();
    let settings = EngineSettings { flush_interval_ms: 1, ..EngineSettings::default() };
    let set = DefinitionSet::new(settings, Vec::new(), Vec::new());
    let answer = reqwest::Client::new()
        .post(format!("http://{}/definitions", aggregator.admin_address()))
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(serde_json::to_vec(&set).unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 409);
    let sentence = answer.text().await.unwrap();
    assert!(sentence.contains("a batch each 1 ms or 200000 records"), "{sentence}");
    aggregator.stop().await.unwrap();
}
