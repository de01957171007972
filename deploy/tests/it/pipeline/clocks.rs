//! Attempts of phones with wrong clocks and of offline queues count in the window in which they happened.

use serde_json::json;

use super::{lines, quick_stack, until};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// A journey that the app declares, what the phone's clock is wrong by, and how long ago it ended when it was sent, in ms.
const PHONES: [(&str, i64, i64); 6] = [
    ("clock-ahead", 5 * HOUR_MS, 0),
    ("clock-behind", -5 * HOUR_MS, 0),
    ("clock-right", 0, 0),
    ("queue", 0, 3 * DAY_MS),
    ("queue-and-clock-behind", -5 * HOUR_MS, 3 * DAY_MS),
    ("queue-too-old", 0, 9 * DAY_MS),
];

#[tokio::test]
async fn attempts_count_when_they_happened_by_whatever_clock() {
    let stack = quick_stack().await;
    let now = lines(&stack, "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms").await.remove(0);
    let now_ms: i64 = now.parse().unwrap();
    for (journey, error_ms, age_ms) in PHONES {
        let clock_ms = now_ms + error_ms;
        let end_ms = clock_ms - age_ms;
        let body = json!({"session": journey, "sent_at": clock_ms, "events": [
            {"name": "journey.start", "time": end_ms - 700, "attributes": {"journey": journey}},
            {"name": "journey.end", "time": end_ms, "attributes": {"journey": journey, "outcome": "success"}},
        ]});
        let url = format!("{}/v1/beacons?key=studyapp-ios-key", stack.ingest_url());
        assert_eq!(reqwest::Client::new().post(url).json(&body).send().await.unwrap().status(), 202);
    }
    // Half an hour is more than this test takes, and less than any of the clocks is off.
    let hours_ago = format!("intDiv({now_ms} - toUnixTimestamp(window_start) * 1000 + 1800000, 3600000)");
    let windows = format!(
        "SELECT journey, {hours_ago} AS hours_ago, sum(success) AS n FROM sli.journey_minutes \
         WHERE success > 0 AND (journey LIKE 'clock-%' OR journey LIKE 'queue%') GROUP BY journey, hours_ago ORDER BY journey"
    );
    let expect = [
        "clock-ahead 0 1",
        "clock-behind 0 1",
        "clock-right 0 1",
        "queue 72 1",
        "queue-and-clock-behind 72 1",
    ];
    until(&stack, &windows, &expect).await;
    let quality = "SELECT sum(too_old) AS too_old, sum(clock_corrected) AS corrected FROM sli.quality";
    until(&stack, quality, &["2 6"]).await;
    assert_eq!(lines(&stack, "SELECT * FROM sli.audit").await, [""; 0]);
    stack.stop().await;
}
