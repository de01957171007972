use serde_json::{Value, json};

use super::*;
use crate::adapter::fixture::{apps, client, recorded, rendered, request};
use schema::beacon::EVENTS_MAX;

fn adapt_text(body: &str) -> Result<String, &'static str> {
    let (apps, client) = (apps(), client());
    let request = Request { write_key: Some("web-key"), ..request(body.as_bytes(), &apps, &client) };
    adapt(&request).map(|admission| rendered(&admission)).map_err(|refusal| refusal.error())
}

fn report(age_ms: i64, url: &str, body: Value) -> Value {
    json!({"type": "network-error", "age": age_ms, "url": url, "body": body})
}

/// The events, without the lines of their beacons.
fn events(reports: &[Value]) -> Vec<String> {
    let text = adapt_text(&json!(reports).to_string()).unwrap();
    text.lines().filter(|line| !line.starts_with("beacon ")).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn recorded_requests() {
    let bodies = recorded("nel-");
    assert_eq!(bodies.len(), 4);
    let text: Vec<_> = bodies.iter().map(|body| adapt_text(body).unwrap()).collect();
    for secret in ["203.0.113.7", "HeadlessChrome"] {
        assert!(!text.iter().any(|text| text.contains(secret)), "{secret}");
    }
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn the_last_of_the_browser_s_attempts_counts() {
    let failed = |age_ms, elapsed_ms, url| {
        report(age_ms, url, json!({"type": "tcp.reset", "method": "GET", "elapsed_time": elapsed_ms}))
    };
    let ok = |age_ms, elapsed_ms, url| {
        report(age_ms, url, json!({"type": "ok", "method": "GET", "elapsed_time": elapsed_ms}))
    };
    let check = |reports: &[Value], expect: &[&str]| assert_eq!(events(reports), expect);
    check(
        &[failed(1_000, 50, "/a"), failed(900, 60, "/a"), ok(800, 30, "/a")],
        &[
            "1795405699200 network.success = 250 [Received] route=\"/a\" type=\"ok\"",
            "rejected browser_retry 2",
        ],
    );
    let one = |at: i64, elapsed: i64, route: &str| {
        format!(
            "{} network.error = {elapsed} [Received] route=\"{route}\" type=\"tcp.reset\"",
            1_795_405_700_000 - at
        )
    };
    // A longer pause, another address, or at the same time: requests of their own.
    let pause = RETRY_GAP_MS_MAX + 1;
    check(
        &[failed(1_000 + pause, 50, "/a"), failed(990, 10, "/a")],
        &[&one(1_000 + pause, 50, "/a"), &one(990, 10, "/a")],
    );
    check(&[failed(1_000, 50, "/a"), failed(990, 5, "/b")], &[&one(1_000, 50, "/a"), &one(990, 5, "/b")]);
    check(
        &[failed(1_000, 500, "/a"), failed(990, 500, "/a")],
        &[&one(1_000, 500, "/a"), &one(990, 500, "/a")],
    );
    // What went well is not repeated.
    assert_eq!(events(&[ok(1_000, 50, "/a"), ok(990, 5, "/a")]).len(), 2);
}

#[test]
fn each_rate_has_a_beacon_and_its_weight() {
    let of = |fraction: Value, url| {
        report(0, url, json!({"type": "dns.name_not_resolved", "sampling_fraction": fraction}))
    };
    let text =
        adapt_text(&json!([of(json!(0.05), "/a"), of(json!(1.0), "/b"), of(json!(0.05), "/c")]).to_string())
            .unwrap();
    let beacons: Vec<_> = text.lines().filter(|line| line.starts_with("beacon ")).collect();
    assert_eq!(beacons.len(), 2);
    assert!(beacons[0].ends_with("weight=20") && beacons[1].ends_with("weight=1"), "{text}");
    assert_eq!(events(&[of(json!(0), "/a")]), ["rejected invalid_value 1"]);
}

#[test]
fn equal_reports_of_two_clients_are_two() {
    let (apps, client) = (apps(), client());
    let body = json!([report(0, "/a", json!({"type": "dns.unreachable"}))]).to_string();
    let id = |arrival| {
        let request =
            Request { write_key: Some("web-key"), arrival, ..request(body.as_bytes(), &apps, &client) };
        adapt(&request).unwrap().admitted[0].beacon.id.to_string()
    };
    assert_ne!(id(1), id(2));
}

#[test]
fn what_is_no_report_of_the_network_is_counted_or_refused() {
    assert_eq!(events(&[json!({"type": "csp-violation"}), json!({})]), ["rejected report_not_kept 2"]);
    assert_eq!(events(&[json!({"type": "network-error", "body": null})]), ["rejected missing_name 1"]);
    assert_eq!(
        events(&[report(-5, "/a", json!({"type": "x", "elapsed_time": -1}))]),
        ["rejected invalid_value 1"]
    );
    assert_eq!(
        events(&[json!({"type": "network-error", "age": "now", "body": {"type": "x"}})]),
        ["rejected invalid_time 1"]
    );
    assert_eq!(adapt_text("[]").as_deref(), Ok(""));
    assert_eq!(adapt_text("{}"), Err("invalid_body"));
    assert_eq!(adapt_text("[5]"), Err("invalid_body"));
    let many = |count: usize| json!(vec![json!({}); count]).to_string();
    assert!(adapt_text(&many(EVENTS_MAX)).is_ok());
    assert_eq!(adapt_text(&many(EVENTS_MAX + 1)), Err("too_many_events"));
}
