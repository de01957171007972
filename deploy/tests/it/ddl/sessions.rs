//! Sessions as attempts: counted when they start, and made bad by a batch that may come days later.

use std::collections::BTreeMap;

use schema::rows::{Counters, JourneyHour, JourneyMinute, ObjectiveWindow};
use serde_json::{Value, json};

use super::objectives::{progress_until, window};
use super::{Database, Definitions, HOUR, MINUTE};

const JOURNEY: &str = "crash-free";

fn minute(release: &str, window_start: u32, counters: Counters) -> JourneyMinute {
    JourneyMinute {
        app: "shop".into(),
        journey: JOURNEY.into(),
        route: String::new(),
        platform: "web".into(),
        release: release.into(),
        window_start,
        counters,
    }
}

fn hour(row: &JourneyMinute) -> JourneyHour {
    let text = String::new;
    JourneyHour {
        app: row.app.clone(),
        journey: row.journey.clone(),
        route: row.route.clone(),
        platform: row.platform.clone(),
        release: row.release.clone(),
        os: text(),
        browser: text(),
        device_class: text(),
        country: text(),
        connection: text(),
        segment: text(),
        window_start: row.window_start / HOUR * HOUR,
        counters: row.counters.clone(),
    }
}

/// What the engine writes when sessions start.
fn started(sessions: u64) -> Counters {
    Counters { attempts: sessions, valid: sessions, sessions, ..Counters::default() }
}

/// What it writes when one of them crashes.
fn crashed() -> Counters {
    Counters {
        failure: 1,
        sessions_hurt: 1,
        reasons: BTreeMap::from([("crash SIGSEGV".into(), 1)]),
        ..Counters::default()
    }
}

async fn insert(database: &Database, row: JourneyMinute, objective: ObjectiveWindow) {
    let objective_hour =
        ObjectiveWindow { window_start: row.window_start / HOUR * HOUR, ..objective.clone() };
    database.insert("journey_hours", &[hour(&row)]).await;
    database.insert("journey_minutes", &[row]).await;
    database.insert("objective_minutes", &[objective]).await;
    database.insert("objective_hours", &[objective_hour]).await;
}

/// Checks the counts of the window that begins at `start` in every view that tells of it.
async fn check(database: &Database, start: u32, expect: Value) {
    let columns = "attempts, valid, success, failure, sessions, sessions_hurt, ratio";
    for (view, length) in [("journeys", MINUTE), ("journeys_by_hour", HOUR)] {
        let from = start / length * length;
        let sql = format!("SELECT {columns} FROM sli.{view} WHERE window_start = toDateTime({from}, 'UTC')");
        database.check(&sql, json!([expect])).await;
    }
    let sql =
        format!("SELECT good, valid FROM sli.slo_events WHERE window_start = toDateTime({start}, 'UTC')");
    database.check(&sql, json!([{"good": expect["success"], "valid": expect["valid"]}])).await;
}

#[tokio::test]
async fn a_session_counts_as_good_until_its_crash_arrives() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let start = base - HOUR + 7 * MINUTE;
    Definitions::new("a", base - HOUR)
        .journey("shop", JOURNEY, "ms", 30_000)
        .objective("shop", JOURNEY, Some(0.9), 28)
        .insert(&database)
        .await;
    database.insert("batches", &[progress_until(base + 10 * MINUTE)]).await;
    let status =
        "SELECT good, valid, ratio, observed, observed_bad, sessions_hurt, state FROM sli.slo_status";

    insert(&database, minute("r1", start, started(25)), window(JOURNEY, start, 25, 0)).await;
    let all_good = json!({"attempts": 25, "valid": 25, "success": 25, "failure": 0, "sessions": 25,
                          "sessions_hurt": 0, "ratio": 1});
    check(&database, start, all_good).await;
    let kept = json!([{"good": 25, "valid": 25, "ratio": 1, "observed": 25, "observed_bad": 0,
                       "sessions_hurt": 0, "state": "kept"}]);
    database.check(status, kept).await;

    // The report comes with a later batch. The release was frequent when the session started, and is not now.
    for (release, bad) in [("r1", 1), ("__other__", 2)] {
        insert(&database, minute(release, start, crashed()), window(JOURNEY, start, 0, 1)).await;
        let good = 25 - bad;
        let worse = json!({"attempts": 25, "valid": 25, "success": good, "failure": bad, "sessions": 25,
                           "sessions_hurt": bad, "ratio": f64::from(good) / 25.0});
        check(&database, start, worse).await;
    }
    let at_risk = json!([{"good": 23, "valid": 25, "ratio": 0.92, "observed": 25, "observed_bad": 2,
                          "sessions_hurt": 2, "state": "at_risk"}]);
    database.check(status, at_risk).await;
    database
        .check(
            "SELECT reasons, success FROM sli.journeys",
            json!([{"reasons": {"crash SIGSEGV": 2}, "success": 23}]),
        )
        .await;
    database.stop().await;
}

#[tokio::test]
async fn a_bad_session_without_its_start_is_no_negative_number() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let start = base - HOUR;
    Definitions::new("a", base - HOUR)
        .journey("shop", JOURNEY, "ms", 30_000)
        .objective("shop", JOURNEY, Some(0.9), 28)
        .insert(&database)
        .await;
    database.insert("batches", &[progress_until(base + 10 * MINUTE)]).await;
    insert(&database, minute("r1", start, crashed()), window(JOURNEY, start, 0, 1)).await;
    let none = json!({"attempts": 0, "valid": 0, "success": 0, "failure": 1, "sessions": 0,
                      "sessions_hurt": 1, "ratio": null});
    check(&database, start, none).await;
    database
        .check(
            "SELECT good, valid, ratio, state FROM sli.slo_status",
            json!([{"good": 0, "valid": 0, "ratio": null, "state": "insufficient_data"}]),
        )
        .await;
    database
        .check(
            "SELECT count() AS wrong FROM sli.slo_status WHERE low > high OR isNaN(low) OR isNaN(high)",
            json!([{"wrong": 0}]),
        )
        .await;
    // More bad ones than started, in a window that has both.
    insert(&database, minute("r2", start, started(1)), window(JOURNEY, start, 1, 1)).await;
    let more_bad = json!({"attempts": 1, "valid": 1, "success": 0, "failure": 1, "sessions": 1,
                          "sessions_hurt": 1, "ratio": 0});
    check(&database, start, more_bad).await;
    database
        .check(
            "SELECT good, low, high >= 0 AS has_high FROM sli.slo_status",
            json!([{"good": 0, "low": 0, "has_high": 1}]),
        )
        .await;
    database.stop().await;
}

#[tokio::test]
async fn success_is_the_same_number_for_attempts_that_end() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let counters = Counters {
        attempts: 64,
        valid: 40,
        success: 21,
        failure: 1,
        timeout: 2,
        interrupted: 4,
        abandoned: 16,
        cancelled: 8,
        unknown: 12,
        ..Counters::default()
    };
    insert(&database, minute("r1", base, counters), window(JOURNEY, base, 40, 19)).await;
    for view in ["journeys", "journeys_by_hour", "journeys_by_day"] {
        database
            .check(
                &format!("SELECT success, attempts FROM sli.{view}"),
                json!([{"success": 21, "attempts": 64}]),
            )
            .await;
    }
    database.stop().await;
}
