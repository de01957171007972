//! Views of journeys and steps: counters, ratios, quantiles, and what is joined from definitions.

use std::collections::BTreeMap;

use schema::rows::{Counters, JourneyHour, JourneyMinute, JourneyStep};
use serde_json::json;

use super::{DAY, Database, Definitions, HOUR, MINUTE};

fn minute(app: &str, journey: &str, window_start: u32, counters: Counters) -> JourneyMinute {
    JourneyMinute {
        app: app.into(),
        journey: journey.into(),
        route: String::new(),
        platform: "web".into(),
        release: "r1".into(),
        window_start,
        counters,
    }
}

fn hour(browser: &str, window_start: u32, counters: Counters) -> JourneyHour {
    JourneyHour {
        app: "shop".into(),
        journey: "buy".into(),
        route: String::new(),
        platform: "web".into(),
        release: "r1".into(),
        os: "Linux".into(),
        browser: browser.into(),
        device_class: "desktop".into(),
        country: String::new(),
        connection: String::new(),
        segment: String::new(),
        window_start,
        counters,
    }
}

fn successes(latency: &[(u32, u64)], latency_sum: u64) -> Counters {
    let success = latency.iter().map(|(_, count)| count).sum();
    let latency = BTreeMap::from_iter(latency.iter().copied());
    Counters { attempts: success, valid: success, success, latency, latency_sum, ..Counters::default() }
}

#[tokio::test]
async fn journeys_are_sums_and_quantiles_of_merged_histograms() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    Definitions::new("a", base)
        .journey("shop", "buy", "ms", 30_000)
        .journey("*", "layout", "score", 30_000)
        .insert(&database)
        .await;

    // Two batches of one cell, a second release, a second minute without any valid attempt.
    let first = Counters {
        attempts: 10,
        valid: 8,
        success: 6,
        failure: 1,
        timeout: 1,
        cancelled: 1,
        unknown: 1,
        sessions: 9,
        sessions_hurt: 2,
        arrived_late: 1,
        reasons: BTreeMap::from([("http 503".into(), 1), ("timeout".into(), 1)]),
        latency: BTreeMap::from([(100, 3), (200, 3)]),
        latency_sum: 9_000_000,
        ..Counters::default()
    };
    let second = successes(&[(200, 1), (1003, 3)], 32_000_000);
    let silent = Counters {
        attempts: 2,
        unknown: 2,
        reasons: BTreeMap::from([("silence".into(), 2)]),
        ..Counters::default()
    };
    let other_release = JourneyMinute { release: "r2".into(), ..minute("shop", "buy", base, silent.clone()) };
    database.insert("journey_minutes", &[minute("shop", "buy", base, first.clone()), other_release]).await;
    database.insert("journey_minutes", &[minute("shop", "buy", base, second.clone())]).await;
    database.insert("journey_minutes", &[minute("shop", "buy", base + MINUTE, silent.clone())]).await;

    database
        .check(
            "SELECT title, promise, product, owner, attempts, valid, success, failure, timeout, interrupted, \
             abandoned, cancelled, unknown, sessions, sessions_hurt, arrived_late, reasons, ratio, \
             unknown_share, ratio_if_unknown_bad, unit, p50, p75, p90, p95, p99, mean, latency \
             FROM sli.journeys ORDER BY window_start",
            json!([
                {
                    "title": "Title of buy", "promise": "It works.", "product": "shop", "owner": "team",
                    "attempts": 16, "valid": 12, "success": 10, "failure": 1, "timeout": 1, "interrupted": 0,
                    "abandoned": 0, "cancelled": 1, "unknown": 3, "sessions": 9, "sessions_hurt": 2,
                    "arrived_late": 1, "reasons": {"http 503": 1, "timeout": 1, "silence": 2},
                    "ratio": 10.0 / 12.0, "unknown_share": 3.0 / 16.0, "ratio_if_unknown_bad": 10.0 / 15.0,
                    "unit": "ms", "p50": 200, "p75": 1003, "p90": 1003, "p95": 1003, "p99": 1003,
                    "mean": 410, "latency": {"100": 3, "200": 4, "1003": 3},
                },
                {
                    "title": "Title of buy", "promise": "It works.", "product": "shop", "owner": "team",
                    "attempts": 2, "valid": 0, "success": 0, "failure": 0, "timeout": 0, "interrupted": 0,
                    "abandoned": 0, "cancelled": 0, "unknown": 2, "sessions": 0, "sessions_hurt": 0,
                    "arrived_late": 0, "reasons": {"silence": 2}, "ratio": null, "unknown_share": 1,
                    "ratio_if_unknown_bad": 0, "unit": "ms", "p50": null, "p75": null, "p90": null, "p95": null,
                    "p99": null, "mean": null, "latency": {},
                },
            ]),
        )
        .await;

    scores_and_discovered_journeys(&database, base).await;
    hours_and_days(&database, base, [first, second, silent]).await;
    database.stop().await;
}

async fn scores_and_discovered_journeys(database: &Database, base: u32) {
    database
        .insert(
            "journey_minutes",
            &[
                // 0.1 three times and 0.25, whose bucket's middle is 0.2515.
                minute("forum", "layout", base, successes(&[(1000, 3), (2515, 1)], 5_500)),
                // Defined for another app only, and by nobody.
                minute("forum", "buy", base, successes(&[(70, 1)], 700_000)),
                minute("forum", "post", base, successes(&[(70, 1)], 700_000)),
            ],
        )
        .await;
    database
        .check(
            "SELECT journey, title, unit, p50, p95, mean FROM sli.journeys WHERE app = 'forum' ORDER BY journey",
            json!([
                {"journey": "buy", "title": "", "unit": "ms", "p50": 70, "p95": 70, "mean": 70},
                {"journey": "layout", "title": "Title of layout", "unit": "score", "p50": 0.1, "p95": 0.2515, "mean": 0.1375},
                {"journey": "post", "title": "", "unit": "ms", "p50": 70, "p95": 70, "mean": 70},
            ]),
        )
        .await;
}

async fn hours_and_days(database: &Database, base: u32, [first, second, silent]: [Counters; 3]) {
    let noon = base / DAY * DAY - DAY / 2;
    database
        .insert("journey_hours", &[hour("Chrome", noon, first), hour("Firefox", noon + HOUR, silent)])
        .await;
    database.insert("journey_hours", &[hour("Chrome", noon, second.clone())]).await;
    database.insert("journey_hours", &[hour("Chrome", noon - DAY, second)]).await;
    let columns = "attempts, valid, success, ratio, p50, p99, mean, title";
    let day = |attempts: u64, ratio: f64, p50: u64, mean: f64, start: u32| {
        let success = if attempts == 4 { 4 } else { 10 };
        let valid = if attempts == 4 { 4 } else { 12 };
        json!({"start": start, "attempts": attempts, "valid": valid, "success": success, "ratio": ratio,
               "p50": p50, "p99": 1003, "mean": mean, "title": "Title of buy"})
    };
    database
        .check(
            &format!("SELECT toUnixTimestamp(window_start) AS start, {columns} FROM sli.journeys_by_day ORDER BY start"),
            json!([
                day(4, 1.0, 1003, 800.0, noon - DAY / 2 - DAY),
                day(16, 10.0 / 12.0, 200, 410.0, noon - DAY / 2),
            ]),
        )
        .await;
    database
        .check(
            &format!(
                "SELECT toUnixTimestamp(window_start) AS start, {columns} FROM sli.journeys_by_hour \
                 WHERE window_start < toDateTime({}, 'UTC') ORDER BY start",
                noon + HOUR
            ),
            json!([day(4, 1.0, 1003, 800.0, noon - DAY), day(14, 10.0 / 12.0, 200, 410.0, noon),]),
        )
        .await;
    // What the views are for: fewer dimensions by sums, wider quantiles by merging.
    database
        .check(
            "SELECT sum(success) / sum(valid) AS ratio, \
             quantilesExactWeightedArray(0.5, 0.95)(mapKeys(latency), mapValues(latency)) AS quantiles \
             FROM sli.journeys_by_hour WHERE app = 'shop'",
            json!([{"ratio": 14.0 / 16.0, "quantiles": [200, 1003]}]),
        )
        .await;
}

#[tokio::test]
async fn steps_form_a_funnel() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    Definitions::new("a", base).journey("shop", "buy", "ms", 30_000).insert(&database).await;
    let step = |step: &str, step_number, attempts, success, latency: &[(u32, u64)]| JourneyStep {
        app: "shop".into(),
        journey: "buy".into(),
        step: step.into(),
        step_number,
        platform: "web".into(),
        release: "r1".into(),
        window_start: base,
        attempts,
        success,
        reasons: BTreeMap::from([("timeout".into(), attempts - success)]),
        latency: BTreeMap::from_iter(latency.iter().copied()),
    };
    let cart = [(100, 6), (300, 2)];
    database
        .insert("journey_steps", &[step("cart", 1, 10, 8, &cart), step("pay", 2, 8, 6, &[(900, 6)])])
        .await;
    database.insert("journey_steps", &[step("cart", 1, 2, 2, &[(300, 2)])]).await;
    database
        .check(
            "SELECT title, step, step_number, attempts, success, ratio, p50, p75, p99, reasons FROM sli.steps \
             ORDER BY step_number",
            json!([
                {"title": "Title of buy", "step": "cart", "step_number": 1, "attempts": 12, "success": 10,
                 "ratio": 10.0 / 12.0, "p50": 100, "p75": 300, "p99": 300, "reasons": {"timeout": 2}},
                {"title": "Title of buy", "step": "pay", "step_number": 2, "attempts": 8, "success": 6,
                 "ratio": 0.75, "p50": 900, "p75": 900, "p99": 900, "reasons": {"timeout": 2}},
            ]),
        )
        .await;
    database.stop().await;
}
