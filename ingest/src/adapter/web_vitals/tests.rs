use super::*;
use crate::adapter::fixture::{apps, client, recorded, rendered, request};
use crate::admission::Request;

fn adapt_text(body: &str, session: Option<&str>) -> Result<String, &'static str> {
    let (apps, client) = (apps(), client());
    let request = Request { write_key: Some("web-key"), session, ..request(body.as_bytes(), &apps, &client) };
    adapt(&request).map(|admission| rendered(&admission)).map_err(|refusal| refusal.error())
}

#[test]
fn recorded_requests() {
    let bodies = recorded("web-vitals-");
    assert_eq!(bodies.len(), 2);
    let text: Vec<_> = bodies.iter().map(|body| adapt_text(body, None).unwrap()).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn values_of_one_metric_meet_in_one_partition_and_repeats_are_known() {
    let (apps, client) = (apps(), client());
    let adapted = |body: &str| {
        let request = Request { write_key: Some("web-key"), ..request(body.as_bytes(), &apps, &client) };
        let admitted = adapt(&request).unwrap().admitted;
        admitted.iter().map(|one| (one.kafka_key.to_string(), one.beacon.id.to_string())).collect::<Vec<_>>()
    };
    let metric = |value: u32| format!(r#"{{"name":"LCP","value":{value},"id":"v1"}}"#);
    let (first, larger) = (adapted(&metric(100)), adapted(&metric(200)));
    assert_eq!(first[0].0, "v1");
    assert_eq!(first[0].0, larger[0].0);
    assert_ne!(first[0].1, larger[0].1);
    assert_eq!(adapted(&metric(100)), first);
    let both = adapted(&format!("[{},{}]", metric(100), metric(200)));
    assert_eq!(both.len(), 1, "one beacon keeps the order of one metric's values");
    assert_eq!(both[0].0, "v1");
    let other = r#"{"name":"CLS","value":0,"id":"v2"}"#;
    assert_eq!(adapted(&format!("[{other},{}]", metric(100)))[1], first[0], "a repeat in another array");
    let anonymous = adapted(r#"[{"name":"LCP","value":1},{"name":"LCP","value":1}]"#);
    assert_eq!(anonymous[0].0, anonymous[0].1);
    assert_ne!(anonymous[0], anonymous[1]);
}

#[test]
fn equal_metrics_of_two_users_are_no_repeats() {
    let (apps, client) = (apps(), client());
    let id = |body: &str, session, arrival| {
        let request = Request {
            write_key: Some("web-key"),
            session,
            arrival,
            ..request(body.as_bytes(), &apps, &client)
        };
        adapt(&request).unwrap().admitted[0].beacon.id.to_string()
    };
    let nameless = r#"{"name":"CLS","value":0}"#;
    assert_ne!(id(nameless, None, 7), id(nameless, None, 8));
    assert_eq!(id(nameless, Some("s-1"), 7), id(nameless, Some("s-1"), 8));
    let named = r#"{"name":"CLS","value":0,"id":"v1"}"#;
    assert_eq!(id(named, None, 7), id(named, None, 8));
}

#[test]
fn a_session_in_the_query_makes_one_beacon() {
    let body = r#"[{"name":"lcp","value":1,"id":"a"},{"name":"CLS","value":0.1,"id":"b"}]"#;
    let text = adapt_text(body, Some("s-1")).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("beacon ")).count(), 1);
    assert!(text.contains("key=s-1 ") && text.contains("name=\"LCP\""), "{text}");
}

#[test]
fn what_is_no_metric_is_rejected_or_refused() {
    let rejected =
        |body: &str| adapt_text(body, None).unwrap().lines().nth(1).unwrap_or_default().trim().to_owned();
    assert_eq!(rejected(r#"{"value":1,"id":"a"}"#), "rejected missing_name 1");
    assert_eq!(rejected(r#"{"name":"LCP","id":"a"}"#), "rejected invalid_value 1");
    assert_eq!(rejected(r#"{"name":"LCP","value":-1,"id":"a"}"#), "rejected invalid_value 1");
    assert_eq!(adapt_text("[]", None).as_deref(), Ok(""));
    assert_eq!(adapt_text("5", None), Err("invalid_body"));
    assert_eq!(adapt_text("", None), Err("invalid_json"));
}
