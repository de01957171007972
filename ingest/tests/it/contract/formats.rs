//! Each wire format as its clients send it, and what they are answered.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{Recording, recording};
use crate::stand::{ORIGIN, Stand, beacons, session};

/// Recordings of each SDK: prefix, how many, where it sends, its session, and the status of the answer.
const RECORDED: [(&str, usize, &str, &str, u16); 8] = [
    ("faro", 7, "/collect", "0uNuitGEYC", 202),
    ("otlp-json", 5, "/v1/logs", "69e87eb6-cb01-4380-bfc2-65af9be09929", 200),
    ("otlp-json-traces", 3, "/v1/traces", "69e87eb6-cb01-4380-bfc2-65af9be09929", 200),
    ("otlp-proto", 5, "/v1/logs", "a5371487-0683-4b62-8dad-a34de5dfb7bf", 200),
    ("boomerang-post", 3, "/beacon", "b353fcee-2846-4d67-a613-f85485c4777a-toxrv6", 204),
    ("boomerang-get", 3, "/beacon", "b8052ccf-fa22-4e9b-97f1-20df33e81b4a-toxrvc", 200),
    ("web-vitals", 2, "/v1/web-vitals", "", 202),
    ("nel", 4, "/v1/reports", "", 204),
];
/// What a page may send in a header that is another's in the tests.
const KEY: &str = "web-key";

/// Sends a recording to `path` with the key of the tests.
async fn send(stand: &Stand, recording: &Recording, path: &str) -> Response {
    let query = recording.target.split_once('?').map_or("", |(_, query)| query);
    let url = format!("http://{}{path}?key={KEY}&{query}", stand.ingest.address());
    let mut request = stand.client.request(recording.method.parse().unwrap(), url);
    for (name, value) in &recording.headers {
        request = request.header(name, if name == "x-api-key" { KEY } else { value });
    }
    request.body(recording.body()).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_requests_are_accepted_as_browsers_send_them() {
    let stand = Stand::start().await;
    for (prefix, count, path, _, status) in RECORDED {
        for number in 1..=count {
            let name = format!("{prefix}-{number:02}.json");
            let recording = recording(&name);
            let answer = send(&stand, &recording, path).await;
            assert_eq!(answer.status(), status, "{name}");
            if recording.headers.contains_key("origin") {
                assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN, "{name}");
                assert_eq!(answer.headers()["access-control-allow-credentials"], "true", "{name}");
            }
            let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            let body = answer.bytes().await.unwrap();
            match (path, prefix) {
                ("/v1/logs" | "/v1/traces", "otlp-proto") => {
                    assert_eq!((kind.as_deref(), body.as_ref()), (Some("application/x-protobuf"), &b""[..]));
                }
                ("/beacon", "boomerang-get") => {
                    assert_eq!(kind.as_deref(), Some("image/gif"));
                    assert!(body.starts_with(b"GIF89a\x01\0\x01\0") && body.ends_with(b";"), "{body:?}");
                }
                _ if status == 204 => assert!(body.is_empty()),
                _ => assert_eq!((kind.as_deref(), body.as_ref()), (Some("application/json"), &b"{}"[..])),
            }
        }
    }
    let found = beacons(stand.brokers());
    for (prefix, count, _, session, _) in RECORDED.iter().filter(|recorded| !recorded.3.is_empty()) {
        let sent: usize =
            RECORDED.iter().filter(|recorded| recorded.3 == *session).map(|recorded| recorded.1).sum();
        assert_eq!(found.iter().filter(|(of, ..)| of == session).count(), sent, "{prefix} {count}");
    }
    let vitals = found.iter().filter(|(session, key, _)| session.is_empty() && key.starts_with("v6-"));
    assert_eq!(vitals.count(), 5);
    let failures = found.iter().filter(|(.., text)| text.contains("\"network.error\""));
    assert_eq!(failures.count(), 2);
    for secret in ["u-123", "Mozilla", "203.0.113.7", "sdk="] {
        assert!(found.iter().all(|(.., text)| !text.contains(secret)), "{secret}");
    }
    let (_, metrics) = stand.admin("/metrics").await;
    for line in [
        "ingest_events_rejected_total{reason=\"other_http_source\"} 4",
        "ingest_events_rejected_total{reason=\"repeated_page_load\"} 2",
        "ingest_events_rejected_total{reason=\"browser_retry\"} 1",
        "ingest_requests_total{format=\"boomerang\",status=\"200\"} 3",
        "ingest_requests_total{format=\"otlp_logs\",status=\"200\"} 10",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_send_after_their_preflights() {
    let stand = Stand::start().await;
    for (name, path) in [
        ("faro", "/collect"),
        ("otlp-json", "/v1/logs"),
        ("otlp-json-traces", "/v1/traces"),
        ("otlp-proto", "/v1/logs"),
        ("nel", "/v1/reports"),
    ] {
        let recording = recording(&format!("{name}-preflight-01.json"));
        let answer = send(&stand, &recording, path).await;
        assert_eq!(answer.status(), 204, "{name}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_lowercase();
        assert_eq!(header("access-control-allow-origin"), ORIGIN, "{name}");
        let allowed = header("access-control-allow-headers");
        for wanted in recording.headers["access-control-request-headers"].split(',') {
            assert!(allowed.split(", ").any(|allowed| allowed == wanted.trim()), "{name} {wanted}");
        }
    }
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_those_of_the_configuration() {
    let kafka = crate::stand::shared_kafka().await;
    let stand = Stand::start_on(kafka, |config| {
        let paths = &mut config.paths;
        let all = [
            &mut paths.beacons,
            &mut paths.faro,
            &mut paths.otlp_logs,
            &mut paths.otlp_traces,
            &mut paths.boomerang,
            &mut paths.web_vitals,
            &mut paths.network_errors,
        ];
        for path in all {
            *path = format!("/x{path}");
        }
    })
    .await;
    for (prefix, _, path, ..) in RECORDED {
        let status = async |path: &str| stand.post(path).send().await.unwrap().status().as_u16();
        // Without key and content: it is refused where there is somebody who reads it.
        assert!(matches!(status(&format!("/x{path}")).await, 400 | 401), "{prefix}");
        assert_eq!(status(path).await, 404, "{prefix}");
    }
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_clients_read_answers_of_their_own_notation() {
    let stand = Stand::start().await;
    let post = |path: &str, kind: &str, body: &[u8]| {
        stand.post(path).header("content-type", kind).header("x-api-key", KEY).body(body.to_vec()).send()
    };
    let read = async |answer: Response| {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let kind = headers["content-type"].to_str().unwrap().to_owned();
        (status, kind, answer.bytes().await.unwrap().to_vec())
    };
    let partly = json!({"resourceLogs": [
        {"scopeLogs": [{"logRecords": [{"eventName": "a"}, {"body": {"stringValue": "free text"}}]}]},
    ]});
    let (status, kind, body) =
        read(post("/v1/logs", "application/json", partly.to_string().as_bytes()).await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "1 rejected: log_not_kept 1"}})
    );
    let spans =
        json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a", "endTimeUnixNano": "x"}]}]}]});
    let (_, _, body) =
        read(post("/v1/traces", "application/json", spans.to_string().as_bytes()).await.unwrap()).await;
    assert!(String::from_utf8(body).unwrap().contains("rejectedSpans"));

    let (status, kind, body) = read(post("/v1/logs", "application/x-protobuf", b"\xff").await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (400, "application/x-protobuf"));
    assert_eq!(body[..2], [0x08, 3], "code 3 of a status");
    assert!(String::from_utf8_lossy(&body).contains("invalid_body"));
    let (status, kind, body) = read(post("/v1/logs", "application/json", b"{").await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (400, "application/json"));
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], 3);
    let (status, kind, _) = read(post("/v1/logs", "text/html", b"{}").await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (415, "application/json"));
    let get = stand.client.get(format!("http://{}/v1/traces", stand.ingest.address())).send().await.unwrap();
    assert_eq!((get.status().as_u16(), get.headers()["allow"].to_str().unwrap()), (405, "POST, OPTIONS"));
    assert_eq!(get.json::<Value>().await.unwrap()["code"], 12);
    let head = stand.client.request(Method::HEAD, format!("http://{}/beacon", stand.ingest.address()));
    let head = head.send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.headers()["allow"].to_str().unwrap()),
        (405, "GET, POST, OPTIONS")
    );
    stand.ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_s_request_is_durable_as_a_whole() {
    let stand = Stand::start().await;
    let (web, ios) = (session("gateway-web"), session("gateway-ios"));
    let resource = |key: &str, session: &str| {
        let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        json!({
            "resource": {"attributes": [attribute("sli.write_key", key), attribute("session.id", session)]},
            "scopeLogs": [{"logRecords": [{"eventName": "session.start"}]}],
        })
    };
    let body = json!({"resourceLogs": [resource("web-key", &web), resource("ios-key", &ios), resource("none", "s")]});
    for _ in 0..2 {
        let answer = stand.post("/v1/logs").body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let message = &answer.json::<Value>().await.unwrap()["partialSuccess"]["errorMessage"];
        assert_eq!(message, "1 rejected: wrong_key 1");
    }
    let found = beacons(stand.brokers());
    for (of, app) in [(&web, "web"), (&ios, "ios")] {
        let texts: Vec<_> =
            found.iter().filter(|(session, ..)| session == of).map(|(.., text)| text).collect();
        assert_eq!(texts.len(), 2);
        let id = |text: &str| text.split("id: ").nth(1).unwrap()[..34].to_owned();
        assert_eq!(id(texts[0]), id(texts[1]), "a repeat is known by its id");
        assert!(texts[0].contains(&format!("app: {app:?}")), "{}", texts[0]);
    }
    stand.ingest.stop().await;
}
