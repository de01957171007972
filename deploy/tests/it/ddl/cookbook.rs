//! Every query of `docs/cookbook.md` on rows whose answers are known.

use std::collections::BTreeMap;

use schema::rows::{Counters, JourneyHour, JourneyStep, ObjectiveWindow, Quality};
use serde_json::{Value, json};

use super::objectives::{progress_until, window};
use super::{DAY, Database, Definitions, HOUR};

const COOKBOOK: &str = include_str!("../../../../docs/cookbook.md");

/// The queries, by the name in the comment before each.
fn queries() -> BTreeMap<&'static str, &'static str> {
    let mut queries = BTreeMap::new();
    for part in COOKBOOK.split("<!-- ").skip(1) {
        let (name, rest) = part.split_once(" -->\n```sql\n").expect("a query follows its name");
        let (query, _) = rest.split_once("\n```").expect("a query ends");
        assert!(queries.insert(name, query).is_none(), "{name} is there twice");
    }
    assert_eq!(COOKBOOK.matches("```sql").count(), queries.len(), "every query has a name");
    queries
}

struct Cell {
    journey: &'static str,
    route: &'static str,
    release: &'static str,
    browser: &'static str,
    window_start: u32,
}

/// Attempts of which `bad` fail and the others take 1,000 ms, or 2,000 ms where the release is r2.
fn cell(cell: &Cell, attempts: u64, bad: u64) -> JourneyHour {
    let good = attempts - bad;
    let latency_ms = if cell.release == "r2" { 2_000 } else { 1_000 };
    JourneyHour {
        app: "studyapp-web".into(),
        journey: cell.journey.into(),
        route: cell.route.into(),
        platform: "web".into(),
        release: cell.release.into(),
        os: "Windows 11".into(),
        browser: cell.browser.into(),
        device_class: "desktop".into(),
        country: String::new(),
        connection: "4g".into(),
        segment: String::new(),
        window_start: cell.window_start,
        counters: Counters {
            attempts,
            valid: attempts,
            success: good,
            failure: bad,
            reasons: if bad > 0 { [("http 503".to_owned(), bad)].into() } else { BTreeMap::new() },
            latency: if good > 0 { [(latency_ms, good)].into() } else { BTreeMap::new() },
            latency_sum: u64::from(latency_ms) * 10_000 * good,
            ..Counters::default()
        },
    }
}

pub(super) async fn fill(database: &Database, base: u32) {
    let watch = |release, browser, window_start| Cell {
        journey: "watch-lecture",
        route: "",
        release,
        browser,
        window_start,
    };
    let call = |route| Cell {
        journey: "http-calls",
        route,
        release: "r1",
        browser: "Chrome 130",
        window_start: base,
    };
    let rows = [
        cell(&watch("r1", "Chrome 130", base - 3 * DAY), 900, 9),
        cell(&watch("r1", "Firefox 145", base - 3 * DAY), 100, 1),
        // Release r2 came an hour ago, is slow, and fails in one browser.
        cell(&watch("r2", "Chrome 130", base), 100, 1),
        cell(&watch("r2", "Firefox 145", base), 100, 41),
        cell(&call("/api/lectures/:id"), 1_000, 10),
        cell(&call("/api/rare"), 4, 4),
    ];
    database.insert("journey_hours", &rows).await;
    let step = |number: u16, name: &str, attempts, success| JourneyStep {
        app: "studyapp-web".into(),
        journey: "watch-lecture".into(),
        step: name.into(),
        step_number: number,
        platform: "web".into(),
        release: "r2".into(),
        window_start: base,
        attempts,
        success,
        reasons: BTreeMap::new(),
        latency: [(300 * u32::from(number), success)].into(),
    };
    database.insert("journey_steps", &[step(1, "page", 200, 180), step(2, "video", 180, 158)]).await;
    let of_app = |row: ObjectiveWindow| ObjectiveWindow { app: "studyapp-web".into(), ..row };
    let hours = [
        of_app(window("watch-lecture", base - 3 * DAY, 1_000, 10)),
        of_app(window("watch-lecture", base, 200, 42)),
    ];
    database.insert("objective_hours", &hours).await;
    let quality = Quality {
        app: "studyapp-web".into(),
        hour: base,
        sequence_received: 95,
        sequence_expected: 100,
        ..Quality::default()
    };
    database.insert("quality", &[quality]).await;
    Definitions::new("a", base - 3 * DAY)
        .journey("studyapp-web", "watch-lecture", "ms", 30_000)
        .objective("studyapp-web", "watch-lecture", Some(0.99), 28)
        .insert(database)
        .await;
    database.insert("batches", &[progress_until(base + HOUR)]).await;
}

#[tokio::test]
async fn the_cookbook_answers_its_questions() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    fill(&database, base).await;
    let mut answers: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, query) in queries() {
        let rows = database.read(query).await;
        assert!(!rows.is_empty(), "{name} has no answer");
        answers.insert(name, Value::Array(rows));
    }
    let check = |name: &str, expect: Value| {
        let found = &answers[name];
        assert!(super::equal(found, &expect), "{name}\nfound  {found:#}\nexpect {expect:#}");
    };
    let release = |release: &str, attempts: u64, ratio: f64, ms: u64| json!({"release": release, "attempts": attempts, "success_ratio": ratio, "p50_p95_ms": [ms, ms]});
    check("releases", json!([release("r1", 1_000, 0.99, 1_000), release("r2", 200, 0.79, 2_000)]));
    let route = |route: &str, calls: u64, failed: u64, share: f64, p95_ms: Value| json!({"route": route, "calls": calls, "failed": failed, "failed_share": share, "p95_ms": p95_ms});
    check(
        "routes",
        json!([
            route("/api/lectures/:id", 1_000, 10, 0.01, json!(1_000)),
            route("/api/rare", 4, 4, 1.0, json!(null))
        ]),
    );
    check("threshold", json!([{"under": 990, "successes": 1_148, "share": 0.8624}]));
    let period = |period: &str, valid: u64, ratio: f64, ms: u64| json!({"period": period, "valid": valid, "success_ratio": ratio, "p95_ms": ms});
    check("deploy", json!([period("before", 1_000, 0.99, 1_000), period("after", 200, 0.79, 2_000)]));
    let step = |number: u64, name: &str, before: u64, reached: u64, share: f64| json!({"step_number": number, "step": name, "reached_the_step_before": before, "reached_it": reached, "share": share, "p50_ms_from_start": 300 * number});
    check("funnel", json!([step(1, "page", 200, 180, 0.9), step(2, "video", 180, 158, 0.8778)]));
    check("reasons", json!([{"reason": "http 503", "attempts": 52}]));
    check(
        "report",
        json!([{"title": "Title of watch-lecture", "app": "studyapp-web", "objective": "works", "state": "broken", "good": 0.9567,
                "target": 0.99, "bad_left": -40, "sessions_hurt": 52, "owner": "team"}]),
    );
    // The browser in which the release fails has all of the bad attempts; what all share has no more.
    let explains = &answers["explains"];
    let of =
        |at: usize| (explains[at]["value"].as_str().unwrap_or_default(), explains[at]["valid_now"].as_u64());
    assert_eq!(
        (explains[0]["bad_beyond_expected"].as_f64(), of(0)),
        (Some(40.0), ("Firefox 145", Some(100))),
        "{explains:#}"
    );
    assert_eq!(explains.as_array().map(Vec::len), Some(7));
    let trust = &answers["trust"][0];
    assert_eq!(trust["beacons_arrived"].as_f64(), Some(0.95), "{trust}");
    database.stop().await;
}
