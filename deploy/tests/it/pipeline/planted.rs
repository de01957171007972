//! Secrets that are planted in every wire format are nowhere behind `ingest`: in no record of any topic, no column of
//! any table, no file of the processes, and in no log at its most talkative.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deploy::stack::{AGGREGATOR, INGEST, Stack, StackOptions};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::{lines, until};
use requests::Planted;

mod found;
mod requests;

/// An app whose users are heard when they object.
const OBJECTING: &str = "app: objecting\nkeys: [objecting-key]\nattributes: [listed]\n\
    do_not_track: anonymous\nglobal_privacy_control: drop\n";
/// A beacon of that app. Nothing of it is a secret, but for users who object its session is.
const SESSION: &str = "zq7x-session-of-an-objector";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_any_format_is_kept_anywhere() {
    let definitions = definitions_with("objecting.yaml", OBJECTING);
    let talkative = ("RUST_LOG".to_owned(), "trace".to_owned());
    let options = StackOptions {
        grace_ms: 1_000,
        flush_interval_ms: 1_000,
        definitions_dir: Some(definitions.path().into()),
        ingest_env: BTreeMap::from([
            talkative.clone(),
            ("INGEST_COUNTRY_HEADER".to_owned(), requests::COUNTRY_HEADER.to_owned()),
        ]),
        aggregator_env: BTreeMap::from([talkative]),
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await.unwrap();
    let now_ms = lines(&stack, "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms").await.remove(0);
    for Planted { name, request, status } in requests::all(stack.ingest_url(), now_ms.parse().unwrap()) {
        assert_eq!(requests::with_secret_headers(request).send().await.unwrap().status(), status, "{name}");
    }
    objections_are_honoured(&stack).await;
    refusals_are_not_kept(&stack).await;

    // What is no secret has come through, so the search looks at what was sent.
    let seen = "SELECT DISTINCT event FROM sli.seen_events WHERE event LIKE '%planted%' OR event LIKE 'network.%' \
        OR event LIKE '%vital' ORDER BY event";
    let expect = [
        "boomerang.planted",
        "browser.web_vital",
        "network.error",
        "planted /lectures/:id",
        "planted.anonymous",
        "planted.faro",
        "planted.logs",
        "planted.native",
        "planted.protobuf",
        "planted.spans",
    ];
    until(&stack, seen, &expect).await;
    let context = "SELECT DISTINCT os, browser, device_class, country, connection FROM sli.journey_hours \
        WHERE journey = 'watch-lecture' AND attempts > 0";
    until(&stack, context, &["Android Chrome Mobile mobile GH 3g"]).await;
    let objected = "SELECT sumMap(not_counted)['global_privacy_control'] AS events FROM sli.quality WHERE app = 'objecting'";
    until(&stack, objected, &["2"]).await;

    let (log, dir) = (found::on_the_log(&stack).await, stack.dir().to_owned());
    assert!(log.is_in("planted.native") && log.is_in("planted.protobuf"), "the log was not read");
    let tables = found::in_tables(&stack).await;
    assert!(tables.is_in("planted.native") && tables.is_in("planted-session"), "the tables were not read");
    let files = [INGEST, AGGREGATOR].map(|part| found::in_file(&stack.log_of(part)));
    assert!(files.iter().all(|log| log.is_in("TRACE")), "the logs say little");
    let disk = found::below(&dir);
    for secret in requests::SECRETS.into_iter().chain([SESSION, "planted.dropped", "planted.unlisted"]) {
        let places: Vec<&str> = [&log, &tables, &disk]
            .into_iter()
            .chain(&files)
            .flat_map(|found| found.places_of(secret))
            .collect();
        assert!(places.is_empty(), "{secret} is in {places:#?}");
    }
    // The address of this test itself is in configurations and Kafka's own records, but in none of ours.
    let addresses = [&log, &tables].map(|found| found.places_of("127.0.0.1"));
    assert!(addresses.concat().iter().all(|place| place.starts_with("__consumer_offsets")), "{addresses:?}");
    stack.stop().await;
}

/// The project's definitions and one more app.
fn definitions_with(name: &str, app: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../definitions");
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        std::fs::create_dir_all(dir.path().join(&folder)).unwrap();
        for entry in std::fs::read_dir(source.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                std::fs::copy(entry.path(), dir.path().join(path)).unwrap();
            }
        }
    }
    std::fs::write(dir.path().join("apps").join(name), app).unwrap();
    dir
}

/// A dropped beacon is answered as any, and an anonymous one counts without its session.
async fn objections_are_honoured(stack: &Stack) {
    let body = |event: &str| {
        json!({"key": "objecting-key", "session": SESSION, "segment": "planted.dropped", "events": [
            {"name": event, "attributes": {"listed": "yes", "other": "planted.unlisted"}}, {"name": event},
        ]})
    };
    let send = |event, header: &'static str| {
        Client::new()
            .post(format!("{}/v1/beacons", stack.ingest_url()))
            .header(header, "1")
            .json(&body(event))
            .send()
    };
    let answer = send("planted.dropped", "sec-gpc").await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"accepted": 0, "rejected": []}));
    let answer = send("planted.anonymous", "dnt").await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["accepted"], 2);
    let metrics =
        reqwest::get(format!("{}/metrics", stack.ingest_admin_url())).await.unwrap().text().await.unwrap();
    for line in [
        "ingest_events_rejected_total{reason=\"global_privacy_control\"} 2",
        "ingest_cut_total{what=\"sessions\"} 1",
        "ingest_cut_total{what=\"not_allowed\"} 2",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
}

/// Requests of which nothing is accepted are not kept either, for instance by an error in the log.
async fn refusals_are_not_kept(stack: &Stack) {
    let url = stack.ingest_url();
    let secret = requests::SECRETS[0];
    let post = |path: &str| Client::new().post(format!("{url}{path}?email={secret}@school.example"));
    let refused: [(u16, RequestBuilder); 5] = [
        (400, post("/v1/beacons").body(format!("{{\"{secret}\":"))),
        (401, post("/collect").header("x-api-key", secret).body("{}")),
        (
            403,
            post("/v1/beacons")
                .header("origin", format!("https://{secret}.example"))
                .header("x-api-key", "objecting-key"),
        ),
        (404, post(&format!("/{secret}"))),
        (415, post("/v1/logs").header("content-type", format!("text/{secret}"))),
    ];
    for (status, request) in refused {
        assert_eq!(requests::with_secret_headers(request).send().await.unwrap().status(), status);
    }
}
