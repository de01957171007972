//! The demo's traffic without the shipped journeys: `sli init` finds them, and `sli test` says how they differ.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use deploy::clickhouse::ClickHouse;
use deploy::executable::Executables;
use deploy::progress::Progress;
use deploy::stack::{ADMIN, PASSWORD, Stack, StackOptions};
use serde_json::Value;

use crate::commands::{copy, said};

const APPS: [&str; 3] = ["studyapp-web", "studyapp-ios", "studyapp-android"];
const JOURNEYS: [&str; 3] = ["sign-in", "submit-answer", "watch-lecture"];
/// Long enough for every kind of attempt to be there often.
const TRAFFIC: [&str; 8] = ["--profile", "mixed", "--rate", "300", "--seconds", "40", "--seed", "11"];
/// Until everything that was sent is counted, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_secs(3);

/// The definitions that the product ships.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../definitions")
}

#[tokio::test]
async fn the_journeys_of_the_study_app_are_found_in_its_traffic() {
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("definitions");
    copy(&shipped(), &bare);
    std::fs::remove_dir_all(bare.join("journeys")).unwrap();
    let options = StackOptions {
        definitions_dir: Some(bare.clone()),
        flush_interval_ms: 1_000,
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await.unwrap();
    drive(stack.ingest_url(), &dir.path().join("ledger")).await;
    all_counted(&stack).await;

    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (definitions, proposals, beacons) = (path("definitions"), path("proposals"), path("beacons.jsonl"));
    let mut args = vec!["init"];
    args.extend(APPS);
    args.extend(["--definitions", &definitions, "--output", &proposals, "--format", "json"]);
    let servers = [
        "--kafka-brokers",
        stack.kafka_brokers(),
        "--clickhouse-url",
        stack.clickhouse_url(),
        "--save",
        &beacons,
    ];
    let from_servers = proposed(&[&args[..], &servers[..]].concat()).await;
    for journey in JOURNEYS {
        let found = from_servers.iter().find(|proposal| proposal["journey"] == journey);
        let found = found.unwrap_or_else(|| panic!("{journey} is not proposed: {from_servers:#?}"));
        assert_eq!(found["apps"].as_array().unwrap().len(), APPS.len(), "{found}");
        assert!(found["attempts"].as_u64().unwrap() > 100, "{found}");
    }
    // Beyond those there are only the two that the app declares and nobody defined.
    let names: Vec<_> = from_servers.iter().map(|proposal| proposal["journey"].as_str().unwrap()).collect();
    assert_eq!(names, ["open-library", "share-note", "sign-in", "submit-answer", "watch-lecture"]);

    // Without servers, the recording alone suggests the same.
    let output = args.iter().position(|arg| *arg == "--output").unwrap() + 1;
    let again = path("again");
    args[output] = &again;
    let from_file = proposed(&[&args[..], &["--beacons", &beacons]].concat()).await;
    assert_eq!(from_file, from_servers);

    for journey in JOURNEYS {
        compare(journey, Path::new(&proposals), &beacons).await;
    }
}

/// The proposal judges attempts as the shipped definition does, but for differences that are named and few.
async fn compare(journey: &str, proposals: &Path, beacons: &str) {
    let file = |folder: &Path| folder.join(format!("{journey}.yaml")).to_str().unwrap().to_owned();
    let (proposal, ours) = (file(proposals), file(&shipped().join("journeys")));
    let definitions = shipped();
    let definitions = definitions.to_str().unwrap();
    let args = ["test", &proposal, "--definitions", definitions, "--beacons", beacons, "--against", &ours];
    let (_, out, err) = said(&[&args[..], &["--format", "json"]].concat()).await;
    let tested: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let attempts = tested["attempts"].as_u64().unwrap();
    let equal = tested["against"]["equal"].as_u64().unwrap();
    let different = tested["against"]["different"].as_array().unwrap();
    let named: u64 = different.iter().map(|change| change["attempts"].as_u64().unwrap()).sum();
    assert!(attempts > 100 && equal + named >= attempts, "{journey}: {out}");
    assert!(named * 50 <= attempts, "{journey}: {named} of {attempts}: {different:#?}");
    // What differs is how long users are taken to wait, since the proposals have limits of their own: whether those who
    // gave up count.
    let is_patience = |change: &Value| {
        ["before", "after"].iter().all(|side| change[side].as_str().unwrap().starts_with("abandoned"))
    };
    assert!(different.iter().all(is_patience), "{journey}: {different:#?}");
    let files: Vec<_> =
        tested["against"]["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(named == 0 || files.iter().any(|line| line.starts_with("patience_ms")), "{journey}: {files:?}");
}

async fn proposed(args: &[&str]) -> Vec<Value> {
    let (code, out, err) = said(args).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    answer["proposals"].as_array().unwrap().clone()
}

async fn drive(ingest: &str, ledger: &Path) {
    let (ingest, ledger) = (ingest.to_owned(), ledger.to_owned());
    let driven = tokio::task::spawn_blocking(move || {
        let loadtest = Executables::locate().unwrap().get(&["loadtest"], Progress::Quiet).unwrap().remove(0);
        let mut run = Command::new(loadtest);
        run.args(["run", "--ingest", &ingest, "--ledger"]).arg(ledger).args(TRAFFIC).output().unwrap()
    });
    let output = driven.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until what was seen grows no more.
async fn all_counted(stack: &Stack) {
    let clickhouse = ClickHouse::new(stack.clickhouse_url(), ADMIN, PASSWORD).unwrap();
    let settled = async {
        let mut before = 0.0;
        loop {
            tokio::time::sleep(POLL).await;
            let rows =
                clickhouse.query("SELECT toFloat64(sum(seen)) AS seen FROM sli.seen_events").await.unwrap();
            let seen = rows[0]["seen"].as_f64().unwrap();
            if seen > 0.0 && seen == before {
                return;
            }
            before = seen;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("what was sent is counted");
}
