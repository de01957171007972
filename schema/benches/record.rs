//! Encodings of a beacon on the log, measured: `cargo bench -p schema`.
//!
//! Every encoding carries the same beacon of five events. The sizes are printed first; the times are of one
//! beacon, on one core.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::record::{Record, encode_beacon};
use schema::value::Value;

/// A page that loads, asks its server, and plays a lecture.
fn beacon() -> Beacon<'static> {
    let event = |name: &'static str,
                 after_ms: i64,
                 value: Option<f64>,
                 attributes: &[(&'static str, &'static str)]| Event {
        name: name.into(),
        time_ms: 1_795_405_626_634 + after_ms,
        time_method: TimeMethod::AsSent,
        time_correction_ms: 0,
        value: value.and_then(|value| Value::from_f64(value).ok()),
        attributes: attributes.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect(),
    };
    Beacon {
        id: "01JD9Z6W3Q8T4N5V7X2Y0B1C6D".into(),
        app: "studyapp-web".into(),
        environment: "production".into(),
        session: "s-81f0c2d4a97e".into(),
        sequence: Some(3),
        release: "2026.11.3".into(),
        platform: "web".into(),
        os: "Android".into(),
        browser: "Chrome Mobile".into(),
        device_class: "mobile".into(),
        country: "JP".into(),
        connection: "4g".into(),
        segment: "jhs2".into(),
        received_at_ms: 1_795_405_626_830,
        sent_at_ms: Some(1_795_405_626_800),
        bot: false,
        weight: 1,
        events: vec![
            event(
                "browser.navigation",
                -400,
                Some(414.0),
                &[("route", "/lectures/:id"), ("type", "navigate")],
            ),
            event(
                "browser.web_vital",
                -300,
                Some(228.5),
                &[
                    ("id", "v6-1795405625551-5498880101786"),
                    ("name", "LCP"),
                    ("rating", "good"),
                    ("route", "/lectures/:id"),
                ],
            ),
            event("journey.start", 0, None, &[("journey", "watch-lecture")]),
            event(
                "http.client",
                23,
                Some(125.3),
                &[("method", "GET"), ("route", "/api/lectures/:id"), ("status", "200")],
            ),
            event("journey.end", 153, Some(152.8), &[("journey", "watch-lecture"), ("outcome", "success")]),
        ],
        rejected: Vec::new(),
    }
}

/// The same content for protocol buffers, whose readers own their text.
mod protobuf {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Beacon {
        #[prost(string, repeated, tag = "1")]
        context: Vec<String>,
        #[prost(uint64, optional, tag = "2")]
        sequence: Option<u64>,
        #[prost(sint64, tag = "3")]
        received_at_ms: i64,
        #[prost(sint64, optional, tag = "4")]
        sent_at_ms: Option<i64>,
        #[prost(bool, tag = "5")]
        bot: bool,
        #[prost(uint32, tag = "6")]
        weight: u32,
        #[prost(message, repeated, tag = "7")]
        events: Vec<Event>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Event {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(sint64, tag = "2")]
        time_ms: i64,
        #[prost(uint32, tag = "3")]
        time_method: u32,
        #[prost(sint64, tag = "4")]
        time_correction_ms: i64,
        #[prost(uint64, optional, tag = "5")]
        value: Option<u64>,
        #[prost(message, repeated, tag = "6")]
        attributes: Vec<Attribute>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Attribute {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        text: String,
    }

    impl From<&schema::beacon::Beacon<'_>> for Beacon {
        fn from(beacon: &schema::beacon::Beacon<'_>) -> Self {
            let context = [
                &beacon.id,
                &beacon.app,
                &beacon.environment,
                &beacon.session,
                &beacon.release,
                &beacon.platform,
                &beacon.os,
                &beacon.browser,
                &beacon.device_class,
                &beacon.country,
                &beacon.connection,
                &beacon.segment,
            ];
            Self {
                context: context.map(|text| text.to_string()).to_vec(),
                sequence: beacon.sequence,
                received_at_ms: beacon.received_at_ms,
                sent_at_ms: beacon.sent_at_ms,
                bot: beacon.bot,
                weight: beacon.weight,
                events: beacon.events.iter().map(Event::from).collect(),
            }
        }
    }

    impl From<&schema::beacon::Event<'_>> for Event {
        fn from(event: &schema::beacon::Event<'_>) -> Self {
            Self {
                name: event.name.to_string(),
                time_ms: event.time_ms,
                time_method: event.time_method as u32,
                time_correction_ms: event.time_correction_ms,
                value: event.value.map(|value| value.scaled()),
                attributes: event
                    .attributes
                    .iter()
                    .map(|(name, text)| Attribute { name: name.to_string(), text: text.to_string() })
                    .collect(),
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "sizes are a result of the bench")]
fn record(criterion: &mut Criterion) {
    let beacon = beacon();
    let postcard = encode_beacon(&beacon, Vec::new());
    let json = serde_json::to_vec(&beacon).expect("encodes and decodes");
    let message_pack = rmp_serde::to_vec(&beacon).expect("encodes and decodes");
    let message = protobuf::Beacon::from(&beacon);
    let protobuf = prost::Message::encode_to_vec(&message);
    println!(
        "bytes of a beacon of five events: postcard {}, protobuf {}, MessagePack {}, JSON {}",
        postcard.len(),
        protobuf.len(),
        message_pack.len(),
        json.len()
    );

    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(beacon.events.len() as u64));
    group.bench_function("postcard, borrowed", |b| {
        b.iter(|| Record::decode(black_box(&postcard)).expect("encodes and decodes"))
    });
    group.bench_function("MessagePack, borrowed", |b| {
        b.iter(|| {
            rmp_serde::from_slice::<Beacon<'_>>(black_box(&message_pack)).expect("encodes and decodes")
        });
    });
    group.bench_function("protobuf, owned", |b| {
        b.iter(|| {
            <protobuf::Beacon as prost::Message>::decode(black_box(&protobuf[..]))
                .expect("encodes and decodes")
        });
    });
    group.bench_function("JSON, borrowed", |b| {
        b.iter(|| serde_json::from_slice::<Beacon<'_>>(black_box(&json)).expect("encodes and decodes"));
    });
    group.finish();

    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(beacon.events.len() as u64));
    let mut buffer = Vec::new();
    group.bench_function("postcard", |b| {
        b.iter(|| {
            buffer = encode_beacon(black_box(&beacon), std::mem::take(&mut buffer));
            buffer.len()
        });
    });
    group.bench_function("MessagePack", |b| {
        b.iter(|| rmp_serde::to_vec(black_box(&beacon)).expect("encodes and decodes"))
    });
    group.bench_function("protobuf", |b| b.iter(|| prost::Message::encode_to_vec(black_box(&message))));
    group.bench_function("JSON", |b| {
        b.iter(|| serde_json::to_vec(black_box(&beacon)).expect("encodes and decodes"))
    });
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
