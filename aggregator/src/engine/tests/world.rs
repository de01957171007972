//! A small log to play events into, and the sums of everything that comes out.

use std::collections::BTreeMap;

use schema::beacon::{Beacon, Event, TimeMethod};
use schema::definition::{
    App, AttemptKind, Comparison, DefinitionSet, EngineSettings, FailureMatcher, Journey, Matcher, Objective,
    Restart, Rule, Step, Test, Unit,
};
use schema::record::{encode_beacon, encode_definitions, encode_tick};
use schema::value::Value;

use crate::engine::{Batch, Engine, LogRecord, Resume};

/// Log time at which every test log begins.
pub(crate) const T0: i64 = 1_795_400_000_000 / 60_000 * 60_000;

/// One record of a test log.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub append_ms: i64,
    pub key: String,
    pub payload: Vec<u8>,
}

pub(crate) fn settings() -> EngineSettings {
    EngineSettings { flush_interval_ms: 5_000, grace_ms: 10_000, ..EngineSettings::default() }
}

pub(crate) fn matcher(event: &str, conditions: &[(&str, Test)]) -> Matcher {
    let condition = |(attribute, test): &(&str, Test)| schema::definition::Condition {
        attribute: (*attribute).to_owned(),
        any_of: vec![test.clone()],
    };
    Matcher { event: event.to_owned(), conditions: conditions.iter().map(condition).collect() }
}

fn equals(text: &str) -> Test {
    Test::Equals(text.to_owned())
}

pub(crate) fn journey(name: &str) -> Journey {
    Journey {
        name: name.to_owned(),
        title: name.to_owned(),
        product: String::new(),
        owner: String::new(),
        promise: String::new(),
        apps: Vec::new(),
        platforms: Vec::new(),
        standard: false,
        attempt: AttemptKind::Journey,
        start: Vec::new(),
        steps: Vec::new(),
        success: Vec::new(),
        failure: Vec::new(),
        cancel: Vec::new(),
        timeout_ms: 30_000,
        patience_ms: 2_000,
        restart: Restart::New,
        unit: Unit::Ms,
        revised_by: None,
        objectives: Vec::new(),
        policy: "default".to_owned(),
    }
}

fn failure(matcher: Matcher, recoverable: bool) -> FailureMatcher {
    FailureMatcher { matcher, recoverable }
}

/// The watch journey of the tests: start `open`, steps `page` and `video`, success `video`, failure by a fatal
/// exception, or by a failed call that a later success repairs. And one journey of each other kind.
pub(crate) fn definitions(settings: EngineSettings) -> DefinitionSet {
    let watch = Journey {
        start: vec![matcher("open", &[])],
        steps: vec![
            Step { name: "page".into(), done: vec![matcher("page", &[])] },
            Step { name: "video".into(), done: vec![matcher("video", &[])] },
        ],
        success: vec![matcher("video", &[])],
        failure: vec![
            failure(matcher("exception", &[("fatal", equals("true"))]), false),
            failure(
                matcher("http.client", &[("status", Test::Compares(Comparison::GreaterOrEqual, 500.0))]),
                true,
            ),
        ],
        cancel: vec![matcher("close", &[])],
        objectives: vec![
            Objective::new("works".into(), Rule::Works, Some(990_000), 28),
            Objective::new(
                "fast".into(),
                Rule::Within {
                    default: None,
                    by_platform: [("web".to_owned(), Value::from_units(2_000).unwrap())].into(),
                    from: None,
                },
                Some(950_000),
                28,
            ),
        ],
        ..journey("watch")
    };
    let keep = Journey {
        start: vec![matcher("keep.start", &[])],
        success: vec![matcher("keep.done", &[])],
        restart: Restart::Continue,
        ..journey("keep")
    };
    let calls = Journey {
        attempt: AttemptKind::Event,
        success: vec![matcher("http.client", &[])],
        failure: vec![failure(
            matcher("http.client", &[("status", Test::Compares(Comparison::GreaterOrEqual, 500.0))]),
            false,
        )],
        ..journey("calls")
    };
    let vital = Journey {
        attempt: AttemptKind::Event,
        success: vec![matcher("browser.web_vital", &[("name", equals("LCP"))])],
        revised_by: Some("id".into()),
        ..journey("lcp")
    };
    let unbroken = Journey {
        attempt: AttemptKind::Session,
        failure: vec![
            failure(matcher("app.crash", &[]), false),
            failure(matcher("exception", &[("fatal", equals("true"))]), false),
        ],
        objectives: vec![Objective::new("works".into(), Rule::Works, None, 28)],
        ..journey("unbroken")
    };
    let apps = vec![App { name: "app".into(), environments: vec!["production".into()], count_bots: false }];
    DefinitionSet::new(settings, apps, vec![watch, keep, calls, vital, unbroken])
}

/// An event at `T0 + at_ms`; a value is given as the attribute `value`.
pub(crate) fn event(at_ms: i64, name: &str, attributes: &[(&str, &str)]) -> Event<'static> {
    let value = attributes.iter().find(|(key, _)| *key == "value").map(|(_, value)| value.parse().unwrap());
    let others = attributes.iter().filter(|(key, _)| *key != "value");
    let mut attributes: Vec<_> =
        others.map(|(key, value)| ((*key).to_owned().into(), (*value).to_owned().into())).collect();
    attributes.sort();
    Event {
        name: name.to_owned().into(),
        time_ms: T0 + at_ms,
        time_method: TimeMethod::AsSent,
        time_correction_ms: 0,
        value,
        attributes,
    }
}

pub(crate) fn beacon(
    id: &str,
    session: &str,
    platform: &str,
    events: Vec<Event<'static>>,
) -> Beacon<'static> {
    Beacon {
        id: id.to_owned().into(),
        app: "app".into(),
        environment: "production".into(),
        session: session.to_owned().into(),
        sequence: None,
        release: "1".into(),
        platform: platform.to_owned().into(),
        os: "".into(),
        browser: "".into(),
        device_class: "".into(),
        country: "".into(),
        connection: "".into(),
        segment: "".into(),
        received_at_ms: T0,
        sent_at_ms: None,
        bot: false,
        weight: 1,
        events,
        rejected: Vec::new(),
    }
}

pub(crate) fn beacon_entry(at_ms: i64, beacon: &Beacon<'_>) -> Entry {
    Entry {
        append_ms: T0 + at_ms,
        key: beacon.session.to_string(),
        payload: encode_beacon(beacon, Vec::new()),
    }
}

pub(crate) fn tick(at_ms: i64) -> Entry {
    Entry { append_ms: T0 + at_ms, key: String::new(), payload: encode_tick().to_vec() }
}

pub(crate) fn definitions_entry(at_ms: i64, set: &DefinitionSet) -> Entry {
    Entry { append_ms: T0 + at_ms, key: String::new(), payload: encode_definitions(set) }
}

/// Plays `log` from the resume point, and returns the batches.
pub(crate) fn play(log: &[Entry], resume: Resume) -> Vec<Batch> {
    let from = resume.replay_from;
    play_on(Engine::new("t".into(), 0, resume), log, from)
}

/// Plays `log` from offset `from` on, and returns the batches.
pub(crate) fn play_on(mut engine: Engine, log: &[Entry], from: i64) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (offset, entry) in log.iter().enumerate().skip(from as usize) {
        let outcome = engine.record(LogRecord {
            offset: offset as i64,
            append_ms: entry.append_ms,
            key: entry.key.as_bytes(),
            payload: &entry.payload,
        });
        batches.extend(outcome.batch);
    }
    batches
}

/// Everything that the batches of a log sum up to, by table and key, as text that a test can compare.
pub(crate) fn totals(batches: &[Batch]) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    let mut add = |key: String, count: u64| {
        if count > 0 {
            *totals.entry(key).or_default() += count;
        }
    };
    for batch in batches {
        for row in &batch.journey_minutes {
            let minute = i64::from(row.window_start) - T0 / 1000;
            let key = |what: &str| format!("{} {} {minute} {what}", row.journey, row.route);
            let counters = &row.counters;
            for (what, count) in [
                ("attempts", counters.attempts),
                ("valid", counters.valid),
                ("success", counters.success),
                ("failure", counters.failure),
                ("timeout", counters.timeout),
                ("interrupted", counters.interrupted),
                ("abandoned", counters.abandoned),
                ("cancelled", counters.cancelled),
                ("unknown", counters.unknown),
                ("sessions", counters.sessions),
                ("hurt", counters.sessions_hurt),
            ] {
                add(key(what), count);
            }
            counters
                .reasons
                .iter()
                .for_each(|(reason, count)| add(key(&format!("because {reason}")), *count));
            counters.latency.iter().for_each(|(bucket, count)| add(key(&format!("{bucket}ms")), *count));
        }
        for row in &batch.journey_steps {
            let key = |what: &str| format!("step {} {} {what}", row.journey, row.step);
            add(key("attempts"), row.attempts);
            add(key("success"), row.success);
        }
        for row in &batch.objective_minutes {
            let key = |what: &str| format!("objective {} {} {what}", row.journey, row.objective);
            add(key("valid"), row.valid);
            add(key("bad"), row.bad);
        }
        for row in &batch.seen_events {
            add(format!("seen {}", row.event), row.seen);
        }
        for row in &batch.quality {
            add("marks late".into(), row.late);
        }
        batch.row.reasons.iter().for_each(|(reason, count)| add(format!("records {reason}"), *count));
        batch.row.event_reasons.iter().for_each(|(reason, count)| add(format!("events {reason}"), *count));
        add("records counted".into(), batch.row.counted);
    }
    totals
}
