//! A drill as users run it: bad connections, and a process that dies, from a file.
//!
//! The shipped ones are in `loadtest/drills`; this is a small one that everyone runs.

use std::time::Duration;

use serde_json::Value;

use super::loadtest;

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
    loadtest(["drill".as_ref(), file.as_os_str(), "--json".as_ref(), json.as_os_str()], PATIENCE).await;
    let outcomes: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(outcomes[0]["verdict"], "holds");
    assert_eq!(outcomes[0]["steps"].as_array().unwrap().len(), 2);
    assert!(outcomes[0]["sent"]["accepted"].as_u64().unwrap() > 2_000);
}
