use super::*;
use crate::adapter::fixture::{apps, client, recorded, rendered, request};
use schema::beacon::EVENTS_MAX;
use serde_json::json;

fn adapt_text(body: &str) -> Result<String, &'static str> {
    let (apps, client) = (apps(), client());
    let request = Request { write_key: Some("web-key"), ..request(body.as_bytes(), &apps, &client) };
    adapt(&request).map(|admission| rendered(&admission)).map_err(|refusal| refusal.error())
}

/// The events of a request with these parts, without the beacon's own line.
fn events(parts: serde_json::Value) -> String {
    let mut body = json!({"meta": {"session": {"id": "s"}, "page": {"url": "https://h/lectures/7"}}});
    body.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    let text = adapt_text(&body.to_string()).unwrap();
    text.lines().skip(1).map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn recorded_requests() {
    let bodies = recorded("faro-");
    assert_eq!(bodies.len(), 7);
    let text: Vec<_> = bodies.iter().map(|body| adapt_text(body).unwrap()).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn who_the_user_is_does_not_reach_the_log() {
    for body in recorded("faro-") {
        let text = adapt_text(&body).unwrap();
        for secret in ["u-123", "HeadlessChrome", "sdk=faro", "app.example"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn uncaught_exceptions_are_told_by_flag_context_or_name() {
    let check = |exception: serde_json::Value, fatal: bool| {
        let text = events(json!({"exceptions": [exception]}));
        assert!(text.contains(&format!("fatal=\"{fatal}\"")), "{text}");
    };
    check(json!({"type": "Error", "value": "x"}), false);
    check(json!({"type": "TypeError", "value": "x"}), true);
    check(json!({"type": "UnhandledRejection", "value": "x"}), true);
    check(json!({"type": "PaymentError", "value": "x"}), false);
    check(json!({"type": "TypeError", "fatal": false}), false);
    check(json!({"type": "Error", "fatal": true}), true);
    check(json!({"type": "Error", "context": {"handled": "false"}}), true);
    check(json!({"type": "TypeError", "context": {"handled": "true"}}), false);
    check(json!({"type": "TypeError", "context": {"fatal": "false", "handled": "false"}}), false);
    check(json!({"type": "TypeError", "fatal": false, "context": {"fatal": "true"}}), false);
    check(json!({}), false);
}

#[test]
fn what_every_value_of_a_measurement_gets_is_bounded() {
    let (apps, client) = (apps(), client());
    let check = |values: usize, context_bytes: usize, expect_kept: bool| {
        let values: serde_json::Map<_, _> = (0..values).map(|at| (format!("v{at}"), json!(1))).collect();
        let body = json!({"meta": {"session": {"id": "s"}}, "measurements": [
            {"type": "x", "values": values, "context": {"a": "b", "c": "d ".repeat(context_bytes / 2)}}]});
        let body = body.to_string();
        let admission =
            adapt(&Request { write_key: Some("web-key"), ..request(body.as_bytes(), &apps, &client) })
                .unwrap();
        let events = &admission.admitted[0].beacon.events;
        let kept = events.iter().filter(|event| event.attribute("c").is_some()).count();
        assert_eq!(kept, if expect_kept { values.len() } else { 0 }, "{values:?}");
        assert!(events.iter().all(|event| event.attribute("a") == Some("b")));
        assert_eq!(admission.attributes_cut as usize, values.len() - kept);
    };
    check(1, 60_000, true);
    check(10, 6_000, true);
    check(10, 60_000, false);
    check(500, 1_000, false);
}

#[test]
fn each_signal_becomes_its_event_or_a_named_reason() {
    let check = |parts: serde_json::Value, expect: &str| assert_eq!(events(parts), expect);
    let at = "1970-01-01T00:00:01Z";
    let event = |name: &str, attributes: serde_json::Value| json!({"events": [{"name": name, "timestamp": at, "attributes": attributes}]});
    check(event("session_resume", json!({})), "1000 session.resume [AsSent]");
    check(event("video.first_frame", json!({"bitrate": 5})), "1000 video.first_frame [AsSent] bitrate=\"5\"");
    check(
        event("journey.end", json!({"journey.name": "a", "outcome": "success", "duration_ms": "12.5"})),
        "1000 journey.end = 12.5 [AsSent] journey=\"a\" outcome=\"success\"",
    );
    check(
        event("journey.step", json!({"journey": "a", "journey.name": "b", "step": "x"})),
        "1000 journey.step [AsSent] journey=\"a\" step=\"x\"",
    );
    check(
        event("faro.performance.navigation", json!({"name": "https://h/lectures/7?x=1", "duration": "9"})),
        "1000 browser.navigation = 9 [AsSent] route=\"/lectures/:id\"",
    );
    check(
        event(
            "faro.performance.resource",
            json!({"name": "https://h/x", "initiatorType": "xmlhttprequest", "duration": "3", "responseStatus": "0"}),
        ),
        "1003 http.client = 3 [AsSent] route=\"/x\" status=\"0\"",
    );
    check(
        event("faro.performance.resource", json!({"name": "https://h/x.png", "initiatorType": "img"})),
        "rejected resource_not_http_call 1",
    );
    check(event("faro.tracing.xml-http-request", json!({})), "rejected other_http_source 1");
    check(event("journey.success", json!({"journey": "a", "duration_ms": "-1"})), "rejected invalid_value 1");
    check(event("", json!({})), "rejected missing_name 1");
    check(json!({"events": [{"name": "a", "timestamp": "soon"}]}), "rejected invalid_time 1");
    check(json!({"logs": [{"message": "x"}, {"message": "y"}]}), "rejected log_not_kept 2");
    let call = json!({"kind": 3, "attributes": [{"key": "http.method", "value": {"stringValue": "GET"}}]});
    check(
        json!({"traces": {"resourceSpans": [{"scopeSpans": [{"spans": [call, {}]}, {"spans": [call]}]}, {}]}}),
        "rejected missing_name 1\nrejected other_http_source 2",
    );
    let measured = |kind: &str, values: serde_json::Value, context: serde_json::Value| json!({"measurements": [{"type": kind, "values": values, "context": context, "timestamp": at}]});
    check(
        measured(
            "web-vitals",
            json!({"delta": 1, "cls": 0.05}),
            json!({"id": "v1", "rating": "good", "navigation_entry_id": "unknown"}),
        ),
        "1000 browser.web_vital = 0.05 [AsSent] id=\"v1\" name=\"CLS\" rating=\"good\" route=\"/lectures/:id\"",
    );
    check(
        measured(
            "web-vitals",
            json!({"inp": 40}),
            json!({"navigation_entry_id": "n1", "navigation_type": "reload"}),
        ),
        "1000 browser.web_vital = 40 [AsSent] name=\"INP\" navigation=\"n1\" route=\"/lectures/:id\" type=\"reload\"",
    );
    check(
        measured("web-vitals", json!({"fcp": 80}), json!({"navigation_entry_id": "the-page-before"})),
        "1000 browser.web_vital = 80 [AsSent] name=\"FCP\" route=\"/lectures/:id\"",
    );
    check(measured("web-vitals", json!({"other": 40}), json!({})), "rejected missing_name 1");
    check(
        measured("player", json!({"startup": 2, "stalls": 1}), json!({"quality": "hd"})),
        "1000 player = 1 [AsSent] name=\"stalls\" quality=\"hd\"\n1000 player = 2 [AsSent] name=\"startup\" quality=\"hd\"",
    );
    check(measured("player", json!({"startup": -2}), json!({})), "rejected invalid_value 1");
    check(measured("player", json!({}), json!({})), "rejected invalid_value 1");
}

#[test]
fn an_app_may_take_calls_and_loads_from_spans() {
    let (apps, client) = (apps(), client());
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let span = |name: &str, attributes: &[serde_json::Value]| {
        json!({"name": name, "kind": 3, "startTimeUnixNano": "1000000000", "endTimeUnixNano": "1007000000",
            "attributes": attributes})
    };
    let call = [
        attribute("http.method", "GET"),
        attribute("http.url", "https://h/x"),
        attribute("http.status_code", "503"),
    ];
    let event = |name: &str| json!({"name": name, "attributes": {"initiatorType": "fetch"}});
    let body = json!({
        "meta": {"session": {"id": "s"}},
        "events": [event("faro.performance.resource"), event("faro.performance.navigation"), event("faro.tracing.fetch")],
        "traces": {"resourceSpans": [{"scopeSpans": [{"spans": [
            span("GET", &call),
            span("documentLoad", &[attribute("url.full", "https://h/lectures/7")]),
        ]}]}]},
    })
    .to_string();
    let request = Request { write_key: Some("traced-key"), ..request(body.as_bytes(), &apps, &client) };
    let text = rendered(&adapt(&request).unwrap());
    let lines: Vec<_> = text.lines().skip(1).map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "1007 http.client = 7 [AsSent] method=\"GET\" route=\"/x\" status=\"503\"",
            "1007 browser.navigation = 7 [AsSent] route=\"/lectures/:id\" type=\"navigate\"",
            "rejected other_http_source 2",
            "rejected other_page_load_source 1",
        ]
    );
}

#[test]
fn context_comes_from_meta_and_headers() {
    let (apps, client) = (apps(), client());
    let body = json!({"meta": {
        "app": {"version": "7", "environment": "staging"},
        "session": {"attributes": {"grade": "jhs2", "sample_rate": "0.25"}},
    }})
    .to_string();
    let request = Request {
        write_key: Some("web-key"),
        session: Some("from-header"),
        idempotency_key: Some("batch-1"),
        country: "GH",
        ..request(body.as_bytes(), &apps, &client)
    };
    let admission = adapt(&request).unwrap();
    let beacon = &admission.admitted[0].beacon;
    assert_eq!((beacon.id.as_ref(), beacon.session.as_ref()), ("batch-1", "from-header"));
    assert_eq!((beacon.release.as_ref(), beacon.environment.as_ref()), ("7", "staging"));
    assert_eq!((beacon.segment.as_ref(), beacon.country.as_ref(), beacon.weight), ("jhs2", "GH", 4));
}

#[test]
fn requests_that_cannot_be_are_refused() {
    assert_eq!(adapt_text("{}"), Err("missing_field"));
    assert_eq!(adapt_text("[]"), Err("invalid_body"));
    assert_eq!(adapt_text(r#"{"meta":{},"events":5}"#), Err("invalid_body"));
    assert_eq!(adapt_text(r#"{"meta":{},"#), Err("invalid_json"));
    let many = |count: usize| json!({"meta": {}, "events": vec![json!({"name": "a"}); count]}).to_string();
    assert!(adapt_text(&many(EVENTS_MAX)).is_ok());
    assert_eq!(adapt_text(&many(EVENTS_MAX + 1)), Err("too_many_events"));
}

#[test]
fn what_older_sdks_send_is_taken() {
    let body = r#"{"meta":{"browser":{"brands":"Chromium"},"app":null},"events":null,"traces":null,"exceptions":[]}"#;
    assert!(adapt_text(body).is_ok());
}
