//! Kafka away: every 2xx is in the topic afterwards, whatever happened to the process meanwhile.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deploy::stack::{KAFKA, Signal};
use ingest::startup::Ingest;
use reqwest::Client;
use serde_json::Value;
use tokio::time::Instant;

use crate::stand::{app_files, beacons, config, session, start_kafka, wait_for};

/// No answer may take longer: the wait for Kafka, the wait for the disk, and a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(6);

/// An `ingest` that can be killed.
struct Process {
    child: Child,
    url: String,
    admin: String,
}

impl Process {
    fn start(brokers: &str, apps: &Path, spool: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ingest"))
            .env("INGEST_LISTEN", "127.0.0.1:0")
            .env("INGEST_ADMIN_LISTEN", "127.0.0.1:0")
            .env("INGEST_APPS_DIR", apps)
            .env("INGEST_KAFKA__BROKERS", brokers)
            .env("INGEST_SPOOL__DIR", spool)
            .env("INGEST_SPOOL__AFTER_MS", "500")
            .env("LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = log.by_ref().map(Result::unwrap).find(|line| line.contains("\"started\"")).unwrap();
        let started: Value = serde_json::from_str(&started).unwrap();
        std::thread::spawn(move || log.for_each(drop));
        let address = |name: &str| started["fields"][name].as_str().unwrap().to_owned();
        Self {
            child,
            url: format!("http://{}/v1/beacons?key=web-key", address("listen")),
            admin: format!("http://{}", address("admin")),
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of a metric without labels.
async fn metric(client: &Client, admin: &str, name: &str) -> f64 {
    let Ok(answer) = client.get(format!("{admin}/metrics")).send().await else { return f64::NAN };
    let text = answer.text().await.unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or(f64::NAN)
}

fn body(session: &str) -> String {
    format!("{{\"session\":\"{session}\",\"id\":\"{session}\",\"events\":[]}}")
}

/// Sends beacons of numbered sessions until it is stopped; keeps those that were answered 2xx.
struct Load {
    url: Arc<Mutex<String>>,
    accepted: Arc<Mutex<Vec<String>>>,
    slowest: Arc<Mutex<Duration>>,
    ended: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(prefix: &str, url: &str) -> Self {
        let load = Self {
            url: Arc::new(Mutex::new(url.to_owned())),
            accepted: Arc::default(),
            slowest: Arc::default(),
            ended: Arc::default(),
            tasks: Vec::new(),
        };
        let tasks = (0..8).map(|task| {
            let (url, accepted) = (Arc::clone(&load.url), Arc::clone(&load.accepted));
            let (slowest, ended) = (Arc::clone(&load.slowest), Arc::clone(&load.ended));
            let prefix = format!("{prefix}-{task}");
            tokio::spawn(async move {
                let client = Client::new();
                for number in 0.. {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let session = format!("{prefix}-{number}");
                    let target = url.lock().unwrap().clone();
                    let sent = Instant::now();
                    if let Ok(answer) = client.post(target).body(body(&session)).send().await {
                        let mut slowest = slowest.lock().unwrap();
                        *slowest = slowest.max(sent.elapsed());
                        if answer.status().is_success() {
                            accepted.lock().unwrap().push(session);
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        });
        Self { tasks: tasks.collect(), ..load }
    }

    fn aim(&self, url: &str) {
        *self.url.lock().unwrap() = url.to_owned();
    }

    /// Waits until so many more were answered 2xx.
    async fn more(&self, count: usize) {
        let before = self.accepted.lock().unwrap().len();
        wait_for("accepted beacons", async || self.accepted.lock().unwrap().len() >= before + count).await;
    }

    async fn end(self) -> (Vec<String>, Duration) {
        self.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        (std::mem::take(&mut *self.accepted.lock().unwrap()), *self.slowest.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_2xx_is_in_the_topic_after_outages_and_a_kill() {
    let (kafka, apps, dir) = (start_kafka().await, app_files(), tempfile::tempdir().unwrap());
    let spool = dir.path().join("spool");
    let client = Client::new();
    let mut process = Process::start(kafka.kafka_brokers(), apps.path(), &spool);
    let load = Load::start(&session("outage"), &process.url);
    load.more(50).await;

    // A broker that does not answer, though its connections stay.
    kafka.kill_part(KAFKA, Signal::SIGSTOP).unwrap();
    wait_for("the spool", async || metric(&client, &process.admin, "ingest_spool_records").await > 100.0)
        .await;
    assert_eq!(client.get(format!("{}/readyz", process.admin)).send().await.unwrap().status(), 200);
    process.kill();
    process = Process::start(kafka.kafka_brokers(), apps.path(), &spool);
    load.aim(&process.url);
    assert!(metric(&client, &process.admin, "ingest_spool_records").await >= 100.0);
    load.more(100).await;
    kafka.kill_part(KAFKA, Signal::SIGCONT).unwrap();
    wait_for("draining", async || metric(&client, &process.admin, "ingest_spool_records").await == 0.0).await;

    // A broker that is gone.
    load.more(50).await;
    kafka.stop_part(KAFKA).await.unwrap();
    wait_for("the spool", async || metric(&client, &process.admin, "ingest_spool_records").await > 100.0)
        .await;
    process.kill();
    // The end of the last segment as a power cut may leave it: half a frame.
    let last = std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path());
    let last =
        last.filter(|path| path.extension().is_some_and(|extension| extension == "spool")).max().unwrap();
    let mut torn = std::fs::OpenOptions::new().append(true).open(last).unwrap();
    torn.write_all(&[0xc5, b'S', b'L', 0x9d, 200, 0, 0, 0, 1, 2, 3, 4, 5]).unwrap();
    process = Process::start(kafka.kafka_brokers(), apps.path(), &spool);
    load.aim(&process.url);
    load.more(100).await;
    kafka.start_part(KAFKA).await.unwrap();
    wait_for("draining", async || metric(&client, &process.admin, "ingest_spool_records").await == 0.0).await;
    load.more(50).await;
    let (accepted, slowest) = load.end().await;
    wait_for("an empty spool", async || metric(&client, &process.admin, "ingest_spool_bytes").await == 0.0)
        .await;
    let torn = metric(&client, &process.admin, "ingest_spool_unreadable_total{what=\"torn\"}").await;
    assert_eq!(torn, 1.0);
    let drained = metric(&client, &process.admin, "ingest_spool_drained_records_total").await;
    assert!(drained >= 200.0, "{drained}");

    let found: BTreeSet<String> =
        beacons(kafka.kafka_brokers()).into_iter().map(|(session, ..)| session).collect();
    let missing: Vec<&String> = accepted.iter().filter(|session| !found.contains(*session)).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), accepted.len());
    assert!(slowest < ANSWER_MAX, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_is_answered_503_and_nothing_waits() {
    let (apps, dir) = (app_files(), tempfile::tempdir().unwrap());
    // Nobody listens there.
    let mut config = config("127.0.0.1:1", apps.path().into());
    config.spool.dir = dir.path().join("spool");
    config.spool.bytes_max = 4_096;
    let ingest = Ingest::start(config).await.unwrap();
    let (url, admin) = (
        format!("http://{}/v1/beacons?key=web-key", ingest.address()),
        format!("http://{}", ingest.admin_address()),
    );
    let client = Client::new();
    let mut accepted = 0;
    let refused = loop {
        let answer = client.post(&url).body(body(&format!("full-{accepted}"))).send().await.unwrap();
        if answer.status() != 202 {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 1_000);
    };
    assert!(accepted > 5);
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    let refused: Value = refused.json().await.unwrap();
    assert!(refused["detail"].as_str().unwrap().contains("spool is full"), "{refused}");
    assert_eq!(metric(&client, &admin, "ingest_spool_records").await, f64::from(accepted));
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_costs_what_is_damaged_and_keeps_nobody_from_starting() {
    let (kafka, apps, dir) = (crate::stand::shared_kafka().await, app_files(), tempfile::tempdir().unwrap());
    let spool = dir.path().join("spool");
    let mut away = config("127.0.0.1:1", apps.path().into());
    away.spool.dir = spool.clone();
    let ingest = Ingest::start(away.clone()).await.unwrap();
    let client = Client::new();
    let prefix = session("damage");
    for number in 0..20 {
        let url = format!("http://{}/v1/beacons?key=web-key", ingest.address());
        let answer = client.post(&url).body(body(&format!("{prefix}-{number}."))).send().await.unwrap();
        assert_eq!(answer.status(), 202);
    }
    ingest.stop().await;
    let file = std::fs::read_dir(&spool)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "spool"))
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let victim = format!("{prefix}-7.");
    let at = bytes.windows(victim.len()).position(|window| window == victim.as_bytes()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    let mut back = config(kafka.kafka_brokers(), apps.path().into());
    back.spool.dir = spool.clone();
    let ingest = Ingest::start(back).await.unwrap();
    let admin = format!("http://{}", ingest.admin_address());
    wait_for("an empty spool", async || metric(&client, &admin, "ingest_spool_bytes").await == 0.0).await;
    assert_eq!(metric(&client, &admin, "ingest_spool_unreadable_total{what=\"damaged\"}").await, 1.0);
    assert_eq!(metric(&client, &admin, "ingest_spool_drained_records_total").await, 19.0);
    let found = beacons(kafka.kafka_brokers()).into_iter().filter(|(found, ..)| found.starts_with(&prefix));
    let found: Vec<String> = found.map(|(session, ..)| session).collect();
    assert_eq!(found.len(), 19, "{found:?}");
    assert!(!found.contains(&victim));
    assert!(file.with_extension("damaged").exists());
    ingest.stop().await;
}
