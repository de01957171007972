//! A drill as users run it: bad connections, and a process that dies, from a file.
//!
//! The shipped ones are in `loadtest/drills`; this is a small one that everyone runs.

use std::time::Duration;

use deploy::executable::Executables;
use deploy::progress::Progress;
use serde_json::Value;
use tokio::process::Command;

/// Short, and yet both kinds of faults: what toxiproxy does, and a kill.
const DRILL: &str = "
drill: small
what: The way to ClickHouse gets slow and then ingest is killed.
rate: 100
lasts: 25s
grace: 20s
steps:
  - {at: 6s, slow: aggregator-clickhouse, latency: 200ms, for: 6s}
  - {at: 15s, kill: ingest}
";
/// On a machine that is busy with other tests; alone it takes a minute and a half.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_drill_strikes_and_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (file, json) = (dir.path().join("small.yaml"), dir.path().join("drills.json"));
    std::fs::write(&file, DRILL).unwrap();
    let program = tokio::task::spawn_blocking(|| {
        Executables::locate().unwrap().get(&["loadtest"], Progress::Quiet).unwrap().remove(0)
    });
    let mut drill = Command::new(program.await.unwrap());
    drill.arg("drill").arg(&file).arg("--json").arg(&json).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, drill.output()).await;
    let output = ended.expect("it comes to an end").unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    let outcomes: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(outcomes[0]["verdict"], "holds");
    assert_eq!(outcomes[0]["steps"].as_array().unwrap().len(), 2);
    assert!(outcomes[0]["sent"]["accepted"].as_u64().unwrap() > 2_000);
}
