//! What holds of everything that an adapter admits.

use std::sync::LazyLock;

use ingest::adapter::Format;
use ingest::admission::objection::Objections;
use ingest::admission::{Admitted, Notation, Request};
use ingest::apps::Apps;
use ingest::hints::Hints;
use ingest::user_agent::Client;
use schema::beacon::{ATTRIBUTES_MAX, Beacon, EVENTS_MAX, TEXT_BYTES_MAX};
use schema::record::{Record, encode_beacon};

/// When the recorded requests were received.
const RECEIVED_AT_MS: i64 = 1_795_405_700_000;
/// What no text on the log has: a URL, and the beginning of a user agent as `names.dict` has it.
const SECRETS: [&str; 2] = ["://", "Mozilla/5.0 (X11"];
const APP: &str = "app: web\nkeys: [web-key]\nsegment: grade\nroutes: [\"/lectures/:id\"]\n";

static APPS: LazyLock<Apps> = LazyLock::new(|| {
    let app = serde_yaml_ng::from_str(APP).unwrap_or_else(|error| panic!("{error}"));
    Apps::new(vec![("web.yaml".into(), app)]).unwrap_or_else(|error| panic!("{error}"))
});
static CLIENT: LazyLock<Client> = LazyLock::new(Client::default);

/// How a body is written, as far as its first byte tells.
fn notation(format: Format, body: &[u8]) -> Notation {
    match format {
        Format::Boomerang => Notation::Form,
        Format::OtlpLogs | Format::OtlpTraces if !body.starts_with(b"{") => Notation::Protobuf,
        Format::OtlpLogs
        | Format::OtlpTraces
        | Format::Native
        | Format::Faro
        | Format::WebVitals
        | Format::NetworkErrors => Notation::Json,
    }
}

/// Adapts a body, and checks each beacon that is admitted.
pub(crate) fn check(format: Format, body: &[u8]) {
    let request = Request {
        body,
        write_key: Some("web-key"),
        origin: None,
        idempotency_key: None,
        session: None,
        country: "",
        client: &CLIENT,
        hints: Hints::default(),
        objections: Objections::default(),
        received_at_ms: RECEIVED_AT_MS,
        arrival: 7,
        notation: notation(format, body),
        apps: &APPS,
    };
    let Ok(admission) = format.adapt(&request) else { return };
    for Admitted { beacon, kafka_key } in &admission.admitted {
        assert!(!beacon.id.is_empty() && !kafka_key.is_empty(), "{beacon:?}");
        assert!(beacon.events.len() <= EVENTS_MAX, "{} events", beacon.events.len());
        for text in texts(beacon).chain([kafka_key.as_ref()]) {
            assert!(text.len() <= TEXT_BYTES_MAX, "{} bytes: {text:?}", text.len());
            assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text:?}");
        }
        for event in &beacon.events {
            assert!((0..=RECEIVED_AT_MS).contains(&event.time_ms), "{event:?}");
            assert!(event.attributes.len() <= ATTRIBUTES_MAX, "{} attributes", event.attributes.len());
            assert!(event.attributes.is_sorted_by(|a, b| a.0 < b.0), "{event:?}");
        }
        let record = encode_beacon(beacon, Vec::new());
        match Record::decode(&record) {
            Ok(Record::Beacon(read)) => assert_eq!(read, *beacon),
            other => panic!("{other:?} was {beacon:?}"),
        }
    }
}

fn texts<'b>(beacon: &'b Beacon<'_>) -> impl Iterator<Item = &'b str> {
    let Beacon { id, app, environment, session, release, platform, os, browser, .. } = beacon;
    let Beacon { device_class, country, connection, segment, events, .. } = beacon;
    let context = [
        id,
        app,
        environment,
        session,
        release,
        platform,
        os,
        browser,
        device_class,
        country,
        connection,
        segment,
    ];
    let attributes =
        events.iter().flat_map(|event| &event.attributes).flat_map(|(name, value)| [name, value]);
    let names = events.iter().map(|event| &event.name);
    context.into_iter().chain(names).chain(attributes).map(AsRef::as_ref)
}
