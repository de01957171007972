//! The peers' Kafka engine on a real broker and database: what was copied of the log is in its tables, and answers.

use std::time::Duration;

use deploy::stack::{CLICKHOUSE, Parts, Stack, StackOptions};
use deploy::topic::BEACONS;
use loadtest::observe::Process;
use loadtest::peers::copy::{Copied, copy, create_topic};
use loadtest::peers::engine::{Engine, Fills};
use loadtest::peers::questions::{Answering, Tables, ask_all};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::record::encode_beacon;
use schema::value::Value;

const TOPIC: &str = "peers.minutes";
const PATIENCE: Duration = Duration::from_secs(60);

fn beacon(id: String) -> Beacon<'static> {
    let event = Event {
        name: "browser.navigation".into(),
        time_ms: 1_800_000_000_000,
        time_method: TimeMethod::AsSent,
        time_correction_ms: 0,
        value: Value::from_units(900).ok(),
        attributes: vec![("route".into(), "/home".into())],
    };
    Beacon {
        id: id.into(),
        app: "studyapp-web".into(),
        environment: "production".into(),
        session: "s-1".into(),
        sequence: Some(1),
        release: "1".into(),
        platform: "web".into(),
        os: "".into(),
        browser: "".into(),
        device_class: "".into(),
        country: "".into(),
        connection: "".into(),
        segment: "".into(),
        received_at_ms: 1_800_000_000_100,
        sent_at_ms: None,
        bot: false,
        weight: 1,
        events: vec![event.clone(), event],
        rejected: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_copied_of_the_log_is_in_the_tables_and_answers() {
    let stack = Stack::start(StackOptions::of(Parts::Stores)).await.unwrap();
    let brokers = stack.kafka_brokers().to_owned();
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    // The last one is the first one again.
    for number in [0, 1, 2, 3, 0] {
        let record = encode_beacon(&beacon(format!("b-{number}")), Vec::new());
        let record = FutureRecord::to(BEACONS).key("s-1").payload(&record);
        producer.send(record, PATIENCE).await.unwrap();
    }
    create_topic(&brokers, TOPIC, 2).await.unwrap();
    let clickhouse = stack.clickhouse().unwrap();
    let engine = Engine { clickhouse, database: "peers", fills: Fills::EventsAndMinutes };
    engine.create(&brokers, TOPIC).await.unwrap();
    let copied = tokio::task::spawn_blocking(move || copy(&brokers, BEACONS, TOPIC, 1_000.0)).await.unwrap();
    assert_eq!(copied.unwrap(), Copied { beacons: 5, events: 10, repeated_events: 2 });
    engine.filled(10, PATIENCE).await.unwrap();
    engine.detach().await.unwrap();
    let too_many = engine.filled(9, PATIENCE).await.unwrap_err().to_string();
    assert_eq!(too_many, "peers holds 10 events where 9 were sent");
    let rows = stack
        .query("SELECT sum(events) AS events, quantilesTDigestIfMerge(0.5, 0.75, 0.95, 0.99)(latency)[3] AS p95 FROM peers.minutes")
        .await
        .unwrap();
    assert_eq!((rows[0]["events"].as_u64(), rows[0]["p95"].as_f64()), (Some(10), Some(900.0)));
    let pid = stack.pid(CLICKHOUSE).unwrap();
    let answering =
        Answering { url: stack.clickhouse_url().to_owned(), process: Process::with_pid(CLICKHOUSE, pid) };
    let answered = ask_all(&answering, &answering, &[Tables::Minutes, Tables::Events]).await.unwrap();
    // Every event is a page load, so what asks for those reads all of them, and what asks for others skips some.
    let rows: Vec<u64> = answered
        .iter()
        .filter(|answer| answer.tables == Tables::Events)
        .map(|answer| answer.asked.rows)
        .collect();
    assert!(rows.contains(&10) && rows.iter().all(|rows| *rows <= 10), "{rows:?}");
    stack.stop().await;
}
