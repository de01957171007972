//! Records on the log: what is written comes back, damage is told, old records stay readable.

use proptest::prelude::*;
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::definition::{DefinitionSet, EngineSettings, load};
use schema::record::{Record, RecordError, VERSION, encode_beacon, encode_definitions, encode_tick};
use schema::value::{SCALE, VALUE_UNITS_MAX, Value};

/// A beacon with every field that version 1 has, as its first writer encoded it. Never to be regenerated: a
/// change that needs other bytes is another version.
const BEACON_OF_VERSION_1: &str = "01010262310c73747564796170702d7765620a70726f64756374696f6e027331010309323032362e31312e3303\
    77656207416e64726f6964064368726f6d65066d6f62696c65024a50023467046a6873329cf79de8c06801e0f6\
    9de8c0680002010b687474702e636c69656e74c2f49de8c06801fff0040194b94c0205726f757465112f617069\
    2f6c656374757265732f3a696406737461747573033230300107746f6f5f6f6c6401";

fn beacon() -> Beacon<'static> {
    Beacon {
        id: "b1".into(),
        app: "studyapp-web".into(),
        environment: "production".into(),
        session: "s1".into(),
        sequence: Some(3),
        release: "2026.11.3".into(),
        platform: "web".into(),
        os: "Android".into(),
        browser: "Chrome".into(),
        device_class: "mobile".into(),
        country: "JP".into(),
        connection: "4g".into(),
        segment: "jhs2".into(),
        received_at_ms: 1_795_405_626_830,
        sent_at_ms: Some(1_795_405_626_800),
        bot: false,
        weight: 2,
        events: vec![Event {
            name: "http.client".into(),
            time_ms: 1_795_405_626_657,
            time_method: TimeMethod::OffsetCorrected,
            time_correction_ms: -40_000,
            value: Some(Value::from_f64(125.25).unwrap()),
            attributes: vec![("route".into(), "/api/lectures/:id".into()), ("status".into(), "200".into())],
        }],
        rejected: vec![("too_old".into(), 1)],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_record_of_version_1_still_decodes_and_is_still_written() {
    assert_eq!(hex(&encode_beacon(&beacon(), Vec::new())), BEACON_OF_VERSION_1);
    let bytes = unhex(BEACON_OF_VERSION_1);
    assert_eq!(Record::decode(&bytes).unwrap(), Record::Beacon(beacon()));
}

#[test]
fn ticks_and_definition_sets_come_back() {
    assert_eq!(Record::decode(&encode_tick()).unwrap(), Record::Tick);
    let set = load(&[], EngineSettings::default()).unwrap();
    let bytes = encode_definitions(&set);
    assert_eq!(Record::decode(&bytes).unwrap(), Record::Definitions(Box::new(set)));
    let empty = DefinitionSet::new(EngineSettings::default(), Vec::new(), Vec::new());
    let bytes = encode_definitions(&empty);
    assert_eq!(Record::decode(&bytes).unwrap(), Record::Definitions(Box::new(empty)));
}

#[test]
fn what_this_build_cannot_read_is_named() {
    let check = |bytes: &[u8], expect: &str| {
        assert_eq!(Record::decode(bytes).unwrap_err().to_string(), expect, "{bytes:?}");
    };
    check(&[], "record has 0 bytes, fewer than its header of 2");
    check(&[VERSION], "record has 1 bytes, fewer than its header of 2");
    check(&[VERSION + 1, 1], "record version 2 is not known, this build reads up to 1");
    check(&[0, 2], "record version 0 is not known, this build reads up to 1");
    check(&[VERSION, 9], "record kind 9 is not known");
    check(&[VERSION, 0], "record kind 0 is not known");
    assert!(matches!(Record::decode(&[VERSION, 3, b'{']), Err(RecordError::Definitions(_))));
}

#[test]
fn a_beacon_that_was_cut_anywhere_does_not_decode() {
    let bytes = encode_beacon(&beacon(), Vec::new());
    for length in 2..bytes.len() {
        assert!(matches!(Record::decode(&bytes[..length]), Err(RecordError::Beacon(_))), "{length} bytes");
    }
}

#[test]
fn a_buffer_is_reused_whatever_it_held() {
    let fresh = encode_beacon(&beacon(), Vec::new());
    let memory = Vec::from([7_u8; 4_096]);
    let place = memory.as_ptr();
    let reused = encode_beacon(&beacon(), memory);
    assert_eq!((reused.as_ptr(), &reused), (place, &fresh));
}

fn event() -> impl Strategy<Value = Event<'static>> {
    let method = prop_oneof![
        Just(TimeMethod::AsSent),
        Just(TimeMethod::OffsetCorrected),
        Just(TimeMethod::ClampedToReceived),
        Just(TimeMethod::Received),
    ];
    let value = proptest::option::of(0..=VALUE_UNITS_MAX * SCALE);
    let attributes = proptest::collection::btree_map("\\PC{0,12}", "\\PC{0,40}", 0..6);
    ("\\PC{0,20}", any::<i64>(), method, any::<i64>(), value, attributes).prop_map(
        |(name, time_ms, time_method, time_correction_ms, value, attributes)| Event {
            name: name.into(),
            time_ms,
            time_method,
            time_correction_ms,
            value: value.map(|scaled| Value::from_scaled(scaled).unwrap()),
            attributes: attributes.into_iter().map(|(name, text)| (name.into(), text.into())).collect(),
        },
    )
}

fn any_beacon() -> impl Strategy<Value = Beacon<'static>> {
    let texts = proptest::array::uniform12("\\PC{0,24}");
    let numbers =
        (proptest::option::of(any::<u64>()), any::<i64>(), proptest::option::of(any::<i64>()), any::<u32>());
    let rejected = proptest::collection::btree_map("[a-z_]{1,12}", any::<u32>(), 0..3);
    (texts, numbers, any::<bool>(), proptest::collection::vec(event(), 0..6), rejected).prop_map(
        |(texts, (sequence, received_at_ms, sent_at_ms, weight), bot, events, rejected)| {
            let [
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
            ] = texts.map(Into::into);
            Beacon {
                id,
                app,
                environment,
                session,
                sequence,
                release,
                platform,
                os,
                browser,
                device_class,
                country,
                connection,
                segment,
                received_at_ms,
                sent_at_ms,
                bot,
                weight,
                events,
                rejected: rejected.into_iter().map(|(reason, count)| (reason.into(), count)).collect(),
            }
        },
    )
}

proptest! {
    #[test]
    fn every_beacon_comes_back(beacon in any_beacon()) {
        let bytes = encode_beacon(&beacon, Vec::new());
        prop_assert_eq!(Record::decode(&bytes).unwrap(), Record::Beacon(beacon));
    }

    /// Whatever stands on the log is decoded or refused; nothing panics.
    #[test]
    fn no_bytes_bring_the_reader_down(kind in 0..5_u8, content in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![VERSION, kind];
        bytes.extend(content);
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn a_flipped_bit_never_brings_the_reader_down(beacon in any_beacon(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = encode_beacon(&beacon, Vec::new());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = Record::decode(&bytes);
    }
}
