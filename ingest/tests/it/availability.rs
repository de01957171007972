//! What happens when the broker is away, and when the process is told to stop.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use deploy::stack::KAFKA;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stand::{Stand, app_files, beacons, session, shared_kafka, start_kafka, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_the_answer_is_503_and_all_is_well_when_it_is_back() {
    let kafka = Arc::new(start_kafka().await);
    let stand = Stand::start_on(Arc::clone(&kafka), |config| config.kafka.acknowledge_timeout_ms = 500).await;
    wait_for("readiness", async || stand.admin("/readyz").await.0 == 200).await;
    kafka.stop_part(KAFKA).await.unwrap();

    let body = |name: &str| format!("{{\"session\":\"{}\",\"events\":[]}}", session(name));
    let answer = stand.beacon(body("away")).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["error"], "not_durable");
    wait_for("unreadiness", async || stand.admin("/readyz").await.0 == 503).await;
    assert_eq!(stand.admin("/healthz").await.0, 200);

    kafka.start_part(KAFKA).await.unwrap();
    wait_for("acceptance", async || stand.beacon(body("back")).send().await.unwrap().status() == 202).await;
    assert!(beacons(kafka.kafka_brokers()).iter().any(|(found, ..)| *found == session("back")));
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_stop_answers_what_is_in_flight() {
    let (kafka, apps) = (shared_kafka().await, app_files());
    let mut process = Command::new(env!("CARGO_BIN_EXE_ingest"))
        .env("INGEST_LISTEN", "127.0.0.1:0")
        .env("INGEST_ADMIN_LISTEN", "127.0.0.1:0")
        .env("INGEST_APPS_DIR", apps.path())
        .env("INGEST_KAFKA__BROKERS", kafka.kafka_brokers())
        // Long enough that requests are in flight when the signal comes.
        .env("INGEST_KAFKA__PROPERTIES__LINGER_MS", "1500")
        .env("LOG_FORMAT", "json")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    let started = log.by_ref().map(Result::unwrap).find(|line| line.contains("\"started\"")).unwrap();
    let started: Value = serde_json::from_str(&started).unwrap();
    let url = format!("http://{}/v1/beacons?key=web-key", started["fields"]["listen"].as_str().unwrap());
    let drained = std::thread::spawn(move || log.map(Result::unwrap).collect::<Vec<_>>());

    let client = reqwest::Client::new();
    let admin = format!("http://{}/metrics", started["fields"]["admin"].as_str().unwrap());
    let session = session("in-flight");
    let requests: Vec<_> = (0..8)
        .map(|number| {
            let body = format!("{{\"session\":\"{session}\",\"id\":\"{number}\",\"events\":[]}}");
            tokio::spawn(client.post(&url).body(body).send())
        })
        .collect();
    wait_for("requests in flight", async || {
        let metrics = client.get(&admin).send().await.unwrap().text().await.unwrap();
        metrics.contains("ingest_requests_in_flight 8")
    })
    .await;
    kill(Pid::from_raw(process.id() as i32), Signal::SIGTERM).unwrap();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 202);
    }
    let status = tokio::task::spawn_blocking(move || process.wait().unwrap());
    let status = tokio::time::timeout(Duration::from_secs(30), status).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(drained.join().unwrap().iter().any(|line| line.contains("\"stopped\"")));
    assert!(client.post(&url).body("{}").send().await.is_err());
    assert_eq!(beacons(kafka.kafka_brokers()).iter().filter(|(found, ..)| *found == session).count(), 8);
}
