//! `slo_status`: every objective over its window, its state, and what must not be counted.

use schema::rows::{Counters, JourneyHour, ObjectiveWindow, Quality};
use serde_json::{Value, json};

use super::objectives::{progress_until, window};
use super::{DAY, Database, Definitions, HOUR, MINUTE};

/// Longest answer of a view at the scale of a large product, s; an answer takes a tenth of it on two free cores.
const SCALE_SECONDS_MAX: u32 = 10;

fn journey_hour(app: &str, journey: &str, window_start: u32, counters: Counters) -> JourneyHour {
    let text = String::new;
    JourneyHour {
        app: app.into(),
        journey: journey.into(),
        route: text(),
        platform: "web".into(),
        release: "r1".into(),
        os: text(),
        browser: text(),
        device_class: text(),
        country: text(),
        connection: text(),
        segment: text(),
        window_start,
        counters,
    }
}

fn attempts(attempts: u64, unknown: u64, sessions_hurt: u64) -> Counters {
    let valid = attempts - unknown;
    Counters {
        attempts,
        valid,
        success: valid - sessions_hurt,
        failure: sessions_hurt,
        unknown,
        sessions_hurt,
        ..Counters::default()
    }
}

/// What stands beside the counts of an objective.
fn beside(row: ObjectiveWindow, attempts: u64, unknown: u64, sessions_hurt: u64) -> ObjectiveWindow {
    ObjectiveWindow { attempts, unknown, sessions_hurt, ..row }
}

fn quality(hour: u32, sequence_received: u64, sequence_expected: u64) -> Quality {
    let (sessions, sessions_measured) = (sequence_expected / 5, sequence_received / 10);
    Quality {
        app: "shop".into(),
        hour,
        sessions,
        sessions_measured,
        sequence_received,
        sequence_expected,
        ..Quality::default()
    }
}

#[tokio::test]
async fn a_status_counts_its_window_and_nothing_else() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let until = base + 30 * MINUTE;
    Definitions::new("a", base)
        .journey("shop", "buy", "ms", 30_000)
        .objective("shop", "buy", Some(0.99), 28)
        .insert(&database)
        .await;
    let observed =
        |row: ObjectiveWindow, observed, observed_bad| ObjectiveWindow { observed, observed_bad, ..row };
    let hours = [
        window("buy", base - 28 * DAY - HOUR, 5_000, 5_000),
        beside(observed(window("buy", base - 28 * DAY, 1_000, 2), 500, 1), 0, 0, 0),
        beside(observed(window("buy", base - HOUR, 1_000, 3), 500, 1), 200, 20, 5),
        // The last hour is taken from its minutes.
        window("buy", base, 150, 51),
        ObjectiveWindow { version: "v0".into(), ..window("buy", base - HOUR, 9_000, 9_000) },
        ObjectiveWindow { app: "forum".into(), ..window("buy", base - HOUR, 9_000, 9_000) },
    ];
    let minutes = [
        // In the hours already.
        window("buy", base - MINUTE, 30, 0),
        beside(observed(window("buy", until - MINUTE, 100, 1), 50, 1), 50, 5, 1),
        window("buy", until, 50, 50),
    ];
    database.insert("objective_hours", &hours).await;
    database.insert("objective_minutes", &minutes).await;
    let qualities = [
        quality(base - 28 * DAY - HOUR, 0, 1_000),
        quality(base - HOUR, 90, 100),
        quality(base, 9, 10),
        quality(base + HOUR, 0, 1_000),
    ];
    database.insert("quality", &qualities).await;

    // Nothing was read: nothing is complete, so nothing is kept.
    let state = "SELECT valid, ratio, complete_until, state FROM sli.slo_status WHERE app = 'shop'";
    let unread = json!([{"valid": 0, "ratio": null, "complete_until": null, "state": "insufficient_data"}]);
    database.check(state, unread.clone()).await;
    // Whatever a reader's tool sets for its own joins.
    database.check(&format!("{state} SETTINGS join_use_nulls = 1"), unread).await;
    database
        .check(
            "SELECT valid, sequence_expected, complete_until FROM sli.objective_counts_now WHERE app = 'shop' SETTINGS join_use_nulls = 1",
            json!([{"valid": 0, "sequence_expected": 0, "complete_until": null}]),
        )
        .await;

    database.insert("batches", &[progress_until(until)]).await;
    database
        .check(
            "SELECT * EXCEPT since REPLACE (toUnixTimestamp(window_from) AS window_from, toUnixTimestamp(complete_until) AS complete_until) \
             FROM sli.slo_status WHERE app = 'shop'",
            json!([{
                "app": "shop", "journey": "buy", "objective": "works", "title": "Title of buy",
                "promise": "It works.", "product": "shop", "owner": "team", "policy": "default", "version": "v1",
                "description": "success", "target": 0.99, "window": "28d", "window_days": 28,
                "window_from": base - 28 * DAY, "good": 2_094, "valid": 2_100, "ratio": 2_094.0 / 2_100.0,
                "observed": 1_050, "observed_bad": 3,
                // Python: statistics.NormalDist().inv_cdf(0.975) in Wilson's formula.
                "low": 0.991_633_499_664_167_1, "high": 0.999_027_848_171_106_6,
                "budget_total": 21, "budget_left": 15, "sessions_hurt": 6, "unknown_share": 25.0 / 250.0,
                "ratio_if_unknown_bad": 2_094.0 / 2_125.0, "coverage": 99.0 / 110.0, "coverage_measured": 9.0 / 22.0, "complete_until": until,
                "alert": "none", "state": "kept",
            }]),
        )
        .await;
    database.stop().await;
}

#[tokio::test]
async fn states_follow_from_budget_alert_and_evidence() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let until = base + 30 * MINUTE;
    // Journey, target, valid and bad in the hours before, then (state, alert, budget_left).
    let cases = [
        ("kept", Some(0.99), 1_000, 7, ("kept", "none", json!(3))),
        ("quarter-left", Some(0.99), 400, 3, ("kept", "none", json!(1))),
        ("less-left", Some(0.99), 1_000, 8, ("at_risk", "none", json!(2))),
        ("used-up", Some(0.99), 1_000, 10, ("at_risk", "none", json!(0))),
        ("overdrawn", Some(0.99), 1_000, 11, ("broken", "none", json!(-1))),
        ("burning", Some(0.99), 100_000, 0, ("at_risk", "page", json!(981))),
        ("nineteen", Some(0.99), 19, 0, ("insufficient_data", "none", json!(0.19))),
        ("nineteen-bad", Some(0.99), 19, 19, ("insufficient_data", "none", json!(-18.81))),
        ("twenty", Some(0.99), 20, 0, ("kept", "none", json!(0.2))),
        ("flawless", Some(1.0), 1_000, 0, ("kept", "none", json!(0))),
        ("flawed", Some(1.0), 1_000, 1, ("broken", "none", json!(-1))),
        ("indicator", None, 1_000, 500, ("no_objective", "none", json!(null))),
        ("silent", Some(0.99), 0, 0, ("insufficient_data", "none", json!(0))),
    ];
    let mut definitions = Definitions::new("a", base);
    let mut hours = Vec::new();
    for (journey, target, valid, bad, _) in &cases {
        definitions =
            definitions.journey("shop", journey, "ms", 30_000).objective("shop", journey, *target, 28);
        if *valid > 0 {
            // Bad attempts of long ago burn nothing now.
            hours.push(window(journey, base - 4 * DAY, *valid, *bad));
        }
    }
    definitions.insert(&database).await;
    database.insert("objective_hours", &hours).await;
    database.insert("objective_minutes", &[window("burning", until - MINUTE, 100, 20)]).await;
    database.insert("batches", &[progress_until(until)]).await;
    for (journey, target, valid, bad, (state, alert, budget_left)) in &cases {
        let (valid, bad) = if *journey == "burning" { (valid + 100, bad + 20) } else { (*valid, *bad) };
        let ratio = if valid == 0 { json!(null) } else { json!((valid - bad) as f64 / valid as f64) };
        let budget_total = target.map(|target| valid as f64 * (1.0 - target));
        let expect = json!([{"state": state, "alert": alert, "budget_left": budget_left, "ratio": ratio,
                             "budget_total": budget_total, "good": valid - bad, "valid": valid}]);
        let columns = "state, alert, budget_left, ratio, budget_total, good, valid";
        let found =
            database.read(&format!("SELECT {columns} FROM sli.slo_status WHERE journey = '{journey}'")).await;
        assert!(super::equal(&json!(found), &expect), "{journey}\nfound  {found:?}\nexpect {expect}");
    }
    confidence_is_of_observed_attempts(&database, base).await;
    database.stop().await;
}

async fn confidence_is_of_observed_attempts(database: &Database, base: u32) {
    let bounds = |journey: &str, low: Value, high: Value| {
        let sql = format!("SELECT low, high FROM sli.slo_status WHERE journey = '{journey}'");
        async move { database.check(&sql, json!([{"low": low, "high": high}])).await }
    };
    // At the ends Wilson's formula is n ÷ (n + z²) and z² ÷ (n + z²).
    let z_squared = 1.959_963_984_540_054_f64.powi(2);
    bounds("twenty", json!(20.0 / (20.0 + z_squared)), json!(1)).await;
    bounds("nineteen-bad", json!(0), json!(z_squared / (19.0 + z_squared))).await;
    bounds("silent", json!(null), json!(null)).await;
    // 1 in 100 sampled: 1,000 attempts are 10 that were seen, which is too little for a verdict.
    let sampled =
        ObjectiveWindow { observed: 10, observed_bad: 0, ..window("silent", base - HOUR, 1_000, 0) };
    database.insert("objective_hours", &[sampled]).await;
    let sql = "SELECT valid, observed, state FROM sli.slo_status WHERE journey = 'silent'";
    database.check(sql, json!([{"valid": 1_000, "observed": 10, "state": "insufficient_data"}])).await;
}

#[tokio::test]
async fn journeys_are_listed_where_they_are_defined_or_seen() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let until = base + 30 * MINUTE;
    Definitions::new("a", base)
        .journey("shop", "week", "ms", 30_000)
        .objective("shop", "week", Some(0.99), 7)
        .journey("*", "layout", "score", 30_000)
        .objective("*", "layout", None, 28)
        .journey("*", "app-start", "ms", 30_000)
        .objective("*", "app-start", None, 28)
        .insert(&database)
        .await;
    let discovered =
        |row: ObjectiveWindow| ObjectiveWindow { objective: "".into(), version: "".into(), ..row };
    let hours = [
        window("week", base - 7 * DAY, 100, 0),
        window("week", base - 7 * DAY - HOUR, 100, 100),
        window("layout", base - HOUR, 9, 1),
        beside(discovered(window("posted", base - HOUR, 16, 3)), 20, 4, 3),
        discovered(window("posted", base - 2 * HOUR, 5, 0)),
        // It was declared before somebody defined it.
        discovered(window("week", base - HOUR, 50, 50)),
        discovered(window("layout", base - HOUR, 50, 50)),
        // Not seen for long: no longer listed.
        ObjectiveWindow { app: "forum".into(), ..window("layout", base - 29 * DAY, 10, 1) },
    ];
    database.insert("objective_hours", &hours).await;
    let journey_hours = [
        journey_hour("shop", "posted", base - HOUR, attempts(20, 4, 3)),
        journey_hour("shop", "posted", base - 2 * HOUR, attempts(5, 0, 0)),
    ];
    database.insert("journey_hours", &journey_hours).await;
    database.insert("batches", &[progress_until(until)]).await;
    let row = |journey: &str,
               objective: &str,
               title: &str,
               window: &str,
               good: u64,
               valid: u64,
               state: &str| {
        json!({"app": "shop", "journey": journey, "objective": objective, "title": title, "window": window,
               "good": good, "valid": valid, "state": state})
    };
    database
        .check(
            "SELECT app, journey, objective, title, window, good, valid, state FROM sli.slo_status ORDER BY app, journey",
            json!([
                row("layout", "works", "Title of layout", "28d", 8, 9, "no_objective"),
                row("posted", "", "", "28d", 18, 21, "no_objective"),
                row("week", "works", "Title of week", "7d", 100, 100, "kept"),
            ]),
        )
        .await;
    database
        .check(
            "SELECT app, journey, attempts, success, toUnixTimestamp(first_seen) AS first_seen, \
             toUnixTimestamp(last_seen) AS last_seen FROM sli.discovered",
            json!([{"app": "shop", "journey": "posted", "attempts": 25, "success": 18,
                    "first_seen": base - 2 * HOUR, "last_seen": base - HOUR}]),
        )
        .await;
    database.stop().await;
}

#[tokio::test]
async fn a_calendar_window_begins_with_its_period() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let mut definitions = Definitions::new("a", base);
    for period in ["week", "month", "quarter"] {
        definitions =
            definitions.journey("shop", period, "ms", 30_000).objective("shop", period, Some(0.99), 92);
    }
    for row in &mut definitions.objectives {
        row["calendar"] = row["journey"].clone();
    }
    definitions.insert(&database).await;
    database.insert("batches", &[progress_until(base + 30 * MINUTE)]).await;
    // ClickHouse's calendar is asked for the period, this side of the views.
    let of = |period: &str| {
        format!("toUnixTimestamp(toDateTime(dateTrunc('{period}', toDateTime({base}, 'UTC')), 'UTC'))")
    };
    let begins = database
        .read(&format!(
            "SELECT {} AS week, {} AS month, {} AS quarter",
            of("week"),
            of("month"),
            of("quarter")
        ))
        .await;
    for period in ["week", "month", "quarter"] {
        let begin = begins[0][period].as_u64().expect("a time") as u32;
        let hours = [window(period, begin, 100, 1), window(period, begin - HOUR, 1_000, 1_000)];
        database.insert("objective_hours", &hours).await;
        let sql = format!(
            "SELECT window, toUnixTimestamp(window_from) AS begin, valid, good FROM sli.slo_status WHERE journey = '{period}'"
        );
        // In the first hour of a period its minutes are what counts.
        let (valid, good) = if begin == base { (0, 0) } else { (100, 99) };
        let expect = json!([{"window": period, "begin": begin, "valid": valid, "good": good}]);
        database.check(&sql, expect).await;
    }
    database.stop().await;
}

#[tokio::test]
async fn a_changed_objective_counts_anew_and_its_past_stays() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let definitions = |set, at, version, target| {
        let mut definitions = Definitions::new(set, at).journey("shop", "buy", "ms", 30_000).objective(
            "shop",
            "buy",
            Some(target),
            28,
        );
        definitions.objectives[0]["version"] = json!(version);
        definitions
    };
    definitions("a", base - 20 * DAY, "v1", 0.9).insert(&database).await;
    definitions("b", base - 10 * DAY, "v2", 0.99).insert(&database).await;
    let until = base + 30 * MINUTE;
    database.insert("batches", &[progress_until(until)]).await;
    let of = |version: &str, row: ObjectiveWindow| ObjectiveWindow { version: version.into(), ..row };
    let hours = [
        // Longer ago than a window before the end of the first version.
        of("v1", window("buy", base - 10 * DAY - 28 * DAY, 1_000, 1_000)),
        of("v1", window("buy", base - 20 * DAY, 100, 4)),
        of("v1", window("buy", base - 10 * DAY, 100, 4)),
        // 4 % bad was kept before, and is broken now.
        of("v2", window("buy", base - 10 * DAY, 100, 4)),
        of("v2", window("buy", base - HOUR, 100, 4)),
    ];
    database.insert("objective_hours", &hours).await;
    database
        .check(
            "SELECT version, target, good, valid, state, toUnixTimestamp(since) AS since FROM sli.slo_status",
            json!([{"version": "v2", "target": 0.99, "good": 192, "valid": 200, "state": "broken",
                    "since": base - 10 * DAY}]),
        )
        .await;
    database
        .check(
            "SELECT version, target, is_current, good, valid, state, toUnixTimestamp(counted_until) AS until \
             FROM sli.slo_versions ORDER BY version",
            json!([
                {"version": "v1", "target": 0.9, "is_current": false, "good": 192, "valid": 200, "state": "kept",
                 "until": base - 10 * DAY + HOUR},
                {"version": "v2", "target": 0.99, "is_current": true, "good": 192, "valid": 200,
                 "state": "broken", "until": base},
            ]),
        )
        .await;
    database.stop().await;
}

#[tokio::test]
async fn views_are_quick_at_the_scale_of_a_large_product() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let mut definitions = Definitions::new("a", base);
    for number in 0..200 {
        let journey = format!("j{number}");
        definitions =
            definitions.journey("shop", &journey, "ms", 30_000).objective("shop", &journey, Some(0.99), 28);
    }
    definitions.insert(&database).await;
    database.insert("batches", &[progress_until(base + 30 * MINUTE)]).await;
    // 200 journeys: 28 days of hours, 12 hours of minutes.
    let fill = |table: &str, columns: &str, values: &str, seconds: u32, first: u32, rows: u32| {
        format!(
            "INSERT INTO sli.{table} (app, journey, platform, window_start, {columns}) \
             SELECT 'shop', concat('j', toString(number % 200)), 'web', toDateTime({first} + intDiv(number, 200) * {seconds}, 'UTC'), \
             {values} FROM numbers({rows})"
        )
    };
    let objective = "objective, version, valid, bad, observed, observed_bad";
    let cells = "attempts, valid, success, latency, latency_sum";
    for sql in [
        fill(
            "objective_hours",
            objective,
            "'works', 'v1', 100, number % 3 = 0, 100, number % 3 = 0",
            HOUR,
            base - 28 * DAY,
            200 * 28 * 24,
        ),
        fill(
            "objective_minutes",
            objective,
            "'works', 'v1', 2, 0, 2, 0",
            MINUTE,
            base + 30 * MINUTE - DAY / 2,
            200 * 12 * 60,
        ),
        fill(
            "journey_hours",
            cells,
            "100, 100, 100, map(153, 60, 414, 40), 257400000",
            HOUR,
            base - 28 * DAY,
            200 * 28 * 24,
        ),
        fill(
            "journey_minutes",
            cells,
            "2, 2, 2, map(153, 1, 414, 1), 5670000",
            MINUTE,
            base + 30 * MINUTE - DAY / 2,
            200 * 12 * 60,
        ),
    ] {
        database.writer.execute(&sql).await.expect("rows");
    }
    let read = |sql: String| {
        let database = &database;
        async move { database.read(&format!("{sql} SETTINGS max_execution_time = {SCALE_SECONDS_MAX}")).await }
    };
    // 28 × 24 × 100 in the hours, 30 × 2 in the minutes of the last one; every third is bad.
    let found = read("SELECT count() AS rows, min(valid) AS least, max(valid) AS most, sum(valid - good) AS bad FROM sli.slo_status".into()).await;
    assert_eq!(found, [json!({"rows": 200, "least": 67_260, "most": 67_260, "bad": 44_800})]);
    let found =
        read("SELECT count() AS rows, sum(valid) AS valid FROM sli.objective_counts_now".into()).await;
    assert_eq!(found, [json!({"rows": 200, "valid": 200 * 67_260})]);
    let found = read("SELECT count() AS rows, max(long_valid) AS most FROM sli.slo_burn".into()).await;
    assert_eq!(found, [json!({"rows": 800, "most": 7_260})]);
    let found = read("SELECT sum(success) AS success, min(p50) AS p50 FROM sli.journeys_by_day".into()).await;
    assert_eq!(found, [json!({"success": 200 * 28 * 24 * 100, "p50": 153})]);
    database.stop().await;
}
