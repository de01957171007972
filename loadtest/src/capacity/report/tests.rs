use serde_json::{Value, json};

use super::super::search::Verdict;
use super::*;

fn step(rate: f64, verdict: &str, why: &str) -> Value {
    json!({
        "rate": rate, "accepted": 10_000, "sent": 10_000, "p99_ms": 12.0, "freshness_ms": 4_000, "generator_cores": 0.25,
        "cpu": {"wall_s": 10.0, "parts": {"ingest": 2.0, "kafka": 1.0, "aggregator": 0.5, "clickhouse": 3.0}},
        "verdict": verdict, "why": why,
    })
}

fn report() -> Report {
    let found = |what: &str| {
        json!({"what": what, "knee": {"holds": 1_000.0, "breaks": 2_000.0, "generator": null},
            "steps": [step(1_000.0, "holds", ""), step(2_000.0, "breaks", "p99 was 150 ms")]})
    };
    let mut report: Report = serde_json::from_value(json!({
        "version": 1,
        "command": "loadtest capacity",
        "machine": {"processor": "P", "cores": 2, "memory_bytes": 1u64 << 33, "system": "Linux", "load_1m": 0.5},
        "program": "0.1.0 (release build)",
        "limits": {"p99_ms": 100.0, "freshness_ms": 15_000},
        "step_s": 15,
        "whole": found("the whole pipeline"),
        "alone": found("ingest alone"),
        "drained": {"beacons": 30_000, "cpu": {"wall_s": 3.0, "parts": {"aggregator": 1.5}}},
        "low": step(400.0, "holds", ""),
        "high": step(600.0, "holds", ""),
        "checked": {
            "predicted": {"ingest": 0.22, "kafka": 0.1, "aggregator": 0.05, "clickhouse": 0.27},
            "step": step(900.0, "holds", ""), "events": 50_000, "kafka_bytes": 2_000_000, "clickhouse_bytes": 500_000,
            "verified": {"equal": true, "run_ended": true, "checks": 9, "different": 0, "audit_rows": 0,
                "sentence": "all 9 checks are equal", "differences": []},
        },
        "model": {
            "fixed_cores": {"ingest": 0.01}, "us_per_beacon": {"ingest": 20.0, "kafka": 10.0, "aggregator": 5.0, "clickhouse": 30.0},
            "events_per_beacon": 5.0, "http_bytes": 1_000.0, "kafka_bytes": 200.0, "clickhouse_bytes": 50.0,
            "drained_per_core": 20_000.0,
        },
        "assumed": Assumptions::default(),
        "million": Need::default(),
    }))
    .unwrap();
    report.million = report.model.need_of_peak(1e6, &report.assumed);
    report
}

fn cells(markdown: &str, name: &str) -> Vec<String> {
    let line = markdown.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap();
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn knees_say_what_held_and_what_broke() {
    let text = report().markdown();
    assert_eq!(cells(&text, "the whole pipeline")[1..], ["1000 (at 2000 no more)", "p99 was 150 ms", "0.25"]);
    assert_eq!(
        cells(&text, "the aggregator, catching up")[1],
        "10000 drained; 20000 for each core that it used"
    );
    assert!(text.contains("p99 100 ms, tables 15 s behind, steps of 15 s"), "{text}");
}

#[test]
fn the_prediction_stands_beside_what_came() {
    let text = report().markdown();
    let together = text.lines().find(|line| line.starts_with("| together ")).unwrap();
    assert!(
        together.contains("0.640") && together.contains("0.650") && together.contains("-2 %"),
        "{together}"
    );
}

#[test]
fn needs_are_those_of_the_model() {
    let mut report = report();
    report.users = Some((2e6, 200.0, report.model.need_of_users(2e6, 200.0, &report.assumed)));
    let text = report.markdown();
    assert_eq!(cells(&text, "partitions")[1..], ["100", "1"]);
    // 20 of beacons and 0.01 for each 4 of 100 partitions, at 60 %.
    assert_eq!(cells(&text, "cores of ingest")[1], "33.8");
    assert_eq!(cells(&text, "received by ingest")[1], "1.0 GB/s");
    assert!(text.contains("2,000,000 users a day, 200 events each"), "{text}");
    // 30 µs of ClickHouse, twice, of 16 cores at 60 %.
    assert!(text.contains("**CPU of clickhouse** saturates first"), "{text}");
    assert!(text.contains("Assumed, not measured: "), "{text}");
}

#[test]
fn wrong_counts_and_a_slow_generator_give_no_figures() {
    assert!(report().holds());
    let mut wrong = report();
    wrong.checked.verified.equal = false;
    assert!(!wrong.holds());
    let mut slow = report();
    slow.high.p99_ms = None;
    slow.high.verdict = Verdict::Unknown;
    assert!(!slow.holds());
    let mut full = report();
    full.checked.step.accepted -= 1;
    assert!(!full.holds());
}

#[test]
fn numbers_are_written_for_people() {
    for (number, expect) in [(0.0, "0"), (999.0, "999"), (1_000.0, "1,000"), (1_234_567.0, "1,234,567")] {
        assert_eq!(grouped(number), expect);
    }
    for (number, expect) in [(10.0, "0.0 kB"), (2.5e6, "2.5 MB"), (1e12, "1.0 TB"), (3e16, "30.0 PB")] {
        assert_eq!(bytes(number), expect);
    }
}
