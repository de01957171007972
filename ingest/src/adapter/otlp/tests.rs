use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::adapter::Format;
use crate::adapter::fixture::{apps, client, recorded, recorded_bytes, rendered, request};
use crate::user_agent::Client;

mod messages;

use messages::{AnyValue, KeyValue, Logs, Traces};

fn adapt_body(format: Format, notation: Notation, body: &[u8]) -> Result<String, &'static str> {
    let (apps, client) = (apps(), client());
    let request = Request { write_key: Some("web-key"), notation, ..request(body, &apps, &client) };
    format.adapt(&request).map(|admission| rendered(&admission)).map_err(|refusal| refusal.error())
}

fn adapt_json(format: Format, body: &Value) -> Result<String, &'static str> {
    adapt_body(format, Notation::Json, body.to_string().as_bytes())
}

fn attributes(values: &Value) -> Value {
    let any = |value: &Value| match value {
        Value::String(_) => json!({ "stringValue": value }),
        Value::Bool(_) => json!({ "boolValue": value }),
        Value::Number(number) if number.is_i64() => json!({ "intValue": number.to_string() }),
        _ => json!({ "doubleValue": value }),
    };
    values.as_object().unwrap().iter().map(|(key, value)| json!({"key": key, "value": any(value)})).collect()
}

fn logs(resource: &Value, records: &[Value]) -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": attributes(resource)},
        "scopeLogs": [{"scope": {"name": "test"}, "logRecords": records}],
    }]})
}

fn spans(resource: &Value, records: &[Value]) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": attributes(resource)},
        "scopeSpans": [{"spans": records}],
    }]})
}

/// What a log record becomes, without the line of its beacon.
fn log(name: &str, values: Value) -> String {
    let record = json!({"timeUnixNano": "1000000000", "eventName": name, "attributes": attributes(&values)});
    lines(&adapt_json(Format::OtlpLogs, &logs(&json!({"session.id": "s"}), &[record])).unwrap())
}

/// What a span of the kind becomes.
fn span(name: &str, kind: u8, values: Value) -> String {
    let record = json!({"name": name, "kind": kind, "startTimeUnixNano": "1000000000",
        "endTimeUnixNano": "1012500000", "attributes": attributes(&values)});
    lines(&adapt_json(Format::OtlpTraces, &spans(&json!({"session.id": "s"}), &[record])).unwrap())
}

fn lines(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("beacon "));
    lines.map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn recorded_logs() {
    let bodies = recorded("otlp-json-");
    assert_eq!(bodies.len(), 5);
    let adapted = |body: &String| adapt_body(Format::OtlpLogs, Notation::Json, body.as_bytes()).unwrap();
    insta::assert_snapshot!(bodies.iter().map(adapted).collect::<Vec<_>>().join("\n"));
}

#[test]
fn recorded_logs_in_protobuf() {
    let bodies = recorded_bytes("otlp-proto-");
    assert_eq!(bodies.len(), 5);
    let adapted = |body: &Vec<u8>| adapt_body(Format::OtlpLogs, Notation::Protobuf, body).unwrap();
    insta::assert_snapshot!(bodies.iter().map(adapted).collect::<Vec<_>>().join("\n"));
}

#[test]
fn recorded_spans() {
    let bodies = recorded("otlp-json-traces-");
    assert_eq!(bodies.len(), 3);
    let adapted = |body: &String| adapt_body(Format::OtlpTraces, Notation::Json, body.as_bytes()).unwrap();
    insta::assert_snapshot!(bodies.iter().map(adapted).collect::<Vec<_>>().join("\n"));
}

#[test]
fn who_the_user_is_does_not_reach_the_log() {
    for body in recorded("otlp-json-") {
        let text = adapt_body(Format::OtlpLogs, Notation::Json, body.as_bytes()).unwrap();
        for secret in ["HeadlessChrome", "sdk=otel", "app.example", "stacktrace", "    at "] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn names_of_the_conventions_become_those_of_the_glossary() {
    let check = |name: &str, values: Value, expect: &str| assert_eq!(log(name, values), expect, "{name}");
    check(
        "browser.web_vital",
        json!({"name": "lcp", "value": 12.5, "id": "v1", "delta": 1, "url.full": "https://h/lectures/7?u=1"}),
        "1000 browser.web_vital = 12.5 [AsSent] id=\"v1\" name=\"LCP\" route=\"/lectures/:id\"",
    );
    check("browser.web_vital", json!({"value": 1}), "rejected missing_name 1");
    check("browser.web_vital", json!({"name": "lcp"}), "rejected invalid_value 1");
    check(
        "browser.navigation",
        json!({"url.full": "https://h/lectures/7", "browser.navigation.same_document": true}),
        "1000 browser.page_view [AsSent] route=\"/lectures/:id\" type=\"soft\"",
    );
    check(
        "browser.resource_timing",
        json!({"url.full": "https://h/x", "browser.resource_timing.initiator_type": "fetch"}),
        "rejected other_http_source 1",
    );
    check(
        "browser.resource_timing",
        json!({"url.full": "https://h/x.js"}),
        "rejected resource_not_http_call 1",
    );
    check(
        "session.start",
        json!({"session.id": "s", "session.previous_id": "r"}),
        "1000 session.start [AsSent]",
    );
    check("session.end", json!({}), "1000 session.end [AsSent]");
    check(
        "device.crash",
        json!({"exception.type": "java.lang.Error", "exception.stacktrace": "at a", "thread.id": 5}),
        "1000 app.crash [AsSent] type=\"java.lang.Error\"",
    );
    check("device.anr", json!({}), "1000 app.anr [AsSent]");
    check(
        "app.jank",
        json!({"app.jank.frame_count": 3, "app.jank.threshold": 0.7, "app.jank.period": 1}),
        "1000 app.hang = 700 [AsSent] frames=\"3\"",
    );
    check("device.app.lifecycle", json!({"android.app.state": "background"}), "1000 app.background [AsSent]");
    check("device.app.lifecycle", json!({"ios.app.state": "active"}), "1000 app.foreground [AsSent]");
    check(
        "device.app.lifecycle",
        json!({"ios.app.state": "inactive"}),
        "1000 device.app.lifecycle [AsSent] state=\"inactive\"",
    );
    check(
        "browser.user_action.click",
        json!({"browser.tag_name": "A", "browser.page.x": 5, "grade": "jhs2"}),
        "1000 user.action [AsSent] grade=\"jhs2\" name=\"A\" type=\"click\"",
    );
    check(
        "video.first_frame",
        json!({"duration_ms": 12.5, "bitrate": 5, "user.id": "u-1"}),
        "1000 video.first_frame = 12.5 [AsSent] bitrate=\"5\"",
    );
    check("", json!({}), "rejected log_not_kept 1");
}

#[test]
fn an_exception_is_fatal_when_its_teller_says_so() {
    let check = |fields: Value, fatal: bool| {
        let mut record = json!({"eventName": "exception"});
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let text = adapt_json(Format::OtlpLogs, &logs(&json!({}), &[record])).unwrap();
        assert!(text.contains(&format!("fatal=\"{fatal}\"")), "{text}");
    };
    let of = |values: Value| json!({"attributes": attributes(&values)});
    check(of(json!({"exception.type": "Error"})), false);
    check(of(json!({"exception.type": "TypeError"})), true);
    check(of(json!({"exception.type": "TypeError", "handled": true})), false);
    check(of(json!({"exception.type": "Error", "fatal": true})), true);
    check(json!({"severityNumber": 17}), false);
    check(json!({"severityNumber": 21}), true);
    check(json!({"severityNumber": "SEVERITY_NUMBER_FATAL2"}), true);
    let text = json!({"resourceLogs": [{"scopeLogs": [{
        "scope": {"name": "@opentelemetry/browser-instrumentation/errors"},
        "logRecords": [{"eventName": "exception"}],
    }]}]});
    assert!(adapt_json(Format::OtlpLogs, &text).unwrap().contains("fatal=\"true\""));
}

#[test]
fn spans_become_calls_starts_and_screens() {
    let check = |name: &str, kind: u8, values: Value, expect: &str| {
        assert_eq!(span(name, kind, values), expect, "{name}");
    };
    check(
        "GET",
        3,
        json!({"http.method": "GET", "http.url": "https://h/lectures/7?u=1", "http.status_code": 404, "error.type": "404"}),
        "1012 http.client = 12.5 [AsSent] method=\"GET\" route=\"/lectures/:id\" status=\"404\"",
    );
    check(
        "POST",
        3,
        json!({"http.request.method": "POST", "url.template": "/answers/:answer", "error.type": "TypeError"}),
        "1012 http.client = 12.5 [AsSent] error=\"TypeError\" method=\"POST\" route=\"/answers/:answer\" status=\"0\"",
    );
    check("AppStart", 1, json!({"start.type": "cold"}), "1012 app.start = 12.5 [AsSent] type=\"cold\"");
    check(
        "Created",
        1,
        json!({"app.screen.name": "lecture"}),
        "1012 app.screen = 12.5 [AsSent] name=\"lecture\" type=\"Created\"",
    );
    check("Paused", 1, json!({"app.screen.name": "lecture"}), "rejected span_not_kept 1");
    check("GET /x", 2, json!({"http.request.method": "GET"}), "rejected span_not_kept 1");
    check("resourceFetch", 1, json!({}), "rejected resource_not_http_call 1");
    check("documentLoad", 1, json!({}), "rejected other_page_load_source 1");
    check("checkout", 1, json!({"plan": "pro"}), "1012 checkout = 12.5 [AsSent] plan=\"pro\"");
}

#[test]
fn times_are_numbers_or_texts_and_wrong_ones_are_told() {
    let check = |fields: Value, expect: &str| {
        let mut record = json!({"eventName": "a"});
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(lines(&adapt_json(Format::OtlpLogs, &logs(&json!({}), &[record])).unwrap()), expect);
    };
    check(json!({"timeUnixNano": "1999999999"}), "1999 a [AsSent]");
    check(json!({"timeUnixNano": 1_999_999_999u64}), "1999 a [AsSent]");
    check(json!({"timeUnixNano": "0", "observedTimeUnixNano": "2000000000"}), "2000 a [AsSent]");
    check(json!({}), "1795405700000 a [Received]");
    check(
        json!({"timeUnixNano": "18446744073709551615"}),
        "1795405700000 a [ClampedToReceived -16651338373709]",
    );
    check(json!({"timeUnixNano": "-1"}), "rejected invalid_time 1");
    check(json!({"timeUnixNano": "soon"}), "rejected invalid_time 1");
    let backwards = json!({"name": "x", "startTimeUnixNano": "2", "endTimeUnixNano": "1"});
    let text = adapt_json(Format::OtlpTraces, &spans(&json!({}), &[backwards])).unwrap();
    assert_eq!(lines(&text), "rejected invalid_value 1");
}

#[test]
fn a_request_is_split_by_app_and_session() {
    let (apps, client) = (apps(), client());
    let event =
        |session: &str| json!({"eventName": "a", "attributes": attributes(&json!({"session.id": session}))});
    let mut body = logs(
        &json!({"session.id": "s-1", "service.version": "7"}),
        &[event("s-2"), json!({"eventName": "b"})],
    );
    let other = logs(
        &json!({"sli.write_key": "ios-key", "os.name": "iOS", "session.id": "s-1"}),
        &[json!({"eventName": "c"}), json!({"eventName": "d"})],
    );
    let unknown = logs(&json!({"sli.write_key": "nobody"}), &[event("s-3")]);
    let resources = body["resourceLogs"].as_array_mut().unwrap();
    resources.push(other["resourceLogs"][0].clone());
    resources.push(unknown["resourceLogs"][0].clone());
    let text = body.to_string();
    let adapted = |key| {
        let request = Request { write_key: key, ..request(text.as_bytes(), &apps, &client) };
        Format::OtlpLogs.adapt(&request)
    };
    let admission = adapted(Some("web-key")).unwrap();
    let found: Vec<_> = admission
        .admitted
        .iter()
        .map(|one| {
            (
                &*one.beacon.app,
                &*one.beacon.platform,
                &*one.kafka_key,
                &*one.beacon.release,
                one.beacon.events.len(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [("web", "web", "s-2", "7", 1), ("web", "web", "s-1", "7", 1), ("ios", "ios", "s-1", "", 2)]
    );
    assert_eq!(
        (&admission.rejected, &admission.without_app),
        (&vec![(4, "wrong_key")], &vec![("wrong_key", 1)])
    );
    let ids: std::collections::BTreeSet<_> = admission.admitted.iter().map(|one| &one.beacon.id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(adapted(Some("web-key")).unwrap(), admission, "a repeat has the same ids");

    let admission = adapted(None).unwrap();
    assert_eq!(admission.without_app, [("no_key", 2), ("wrong_key", 1)]);
    let only = logs(&json!({"sli.write_key": "nobody"}), &[event("s-3")]).to_string();
    let refused = Format::OtlpLogs.adapt(&request(only.as_bytes(), &apps, &client));
    assert_eq!(refused.unwrap_err().error(), "wrong_key");
    assert_eq!(Format::OtlpLogs.adapt(&request(b"{}", &apps, &client)).unwrap_err().error(), "no_key");
}

#[test]
fn a_session_with_more_events_than_a_beacon_holds_has_several() {
    let events = vec![json!({"eventName": "a"}); EVENTS_MAX + 1];
    let text = adapt_json(Format::OtlpLogs, &logs(&json!({"session.id": "s"}), &events)).unwrap();
    let beacons: Vec<_> = text.lines().filter(|line| line.starts_with("beacon ")).collect();
    assert_eq!(beacons.len(), 2);
    assert_ne!(beacons[0], beacons[1]);
    assert_eq!(text.lines().count(), EVENTS_MAX + 3);
}

#[test]
fn what_a_request_holds_is_counted_while_it_is_read() {
    // Each with its resource and scope.
    let of = |records: usize| logs(&json!({}), &vec![json!({}); records - 2]).to_string();
    assert!(adapt_body(Format::OtlpLogs, Notation::Json, of(wire::NODES_MAX).as_bytes()).is_ok());
    let refused = adapt_body(Format::OtlpLogs, Notation::Json, of(wire::NODES_MAX + 1).as_bytes());
    assert_eq!(refused, Err("too_many_events"));
    let protobuf = |records: usize| {
        let scope: Vec<u8> = [0x12, 0].repeat(records - 2);
        let (mut resource, mut message) = (Vec::new(), Vec::new());
        protobuf::write_bytes(2, &scope, &mut resource);
        protobuf::write_bytes(1, &resource, &mut message);
        adapt_body(Format::OtlpLogs, Notation::Protobuf, &message)
    };
    assert!(protobuf(wire::NODES_MAX).is_ok());
    assert_eq!(protobuf(wire::NODES_MAX + 1), Err("too_many_events"));
}

#[test]
fn json_that_protobuf_would_take_is_taken() {
    let check = |body: &str, expect: Result<&str, &'static str>| {
        let found = adapt_body(Format::OtlpLogs, Notation::Json, body.as_bytes()).map(|text| lines(&text));
        assert_eq!(found.as_deref().map_err(|error| *error), expect, "{body}");
    };
    check("{}", Ok(""));
    check(r#"{"resourceLogs":null,"later":{"a":[1]}}"#, Ok(""));
    check(r#"{"resourceLogs":[{"resource":null,"scopeLogs":null,"schemaUrl":"x"}]}"#, Ok(""));
    let one = |record: &str| {
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"scope":null,"logRecords":[{record}]}}]}}]}}"#)
    };
    check(
        &one(r#"{"eventName":"a","body":null,"attributes":null,"traceId":"00ff","flags":257}"#),
        Ok("1795405700000 a [Received]"),
    );
    check(
        &one(
            r#"{"eventName":"a","body":{"stringValue":"free text"},"attributes":[{"key":"b","value":{"arrayValue":{"values":[{}]}}},{"key":"c"},{}]}"#,
        ),
        Ok("1795405700000 a [Received]"),
    );
    check(
        &one(
            r#"{"eventName":"a","body":{"kvlistValue":{"values":[{"key":"b","value":{"intValue":7}},{"key":"c","value":{"intValue":"8"}}]}}}"#,
        ),
        Ok("1795405700000 a [Received] b=\"7\" c=\"8\""),
    );
    check(
        &one(r#"{"attributes":[{"key":"event.name","value":{"stringValue":"old"}}]}"#),
        Ok("1795405700000 old [Received]"),
    );
    check("[]", Err("invalid_body"));
    check("{} {}", Err("invalid_json"));
    check(r#"{"resourceLogs":5}"#, Err("invalid_body"));
    check(&one("5"), Err("invalid_body"));
}

#[test]
fn both_notations_say_the_same() {
    let value = |text: &str| AnyValue { string: Some(text.into()), ..AnyValue::default() };
    let attribute = |key: &str, value: AnyValue| KeyValue { key: key.into(), value: Some(value) };
    let message = Logs::of(
        vec![attribute("session.id", value("s-1")), attribute("service.version", value("7"))],
        vec![messages::LogRecord {
            time: 1_000_000_000,
            severity: 21,
            trace_id: vec![1; 16],
            event_name: "exception".into(),
            attributes: vec![
                attribute("exception.type", value("é")),
                attribute("count", AnyValue { int: Some(-5), ..AnyValue::default() }),
            ],
            ..messages::LogRecord::default()
        }],
    );
    let in_json = json!({"resourceLogs": [{
        "resource": {"attributes": attributes(&json!({"session.id": "s-1", "service.version": "7"}))},
        "scopeLogs": [{"logRecords": [{
            "timeUnixNano": "1000000000", "severityNumber": 21, "eventName": "exception", "traceId": "0101",
            "attributes": attributes(&json!({"exception.type": "é", "count": -5})),
        }]}],
    }]});
    let without_id = |text: String| text.split_once(" key=").unwrap().1.to_owned();
    assert_eq!(
        without_id(adapt_body(Format::OtlpLogs, Notation::Protobuf, &message.encode_to_vec()).unwrap()),
        without_id(adapt_json(Format::OtlpLogs, &in_json).unwrap()),
    );
    let span = messages::Span {
        name: "AppStart".into(),
        kind: 1,
        start: 1_000_000_000,
        end: 1_500_000_000,
        attributes: vec![attribute("start.type", value("warm"))],
    };
    let text = adapt_body(Format::OtlpTraces, Notation::Protobuf, &Traces::of(vec![span]).encode_to_vec());
    assert_eq!(lines(&text.unwrap()), "1500 app.start = 500 [AsSent] type=\"warm\"");
}

#[test]
fn what_is_no_protobuf_is_refused_wherever_it_is_cut() {
    for body in recorded_bytes("otlp-proto-") {
        for end in 1..body.len() {
            let cut = adapt_body(Format::OtlpLogs, Notation::Protobuf, &body[..end]);
            assert!(cut.is_err() || cut.is_ok_and(|text| text.len() < 10_000));
        }
    }
    let check = |bytes: &[u8]| {
        assert_eq!(adapt_body(Format::OtlpLogs, Notation::Protobuf, bytes), Err("invalid_body"), "{bytes:?}");
    };
    check(&[0x0a, 5, 1]);
    check(&[0x0a]);
    check(&[0x08, 1]);
    check(&[0x0b]);
    check(&[0x00]);
    check(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    check(b"{}");
}

#[test]
fn answers_have_the_notation_of_the_request() {
    let rejected = [(0, "invalid_time"), (3, "wrong_key"), (4, "invalid_time")];
    let detail = "3 rejected: invalid_time 2, wrong_key 1";
    let json = |rejected| -> Value {
        serde_json::from_slice(&answer::success(Notation::Json, "rejectedLogRecords", rejected)).unwrap()
    };
    assert_eq!(json(&[]), json!({}));
    assert_eq!(
        json(&rejected),
        json!({"partialSuccess": {"rejectedLogRecords": "3", "errorMessage": detail}})
    );
    let protobuf = |rejected| {
        let message = answer::success(Notation::Protobuf, "rejectedLogRecords", rejected);
        messages::Answer::decode(message.as_slice()).unwrap().partial_success
    };
    assert_eq!(protobuf(&[]), None);
    assert_eq!(
        protobuf(&rejected),
        Some(messages::PartialSuccess { rejected: 3, error_message: detail.into() })
    );
    let status = actix_web::http::StatusCode::SERVICE_UNAVAILABLE;
    let message = answer::refusal(Notation::Protobuf, status, "not_durable", "x");
    let expect = messages::Status { code: 14, message: "not_durable: x".into() };
    assert_eq!(messages::Status::decode(message.as_slice()).unwrap(), expect);
    let text = answer::refusal(Notation::Json, status, "not_durable", "x");
    assert_eq!(
        serde_json::from_slice::<Value>(&text).unwrap(),
        json!({"code": 14, "message": "not_durable: x"})
    );
}

#[test]
fn only_the_resource_of_an_app_tells_of_a_native_platform() {
    let apps = apps();
    let phone =
        Client { os: "Android".into(), browser: "Chrome Mobile".into(), device_class: "mobile", bot: false };
    let check = |resource: Value, platform: &str, os: &str| {
        let body = logs(&resource, &[json!({"eventName": "a"})]).to_string();
        let request = Request { write_key: Some("web-key"), ..request(body.as_bytes(), &apps, &phone) };
        let beacon = adapt_logs(&request).unwrap().admitted.remove(0).beacon;
        assert_eq!((beacon.platform.as_ref(), beacon.os.as_ref()), (platform, os), "{resource}");
    };
    check(json!({}), "web", "Android");
    check(json!({"os.name": "Android"}), "android", "Android");
    check(json!({"os.name": "Android", "telemetry.sdk.language": "webjs"}), "web", "Android");
    check(json!({"os.name": "iOS", "telemetry.sdk.language": "swift"}), "ios", "iOS");
    check(json!({"os.name": "Linux"}), "web", "Linux");
}
