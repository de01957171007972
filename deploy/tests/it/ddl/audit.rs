//! The audit: gaps, overlaps, unbalanced batches and missing offsets, each found and nothing else.

use std::collections::BTreeMap;

use schema::rows::BatchRow;
use serde_json::{Value, json};

use super::Database;

/// A batch of `partition` over `[first_offset, next_offset)`, all of whose records were counted.
pub(super) fn batch(partition: i32, first_offset: i64, next_offset: i64, log_time_ms: i64) -> BatchRow {
    let records = (next_offset - first_offset) as u64;
    BatchRow {
        topic: "rum.beacons".into(),
        partition,
        generation: 0,
        first_offset,
        next_offset,
        replay_from: first_offset,
        replay_log_time_ms: log_time_ms,
        replay_definition_set: "a".into(),
        log_time_ms,
        definition_set: "a".into(),
        engine_version: 1,
        records,
        counted: records,
        reasons: BTreeMap::new(),
        events: 5 * records,
        event_reasons: BTreeMap::new(),
        rows: BTreeMap::new(),
        missing_offsets: 0,
    }
}

#[tokio::test]
async fn the_audit_finds_what_is_wrong_and_only_that() {
    let database = Database::start().await;
    let log_time_ms = i64::from(database.recent_hour().await) * 1000;
    let batch = |partition, first, next| batch(partition, first, next, log_time_ms);
    let reasons = |records| BTreeMap::from([("duplicate".to_owned(), records)]);
    let finding = |partition: i32, problem: &str, first: i64, next: i64, detail: &str| {
        json!({"topic": "rum.beacons", "partition": partition, "problem": problem, "first_offset": first,
               "next_offset": next, "detail": detail})
    };
    type Case = (&'static str, Vec<BatchRow>, Vec<Value>);
    let cases: Vec<Case> = vec![
        (
            "one after another, in any order of writing",
            vec![batch(0, 10, 20), batch(0, 0, 10), batch(1, 7, 9)],
            vec![],
        ),
        (
            "balanced by reasons",
            vec![BatchRow { counted: 7, reasons: reasons(3), ..batch(0, 0, 10) }],
            vec![],
        ),
        (
            "a gap",
            vec![batch(0, 0, 10), batch(0, 12, 20), batch(1, 0, 12)],
            vec![finding(0, "gap", 10, 12, "2 offsets are in no batch")],
        ),
        (
            "an overlap",
            vec![batch(0, 0, 10), batch(0, 8, 20)],
            vec![finding(0, "overlap", 8, 10, "2 offsets are in two batches")],
        ),
        (
            "a batch within another does not open a gap",
            vec![batch(0, 0, 30), batch(0, 10, 20), batch(0, 30, 40)],
            vec![finding(0, "overlap", 10, 20, "10 offsets are in two batches")],
        ),
        (
            "a log that went back",
            vec![
                batch(0, 0, 10),
                batch(0, 10, 20),
                BatchRow { generation: 1, ..batch(0, 15, 25) },
                BatchRow { generation: 1, ..batch(0, 27, 30) },
                BatchRow { generation: 2, ..batch(0, 0, 20) },
                BatchRow { generation: 2, ..batch(0, 19, 24) },
                batch(1, 0, 10),
            ],
            vec![
                finding(0, "went_back", 0, 20, "the log went back from 30: truncated, or made anew"),
                finding(0, "went_back", 15, 25, "the log went back from 20: truncated, or made anew"),
                finding(0, "overlap", 19, 20, "1 offsets are in two batches"),
                finding(0, "gap", 25, 27, "2 offsets are in no batch"),
            ],
        ),
        (
            "the same row twice in spite of its token",
            vec![batch(0, 0, 10), batch(0, 0, 10)],
            vec![finding(0, "overlap", 0, 10, "10 offsets are in two batches")],
        ),
        (
            "records without a reason",
            vec![BatchRow { counted: 6, reasons: reasons(3), ..batch(0, 0, 10) }],
            vec![finding(
                0,
                "unbalanced",
                0,
                10,
                "10 records, of which 6 counted and 3 not counted for a reason",
            )],
        ),
        (
            "more reasons than records",
            vec![BatchRow { counted: 8, reasons: reasons(3), ..batch(0, 0, 10) }],
            vec![finding(
                0,
                "unbalanced",
                0,
                10,
                "10 records, of which 8 counted and 3 not counted for a reason",
            )],
        ),
        (
            "records that were not read",
            vec![BatchRow { records: 9, counted: 9, ..batch(0, 0, 10) }],
            vec![finding(0, "unbalanced", 0, 10, "10 offsets, of which 9 records and 0 missing")],
        ),
        (
            "more events left out than there were",
            vec![BatchRow { events: 2, event_reasons: reasons(3), ..batch(0, 0, 10) }],
            vec![finding(0, "unbalanced", 0, 10, "2 events, and 3 not looked at for a reason")],
        ),
        (
            "offsets that the log did not hold",
            vec![BatchRow { records: 6, counted: 6, missing_offsets: 4, ..batch(0, 0, 10) }],
            vec![finding(0, "missing", 0, 10, "4 offsets were no longer in the log")],
        ),
    ];
    for (name, batches, expect) in cases {
        database.clear().await;
        for batch in &batches {
            database.insert("batches", std::slice::from_ref(batch)).await;
        }
        let sql = "SELECT * EXCEPT log_time FROM sli.audit ORDER BY partition, first_offset, problem";
        println!("{name}");
        database.check(sql, Value::Array(expect)).await;
    }
    database.stop().await;
}
