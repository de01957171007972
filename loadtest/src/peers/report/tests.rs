use serde_json::json;

use super::*;

/// A row as the file has it.
fn row(way: &str, name: &str, ours: bool, part: &str, store: &str, cpu_s: (f64, f64)) -> serde_json::Value {
    json!({
        "way": way, "name": name, "ours": ours, "events": 100_000, "part": part, "store": store,
        "cpu": {"wall_s": 100.0, "parts": {part: cpu_s.0, store: cpu_s.1}},
        "idle": {"wall_s": 10.0, "parts": {part: 0.1, store: 0.2}},
        "bytes": 3_000_000, "latency_ms": null, "lacks": "what it lacks", "invalid": null,
    })
}

fn report() -> Report {
    serde_json::from_value(json!({
        "version": 1,
        "command": "loadtest peers",
        "machine": {"processor": "P", "cores": 2, "memory_bytes": 1u64 << 33, "system": "Linux", "load_1m": 0.5},
        "versions": {"kafka": "4.1.0"},
        "traffic": {"rate": 500.0, "seconds": 45, "seed": 1, "profile": "mixed", "arrivals": "poisson"},
        "beacons": 22_500, "events": 100_000, "repeated_events": 1_234,
        "log_bytes": 2_000_000, "copy_bytes": 5_000_000,
        "verified": {"equal": true, "run_ended": true, "checks": 900, "different": 0, "audit_rows": 0,
            "sentence": "all 900 checks are equal", "differences": []},
        "rows": [
            row("count", "aggregator → ClickHouse", true, "aggregator", "clickhouse", (1.2, 4.0)),
            row("count", "engine", false, "clickhouse", "clickhouse", (6.0, 6.0)),
            row("receive", "ingest → Kafka", true, "ingest", "kafka", (2.0, 3.0)),
        ],
        "questions": [{"what": "how fast", "tables": "events", "lacks": "", "asked":
            {"rows": 12, "bytes": 345, "cpu_ms": 6.78, "median_ms": 9.1, "repeats": 10}}],
        "absent": [{"name": "collector", "reason": "Go is\nmissing"}],
    }))
    .unwrap()
}

/// Cells of the line of a table that has `name`.
fn cells(markdown: &str, name: &str) -> Vec<String> {
    let line = markdown.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap();
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn idle_time_is_no_cost_of_an_event() {
    let text = report().markdown();
    // 1.2 s less 0.01 cores of 100 s, and 4 s less 2 s, for 100,000 events.
    assert_eq!(
        cells(&text, "aggregator → ClickHouse")[2..7],
        ["2.00", "20.00", "22.00", "1.00", "0.010 + 0.020"]
    );
    assert_eq!(cells(&text, "aggregator → ClickHouse")[7], "30.0 MB");
}

#[test]
fn work_of_one_process_is_told_once() {
    assert_eq!(cells(&report().markdown(), "engine")[2..7], ["–", "40.00", "40.00", "1.82", "0.020"]);
}

#[test]
fn a_slow_generator_takes_the_figures_away_and_fails_only_for_ours() {
    let mut report = report();
    assert!(report.holds());
    report.rows[1].invalid = Some("too slow".to_owned());
    assert!(report.holds());
    assert_eq!(cells(&report.markdown(), "engine")[2..6], ["–", "–", "–", "–"]);
    report.rows[0].invalid = Some("too slow".to_owned());
    assert!(!report.holds());
    let mut wrong = self::report();
    wrong.verified.as_mut().unwrap().equal = false;
    assert!(!wrong.holds());
    wrong.rows.remove(0);
    assert!(!wrong.holds());
}

#[test]
fn everything_that_must_be_known_is_said() {
    let text = report().markdown();
    for expect in [
        "`loadtest peers`, kafka 4.1.0; P, 2 cores that the generator and all servers share, 8 GiB",
        "at 500 beacons/s for 45 s (profile mixed); all 900 checks are equal",
        "1234 of the 100000 events came in beacons that were sent again",
        "Kafka keeps 20.0 MB a million events of the log, and 50.0 MB of the copy as JSON",
        "Not measured: collector: Go is missing",
    ] {
        assert!(text.contains(expect), "{expect}: {text}");
    }
    assert_eq!(cells(&text, "how fast")[1..6], ["raw events", "12", "345", "6.8", "9.1"]);
}

#[test]
fn the_file_says_the_same() {
    let report = report();
    let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(again, report);
    assert_eq!(again.markdown(), report.markdown());
}
