//! A beacon of five events of equal content in each format that a browser sends them in.

use ingest::adapter::Format;
use serde_json::{Value, json};

/// The formats.
pub(crate) const FORMATS: [Format; 3] = [Format::Native, Format::Faro, Format::OtlpLogs];
/// When the first event happened, ms since the epoch.
pub(crate) const AT_MS: i64 = 1_795_405_626_000;

/// A body; the number makes its session, and the id where the format has one.
///
/// # Panics
/// When there is none of the format.
pub(crate) fn body(format: Format, number: usize) -> String {
    let session = session(number);
    let body = match format {
        Format::Native => native(&session, number),
        Format::Faro => faro(&session),
        Format::OtlpLogs => otlp(&session),
        Format::OtlpTraces | Format::Boomerang | Format::WebVitals | Format::NetworkErrors => {
            unreachable!("there is no body in this format")
        }
    };
    body.to_string()
}

/// The session of a body.
pub(crate) fn session(number: usize) -> String {
    format!("s-{number:012}")
}

/// Name, ms after the first, value and attributes.
fn events() -> [(&'static str, i64, Option<f64>, Value); 5] {
    [
        (
            "journey.start",
            0,
            None,
            json!({"journey": "watch-lecture", "grade": "jhs2", "source": "home", "attempt": "a-81f"}),
        ),
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
            json!({"url": "https://api.example/api/lectures/48151623?part=2", "method": "GET", "status": "200"}),
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
            json!({"journey": "watch-lecture", "outcome": "success", "grade": "jhs2", "player": "hls.js", "codec": "avc1.640028", "attempt": "a-81f"}),
        ),
    ]
}

fn native(session: &str, number: usize) -> Value {
    let events = events().map(|(name, after, value, attributes)| {
        json!({"name": name, "time": AT_MS + after, "value": value, "attributes": attributes})
    });
    json!({"key": "bench-key", "id": format!("01JDB3K8V2-{number:012}"), "session": session, "release": "2026.11.3",
        "sequence": 3, "sent_at": AT_MS + 160, "sample_rate": 1.0, "events": events})
}

fn faro(session: &str) -> Value {
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
            "session": {"id": session, "attributes": {"previousSession": "s-0"}},
            "page": {"url": "https://app.example/lectures/48151623"},
            "browser": {"name": "Chrome", "version": "156.0.0.0", "os": "Linux", "mobile": false},
            "sdk": {"name": "faro-core", "version": "2.12.1", "integrations": []},
        },
        "events": list, "measurements": measurements,
    })
}

fn otlp(session: &str) -> Value {
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
    let resource = [("service.name", "web"), ("service.version", "2026.11.3"), ("session.id", session)]
        .map(|(key, value)| pair(key, &json!(value)));
    json!({"resourceLogs": [{"resource": {"attributes": resource, "droppedAttributesCount": 0},
        "scopeLogs": [{"scope": {"name": "studyapp"}, "logRecords": records}]}]})
}
