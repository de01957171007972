//! What the adapters cost: CPU time of one core for a beacon of five events of equal content in each format, from the
//! body to the beacon that is encoded.
//!
//! `cargo run --release -p ingest --example adapters`
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::path::PathBuf;

use anyhow::Context;
use ingest::adapter::Format;
use ingest::admission::objection::Objections;
use ingest::admission::{Notation, Request};
use ingest::apps::Apps;
use ingest::hints::Hints;
use ingest::user_agent::Client;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use schema::record::encode_beacon;
use serde_json::{Value, json};

/// Beacons of a round; the fastest of the rounds counts.
const BEACONS: u32 = 20_000;
const ROUNDS: usize = 7;
const AT_MS: i64 = 1_795_405_626_000;

/// The same five events for every format: name, ms after the first, value and attributes.
fn events() -> [(&'static str, i64, Option<f64>, Value); 5] {
    [
        ("journey.start", 0, None, json!({"journey": "watch-lecture", "attempt": "a-81f"})),
        (
            "browser.navigation",
            40,
            Some(414.0),
            json!({"url": "https://app.example/lectures/48151623", "type": "navigate"}),
        ),
        (
            "http.client",
            60,
            Some(125.5),
            json!({"url": "https://app.example/api/lectures/48151623?part=2", "method": "GET", "status": "200"}),
        ),
        (
            "browser.web_vital",
            90,
            Some(228.0),
            json!({"name": "LCP", "id": "v6-1795405625553-2466434463563", "rating": "good", "url": "https://app.example/lectures/48151623"}),
        ),
        (
            "journey.end",
            153,
            Some(153.0),
            json!({"journey": "watch-lecture", "attempt": "a-81f", "outcome": "success"}),
        ),
    ]
}

fn native() -> Value {
    let events = events().map(|(name, after, value, attributes)| {
        json!({"name": name, "time": AT_MS + after, "value": value, "attributes": attributes})
    });
    json!({"key": "k", "id": "01J9ZQ4V7M3W8R5T2X6Y0A1B2C", "session": "s-81f0c2d4", "release": "2026.11.3",
        "sequence": 3, "sent_at": AT_MS + 160, "sample_rate": 1.0, "events": events})
}

fn faro() -> Value {
    let stamp = |after: i64| jiff::Timestamp::from_millisecond(AT_MS + after).map(|at| format!("{at:.3}"));
    let mut list = Vec::new();
    let mut measurements = Vec::new();
    for (name, after, value, mut attributes) in events() {
        let timestamp = stamp(after).unwrap_or_default();
        let text = value.map(|value| value.to_string());
        match name {
            "browser.web_vital" => measurements.push(json!({
                "type": "web-vitals", "timestamp": timestamp, "values": {"lcp": value, "delta": value},
                "context": {"id": attributes["id"], "rating": "good", "navigation_entry_id": "hUYBJPERqJ"},
            })),
            "browser.navigation" => list.push(json!({
                "name": "faro.performance.navigation", "timestamp": timestamp, "domain": "browser",
                "attributes": {"name": attributes["url"], "type": "navigate", "pageLoadTime": text},
            })),
            "http.client" => list.push(json!({
                "name": "faro.performance.resource", "timestamp": timestamp, "domain": "browser",
                "attributes": {"name": attributes["url"], "initiatorType": "fetch", "duration": text,
                    "responseStatus": "200", "method": "GET"},
            })),
            _ => {
                if let Some(text) = text {
                    attributes["duration_ms"] = json!(text);
                }
                list.push(json!({"name": name, "timestamp": timestamp, "domain": "browser", "attributes": attributes}));
            }
        }
    }
    json!({
        "meta": {
            "app": {"name": "web", "version": "2026.11.3", "environment": "production"},
            "session": {"id": "s-81f0c2d4", "attributes": {"previousSession": "s-0"}},
            "page": {"url": "https://app.example/lectures/48151623"},
            "browser": {"name": "Chrome", "version": "156.0.0.0", "os": "Linux", "mobile": false},
            "sdk": {"name": "faro-core", "version": "2.12.1", "integrations": []},
        },
        "events": list, "measurements": measurements,
    })
}

fn otlp() -> Value {
    let any = |value: &Value| json!({"key": "", "value": {"stringValue": value}});
    let pair = |key: &str, value: &Value| {
        let mut pair = any(value);
        pair["key"] = json!(key);
        pair
    };
    let records = events().map(|(name, after, value, attributes)| {
        let (event, prefix, url) = match name {
            "browser.navigation" => ("browser.navigation_timing", "browser.navigation_timing.", "url.full"),
            "browser.web_vital" => (name, "browser.web_vital.", "url.full"),
            _ => (name, "", "url.full"),
        };
        let mut list: Vec<Value> = attributes
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| if key == "url" { pair(url, value) } else { pair(&format!("{prefix}{key}"), value) })
            .collect();
        let value_name = match name {
            "browser.navigation" => "browser.navigation_timing.duration",
            "browser.web_vital" => "browser.web_vital.value",
            _ => "duration_ms",
        };
        if let Some(value) = value {
            list.push(json!({"key": value_name, "value": {"doubleValue": value}}));
        }
        let nanoseconds = format!("{}000000", AT_MS + after);
        json!({"timeUnixNano": nanoseconds, "observedTimeUnixNano": nanoseconds, "severityNumber": 9, "body": {},
            "eventName": event, "attributes": list, "droppedAttributesCount": 0})
    });
    let resource = [("service.name", "web"), ("service.version", "2026.11.3"), ("session.id", "s-81f0c2d4")]
        .map(|(key, value)| pair(key, &json!(value)));
    json!({"resourceLogs": [{"resource": {"attributes": resource, "droppedAttributesCount": 0},
        "scopeLogs": [{"scope": {"name": "studyapp"}, "logRecords": records}]}]})
}

/// CPU time of this thread.
fn cpu_ns() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let us = |time: TimeVal| time.num_microseconds() as f64;
    Ok((us(usage.user_time()) + us(usage.system_time())) * 1e3)
}

fn main() -> anyhow::Result<()> {
    let file =
        "app: web\nkeys: [k]\nroutes: [\"/lectures/:id\", \"/lectures/:id/play\", \"/api/lectures/:id\"]\n";
    let apps = Apps::new(vec![(PathBuf::from("web.yaml"), serde_yaml_ng::from_str(file)?)])?;
    let client =
        Client { os: "Linux".into(), browser: "Chrome".into(), device_class: "desktop", ..Client::default() };
    println!("{:>12} {:>7} {:>7} {:>10} {:>7}", "format", "bytes", "events", "ns/beacon", "ratio");
    let mut first_ns = None;
    for (format, body) in [(Format::Native, native()), (Format::Faro, faro()), (Format::OtlpLogs, otlp())] {
        let body = body.to_string();
        let request = Request {
            body: body.as_bytes(),
            write_key: Some("k"),
            origin: None,
            idempotency_key: None,
            session: None,
            country: "",
            client: &client,
            hints: Hints::default(),
            objections: Objections::default(),
            received_at_ms: AT_MS + 200,
            arrival: 0,
            notation: Notation::Json,
            apps: &apps,
        };
        let events: usize =
            format.adapt(&request)?.admitted.iter().map(|admitted| admitted.beacon.events.len()).sum();
        let mut buffer = Vec::new();
        let mut best_ns = f64::INFINITY;
        for _ in 0..ROUNDS {
            let before_ns = cpu_ns()?;
            for _ in 0..BEACONS {
                let admission = format.adapt(&request)?;
                let admitted = admission.admitted.first().context("no beacon")?;
                buffer = encode_beacon(&admitted.beacon, buffer);
            }
            best_ns = f64::min(best_ns, (cpu_ns()? - before_ns) / f64::from(BEACONS));
        }
        let first = *first_ns.get_or_insert(best_ns);
        println!(
            "{:>12} {:>7} {events:>7} {best_ns:>10.0} {:>7.2}",
            format.name(),
            body.len(),
            best_ns / first
        );
    }
    Ok(())
}
