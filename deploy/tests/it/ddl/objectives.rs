//! Which definitions are current, until when data is complete, and how fast budgets burn.

use schema::rows::{BatchRow, ObjectiveWindow};
use serde_json::{Value, json};

use super::{DAY, Database, Definitions, HOUR, MINUTE, audit};

/// Attempts of objective `works`, version `v1`, as many observed as they weigh, and each bad one in a session of its own.
pub(super) fn window(journey: &str, window_start: u32, valid: u64, bad: u64) -> ObjectiveWindow {
    ObjectiveWindow {
        app: "shop".into(),
        journey: journey.into(),
        objective: "works".into(),
        version: "v1".into(),
        platform: "web".into(),
        window_start,
        valid,
        bad,
        observed: valid,
        observed_bad: bad,
        attempts: valid,
        unknown: 0,
        sessions_hurt: bad,
    }
}

/// Progress after which journeys with a timeout of 30 s are complete until `complete_until`, for a grace of 30 s.
pub(super) fn progress_until(complete_until: u32) -> BatchRow {
    audit::batch(0, 0, 1, (i64::from(complete_until) + 60) * 1000 + 12_345)
}

#[tokio::test]
async fn the_set_that_was_activated_last_is_current() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let first = |at| {
        Definitions::new("a", at).journey("shop", "buy", "ms", 30_000).objective("shop", "buy", Some(0.9), 28)
    };
    let second =
        Definitions::new("b", base + 10).journey("*", "pay", "score", 5_000).objective("*", "pay", None, 7);
    let journeys = "SELECT app, journey, unit, timeout_ms FROM sli.active_journeys";
    let objectives = "SELECT app, journey, target, window_days FROM sli.active_objectives";
    let buy = || json!([{"app": "shop", "journey": "buy", "unit": "ms", "timeout_ms": 30_000}]);
    let buy_works = || json!([{"app": "shop", "journey": "buy", "target": 0.9, "window_days": 28}]);

    // Two partitions activate the same set at different log times.
    first(base).insert(&database).await;
    first(base + 1).insert(&database).await;
    database.check(journeys, buy()).await;
    database.check(objectives, buy_works()).await;
    second.insert(&database).await;
    database
        .check(journeys, json!([{"app": "*", "journey": "pay", "unit": "score", "timeout_ms": 5_000}]))
        .await;
    database
        .check(objectives, json!([{"app": "*", "journey": "pay", "target": null, "window_days": 7}]))
        .await;
    // A slow partition reaches the first set late: that activates nothing. A new activation does.
    first(base + 2).insert(&database).await;
    database
        .check(objectives, json!([{"app": "*", "journey": "pay", "target": null, "window_days": 7}]))
        .await;
    first(base + 20).insert(&database).await;
    database.check(journeys, buy()).await;
    database.check(objectives, buy_works()).await;
    database.stop().await;
}

#[tokio::test]
async fn data_is_complete_where_the_slowest_partition_has_settled_it() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let ms = |seconds: u32| i64::from(base + seconds) * 1000;
    let freshness =
        "SELECT journey, toUnixTimestamp(complete_until) AS until FROM sli.freshness ORDER BY journey";
    let check = |buy: Value, upload: Value| {
        database.check(
            freshness,
            json!([{"journey": "buy", "until": buy}, {"journey": "upload", "until": upload}]),
        )
    };
    Definitions::new("a", base)
        .journey("shop", "buy", "ms", 30_000)
        .journey("shop", "upload", "ms", 600_000)
        // For every app, and seen in none.
        .journey("*", "page-load", "ms", 30_000)
        .insert(&database)
        .await;
    check(json!(null), json!(null)).await;

    let batches = [
        // The old topic was drained a while ago.
        BatchRow { topic: "rum.beacons.old".into(), ..audit::batch(2, 0, 10, ms(60)) },
        audit::batch(0, 0, 10, ms(1_500)),
        audit::batch(0, 10, 20, ms(1_800)),
        audit::batch(1, 0, 10, ms(1_700)),
    ];
    database.insert("batches", &batches).await;
    // 1,700 − 30 − 30 = 1,640 is in minute 27, 1,700 − 600 − 30 = 1,070 in minute 17.
    check(json!(base + 27 * MINUTE), json!(base + 17 * MINUTE)).await;

    // Exactly at the end of a minute everything in it has settled; a millisecond before, not.
    database.insert("batches", &[audit::batch(1, 10, 20, ms(1_740) - 1)]).await;
    check(json!(base + 27 * MINUTE), json!(base + 18 * MINUTE)).await;
    database.insert("batches", &[audit::batch(1, 20, 30, ms(1_740))]).await;
    check(json!(base + 28 * MINUTE), json!(base + 18 * MINUTE)).await;
    database.stop().await;
}

#[tokio::test]
async fn events_of_objectives_are_good_and_valid() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    database.insert("objective_minutes", &[window("buy", base, 10, 0)]).await;
    // A crash that is reported later is bad in the window of its session's start.
    database.insert("objective_minutes", &[window("buy", base, 0, 3)]).await;
    database
        .check(
            "SELECT app, journey, objective, version, platform, good, valid, bad FROM sli.slo_events",
            json!([{"app": "shop", "journey": "buy", "objective": "works", "version": "v1", "platform": "web",
                    "good": 7, "valid": 10, "bad": 3}]),
        )
        .await;
    database.stop().await;
}

#[tokio::test]
async fn an_alert_needs_both_windows_and_enough_bad_attempts() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    let until = base + 30 * MINUTE;
    let mut definitions = Definitions::new("a", base)
        .journey("shop", "unloved", "ms", 30_000)
        .objective("shop", "unloved", None, 28);
    for (journey, days) in [
        ("page", 28),
        ("ticket", 28),
        ("over", 28),
        ("four", 28),
        ("five", 28),
        ("week", 7),
        ("day", 1),
        ("silent", 28),
    ] {
        definitions =
            definitions.journey("shop", journey, "ms", 30_000).objective("shop", journey, Some(0.99), days);
    }
    definitions.insert(&database).await;
    database.insert("batches", &[progress_until(until)]).await;

    let mut rows = vec![
        // 20 % bad of 1 % allowed in the last minute and an hour ago, to the minute: 20 times too fast.
        window("page", until - MINUTE, 50, 10),
        window("page", until - HOUR, 50, 10),
        // It is over: the long window still burns, the short one does not.
        window("over", until - 5 * MINUTE, 10, 0),
        window("over", until - 6 * MINUTE, 10, 10),
        // One bad attempt below the minimum, and at it.
        window("four", until - MINUTE, 4, 4),
        window("five", until - MINUTE, 5, 5),
        // Another version, and what is not complete yet, are not looked at.
        ObjectiveWindow { version: "v0".into(), ..window("silent", until - MINUTE, 100, 100) },
        window("silent", until, 100, 100),
        window("unloved", until - MINUTE, 100, 100),
    ];
    // 4 % bad for three days and half an hour, and all bad in the minute before, which is in no window.
    for minutes in (5..=3 * 24 * 60 + 30).step_by(5) {
        for journey in ["ticket", "week", "day"] {
            rows.push(window(journey, until - minutes * MINUTE, 100, 4));
        }
    }
    rows.push(window("ticket", base - 3 * DAY - MINUTE, 1_000, 1_000));
    database.insert("objective_minutes", &rows).await;
    rows.iter_mut().for_each(|row| row.window_start -= row.window_start % HOUR);
    database.insert("objective_hours", &rows).await;

    let burn = |journey: &str, window: &str| {
        format!(
            "SELECT factor, short_valid, short_burn, long_valid, long_burn, long_observed_bad, alert FROM sli.slo_burn \
             WHERE journey = '{journey}' AND concat(short_window, '/', long_window) = '{window}'"
        )
    };
    let row = |factor: f64, short: (u64, Value), long: (u64, Value), bad: u64, alert: &str| {
        json!([{"factor": factor, "short_valid": short.0, "short_burn": short.1, "long_valid": long.0,
                "long_burn": long.1, "long_observed_bad": bad, "alert": alert}])
    };
    let steady = |factor, short: u64, long: u64, alert| {
        row(factor, (short * 100, json!(4)), (long * 100, json!(4)), long * 4, alert)
    };
    let cases = [
        ("page", "5m/1h", row(13.44, (50, json!(20)), (100, json!(20)), 20, "page")),
        ("page", "30m/6h", row(5.6, (50, json!(20)), (100, json!(20)), 20, "page")),
        ("page", "6h/3d", row(28.0 / 30.0, (100, json!(20)), (100, json!(20)), 20, "ticket")),
        ("over", "5m/1h", row(13.44, (10, json!(0)), (20, json!(50)), 10, "none")),
        ("four", "5m/1h", row(13.44, (4, json!(100)), (4, json!(100)), 4, "none")),
        ("five", "5m/1h", row(13.44, (5, json!(100)), (5, json!(100)), 5, "page")),
        ("silent", "5m/1h", row(13.44, (0, json!(null)), (0, json!(null)), 0, "none")),
        ("ticket", "5m/1h", steady(13.44, 1, 12, "none")),
        // From six hours on a window begins with a whole hour, here half an hour earlier.
        ("ticket", "30m/6h", steady(5.6, 6, 78, "none")),
        ("ticket", "2h/1d", steady(2.8, 24, 294, "ticket")),
        ("ticket", "6h/3d", steady(28.0 / 30.0, 78, 870, "ticket")),
        // A week's budget is a quarter of four weeks': the same ratio uses it up four times as fast.
        ("week", "5m/1h", steady(3.36, 1, 12, "page")),
        ("week", "6h/3d", steady(7.0 / 30.0, 78, 870, "ticket")),
        ("day", "2h/1d", steady(0.1, 24, 294, "ticket")),
        // Longer than the objective's window; an indicator has no budget to burn.
        ("day", "6h/3d", json!([])),
        ("unloved", "5m/1h", json!([])),
    ];
    for (journey, window, expect) in cases {
        let found = Value::Array(database.read(&burn(journey, window)).await);
        assert!(super::equal(&found, &expect), "{journey} {window}\nfound  {found}\nexpect {expect}");
    }
    database.merge().await;
    database.check(&burn("ticket", "2h/1d"), steady(2.8, 24, 294, "ticket")).await;
    database.stop().await;
}
