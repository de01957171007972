//! Starting, restarting and stopping, and who may do what.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use deploy::error::StackError;
use deploy::port::PortChoice;
use deploy::stack::{
    ADMIN, CLICKHOUSE, ExistingClickHouse, ExistingKafka, KAFKA, PASSWORD, Parts, Ports, READER, Signal,
    Stack, StackOptions, WRITER,
};

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

#[tokio::test]
async fn kafka_that_is_killed_is_started_again_on_its_port() {
    let stack = Stack::start(StackOptions::of(Parts::Kafka)).await.unwrap();
    let before = processes(stack.dir())[KAFKA];
    let brokers = stack.kafka_brokers().to_owned();
    stack.kill_part(KAFKA, Signal::SIGKILL).unwrap();
    until("kafka has another process", || stack.pid(KAFKA).is_some_and(|pid| pid != before)).await;
    stack.wait_ready(KAFKA).await.unwrap();
    assert_eq!(stack.kafka_brokers(), brokers);
    assert_eq!(Some(processes(stack.dir())[KAFKA]), stack.pid(KAFKA));

    stack.restart_part(KAFKA).await.unwrap();
    stack.stop_part(KAFKA).await.unwrap();
    assert_eq!(stack.pid(KAFKA), None);
    stack.start_part(KAFKA).await.unwrap();
    let last = stack.pid(KAFKA).unwrap();
    drop(stack);
    assert!(!is_alive(last));
}

#[tokio::test]
async fn clickhouse_keeps_its_data_over_a_restart_and_migrations_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let options = || StackOptions { dir: Some(dir.path().into()), ..StackOptions::of(Parts::ClickHouse) };
    let stack = Stack::start(options()).await.unwrap();
    let applied = "SELECT count() AS rows, uniqExact(version) AS versions FROM sli.migrations";
    let before = stack.query(applied).await.unwrap();
    assert_eq!(before[0]["rows"], schema::ddl::MIGRATIONS.len());

    let error = Stack::start(options()).await.unwrap_err().to_string();
    assert!(error.starts_with("another stack runs in "), "{error}");

    stack.restart_part(CLICKHOUSE).await.unwrap();
    assert_eq!(stack.query(applied).await.unwrap(), before);
    stack.stop().await;
    let stack = Stack::start(options()).await.unwrap();
    assert_eq!(stack.query(applied).await.unwrap(), before);

    let admin = stack.clickhouse().unwrap();
    admin
        .execute(
            "ALTER TABLE sli.migrations UPDATE checksum = '0' WHERE version = 1 SETTINGS mutations_sync = 1",
        )
        .await
        .unwrap();
    let error = deploy::migration::migrate(admin).await.unwrap_err();
    assert!(matches!(error, StackError::MigrationChanged { version: 1, .. }), "{error}");
    stack.stop().await;
}

#[tokio::test]
async fn a_given_port_in_use_is_refused_with_a_way_out() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let pid = std::process::id();
    let given = PortChoice::Given(port);
    for (part, ports) in [
        ("kafka", Ports { kafka: given, ..Ports::FREE }),
        ("clickhouse", Ports { clickhouse: given, ..Ports::FREE }),
        ("ingest", Ports { ingest: given, ..Ports::FREE }),
    ] {
        let error = Stack::start(StackOptions { ports, ..StackOptions::of(Parts::All) }).await.unwrap_err();
        let expect = format!("port {port} for {part} is in use by process {pid} ");
        assert!(error.to_string().starts_with(&expect), "{error}");
    }
}

#[tokio::test]
async fn servers_that_run_already_are_used() {
    let servers = Stack::start(StackOptions::of(Parts::Stores)).await.unwrap();
    let options = StackOptions {
        kafka: Some(ExistingKafka { brokers: servers.kafka_brokers().into(), properties: BTreeMap::new() }),
        clickhouse: Some(ExistingClickHouse {
            url: servers.clickhouse_url().into(),
            user: ADMIN.into(),
            password: PASSWORD.into(),
        }),
        ..StackOptions::of(Parts::Stores)
    };
    let stack = Stack::start(options).await.unwrap();
    assert_eq!(stack.kafka_brokers(), servers.kafka_brokers());
    assert!(!stack.query("SELECT version FROM sli.migrations").await.unwrap().is_empty());
    assert_eq!((stack.pid(KAFKA), stack.pid(CLICKHOUSE)), (None, None));
    stack.stop().await;
    servers.wait_ready(KAFKA).await.unwrap();
    servers.stop().await;
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), met).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_process_does_not_outlive_a_parent_that_is_killed() {
    let deploy = env!("CARGO_BIN_EXE_deploy");
    let script = format!("{deploy} launch --parent $$ -- sleep 1000 & echo $!; wait");
    let mut parent =
        Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let pid: u32 = said.trim().parse().unwrap();
    let program = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    until("the launcher became the program", || program().trim() == "sleep").await;
    parent.kill().unwrap();
    parent.wait().unwrap();
    // Whoever reaps orphans may take a moment: a process that is dead has no program any more.
    until("the program is gone", || !Path::new(&format!("/proc/{pid}/exe")).exists()).await;
}

#[test]
fn a_process_whose_parent_is_gone_does_not_start() {
    let output = Command::new(env!("CARGO_BIN_EXE_deploy"))
        .args(["launch", "--parent", "1", "--", "true"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("the program that started this has ended"));
}
