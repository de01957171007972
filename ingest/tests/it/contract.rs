//! What each request is answered, and what of it is on the log.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ingest::startup::Ingest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stand::{
    ORIGIN, Stand, app_files, beacons, config, session, shared_kafka, ticked_partitions, wait_for,
};

mod formats;

#[derive(Deserialize)]
struct Recording {
    method: String,
    target: String,
    headers: std::collections::BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
}

impl Recording {
    fn body(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(text)) => BASE64.decode(text).unwrap(),
            (None, None) => Vec::new(),
        }
    }
}

fn recording(name: &str) -> Recording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/beacons").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_202_is_on_the_log() {
    let stand = Stand::start().await;
    let session = session("durable");
    let body = json!({"session": session, "id": "b-1", "events": [
        {"name": "journey.start", "attributes": {"journey": "watch-lecture", "user.id": "u-1"}},
        {"name": "late", "value": -5},
    ]});
    let answer = stand.beacon(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer, json!({"accepted": 1, "rejected": [{"index": 1, "reason": "invalid_value"}]}));

    let found: Vec<_> = beacons(stand.brokers()).into_iter().filter(|(of, ..)| *of == session).collect();
    assert_eq!(found.len(), 1);
    let (_, key, text) = &found[0];
    assert_eq!(*key, session);
    assert!(text.contains("\"watch-lecture\"") && text.contains("(\"invalid_value\", 1)"), "{text}");
    assert!(!text.contains("u-1"), "{text}");
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_told_at_the_next_launch_is_on_the_log_of_its_session() {
    let stand = Stand::start().await;
    let (crashed, launched) = (session("crashed"), session("launched"));
    let body = json!({"session": launched, "id": "launch", "events": [
        {"name": "app.crash", "attributes": {"session": crashed, "type": "SIGSEGV"}},
        {"name": "app.start", "value": 900},
    ]});
    let answer = stand.beacon(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"accepted": 2, "rejected": []}));
    let log = beacons(stand.brokers());
    for (of, has, has_not) in [(&crashed, "app.crash", "app.start"), (&launched, "app.start", "app.crash")] {
        let found: Vec<_> = log.iter().filter(|(session, ..)| session == of).collect();
        assert_eq!(found.len(), 1);
        let (_, key, text) = found[0];
        assert_eq!(key, of);
        assert!(text.contains(has) && !text.contains(has_not), "{text}");
    }
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_status_and_a_reason() {
    let stand = Stand::start().await;
    let url = format!("http://{}/v1/beacons", stand.ingest.address());
    let good = r#"{"session":"s","events":[]}"#;
    let with =
        |key: &str, body: &str| stand.post("/v1/beacons").header("x-api-key", key).body(body.to_owned());
    let mut answers = Vec::new();
    for (name, request) in [
        ("no key", stand.post("/v1/beacons").body(good)),
        ("wrong key", with("other", good)),
        ("wrong key in the query", stand.post("/v1/beacons?key=other").body(good)),
        ("wrong key in the body", stand.post("/v1/beacons").body(r#"{"key":"other","events":[]}"#)),
        ("foreign origin", with("web-key", good).header("origin", "https://evil.example")),
        ("origin of a native app", with("ios-key", good).header("origin", ORIGIN)),
        ("form", with("web-key", good).header("content-type", "application/x-www-form-urlencoded")),
        ("compress", with("web-key", good).header("content-encoding", "compress")),
        ("not gzip", with("web-key", good).header("content-encoding", "gzip")),
        ("invalid JSON", with("web-key", "{\"events\":")),
        ("NaN", with("web-key", r#"{"events":[{"name":"a","value":NaN}]}"#)),
        ("array", with("web-key", "[]")),
        ("no events", with("web-key", "{}")),
        ("rate", with("web-key", r#"{"sample_rate":7,"events":[]}"#)),
        ("1 MiB", with("web-key", &"x".repeat(1 << 20))),
        ("no such path", stand.post("/v2").body(good)),
        ("wrong method", stand.client.get(&url)),
    ] {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        answers.push(format!("{name}: {status} {body}"));
    }
    insta::assert_snapshot!(answers.join("\n"));
    let (_, metrics) = stand.admin("/metrics").await;
    assert!(metrics.contains("ingest_refused_total{error=\"body_too_large\"} 1"), "{metrics}");
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_still_sending_reads_why_it_is_refused() {
    let stand = Stand::start().await;
    let address = stand.ingest.address();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "POST /v1/beacons HTTP/1.1\r\nhost: x\r\nx-api-key: web-key\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        for _ in 0..16 {
            stream.write_all(chunk.as_bytes()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    });
    assert_eq!(answer.await.unwrap(), "HTTP/1.1 413");
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    const MORE: usize = 5_000;
    let stand = Stand::start().await;
    let address = stand.ingest.address();
    let answers = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let body = format!("{{\"events\":[],\"release\":\"{}\"}}", "\r\n\r\n x".repeat(40));
        let post = format!(
            "POST /v1/beacons HTTP/1.1\r\nhost: x\r\nx-api-key: web-key\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let requests =
            [post.as_bytes(), &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(MORE), post.as_bytes()].concat();
        let mut writing = stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || writing.write_all(&requests).unwrap());
        let (mut read, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while read.windows(9).filter(|window| window == b"HTTP/1.1 ").count() < MORE + 2 {
            let bytes = stream.read(&mut buffer).unwrap_or_else(|error| {
                panic!("{error} after {}", String::from_utf8_lossy(&read[read.len().saturating_sub(300)..]))
            });
            assert!(bytes > 0, "the connection was closed");
            read.extend_from_slice(&buffer[..bytes]);
        }
        writer.join().unwrap();
        let text = String::from_utf8_lossy(&read).into_owned();
        text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect::<Vec<_>>()
    });
    let answers = answers.await.unwrap();
    let expect = [vec!["400"], vec!["404"; MORE], vec!["400"]].concat();
    assert_eq!(answers, expect);
    assert!(!stand.admin("/metrics").await.1.contains("ingest_bodies_held_bytes 1"), "nothing is held");
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_listed_origins_may_send_and_read() {
    let stand = Stand::start().await;
    let preflight = recording("faro-preflight-01.json");
    let ask = |origin: &str| {
        let mut request = stand
            .client
            .request(reqwest::Method::OPTIONS, format!("http://{}/collect", stand.ingest.address()));
        for (name, value) in &preflight.headers {
            request = request.header(name, if name == "origin" { origin } else { value });
        }
        request.send()
    };
    let answer = ask(&preflight.headers["origin"]).await.unwrap();
    assert_eq!(answer.status(), 204);
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_lowercase());
    assert_eq!(header("access-control-allow-origin").as_deref(), Some(ORIGIN));
    assert_eq!(header("access-control-allow-credentials").as_deref(), Some("true"));
    assert!(header("access-control-max-age").is_some());
    assert!(header("access-control-allow-methods").unwrap().contains("post"));
    let allowed = header("access-control-allow-headers").unwrap();
    for name in ["content-encoding", "content-type", "idempotency-key", "x-api-key", "x-faro-session-id"] {
        assert!(allowed.contains(name), "{name}");
    }
    let exposed = header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("retry-after") && exposed.contains("x-faro-session-status"));

    let foreign = ask("https://evil.example").await.unwrap();
    assert_eq!(foreign.status(), 403);
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));

    let answer = stand.beacon("{").header("origin", ORIGIN).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["access-control-allow-origin"].to_str().unwrap()),
        (400, ORIGIN)
    );
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_ticks() {
    let stand = Stand::start().await;
    let partitions: Vec<i32> = (0..deploy::stack::PARTITIONS).collect();
    wait_for("tick in every partition", async || ticked_partitions(stand.brokers()) == partitions).await;
    wait_for("readiness", async || stand.admin("/readyz").await.0 == 200).await;
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_serve_is_refused_with_a_sentence() {
    let (kafka, apps) = (shared_kafka().await, app_files());
    let start = async |topic: &str, properties: Value| {
        let mut config = config(kafka.kafka_brokers(), apps.path().into());
        config.kafka.topic = topic.into();
        config.kafka.properties = serde_json::from_value(properties).unwrap();
        Ingest::start(config).await.err().map(|error| error.to_string())
    };
    assert!(start("no.such.topic", json!({})).await.unwrap().contains("topic no.such.topic does not exist"));
    // The topic of rejects keeps its producers' time.
    let error = start("rum.rejects", json!({})).await.unwrap();
    assert!(error.contains("has message.timestamp.type=CreateTime"), "{error}");
    let error = start("rum.beacons", json!({"message.max.bytes": 2_000_000})).await.unwrap();
    assert!(error.contains("max.message.bytes=1048588, but the client"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_counts_as_the_beacons_that_it_holds() {
    let stand = Stand::start_on(shared_kafka().await, |config| {
        (config.rates.key_requests_per_s, config.rates.key_burst) = (1, 10);
    })
    .await;
    let send = async |key: &str, sessions: std::ops::Range<usize>, resource_key: &str| {
        let records: Vec<Value> = sessions
            .map(|number| {
                let id =
                    json!({"key": "session.id", "value": {"stringValue": session(&format!("r{number}"))}});
                json!({"eventName": "a", "attributes": [id]})
            })
            .collect();
        let key_attribute = json!({"key": "sli.write_key", "value": {"stringValue": resource_key}});
        let body = json!({"resourceLogs": [{"resource": {"attributes": [key_attribute]},
            "scopeLogs": [{"logRecords": records}]}]});
        let request = stand.post("/v1/logs").header("x-api-key", key).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send("web-key", 0..8, "web-key").await, 200);
    assert_eq!(send("web-key", 8..16, "web-key").await, 429);
    // The key of the head is not the one that is written with.
    assert_eq!(send("ios-key", 16..24, "web-key").await, 200);
    assert_eq!(send("ios-key", 24..32, "web-key").await, 429);
    assert!(stand.admin("/metrics").await.1.contains("ingest_refused_total{error=\"too_many_requests\"} 2"));
    stand.ingest.stop().await;
}
