use std::collections::BTreeMap;
use std::sync::Arc;

use schema::definition::{DefinitionSet, EngineSettings};
use schema::rows::{Counters, JourneyMinute, Quality};

use super::*;

fn batch() -> Batch {
    let row = BatchRow {
        topic: "rum.beacons".into(),
        partition: 3,
        generation: 0,
        first_offset: 10,
        next_offset: 25,
        replay_from: 4,
        replay_log_time_ms: 1,
        replay_definition_set: String::new(),
        log_time_ms: 1_795_405_626_034,
        definition_set: "a".into(),
        engine_version: 1,
        records: 15,
        counted: 15,
        reasons: BTreeMap::new(),
        events: 20,
        event_reasons: BTreeMap::new(),
        rows: BTreeMap::from([("journey_minutes".into(), 1)]),
        missing_offsets: 0,
    };
    Batch {
        row,
        journey_minutes: Vec::new(),
        journey_hours: Vec::new(),
        journey_steps: Vec::new(),
        objective_minutes: Vec::new(),
        objective_hours: Vec::new(),
        objective_totals: Vec::new(),
        attempt_samples: Vec::new(),
        seen_events: Vec::new(),
        quality: Vec::new(),
        definitions: Vec::new(),
    }
}

#[test]
fn the_token_names_the_range_and_the_table() {
    let mut batch = batch();
    batch.quality = vec![Quality { app: "a".into(), ..Quality::default() }];
    let inserts = of_batch(&batch);
    assert_eq!(inserts.tables[0].token, "rum.beacons/3/10-25@1795405626034/quality");
    assert_eq!(inserts.progress.token, "rum.beacons/3/10-25@1795405626034/batches");
}

#[test]
fn tables_without_rows_are_not_written_but_progress_is() {
    let inserts = of_batch(&batch());
    assert!(inserts.tables.is_empty() && inserts.definitions.is_empty());
    assert_eq!((inserts.progress.table, inserts.progress.rows), ("batches", 1));
    assert_eq!(inserts.progress.columns.first().map(String::as_str), Some("topic"));
    assert_eq!(inserts.progress.columns.last().map(String::as_str), Some("missing_offsets"));
}

#[test]
fn rows_are_lines_and_flattened_counters_are_columns() {
    let mut batch = batch();
    let row = |minute| JourneyMinute {
        app: "web".into(),
        journey: "watch \"it\"\n".into(),
        route: String::new(),
        platform: "web".into(),
        release: "1".into(),
        window_start: minute,
        counters: Counters { latency: BTreeMap::from([(153, 2)]), ..Counters::default() },
    };
    batch.journey_minutes = vec![row(60), row(120)];
    let inserts = of_batch(&batch);
    let [insert] = inserts.tables.as_slice() else { panic!("{:?}", inserts.tables) };
    assert_eq!((insert.rows, insert.columns.len()), (2, 6 + 16));
    assert_eq!(insert.columns[5..8], ["window_start", "attempts", "valid"]);
    let lines: Vec<_> = insert.body.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 2);
    let line: serde_json::Value = serde_json::from_slice(lines[1]).unwrap();
    assert_eq!((&line["journey"], &line["window_start"]), (&"watch \"it\"\n".into(), &120.into()));
    assert_eq!(line["latency"]["153"], 2);
}

#[test]
fn the_set_itself_is_written_after_its_parts() {
    let mut batch = batch();
    batch.definitions = vec![Arc::new(DefinitionSet::new(EngineSettings::default(), Vec::new(), Vec::new()))];
    let inserts = of_batch(&batch);
    let tables: Vec<_> = inserts.definitions.iter().map(|insert| insert.table).collect();
    assert_eq!(tables, ["definitions"]);
    let line: serde_json::Value = serde_json::from_slice(&inserts.definitions[0].body).unwrap();
    assert_eq!(line["activated_at"], "1795405626.034");
}

#[test]
fn the_same_batch_is_the_same_bytes() {
    assert_eq!(of_batch(&batch()), of_batch(&batch()));
}
