//! The whole pipeline on real parts: HTTP in, ClickHouse out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::time::Duration;

use deploy::executable::Executables;
use deploy::progress::Progress;
use deploy::stack::{Stack, StackOptions};
use tokio::process::Command;

mod clocks;
mod drill;
mod faults;
mod hostile;
mod planted;
mod recorded;
mod recording;
mod secured;

/// How long a condition may take to become true on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);

/// A whole stack whose attempts settle quickly.
async fn quick_stack() -> Stack {
    Stack::start(quick()).await.unwrap()
}

fn quick() -> StackOptions {
    StackOptions { grace_ms: 3_000, flush_interval_ms: 1_000, ..StackOptions::default() }
}

/// Runs the load generator, which must end with success within `patience`.
async fn loadtest(args: impl IntoIterator<Item = impl AsRef<OsStr>>, patience: Duration) {
    let program = tokio::task::spawn_blocking(|| {
        Executables::locate().unwrap().get(&["loadtest"], Progress::Quiet).unwrap().remove(0)
    });
    let mut command = Command::new(program.await.unwrap());
    command.args(args).kill_on_drop(true);
    let ended = tokio::time::timeout(patience, command.output()).await;
    let output = ended.expect("it comes to an end").unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Rows of a query, each as a line of its values in the order of the columns.
pub(crate) async fn lines(stack: &Stack, sql: &str) -> Vec<String> {
    let sql = format!("SELECT formatRowNoNewline('TSV', *) AS line FROM ({sql})");
    let rows = stack.query(&sql).await.unwrap();
    rows.iter().map(|row| row["line"].as_str().unwrap().replace('\t', " ")).collect()
}

/// Polls `sql` until it gives `expect`; the last answer stands in the failure.
pub(crate) async fn until(stack: &Stack, sql: &str, expect: &[&str]) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut found = lines(stack, sql).await;
    while found != expect {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{sql}\nexpected {expect:#?}\nfound {found:#?}\n{}",
            lines(stack, "SELECT * FROM sli.quality").await.join("\n")
        );
        tokio::time::sleep(POLL).await;
        found = lines(stack, sql).await;
    }
}

/// Waits until every partition's batches reach the log time at which this was called, and everything that was
/// open by then has settled.
async fn settled(stack: &Stack) {
    let now = lines(stack, "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms").await.remove(0);
    // The deadline of the study app's journeys, two grace periods, and the flush of an idle partition.
    let until_ms = now.parse::<i64>().unwrap() + 30_000 + 2 * 3_000 + 12_000;
    let sql = format!(
        "SELECT count() = 4 AND min(last_ms) >= {until_ms} AS done FROM \
         (SELECT partition, max(log_time_ms) AS last_ms FROM sli.batches GROUP BY partition)"
    );
    until(stack, &sql, &["1"]).await;
}
