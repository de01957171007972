//! Parts die while traffic with known truth is on its way: the counts agree all the same.

use std::path::Path;
use std::time::Duration;

use deploy::executable::Executables;
use deploy::progress::Progress;
use deploy::stack::{AGGREGATOR, KAFKA, Signal, Stack, StackOptions};
use tokio::process::{Child, Command};

use super::{PATIENCE, POLL, lines};

const RATE: &str = "150";
const SECONDS: &str = "30";

/// A beacon that waits for Kafka to come back must still be in time for its attempt.
const GRACE_MS: i64 = 30_000;

async fn patient_stack() -> Stack {
    Stack::start(StackOptions { grace_ms: GRACE_MS, ..StackOptions::default() }).await.unwrap()
}

fn loadtest(arguments: &[&str]) -> Child {
    let executables = Executables::locate().unwrap();
    let program = executables.get(&["loadtest"], Progress::Quiet).unwrap().remove(0);
    Command::new(program).args(arguments).kill_on_drop(true).spawn().unwrap()
}

/// Waits until at least `count` beacons are in batches.
async fn counted(stack: &Stack, count: u64) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = lines(stack, "SELECT sum(counted) AS counted FROM sli.batches").await.remove(0);
        if found.parse::<u64>().unwrap() >= count {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{found} of {count} beacons are counted");
        tokio::time::sleep(POLL).await;
    }
}

/// Runs traffic, lets `disturb` do its worst in the middle, and demands the truth.
async fn law_holds(stack: &Stack, disturb: impl AsyncFnOnce(&Stack)) {
    let ledger = stack.dir().join("ledger");
    let ledger = ledger.to_str().unwrap();
    let mut run = loadtest(&[
        "run",
        "--ingest",
        stack.ingest_url(),
        "--rate",
        RATE,
        "--seconds",
        SECONDS,
        "--seed",
        "7",
        "--ledger",
        ledger,
    ]);
    disturb(stack).await;
    assert!(run.wait().await.unwrap().success(), "every beacon was answered 202 in the end");
    assert!(Path::new(ledger).exists());
    let mut verify =
        loadtest(&["verify", "--ledger", ledger, "--clickhouse", stack.clickhouse_url(), "--wait", "240"]);
    assert!(verify.wait().await.unwrap().success(), "ClickHouse holds the truth");
    assert_eq!(lines(stack, "SELECT * FROM sli.audit").await, [""; 0]);
}

#[tokio::test]
async fn an_aggregator_that_is_killed_three_times_counts_once() {
    let stack = patient_stack().await;
    law_holds(&stack, async |stack| {
        for count in [300, 1_200, 2_400] {
            counted(stack, count).await;
            let before = stack.pid(AGGREGATOR);
            stack.kill_part(AGGREGATOR, Signal::SIGKILL).unwrap();
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while stack.pid(AGGREGATOR).is_none_or(|pid| Some(pid) == before) {
                assert!(tokio::time::Instant::now() < deadline, "the aggregator is not started again");
                tokio::time::sleep(POLL).await;
            }
        }
    })
    .await;
    stack.stop().await;
}

#[tokio::test]
async fn kafka_that_is_restarted_loses_nothing_that_was_answered() {
    let stack = patient_stack().await;
    law_holds(&stack, async |stack| {
        counted(stack, 600).await;
        stack.stop_part(KAFKA).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        stack.start_part(KAFKA).await.unwrap();
    })
    .await;
    stack.stop().await;
}
