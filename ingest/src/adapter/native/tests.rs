use super::*;
use crate::adapter::fixture::{apps, client, request};
use crate::admission::WEIGHT_MAX;
use proptest::prelude::*;
use schema::beacon::{EVENTS_MAX, TimeMethod};
use schema::record::{Record, encode_beacon};

const NOW_MS: i64 = 1_795_405_627_000;

fn adapt_text(body: &str) -> Result<String, Refusal> {
    let (apps, client) = (apps(), client());
    let request = Request { received_at_ms: NOW_MS, ..request(body.as_bytes(), &apps, &client) };
    adapt(&request).map(|admission| crate::adapter::fixture::rendered(&admission))
}

fn refused(body: &str) -> &'static str {
    adapt_text(body).expect_err(body).error()
}

#[test]
fn the_documented_beacon() {
    let body = r#"{"key":"web-key","id":"01J","app":"another","release":"2026.11.3","session":"s-81f","sequence":3,
        "sent_at":1795405626800,"sample_rate":0.5,"connection":"4g","segment":"gold","unknown":[{"a":1}],
        "events":[
          {"name":"journey.start","time":1795405626634,"attributes":{"journey":"watch-lecture"}},
          {"name":"browser.navigation","time":1795405626000,"value":414,"attributes":{"url":"https://h/lectures/42?u=1"}},
          {"name":"journey.end","time":1795405626787,"attributes":{"journey":"watch-lecture","outcome":"success","duration_ms":153}}]}"#;
    insta::assert_snapshot!(adapt_text(body).unwrap());
}

#[test]
fn a_bad_event_is_rejected_by_a_named_reason_and_the_rest_is_kept() {
    let body = r#"{"key":"web-key","session":"s","events":[
        {"name":"a","value":-1},{"name":"b","value":"NaN"},{"name":"c","duration_ms":604800001},{"name":""},{},
        {"name":"d","time":"never"},{"name":"e","value":[1]},{"name":7,"value":"12.5"},{"name":"f","attributes":{"duration_ms":-3}}]}"#;
    let (apps, client) = (apps(), client());
    let admission = adapt(&request(body.as_bytes(), &apps, &client)).unwrap();
    assert_eq!(
        admission.rejected,
        [
            (0, "invalid_value"),
            (1, "invalid_value"),
            (2, "invalid_value"),
            (3, "missing_name"),
            (4, "missing_name"),
            (5, "invalid_time"),
            (6, "invalid_value"),
            (8, "invalid_value")
        ]
    );
    let beacon = &admission.admitted[0].beacon;
    assert_eq!(beacon.events.len(), 1);
    assert_eq!((beacon.events[0].name.as_ref(), beacon.events[0].value.unwrap().scaled()), ("7", 125_000));
    let counted: Vec<_> = beacon.rejected.iter().map(|(reason, count)| (reason.as_ref(), *count)).collect();
    assert_eq!(counted, [("invalid_time", 1), ("invalid_value", 5), ("missing_name", 2)]);
    assert_eq!(
        answer(1, &admission.rejected[..2]),
        r#"{"accepted":1,"rejected":[{"index":0,"reason":"invalid_value"},{"index":1,"reason":"invalid_value"}]}"#
    );
}

#[test]
fn a_beacon_without_any_good_event_is_still_counted() {
    let (apps, client) = (apps(), client());
    let admission = adapt(&request(br#"{"key":"web-key","events":[{}]}"#, &apps, &client)).unwrap();
    assert_eq!(admission.admitted.len(), 1);
    assert!(admission.admitted[0].beacon.events.is_empty());
}

#[test]
fn requests_that_cannot_be_are_refused() {
    assert_eq!(refused(""), "invalid_json");
    assert_eq!(refused("{"), "invalid_json");
    assert_eq!(refused(r#"{"key":"web-key","events":[{"value":NaN}]}"#), "invalid_json");
    assert_eq!(refused("[]"), "invalid_body");
    assert_eq!(refused(r#"{"key":"web-key","events":{}}"#), "invalid_body");
    assert_eq!(refused(r#"{"key":"web-key","events":[5]}"#), "invalid_body");
    assert_eq!(refused(r#"{"key":"web-key"}"#), "missing_field");
    assert_eq!(refused(r#"{"events":[]}"#), "no_key");
    assert_eq!(refused(r#"{"key":"other","events":[]}"#), "wrong_key");
    assert_eq!(refused(r#"{"key":"web-key","sample_rate":0,"events":[]}"#), "invalid_sample_rate");
    let many = |count: usize| {
        format!(r#"{{"key":"web-key","events":[{}]}}"#, vec![r#"{"name":"a"}"#; count].join(","))
    };
    assert!(adapt_text(&many(EVENTS_MAX)).is_ok());
    assert_eq!(refused(&many(EVENTS_MAX + 1)), "too_many_events");
    let rate = 1.0 / f64::from(WEIGHT_MAX);
    assert!(adapt_text(&format!(r#"{{"key":"web-key","sample_rate":{rate},"events":[]}}"#)).is_ok());
}

#[test]
fn a_key_in_the_header_goes_before_the_body_and_origins_are_checked() {
    let (apps, client) = (apps(), client());
    let body = br#"{"key":"wrong","events":[]}"#;
    let check = |write_key, origin, expect: Result<&str, &str>| {
        let request = Request { write_key, origin, ..request(body, &apps, &client) };
        let found = adapt(&request);
        let found = found.as_ref().map(|admission| admission.admitted[0].beacon.app.as_ref());
        assert_eq!(found.map_err(|refusal| refusal.error()), expect, "{write_key:?} {origin:?}");
    };
    check(Some("web-key"), None, Ok("web"));
    check(Some("web-key"), Some("https://app.example"), Ok("web"));
    check(Some("web-key"), Some("https://evil.example"), Err("foreign_origin"));
    check(Some("ios-key"), None, Ok("ios"));
    check(None, None, Err("wrong_key"));
}

#[test]
fn ids_come_from_the_body_the_header_or_the_content() {
    let (apps, client) = (apps(), client());
    let id = |body: &str, idempotency_key| {
        let request = Request { idempotency_key, ..request(body.as_bytes(), &apps, &client) };
        adapt(&request).unwrap().admitted[0].beacon.id.to_string()
    };
    let without = r#"{"key":"web-key","session":"s","events":[]}"#;
    assert_eq!(id(r#"{"key":"web-key","id":"01J","events":[]}"#, Some("h")), "01J");
    assert_eq!(id(without, Some("h")), "h");
    assert_eq!(id(without, None), id(without, None));
    assert_eq!(id(without, None).len(), 32);
    assert_ne!(id(without, None), id(&without.replace("\"s\"", "\"t\""), None));
}

#[test]
fn records_are_keyed_by_session_else_by_id() {
    let (apps, client) = (apps(), client());
    let key = |body: &str| {
        adapt(&request(body.as_bytes(), &apps, &client)).unwrap().admitted[0].kafka_key.to_string()
    };
    assert_eq!(key(r#"{"key":"web-key","id":"i","session":"s","events":[]}"#), "s");
    assert_eq!(key(r#"{"key":"web-key","id":"i","events":[]}"#), "i");
}

#[test]
fn clocks_that_are_wrong_are_corrected_or_clamped() {
    let (apps, client) = (apps(), client());
    let place = |sent_at: i64, time: i64| {
        let body =
            format!(r#"{{"key":"web-key","sent_at":{sent_at},"events":[{{"name":"a","time":{time}}}]}}"#);
        let request = Request { received_at_ms: NOW_MS, ..request(body.as_bytes(), &apps, &client) };
        let event = adapt(&request).unwrap().admitted.remove(0).beacon.events.remove(0);
        (event.time_ms - NOW_MS, event.time_method)
    };
    assert_eq!(place(NOW_MS - 100, NOW_MS - 300), (-300, TimeMethod::AsSent));
    assert_eq!(place(NOW_MS - 3_600_000, NOW_MS - 3_600_200), (-200, TimeMethod::OffsetCorrected));
    assert_eq!(place(NOW_MS, NOW_MS + 366 * 86_400_000), (0, TimeMethod::ClampedToReceived));
}

#[test]
fn native_apps_have_a_system_without_a_user_agent() {
    let (apps, client) = (apps(), client());
    let body = br#"{"session":"s","attributes":{"plan":"pro"},"events":[]}"#;
    let request = Request { write_key: Some("ios-key"), ..request(body, &apps, &client) };
    let client = crate::user_agent::Client::default();
    let request = Request { client: &client, ..request };
    let admission = adapt(&request).unwrap();
    let beacon = &admission.admitted[0].beacon;
    assert_eq!(
        (beacon.platform.as_ref(), beacon.os.as_ref(), beacon.segment.as_ref()),
        ("ios", "iOS", "pro")
    );
}

proptest! {
    #[test]
    fn any_event_is_accepted_or_rejected_and_its_record_can_be_read(
        name in ".{0,300}",
        text in ".{0,300}",
        time in any::<f64>(),
        value in any::<f64>(),
        sent_at in any::<i64>(),
        attribute in "[a-z.]{0,20}",
    ) {
        let body = serde_json::json!({
            "session": text, "sent_at": sent_at, "release": name,
            "events": [{"name": name, "time": time, "value": value, "attributes": {attribute: text}}],
        }).to_string();
        let (apps, client) = (apps(), client());
        let request = Request { write_key: Some("web-key"), ..request(body.as_bytes(), &apps, &client) };
        let admission = adapt(&request).unwrap();
        let beacon = &admission.admitted[0].beacon;
        prop_assert_eq!(beacon.events.len() + admission.rejected.len(), 1);
        prop_assert!(beacon.events.iter().all(|event| (0..=request.received_at_ms).contains(&event.time_ms)));
        let bytes = encode_beacon(beacon, Vec::new());
        prop_assert_eq!(Record::decode(&bytes).unwrap(), Record::Beacon(beacon.clone()));
    }
}

/// Of each record: key, session, number of its id's letters, sequence, and its events.
fn records(body: &str) -> Vec<String> {
    let (apps, client) = (apps(), client());
    let admission = adapt(&request(body.as_bytes(), &apps, &client)).unwrap();
    let record = |admitted: &crate::admission::Admitted<'_>| {
        let beacon = &admitted.beacon;
        assert_eq!((beacon.release.as_ref(), beacon.weight), ("7", 4), "the context is the reporter's");
        let events: Vec<&str> = beacon.events.iter().map(|event| event.name.as_ref()).collect();
        let rejected: u32 = beacon.rejected.iter().map(|(_, count)| count).sum();
        format!(
            "{} {} {} {:?} {rejected} {}",
            admitted.kafka_key,
            beacon.session,
            beacon.id.len(),
            beacon.sequence,
            events.join(",")
        )
    };
    admission.admitted.iter().map(record).collect()
}

fn launch(session: &str, events: &str) -> String {
    format!(
        r#"{{"key":"web-key","id":"01J","session":"{session}","sequence":0,"release":"7","sample_rate":0.25,"events":[{events}]}}"#
    )
}

#[test]
fn what_is_reported_of_another_session_is_a_beacon_of_that_session() {
    let check = |session: &str, events: &str, expect: &[&str]| {
        assert_eq!(records(&launch(session, events)), expect, "{events}");
    };
    let crash = r#"{"name":"app.crash","attributes":{"session":"s-1","type":"SIGSEGV"}}"#;
    let kill = r#"{"name":"app.kill","attributes":{"session":"s-1"}}"#;
    let hang = r#"{"name":"app.hang","attributes":{"session":"s-0"}}"#;
    let own = r#"{"name":"app.crash","attributes":{"session":"s-2"}}"#;
    let start = r#"{"name":"app.start"}"#;
    check("s-2", start, &["s-2 s-2 3 Some(0) 0 app.start"]);
    check("s-2", own, &["s-2 s-2 3 Some(0) 0 app.crash"]);
    check(
        "s-2",
        &[crash, start, hang, own, kill, r#"{"name":""}"#].join(","),
        &[
            "s-2 s-2 3 Some(0) 1 app.start,app.crash",
            "s-0 s-0 32 None 0 app.hang",
            "s-1 s-1 32 None 0 app.crash,app.kill",
        ],
    );
    // Nothing is left for the reporter: its sequence number counts all the same.
    check("s-2", crash, &["s-2 s-2 3 Some(0) 0 ", "s-1 s-1 32 None 0 app.crash"]);
    check("", crash, &["01J  3 Some(0) 0 ", "s-1 s-1 32 None 0 app.crash"]);
    check("s-2", r#"{"name":"a","attributes":{"session":""}}"#, &["s-2 s-2 3 Some(0) 0 a"]);
}

#[test]
fn a_report_has_the_weight_that_its_session_s_own_beacons_have() {
    let (apps, client) = (apps(), client());
    let weights = |body: &str| -> Vec<(String, u32)> {
        let admission = adapt(&request(body.as_bytes(), &apps, &client)).unwrap();
        admission.admitted.iter().map(|one| (one.beacon.session.to_string(), one.beacon.weight)).collect()
    };
    let mut differ = 0;
    for session in 0..50 {
        let own =
            weights(&format!(r#"{{"key":"web-key","session":"c-{session}","sample_rate":0.4,"events":[]}}"#));
        let crash = format!(r#"{{"name":"app.crash","attributes":{{"session":"c-{session}"}}}}"#);
        let told =
            weights(&format!(r#"{{"key":"web-key","session":"l","sample_rate":0.4,"events":[{crash}]}}"#));
        assert_eq!(told[1], own[0]);
        differ += usize::from(told[0].1 != told[1].1);
    }
    assert!(differ > 0, "some crashed sessions are rounded another way than the one that tells of them");
}

#[test]
fn a_retry_of_a_report_has_the_same_ids_and_another_report_has_not() {
    let ids = |id: &str, of: &str| {
        let crash = format!(r#"{{"name":"app.crash","attributes":{{"session":"{of}"}}}}"#);
        let body = launch("s-2", &crash).replace("01J", id);
        let (apps, client) = (apps(), client());
        let admission = adapt(&request(body.as_bytes(), &apps, &client)).unwrap();
        let kept = admission.admitted[1].beacon.events[0].attribute("session").map(str::to_owned);
        assert_eq!(kept.as_deref(), Some(of));
        admission.admitted.iter().map(|admitted| admitted.beacon.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids("a", "s-1"), ids("a", "s-1"));
    assert_ne!(ids("a", "s-1")[1], ids("b", "s-1")[1]);
    assert_ne!(ids("a", "s-1")[1], ids("a", "s-0")[1]);
}

/// A session's id that is too long is the same text in its own beacons and where another session names it.
#[test]
fn a_long_session_is_named_as_it_names_itself() {
    let long = "s".repeat(5_000);
    let own = records(&launch(&long, r#"{"name":"app.start"}"#));
    let crash = format!(r#"{{"name":"app.crash","attributes":{{"session":"{long}"}}}}"#);
    let reported = records(&launch("s-2", &crash));
    let key = |record: &str| record.split(' ').next().unwrap().to_owned();
    assert_eq!(key(&own[0]), key(&reported[1]));
    assert_eq!(records(&launch(&long, &crash)).len(), 1, "its own");
}

#[test]
fn a_beacon_whose_every_event_names_another_session_is_as_many_records() {
    let events: Vec<String> = (0..EVENTS_MAX)
        .map(|at| format!(r#"{{"name":"app.crash","attributes":{{"session":"old-{at}"}}}}"#))
        .collect();
    assert_eq!(records(&launch("s-2", &events.join(","))).len(), EVENTS_MAX + 1);
}
