//! The HTTP API, the counters through restarts and expiry, and webhooks.

use serde_json::Value;

use crate::receiver::receiver;
use crate::stand::{APP, Attempts, Stand, get, wait_for};

const WORKS: Attempts =
    Attempts { journey: "watch-lecture", objective: "works", minute: 10, valid: 1_000, bad: 4 };

#[tokio::test]
async fn counters_start_at_zero_and_never_fall() {
    let stand = Stand::start().await;
    let serve = stand.serve(&[]);
    let counts = async |serve: &crate::stand::Serve| {
        let valid = serve.counter("sli_valid_total", "watch-lecture", "works").await;
        (valid, serve.counter("sli_bad_total", "watch-lecture", "works").await)
    };
    assert_eq!(counts(&serve).await, (0, 0));

    stand.count(WORKS).await;
    stand.count(Attempts { minute: 70, valid: 10, bad: 1, ..WORKS }).await;
    assert_eq!(counts(&serve).await, (1_010, 5));
    assert_eq!(serve.counter("sli_good_total", "watch-lecture", "works").await, 1_005);

    // A session's failure comes days after its start: valid and bad only grow, and there is no good to fall.
    let sessions = Attempts { journey: "error-free-sessions", valid: 50, bad: 0, ..WORKS };
    stand.count(sessions).await;
    let (_, page) = serve.get("/metrics").await;
    assert!(
        !page.lines().any(|line| line.starts_with("sli_good_total") && line.contains("sessions")),
        "{page}"
    );

    // Minutes and hours expire; both ends restart.
    stand.expire().await;
    assert_eq!(counts(&serve).await, (1_010, 5));
    stand.restart_clickhouse().await;
    drop(serve);
    let serve = stand.serve(&[]);
    assert_eq!(counts(&serve).await, (1_010, 5));
    stand.stop().await;
}

#[tokio::test]
async fn the_api_says_what_the_views_say() {
    let stand = Stand::start().await;
    stand.count(WORKS).await;
    stand.count(Attempts { minute: 70, valid: 1_000, bad: 26, ..WORKS }).await;
    stand.complete_until(80).await;
    let serve = stand.serve(&[]);

    let listed = serve.json(&format!("/api/v1/slos?app={APP}&journey=watch-lecture")).await;
    let slos = listed["slos"].as_array().unwrap();
    let works = slos.iter().find(|slo| slo["objective"] == "works").unwrap();
    let row = &stand.rows("SELECT good, valid, ratio, budget_left, state FROM sli.slo_status WHERE objective = 'works' AND journey = 'watch-lecture'").await[0];
    for column in ["good", "valid", "ratio", "budget_left", "state"] {
        // The view's whole numbers come without a point.
        let same = works[column] == row[column] || works[column].as_f64() == row[column].as_f64();
        assert!(same, "{column} of {works:#}: {}", row[column]);
    }
    assert_eq!((&works["good"], &works["state"]), (&Value::from(1_970), &Value::from("broken")));
    let none = serve.json("/api/v1/slos?owner=nobody").await;
    assert_eq!(none["slos"], Value::Array(Vec::new()));

    let path = format!("/api/v1/slos/{APP}/watch-lecture/works");
    let one = serve.json(&path).await;
    assert_eq!(one["status"], *works);
    assert_eq!(one["source"], "Chosen: what the former player kept");
    assert_eq!((&one["calendar"], &one["policy"]["has_expired"]), (&"".into(), &false.into()));
    assert_eq!(one["policy"]["actions"][2]["budget_left"], 0.0);
    let monthly = serve.json(&format!("/api/v1/slos/{APP}/error-free-sessions/monthly")).await;
    assert_eq!(monthly["calendar"], "month");
    assert_eq!(one["burn"].as_array().unwrap().len(), 4);
    let hours: Vec<_> =
        one["hours"].as_array().unwrap().iter().map(|hour| (&hour["valid"], &hour["bad"])).collect();
    assert_eq!(hours, [(&Value::from(1_000), &Value::from(4)), (&Value::from(1_000), &Value::from(26))]);

    // Over the objective's window the counts are those of the status; a short window has its minutes.
    let counts = serve.json(&format!("{path}/counts?window_s={}", 28 * 86_400)).await;
    assert_eq!((&counts["good"], &counts["valid"]), (&works["good"], &works["valid"]));
    let counts = serve.json(&format!("{path}/counts?window_s=1800")).await;
    assert_eq!((&counts["good"], &counts["bad"]), (&Value::from(974), &Value::from(26)));

    for (path, status, error) in [
        ("/api/v1/slos/studyapp-web/watch-lecture/wrong".to_owned(), 404, "not_found"),
        (format!("{path}/counts?window_s=5"), 400, "bad_request"),
        (format!("{path}/counts"), 400, "bad_request"),
        ("/api/v1/slos?colour=red".to_owned(), 400, "bad_request"),
        ("/nowhere".to_owned(), 404, "not_found"),
    ] {
        let (found, body) = serve.get(&path).await;
        let body: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!((found, &body["error"]), (status, &Value::from(error)), "{path}");
    }
    let description = serve.json("/openapi.json").await;
    for path in ["/api/v1/slos", "/api/v1/slos/{app}/{journey}/{objective}"] {
        assert!(description["paths"][path]["get"].is_object(), "{path}");
    }
    let fields = description["components"]["schemas"]["Status"]["properties"].as_object().unwrap();
    let sent: Vec<_> = works.as_object().unwrap().keys().collect();
    assert_eq!(fields.keys().collect::<Vec<_>>(), sent);
    assert_eq!(serve.get("/readyz").await.0, 200);
    stand.stop_computing().await;
    let (found, body) = serve.get("/readyz").await;
    assert!(found == 503 && body.contains("was not computed for a minute"), "{found} {body}");
    stand.forget_counts().await;
    assert_eq!(serve.get("/readyz").await.0, 503, "it was never computed");
    stand.stop().await;
}

#[tokio::test]
async fn a_burn_is_told_to_the_webhook_once_and_so_is_its_end() {
    let stand = Stand::start().await;
    let (hook, told) = receiver("/hook");
    let hook = format!("{hook}/hook");
    let serve = stand.serve(&["--webhook", &hook, "--alert-interval-s", "1"]);
    // One error in a quiet night is no alert.
    stand.count(Attempts { valid: 3, bad: 1, minute: 9, ..WORKS }).await;
    stand.complete_until(10).await;
    let burning = async || stand.rows("SELECT journey FROM sli.slo_burn WHERE alert != 'none'").await;
    assert!(burning().await.is_empty());

    stand.count(Attempts { minute: 11, valid: 500, bad: 200, ..WORKS }).await;
    stand.complete_until(12).await;
    let first = wait_for("the alert", async || told.lock().unwrap().pop_front()).await;
    assert_eq!((&first["version"], &first["status"]), (&Value::from("4"), &Value::from("firing")));
    assert_eq!(first["commonLabels"]["journey"], "watch-lecture");
    let alert = &first["alerts"][0];
    assert_eq!(
        (&alert["labels"]["severity"], &alert["labels"]["owner"]),
        (&"page".into(), &"learning-team".into())
    );
    let annotations = &alert["annotations"];
    assert_eq!(annotations["promise"], "A learner who opens a lecture sees it play within two seconds.");
    assert_eq!(annotations["reasons"], "http 503 /api/lectures/:id (201)");
    assert!(
        annotations["users"].as_str().unwrap().contains("201 of 503 attempts were not good"),
        "{annotations}"
    );

    let action = "From 0 % of the budget on: Release only what makes the journey better until the budget is back. (engineering lead)";
    assert_eq!(annotations["action"], action);

    // Four days on, nothing burns any more.
    stand.complete_until(4 * 24 * 60).await;
    assert!(burning().await.is_empty());
    let end = wait_for("the end", async || told.lock().unwrap().pop_front()).await;
    assert_eq!((&end["status"], end["alerts"][0]["status"].as_str()), (&"resolved".into(), Some("resolved")));
    // It said so once, and nothing between: every look since then has found nothing to say.
    let (status, _) = get(&format!("{}/healthz", serve.url)).await;
    assert_eq!((status, told.lock().unwrap().len()), (200, 0));
    stand.stop().await;
}
