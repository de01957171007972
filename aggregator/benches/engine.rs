//! What the engine costs an event: beacons of five events from sessions that watch lectures, call an API and
//! report web vitals, against the mere decoding of the same records. `cargo bench -p aggregator`.

use std::hint::black_box;

use aggregator::engine::{Engine, LogRecord, Resume};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::definition::{EngineSettings, load};
use schema::record::{Record, encode_beacon, encode_definitions};
use schema::value::Value;

const BEACONS: usize = 40_000;
const EVENTS_A_BEACON: u64 = 5;
const SESSIONS: usize = 4_000;
/// Slow enough that most attempts settle within the log: the whole of it is 100 s of log time.
const BEACONS_A_SECOND: i64 = 400;
const T0: i64 = 1_795_400_000_000;

const WATCH: &str = r#"
journey: watch-lecture
owner: learning-team
promise: A learner who opens a lecture sees it play within two seconds.
start: {event: user.action, where: {name: lecture.open}}
steps:
  - {name: page, done: {event: browser.navigation, where: {route: "/lectures/:id"}}}
  - {name: video, done: {event: video.first_frame}}
success: {event: video.first_frame}
failure:
  - {event: exception, where: {fatal: true}}
  - {event: http.client, where: {route: "/api/lectures/**", status: [0, ">=500"]}, recoverable: true}
objectives:
  - {name: works, target: 99.5%}
  - {name: fast, within: {web: 2s, ios: 1.5s}, target: 95%}
"#;

fn event(
    name: &'static str,
    time_ms: i64,
    value: u64,
    attributes: &[(&'static str, String)],
) -> Event<'static> {
    Event {
        name: name.into(),
        time_ms,
        time_method: TimeMethod::AsSent,
        time_correction_ms: 0,
        value: Value::from_units(value).ok(),
        attributes: attributes.iter().map(|(key, value)| ((*key).into(), value.clone().into())).collect(),
    }
}

fn beacon(number: usize) -> (Beacon<'static>, i64) {
    let time_ms = T0 + number as i64 * 1_000 / BEACONS_A_SECOND;
    let spread = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let text = |text: &str| text.to_owned();
    let events = vec![
        event("user.action", time_ms - 900, 0, &[("name", text("lecture.open"))]),
        event(
            "browser.navigation",
            time_ms - 700,
            200 + spread % 900,
            &[("id", format!("n{number}")), ("route", text("/lectures/:id")), ("type", text("navigate"))],
        ),
        event(
            "http.client",
            time_ms - 500,
            20 + spread % 400,
            &[("method", text("GET")), ("route", text("/api/lectures/:id")), ("status", text("200"))],
        ),
        event("video.first_frame", time_ms - 300 + (spread % 200) as i64, 0, &[]),
        event(
            "browser.web_vital",
            time_ms,
            100 + spread % 3_000,
            &[
                ("id", format!("v{number}")),
                ("name", text("LCP")),
                ("navigation", format!("n{number}")),
                ("rating", text("good")),
                ("route", text("/lectures/:id")),
            ],
        ),
    ];
    let beacon = Beacon {
        id: format!("01J{number:013}").into(),
        app: "studyapp-web".into(),
        environment: "production".into(),
        session: format!("session-{:08}", number % SESSIONS).into(),
        sequence: Some((number / SESSIONS) as u64),
        release: format!("2026.11.{}", number % 3).into(),
        platform: "web".into(),
        os: ["Windows", "Mac OS X", "Android"][number % 3].into(),
        browser: ["Chrome", "Safari"][number % 2].into(),
        device_class: "desktop".into(),
        country: "JP".into(),
        connection: "4g".into(),
        segment: ["jhs1", "jhs2", "jhs3"][number % 3].into(),
        received_at_ms: time_ms,
        sent_at_ms: Some(time_ms),
        bot: false,
        weight: 1,
        events,
        rejected: Vec::new(),
    };
    (beacon, time_ms)
}

fn cost_of_an_event(criterion: &mut Criterion) {
    let files = [
        ("journeys/watch-lecture.yaml".to_owned(), WATCH.to_owned()),
        ("apps/web.yaml".to_owned(), "app: studyapp-web\nkeys: [k]\n".to_owned()),
    ];
    let set = match load(&files, EngineSettings::default()) {
        Ok(set) => set,
        Err(error) => panic!("{error}"),
    };
    let activation = encode_definitions(&set);
    let records: Vec<(String, i64, Vec<u8>)> = (0..BEACONS)
        .map(beacon)
        .map(|(beacon, append_ms)| {
            (beacon.session.to_string(), append_ms, encode_beacon(&beacon, Vec::new()))
        })
        .collect();

    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(BEACONS as u64 * EVENTS_A_BEACON)).sample_size(20);
    group.bench_function("bound: decode only", |bencher| {
        bencher.iter(|| {
            for (_, _, payload) in &records {
                black_box(Record::decode(payload).is_ok());
            }
        });
    });
    group.bench_function("engine: decode, attempts, cells, rows", |bencher| {
        bencher.iter(|| {
            let mut engine = Engine::new("rum.beacons".into(), 0, Resume::default());
            engine.record(LogRecord { offset: 0, append_ms: T0, key: b"", payload: &activation });
            for (offset, (key, append_ms, payload)) in records.iter().enumerate() {
                let record = LogRecord {
                    offset: offset as i64 + 1,
                    append_ms: *append_ms,
                    key: key.as_bytes(),
                    payload,
                };
                black_box(engine.record(record));
            }
            black_box(engine.gauges())
        });
    });
    group.finish();
}

criterion_group!(benches, cost_of_an_event);
criterion_main!(benches);
