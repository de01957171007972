//! Starting, restarting and stopping, and who may do what.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use deploy::error::StackError;
use deploy::port::PortChoice;
use deploy::stack::{CLICKHOUSE, KAFKA, PASSWORD, Parts, Ports, READER, Signal, Stack, StackOptions, WRITER};

fn processes(dir: &Path) -> BTreeMap<String, u32> {
    serde_json::from_str(&std::fs::read_to_string(dir.join("processes.json")).unwrap()).unwrap()
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn stores_start_serve_and_leave_nothing_behind() {
    let stack = Stack::start(StackOptions::of(Parts::Stores)).await.unwrap();
    let dir = stack.dir().to_owned();
    let pids = processes(&dir);
    assert_eq!(pids.keys().map(String::as_str).collect::<Vec<_>>(), [CLICKHOUSE, KAFKA]);
    assert!(pids.values().all(|pid| is_alive(*pid)));

    let admin = stack.clickhouse().unwrap();
    admin.execute("CREATE TABLE sli.kept (x UInt64) ENGINE = MergeTree ORDER BY x").await.unwrap();
    let writer = admin.as_user(WRITER, PASSWORD);
    writer.execute("INSERT INTO sli.kept VALUES (1), (2)").await.unwrap();
    let reader = admin.as_user(READER, PASSWORD);
    assert_eq!(reader.query("SELECT sum(x) AS sum FROM sli.kept").await.unwrap()[0]["sum"], 3);
    for refused in [
        "DROP TABLE sli.kept",
        "INSERT INTO sli.kept VALUES (3)",
        "CREATE TABLE sli.mine (x Int8) ENGINE = Memory",
    ] {
        let error = reader.execute(refused).await.unwrap_err();
        assert!(matches!(error, StackError::ClickHouse { .. }), "{refused}: {error}");
    }
    assert!(writer.execute("DROP TABLE sli.kept").await.is_err());

    stack.stop().await;
    assert!(!pids.values().any(|pid| is_alive(*pid)));
    assert!(!dir.exists(), "a temporary folder goes with its stack");
}
