//! Bad requests and bad content: each has its documented answer or its name in the counts, and none stops
//! anything.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::{lines, quick_stack, until};

const YEAR_MS: i64 = 365 * 24 * 3_600_000;

#[tokio::test]
async fn every_bad_beacon_has_an_answer_or_a_name() {
    let stack = quick_stack().await;
    let url = format!("{}/v1/beacons", stack.ingest_url());
    let now_ms: i64 =
        lines(&stack, "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms").await[0].parse().unwrap();
    let post = |body: Value| Client::new().post(&url).header("x-api-key", "studyapp-ios-key").json(&body);
    let one_event = |id: &str, event: Value| json!({"id": id, "session": id, "events": [event]});
    let answer = async |request: RequestBuilder| {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let good = one_event(
        "good",
        json!({"name": "app.screen", "time": now_ms, "value": 300, "attributes": {"name": "home"}}),
    );

    // Requests that are refused.
    let wrong_key = Client::new().post(&url).header("x-api-key", "nobody").json(&good);
    assert_eq!(answer(wrong_key).await.0, 401);
    let too_large = Client::new().post(&url).header("x-api-key", "studyapp-key").body("x".repeat(1 << 20));
    assert_eq!(answer(too_large).await.0, 413);
    let no_json = Client::new().post(&url).header("x-api-key", "studyapp-key").body("{\"events\":[");
    let (status, body) = answer(no_json).await;
    assert_eq!(status, 400);
    assert!(body["error"].is_string() && body["detail"].is_string(), "{body}");
    let foreign = Client::new()
        .post(&url)
        .header("x-api-key", "studyapp-ios-key")
        .header("origin", "https://elsewhere.example")
        .json(&good);
    assert_eq!(answer(foreign).await.0, 403);

    // Events that are refused by name while their beacon is taken.
    let negative = json!({"name": "app.screen", "time": now_ms, "value": -5});
    let (status, body) = answer(post(one_event("negative", negative))).await;
    assert_eq!((status, &body["accepted"]), (202, &json!(0)));
    assert_eq!(body["rejected"][0]["reason"], "invalid_value");
    let not_a_number = json!({"name": "app.screen", "time": now_ms, "value": "NaN"});
    let (status, body) = answer(post(one_event("nan", not_a_number))).await;
    assert_eq!((status, &body["rejected"][0]["reason"]), (202, &json!("invalid_value")));

    // Events that are taken and counted by name.
    let old = json!({"name": "app.screen", "time": now_ms - YEAR_MS, "value": 7});
    assert_eq!(answer(post(one_event("old", old))).await.0, 202);
    let ahead = json!({"name": "app.screen", "time": now_ms + YEAR_MS, "value": 7});
    assert_eq!(answer(post(one_event("ahead", ahead))).await.0, 202);
    let unknown = json!({"id": "unknown", "session": "unknown", "events": [
        {"name": "journey.start", "time": now_ms, "attributes": {"journey": "bake-a-cake"}},
        {"name": "journey.end", "time": now_ms + 40, "attributes": {"journey": "bake-a-cake", "outcome": "success"}},
    ]});
    assert_eq!(answer(post(unknown)).await.0, 202);
    assert_eq!(answer(post(good)).await.0, 202);

    let journeys = "SELECT journey, sum(attempts) AS attempts, max(window_start) > now() + 3600 AS ahead \
        FROM sli.journey_minutes GROUP BY journey ORDER BY journey";
    // Three sessions had an event that could be taken.
    let sessions = ["crash-free-sessions 3 0", "error-free-sessions 3 0", "hang-free-sessions 3 0"];
    let expected = [&["bake-a-cake 1 0"], &sessions[..], &["screen-load 2 0"]].concat();
    until(&stack, journeys, &expected).await;
    let quality = "SELECT sum(beacons) AS beacons, sum(too_old) AS too_old, \
        sumMap(not_counted)['invalid_value'] AS invalid FROM sli.quality";
    until(&stack, quality, &["6 1 2"]).await;
    assert_eq!(lines(&stack, "SELECT * FROM sli.audit").await, [""; 0]);
    stack.stop().await;
}
