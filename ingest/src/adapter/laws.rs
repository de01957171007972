//! What holds for every format: a recording that was damaged on its way is admitted or refused, and what is admitted
//! can be read from the log again.

use proptest::prelude::*;
use schema::record::{Record, encode_beacon};

use super::Format;
use super::fixture::{Recording, apps, client, recordings, request};
use crate::admission::{Notation, Request};

/// Recordings of each format, by the beginning of their names.
const RECORDED: [(&str, Format, Notation); 8] = [
    ("faro-", Format::Faro, Notation::Json),
    ("otlp-json-", Format::OtlpLogs, Notation::Json),
    ("otlp-json-traces-", Format::OtlpTraces, Notation::Json),
    ("otlp-proto-", Format::OtlpLogs, Notation::Protobuf),
    ("boomerang-post-", Format::Boomerang, Notation::Form),
    ("boomerang-get-", Format::Boomerang, Notation::Form),
    ("web-vitals-", Format::WebVitals, Notation::Json),
    ("nel-", Format::NetworkErrors, Notation::Json),
];

fn content(recording: &Recording) -> Vec<u8> {
    let query = recording.target.split_once('?').map(|(_, query)| query.as_bytes().to_vec());
    query.unwrap_or_else(|| recording.body())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_recording_is_answered_and_what_is_admitted_can_be_read(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let (apps, client) = (apps(), client());
        for (prefix, format, notation) in RECORDED {
            for recording in recordings(prefix) {
                let mut body = content(&recording);
                for (at, byte) in &edits {
                    let at = at.index(body.len());
                    body[at] = *byte;
                }
                if let Some(cut) = &cut {
                    body.truncate(cut.index(body.len()));
                }
                let request = Request { write_key: Some("web-key"), notation, ..request(&body, &apps, &client) };
                let Ok(admission) = format.adapt(&request) else { continue };
                for admitted in &admission.admitted {
                    let beacon = &admitted.beacon;
                    prop_assert!(!beacon.id.is_empty() && !admitted.kafka_key.is_empty());
                    let times = 0..=request.received_at_ms;
                    prop_assert!(beacon.events.iter().all(|event| times.contains(&event.time_ms)));
                    let bytes = encode_beacon(beacon, Vec::new());
                    prop_assert_eq!(Record::decode(&bytes).unwrap(), Record::Beacon(beacon.clone()));
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_answered_in_any_notation(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (apps, client) = (apps(), client());
        for format in Format::ALL {
            for notation in [Notation::Json, Notation::Protobuf, Notation::Form] {
                let request = Request { write_key: Some("web-key"), notation, ..request(&body, &apps, &client) };
                let _ = format.adapt(&request);
            }
        }
    }
}
