//! What the recorded pages did is what ClickHouse says, once, however often it was sent.

use super::recording::{offset_to, recordings};
use deploy::stack::{Stack, StackOptions};

use super::{lines, quick, quick_stack, settled, until};

const JOURNEYS: &str = "SELECT app, journey, route, sum(attempts) AS attempts, sum(valid) AS valid, \
    sum(success) AS success, sum(failure) AS failure, \
    arrayStringConcat(mapKeys(sumMap(reasons)), ',') AS reasons \
    FROM sli.journey_minutes GROUP BY app, journey, route HAVING attempts > 0 ORDER BY journey, route";

/// Exact values, as the samples keep them.
const VALUES: &str = "SELECT journey, route, outcome, toString(latency) AS latency FROM sli.attempt_samples \
    ORDER BY journey, route, outcome, latency";

const DUPLICATES: &str = "SELECT sum(reasons['duplicate']) AS duplicates FROM sli.batches";

const FARO_JOURNEYS: [&str; 13] = [
    "studyapp-web error-free-sessions  1 1 0 1 exception TypeError",
    "studyapp-web exceptions  2 2 1 1 exception TypeError",
    "studyapp-web http-calls /api/answers/fail 1 1 0 1 http 503 /api/answers/fail",
    "studyapp-web http-calls /api/lectures/:id 1 1 1 0 ",
    "studyapp-web interaction  2 2 2 0 ",
    "studyapp-web page-load /lectures/:id 1 1 1 0 ",
    "studyapp-web submit-answer  1 1 0 1 http 503",
    "studyapp-web watch-lecture  1 1 1 0 ",
    "studyapp-web web-vital-cls /lectures/:id 1 1 1 0 ",
    "studyapp-web web-vital-fcp /lectures/:id 1 1 1 0 ",
    "studyapp-web web-vital-inp /lectures/:id 1 1 1 0 ",
    "studyapp-web web-vital-lcp /lectures/:id 1 1 1 0 ",
    "studyapp-web web-vital-ttfb /lectures/:id 1 1 1 0 ",
];

#[tokio::test]
async fn faro_pages_count_once_on_the_page_that_was_measured() {
    let stack = quick_stack().await;
    let url = format!("{}/collect", stack.ingest_url());
    let now_ms = lines(&stack, "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms").await.remove(0);
    let offset_ms = offset_to(now_ms.parse().unwrap());
    for recording in recordings("faro-") {
        assert_eq!(recording.send(&url, offset_ms).await, 202);
    }
    until(&stack, JOURNEYS, &FARO_JOURNEYS).await;
    let values = [
        "error-free-sessions  failure \\N",
        "exceptions  failure \\N",
        "exceptions  success \\N",
        "http-calls /api/answers/fail failure \\N",
        "http-calls /api/lectures/:id success 125",
        "interaction  success 112",
        "interaction  success 149.8",
        "page-load /lectures/:id success 414",
        "submit-answer  failure \\N",
        "watch-lecture  success 153",
        "web-vital-cls /lectures/:id success 0",
        "web-vital-fcp /lectures/:id success 228",
        "web-vital-inp /lectures/:id success 40",
        "web-vital-lcp /lectures/:id success 228",
        "web-vital-ttfb /lectures/:id success 83.5",
    ];
    until(&stack, VALUES, &values).await;

    let recordings = recordings("faro-");
    for recording in &recordings {
        assert_eq!(recording.send(&url, offset_ms).await, 202);
    }
    until(&stack, DUPLICATES, &[&recordings.len().to_string()]).await;
    settled(&stack).await;
    assert_eq!(lines(&stack, JOURNEYS).await, FARO_JOURNEYS);
    assert_eq!(lines(&stack, VALUES).await, values);
    assert_eq!(lines(&stack, "SELECT * FROM sli.audit").await, [""; 0]);
    stack.stop().await;
}

/// What a new app has without a definition: an indicator for every signal that was seen, and what it declared itself.
const INDICATORS: [&str; 13] = [
    "error-free-sessions works 0 1 no_objective",
    "exceptions handled 1 2 no_objective",
    "http-calls fast 1 2 no_objective",
    "http-calls works 1 2 no_objective",
    "interaction fast 2 2 no_objective",
    "page-load fast 1 1 no_objective",
    "submit-answer  0 1 no_objective",
    "watch-lecture  1 1 no_objective",
    "web-vital-cls good 1 1 no_objective",
    "web-vital-fcp good 1 1 no_objective",
    "web-vital-inp good 1 1 no_objective",
    "web-vital-lcp good 1 1 no_objective",
    "web-vital-ttfb good 1 1 no_objective",
];

#[tokio::test]
async fn an_app_without_definitions_has_an_indicator_for_each_signal_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("apps")).unwrap();
    let app = "app: studyapp-web\nkeys: [studyapp-key]\norigins: [\"*\"]\nbots: count\n\
        routes: [\"/lectures/:id\", \"/api/lectures/:id\"]\n";
    std::fs::write(dir.path().join("apps/studyapp-web.yaml"), app).unwrap();
    let stack =
        Stack::start(StackOptions { definitions_dir: Some(dir.path().to_owned()), ..quick() }).await.unwrap();
    let now_ms = lines(&stack, "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms").await.remove(0);
    // Long enough ago that the minute is complete as soon as everything has settled.
    let offset_ms = offset_to(now_ms.parse::<i64>().unwrap() - 5 * 60_000);
    for recording in recordings("faro-") {
        assert_eq!(recording.send(&format!("{}/collect", stack.ingest_url()), offset_ms).await, 202);
    }
    let status = "SELECT journey, objective, good, valid, state FROM sli.slo_status WHERE app = 'studyapp-web' \
        ORDER BY journey, objective";
    until(&stack, status, &INDICATORS).await;
    assert_eq!(lines(&stack, "SELECT DISTINCT app FROM sli.slo_status").await, ["studyapp-web"]);
    stack.stop().await;
}

#[tokio::test]
async fn web_vitals_count_once_each() {
    let stack = quick_stack().await;
    let url = format!("{}/v1/web-vitals?key=studyapp-key", stack.ingest_url());
    let values = [
        "web-vital-cls /lectures/:id success 0",
        "web-vital-fcp /lectures/:id success 140",
        "web-vital-inp /lectures/:id success 24",
        "web-vital-lcp /lectures/:id success 140",
        "web-vital-ttfb /lectures/:id success 16.7",
    ];
    for _ in 0..2 {
        for recording in recordings("web-vitals-") {
            assert!(matches!(recording.send(&url, 0).await, 200..=299));
        }
    }
    until(&stack, DUPLICATES, &["5"]).await;
    until(&stack, VALUES, &values).await;
    settled(&stack).await;
    assert_eq!(lines(&stack, VALUES).await, values);
    let counts = lines(
        &stack,
        "SELECT journey, sum(attempts) AS n FROM sli.journey_minutes GROUP BY journey ORDER BY journey",
    )
    .await;
    let expect = ["cls", "fcp", "inp", "lcp", "ttfb"].map(|name| format!("web-vital-{name} 1"));
    assert_eq!(counts, expect);
    stack.stop().await;
}

/// What the pages of OpenTelemetry (in two notations) and boomerang (by POST and GET) did, in one app.
const OTHER_JOURNEYS: [&str; 18] = [
    "studyapp-web error-free-sessions  4 4 0 2 exception TypeError",
    "studyapp-web exceptions  2 2 0 2 exception TypeError",
    "studyapp-web http-calls /api/answers/fail 1 1 0 1 http 503 /api/answers/fail",
    "studyapp-web http-calls /api/lectures/:id 1 1 1 0 ",
    "studyapp-web interaction  6 6 6 0 ",
    "studyapp-web page-load /lectures/:id 4 4 4 0 ",
    "studyapp-web submit-answer  2 2 0 2 http 503",
    "studyapp-web watch-lecture  4 4 4 0 ",
    "studyapp-web web-vital-cls  2 2 2 0 ",
    "studyapp-web web-vital-cls /lectures/:id 2 2 2 0 ",
    "studyapp-web web-vital-fcp  2 2 2 0 ",
    "studyapp-web web-vital-fcp /lectures/:id 2 2 2 0 ",
    "studyapp-web web-vital-inp  2 2 2 0 ",
    "studyapp-web web-vital-inp /lectures/:id 2 2 2 0 ",
    "studyapp-web web-vital-lcp  2 2 2 0 ",
    "studyapp-web web-vital-lcp /lectures/:id 2 2 2 0 ",
    "studyapp-web web-vital-ttfb  2 2 2 0 ",
    "studyapp-web web-vital-ttfb /lectures/:id 2 2 2 0 ",
];

/// Exact values of what was timed. OpenTelemetry's vitals do not say of which page they are.
const OTHER_TIMED: &str = "SELECT journey, route, arrayStringConcat(arraySort(groupArray(toString(latency))), ' ') \
    FROM sli.attempt_samples WHERE latency IS NOT NULL GROUP BY journey, route ORDER BY journey, route";

const OTHER_VALUES: [&str; 13] = [
    "http-calls /api/lectures/:id 142",
    "page-load /lectures/:id 201 239.8 277.1 291",
    "watch-lecture  144.1 151 151 158.4",
    "web-vital-cls  0 0",
    "web-vital-cls /lectures/:id 0 0",
    "web-vital-fcp  164 192",
    "web-vital-fcp /lectures/:id 136 160",
    "web-vital-inp  24 32",
    "web-vital-inp /lectures/:id 16 8",
    "web-vital-lcp  164 192",
    "web-vital-lcp /lectures/:id 136 160",
    "web-vital-ttfb  15.8 8.8",
    "web-vital-ttfb /lectures/:id 13 83",
];

#[tokio::test]
async fn pages_of_opentelemetry_and_boomerang_and_reports_of_browsers_count_once() {
    let stack = quick_stack().await;
    let now_ms = lines(&stack, "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms").await.remove(0);
    let offset_ms = offset_to(now_ms.parse().unwrap());
    let mut sent_again = 0;
    for (prefix, path, status) in [
        ("otlp-json-0", "/v1/logs", 200),
        ("otlp-json-traces-", "/v1/traces", 200),
        ("otlp-proto-", "/v1/logs", 200),
        ("boomerang-post-", "/beacon", 204),
        ("boomerang-get-", "/beacon", 200),
    ] {
        let url = format!("{}{path}?key=studyapp-key", stack.ingest_url());
        for recording in recordings(prefix) {
            for _ in 0..2 {
                assert_eq!(recording.send(&url, offset_ms).await, status, "{prefix}");
            }
            sent_again += 1;
        }
    }
    // Browsers' reports have no id: everyone sees the same failure.
    for recording in recordings("nel-") {
        let url = format!("{}/v1/reports?key=studyapp-key", stack.ingest_url());
        assert_eq!(recording.send(&url, offset_ms).await, 204);
    }
    until(&stack, DUPLICATES, &[&sent_again.to_string()]).await;
    until(&stack, JOURNEYS, &OTHER_JOURNEYS).await;
    until(&stack, OTHER_TIMED, &OTHER_VALUES).await;
    let network = "SELECT event, route, sum(seen) AS seen FROM sli.seen_events \
        WHERE startsWith(event, 'network.') GROUP BY event, route ORDER BY event, route";
    let expect = [
        "network.error /:id 1",
        "network.error /reset 2",
        "network.success / 1",
        "network.success /favicon.ico 1",
    ];
    assert_eq!(lines(&stack, network).await, expect);
    settled(&stack).await;
    assert_eq!(lines(&stack, JOURNEYS).await, OTHER_JOURNEYS);
    assert_eq!(lines(&stack, "SELECT * FROM sli.audit").await, [""; 0]);
    stack.stop().await;
}
