use serde_json::{Value, json};

use super::*;

fn point(partitions: i32, ingest_s: f64, p99_ms: Option<f64>) -> Value {
    let parts = json!({"ingest": ingest_s, "kafka": 1.0, "aggregator": 0.5, "clickhouse": 3.0});
    json!({
        "partitions": partitions, "processes": 1,
        "idle": {"wall_s": 5.0, "parts": {"ingest": 0.05, "kafka": 0.05, "aggregator": 0.0, "clickhouse": 0.0}},
        "step": {"rate": 500.0, "accepted": 10_000, "sent": 10_000, "p99_ms": p99_ms, "freshness_ms": 4_000,
            "generator_cores": 0.25, "cpu": {"wall_s": 20.0, "parts": parts}, "verdict": "holds", "why": ""},
    })
}

fn report(points: Vec<Value>) -> Report {
    serde_json::from_value(json!({
        "version": 2, "command": "loadtest scale",
        "machine": {"processor": "P", "cores": 2, "memory_bytes": 1u64 << 33, "system": "Linux", "load_1m": 0.5},
        "program": "0.1.0 (release build)", "rate": 500.0, "seconds": 20, "points": points,
    }))
    .unwrap()
}

#[test]
fn sizes_stand_beside_each_other() {
    let text = report(vec![point(1, 2.2, Some(3.0)), point(64, 2.42, Some(3.0))]).markdown();
    let line = text.lines().find(|line| line.contains(" 1, 1 ")).unwrap();
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    // 2.2 s less 0.01 cores of 20 s, for 10,000 beacons.
    let expect = ["1", "1, 1", "200.0", "80.0", "50.0", "300.0", "630.0", "0.34", "0.020", "3", "4.0"];
    assert_eq!(cells, expect);
    assert!(text.contains("Largest ÷ smallest over all sizes: ingest 1.11, aggregator 1.00"), "{text}");
}

#[test]
fn a_size_that_the_generator_was_too_slow_for_has_no_figures() {
    let report = report(vec![point(1, 2.2, Some(3.0)), point(4, 9.0, None)]);
    assert!(!report.holds());
    let text = report.markdown();
    assert!(text.contains("No figures for 4 partitions with 1 of each process: the generator"), "{text}");
    assert!(text.contains("ingest 1.00"), "{text}");
    assert!(!self::report(Vec::new()).holds());
}
