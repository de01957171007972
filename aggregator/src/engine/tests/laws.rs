//! Laws that hold for every log: batches cover it without gap or overlap and balance, a replay from any batch
//! gives the same batches, and the order, splitting and repetition of beacons change nothing.

use std::sync::Arc;

use proptest::prelude::*;
use schema::beacon::{Beacon, Event};
use schema::definition::{DefinitionSet, EngineSettings};
use schema::record::encode_tick;

use super::world::*;
use crate::engine::{Batch, Engine, LogRecord, Resume, Snapshot};

const NAMES: [&str; 15] = [
    "app.anr",
    "app.crash",
    "crash.report",
    "open",
    "page",
    "video",
    "exception",
    "http.client",
    "close",
    "keep.start",
    "keep.done",
    "browser.web_vital",
    "page.hidden",
    "page.visible",
    "browser.navigation",
];

/// Short horizons, so that sessions are forgotten and begin again within a test log.
fn short_settings() -> EngineSettings {
    EngineSettings {
        flush_interval_ms: 2_000,
        idle_flush_intervals: 5,
        grace_ms: 3_000,
        duplicate_horizon_web_ms: 20_000,
        duplicate_horizon_native_ms: 45_000,
        ..EngineSettings::default()
    }
}

prop_compose! {
    fn any_event()(name in prop::sample::select(&NAMES[..]), at_ms in 0i64..40_000, value in 0u32..5_000,
                   id in 0u8..3, status in prop::sample::select(&["200", "503"][..])) -> Event<'static> {
        let (id, value) = (id.to_string(), value.to_string());
        if name == "crash.report" {
            return event(at_ms, "app.crash", &[("session", "named"), ("type", &id)]);
        }
        event(at_ms, name, &[
            ("fatal", "true"), ("id", &id), ("name", "LCP"), ("navigation", &id), ("route", "/r"),
            ("status", status), ("value", &value),
        ])
    }
}

prop_compose! {
    fn any_beacon()(id in 0u16..40, session in 0u8..6, native in any::<bool>(), shift_ms in 0i64..200_000,
                    mut events in prop::collection::vec(any_event(), 1..5)) -> Beacon<'static> {
        for event in &mut events {
            event.time_ms += shift_ms;
        }
        beacon(&id.to_string(), &format!("s{session}"), if native { "ios" } else { "web" }, events)
    }
}

/// A log of beacons and ticks with uneven steps of time, and sometimes a new definition set on the way.
fn any_log() -> impl Strategy<Value = Vec<Entry>> {
    let step = prop_oneof![4 => 0i64..1_500, 1 => 1_500i64..30_000];
    let entry = prop_oneof![3 => any_beacon().prop_map(Some), 1 => Just(None)];
    (prop::collection::vec((step, entry), 1..120), 0usize..120).prop_map(|(steps, change_at)| {
        let first = definitions(short_settings());
        let second = definitions(EngineSettings { grace_ms: 4_000, ..short_settings() });
        let mut log = vec![definitions_entry(0, &first)];
        let mut now_ms = 0;
        for (place, (step_ms, beacon)) in steps.into_iter().enumerate() {
            now_ms += step_ms;
            if place == change_at {
                log.push(definitions_entry(now_ms, &second));
            }
            log.push(beacon.map_or_else(|| tick(now_ms), |beacon| beacon_entry(now_ms, &beacon)));
        }
        log.extend((1..120).map(|second| tick(now_ms + second * 1_000)));
        log
    })
}

fn definitions_of(id: &str) -> Option<Arc<DefinitionSet>> {
    let sets = [short_settings(), EngineSettings { grace_ms: 4_000, ..short_settings() }];
    sets.into_iter().map(definitions).find(|set| set.id == id).map(Arc::new)
}

fn resume_after(batch: &Batch) -> Resume {
    Resume {
        generation: batch.row.generation,
        replay_from: batch.row.replay_from,
        replay_log_time_ms: batch.row.replay_log_time_ms,
        replay_definitions: definitions_of(&batch.row.replay_definition_set),
        next_offset: batch.row.next_offset,
        log_time_ms: batch.row.log_time_ms,
        definitions: definitions_of(&batch.row.definition_set),
    }
}

/// The state at the end of every batch.
fn snapshots(log: &[Entry]) -> Vec<Snapshot> {
    let mut engine = Engine::new("t".into(), 0, Resume::default());
    let mut snapshots = Vec::new();
    for (offset, entry) in log.iter().enumerate() {
        engine.snapshot_at_next_cut();
        let (key, payload) = (entry.key.as_bytes(), &entry.payload[..]);
        let record = LogRecord { offset: offset as i64, append_ms: entry.append_ms, key, payload };
        snapshots.extend(engine.record(record).snapshot);
    }
    snapshots
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn batches_cover_the_log_and_balance(log in any_log()) {
        let mut next = 0;
        for batch in play(&log, Resume::default()) {
            let row = &batch.row;
            prop_assert_eq!(row.first_offset, next);
            prop_assert_eq!(row.records as i64, row.next_offset - row.first_offset);
            prop_assert_eq!(row.records, row.counted + row.reasons.values().sum::<u64>());
            prop_assert!(row.event_reasons.values().sum::<u64>() <= row.events);
            prop_assert!(row.replay_from <= row.next_offset);
            next = row.next_offset;
        }
    }

    #[test]
    fn a_replay_from_any_batch_gives_the_same_batches(log in any_log()) {
        let batches = play(&log, Resume::default());
        for (place, batch) in batches.iter().enumerate() {
            let again = play(&log, resume_after(batch));
            prop_assert_eq!(&again[..], &batches[place + 1..], "after batch {}", place);
        }
    }

    #[test]
    fn a_snapshot_from_any_batch_gives_the_same_batches(log in any_log(), behind in 0usize..3) {
        let batches = play(&log, Resume::default());
        let snapshots = snapshots(&log);
        prop_assert_eq!(snapshots.len(), batches.len());
        for (place, snapshot) in snapshots.iter().enumerate() {
            // The log may have been written further than the last snapshot.
            let last = (place + behind).min(batches.len() - 1);
            let engine = Engine::restore("t".into(), 0, snapshot, batches[last].row.next_offset);
            let again = play_on(engine.unwrap(), &log, snapshot.cut.next_offset);
            prop_assert_eq!(&again[..], &batches[last + 1..], "after snapshot {}", place);
        }
    }

    #[test]
    fn a_log_that_lost_an_end_without_beacons_gives_the_same_totals(log in any_log()) {
        let ticks = log.iter().rev().take_while(|entry| entry.payload == encode_tick()).count();
        let kept = log.len() - ticks;
        let batches = play(&log, Resume::default());
        let totals = |batches: &[Batch]| {
            let mut totals = totals(batches);
            totals.retain(|key, _| !key.starts_with("records control"));
            totals
        };
        let whole = totals(&batches);
        for (place, batch) in batches.iter().enumerate().filter(|(_, batch)| batch.row.next_offset > kept as i64) {
            let rest = &log[batch.row.next_offset as usize..];
            let truncated = [&log[..kept], rest].concat();
            let next_offset = kept as i64;
            let replay_from = batch.row.replay_from.min(next_offset);
            let resume = Resume { replay_from, next_offset, ..resume_after(batch) };
            let again = [&batches[..=place], &play(&truncated, resume)].concat();
            prop_assert_eq!(totals(&again), whole.clone(), "after batch {}", place);
        }
    }

    #[test]
    fn order_splitting_and_repetition_of_beacons_change_nothing(
        beacons in prop::collection::vec(any_beacon(), 1..12),
        order in any::<u64>(),
    ) {
        let settings = EngineSettings { grace_ms: 60_000, ..settings() };
        let ids = |beacons: &[Beacon<'static>]| -> Vec<Beacon<'static>> {
            beacons.iter().enumerate().map(|(place, beacon)| Beacon {
                id: place.to_string().into(),
                sequence: Some(place as u64),
                platform: "web".into(),
                ..beacon.clone()
            }).collect()
        };
        let plain = ids(&beacons);
        let mut shaken: Vec<Beacon<'static>> = Vec::new();
        for (place, beacon) in plain.iter().enumerate() {
            shaken.push(beacon.clone());
            if place % 2 == 0 {
                shaken.push(beacon.clone());
            }
        }
        // A permutation that the seed decides.
        shaken.sort_by_key(|beacon| xxhash_rust::xxh3::xxh3_64_with_seed(beacon.id.as_bytes(), order));
        let table = |beacons: &[Beacon<'static>]| {
            let mut log = vec![definitions_entry(0, &definitions(settings.clone()))];
            let count = beacons.len() as i64;
            log.extend(beacons.iter().enumerate().map(|(place, beacon)| {
                beacon_entry(250_000 + place as i64 * 55_000 / count, beacon)
            }));
            log.extend((0..300).map(|second| tick(310_000 + second * 1_000)));
            let mut totals = totals(&play(&log, Resume::default()));
            totals.retain(|key, _| !key.starts_with("records "));
            totals
        };
        prop_assert_eq!(table(&plain), table(&shaken));
    }
}
