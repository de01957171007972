//! What phones with wrong clocks, laptops that slept and queues of uploads send in each format, and where it is placed in time.

use schema::beacon::{Beacon, Event};
use serde_json::{Value, json};

use super::Format;
use super::fixture::{apps, client, request};
use crate::admission::{Notation, Request};

/// When the requests are received.
const NOW_MS: i64 = 1_795_405_700_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// What a request takes on its way.
const TRANSIT_MS: i64 = 200;

/// Each event's place before the receipt, the method, and what its client's stamp was corrected by, in ms.
fn placed(format: Format, notation: Notation, body: &str) -> Vec<String> {
    let (apps, client) = (apps(), client());
    let request = Request {
        write_key: Some("web-key"),
        notation,
        received_at_ms: NOW_MS,
        ..request(body.as_bytes(), &apps, &client)
    };
    let admission = format.adapt(&request).unwrap();
    let events = |beacon: &Beacon<'_>| {
        assert_eq!(beacon.received_at_ms, NOW_MS);
        let line = |event: &Event<'_>| {
            format!("{} {:?} {:+}", NOW_MS - event.time_ms, event.time_method, event.time_correction_ms)
        };
        beacon.events.iter().map(line).collect::<Vec<_>>()
    };
    admission.admitted.iter().flat_map(|admitted| events(&admitted.beacon)).collect()
}

/// A native beacon of events so many ms before it was sent, by a clock that is wrong by `error_ms`.
fn native(error_ms: i64, ages_ms: &[i64]) -> Vec<String> {
    let sent_at = NOW_MS - TRANSIT_MS + error_ms;
    let events: Vec<Value> =
        ages_ms.iter().map(|age_ms| json!({"name": "a", "time": sent_at - age_ms})).collect();
    placed(Format::Native, Notation::Json, &json!({"sent_at": sent_at, "events": events}).to_string())
}

#[test]
fn phones_hours_off_that_stamp_their_sending_are_corrected() {
    assert_eq!(native(0, &[2_000, 500]), ["2200 AsSent +0", "700 AsSent +0"]);
    // Less than transit may explain is not corrected, and what is ahead is clamped.
    assert_eq!(native(25_000, &[30_000, 500]), ["5200 AsSent +0", "0 ClampedToReceived -24300"]);
    assert_eq!(
        native(5 * HOUR_MS, &[2_000, 500]),
        ["2000 OffsetCorrected -17999800", "500 OffsetCorrected -17999800"]
    );
    assert_eq!(
        native(-5 * HOUR_MS, &[2_000, 500]),
        ["2000 OffsetCorrected +18000200", "500 OffsetCorrected +18000200"]
    );
    // A phone whose battery was empty begins at the epoch.
    assert_eq!(native(TRANSIT_MS - NOW_MS, &[0]), [format!("0 OffsetCorrected +{NOW_MS}")]);
}

#[test]
fn offline_queues_keep_the_time_in_which_things_happened() {
    let (three_days, ten_days) = (3 * DAY_MS, 10 * DAY_MS);
    assert_eq!(native(0, &[three_days, 0]), ["259200200 AsSent +0", "200 AsSent +0"]);
    assert_eq!(native(-HOUR_MS, &[three_days]), ["259200000 OffsetCorrected +3600200"]);
    // That it is too old is the engine's to say, which counts it.
    assert_eq!(native(0, &[ten_days]), ["864000200 AsSent +0"]);
    // A disk buffer of OpenTelemetry says nothing of its sending.
    let record = json!({"eventName": "a", "timeUnixNano": ((NOW_MS - three_days) * 1_000_000).to_string()});
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    assert_eq!(placed(Format::OtlpLogs, Notation::Json, &logs), ["259200000 AsSent +0"]);
    // A browser's queue of reports says how old each is.
    let report =
        json!([{"type": "network-error", "age": three_days, "body": {"type": "tcp.reset"}}]).to_string();
    assert_eq!(placed(Format::NetworkErrors, Notation::Json, &report), ["259200000 Received +0"]);
}

#[test]
fn without_a_stamp_of_sending_only_what_lies_ahead_is_known_to_be_wrong() {
    for (error_ms, expect) in [
        (0, "2000 AsSent +0"),
        (5 * HOUR_MS, "0 ClampedToReceived -17998000"),
        (-5 * HOUR_MS, "18002000 AsSent +0"),
    ] {
        let at_ms = NOW_MS - 2_000 + error_ms;
        let stamp = jiff::Timestamp::from_millisecond(at_ms).unwrap().to_string();
        let faro = json!({"meta": {}, "events": [{"name": "a", "timestamp": stamp}]}).to_string();
        assert_eq!(placed(Format::Faro, Notation::Json, &faro), [expect]);
        let span = json!({"name": "a", "startTimeUnixNano": ((at_ms - 50) * 1_000_000).to_string(),
            "endTimeUnixNano": (at_ms * 1_000_000).to_string()});
        let spans = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string();
        assert_eq!(placed(Format::OtlpTraces, Notation::Json, &spans), [expect]);
        let form = format!("http.initiator=xhr&t_done=50&u=/a&rt.end={at_ms}");
        assert_eq!(placed(Format::Boomerang, Notation::Form, &form), [expect]);
    }
    let metric = json!({"name": "LCP", "value": 9, "id": "v6-1"}).to_string();
    assert_eq!(placed(Format::WebVitals, Notation::Json, &metric), ["0 Received +0"]);
}

#[test]
fn a_laptop_that_slept_tells_durations_by_the_clock_that_slept_with_it() {
    let (apps, client) = (apps(), client());
    // It began, slept for eight hours, and ended: 900 ms of it the page was awake.
    let body = json!({"session": "s", "sent_at": NOW_MS, "events": [
        {"name": "journey.start", "time": NOW_MS - 8 * HOUR_MS, "attributes": {"journey": "watch-lecture"}},
        {"name": "journey.end", "time": NOW_MS, "duration_ms": 900, "attributes": {"journey": "watch-lecture", "outcome": "success"}},
    ]})
    .to_string();
    let request = Request {
        write_key: Some("web-key"),
        received_at_ms: NOW_MS,
        ..request(body.as_bytes(), &apps, &client)
    };
    let admission = Format::Native.adapt(&request).unwrap();
    let events = &admission.admitted[0].beacon.events;
    assert_eq!(
        events[1].value.unwrap().scaled(),
        9_000_000,
        "the duration is not the difference of the times"
    );
    assert_eq!(events[1].time_ms - events[0].time_ms, 8 * HOUR_MS, "and both times are kept");
}
