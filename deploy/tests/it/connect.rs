//! Real clients, connected as `docs/connect` says: what they played is what ClickHouse counts, with the values that the
//! clients measured themselves.
//!
//! The code blocks of those pages are what runs. Clients and their locked dependencies are in `tests/clients`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use deploy::stack::{Stack, StackOptions};

use crate::pipeline::{lines, until};

mod browser;
mod jvm;
mod measured;
mod snippets;

/// Folder of the clients and their definitions.
fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A stack with an app for each client.
async fn stack_of_clients() -> Stack {
    let options = StackOptions {
        grace_ms: 3_000,
        flush_interval_ms: 1_000,
        definitions_dir: Some(clients().join("definitions")),
        ..StackOptions::default()
    };
    Stack::start(options).await.unwrap()
}

/// The counts of an app's journeys that have attempts.
fn counts_of(app: &str) -> String {
    format!(
        "SELECT journey, route, sum(attempts), sum(valid), sum(success), sum(failure), \
         arrayStringConcat(mapKeys(sumMap(reasons)), ',') FROM sli.journeys WHERE app = 'school-{app}' \
         GROUP BY journey, route HAVING sum(attempts) > 0 ORDER BY journey, route"
    )
}

/// Waits until what is counted already is in every table: a batch is written table after table, and those of a partition
/// one after another.
async fn written(stack: &Stack) {
    let now_ms = lines(stack, "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms").await.remove(0);
    let sql = format!(
        "SELECT count() = 4 AND min(last_ms) >= {now_ms} AS done FROM \
         (SELECT partition, max(log_time_ms) AS last_ms FROM sli.batches GROUP BY partition)"
    );
    until(stack, &sql, &["1"]).await;
}

/// The exact latencies of an app's journey on a route, as the samples keep them, in order.
async fn values(stack: &Stack, app: &str, journey: &str, route: &str) -> Vec<f64> {
    let sql = format!(
        "SELECT toFloat64(latency) FROM sli.attempt_samples WHERE app = 'school-{app}' AND journey = '{journey}' \
         AND route = '{route}' AND latency IS NOT NULL ORDER BY latency"
    );
    lines(stack, &sql).await.iter().map(|line| line.parse().unwrap()).collect()
}

/// Fails unless both have the same numbers, none further apart than `tolerance`.
fn assert_equal(what: &str, found: Vec<f64>, measured: Vec<f64>, tolerance: f64) {
    assert_within(what, found, &measured.iter().map(|ms| (*ms, *ms)).collect::<Vec<_>>(), tolerance);
}

/// Fails unless each number lies between what was measured of it at least and at most, in the order of their sizes.
fn assert_within(what: &str, mut found: Vec<f64>, measured: &[(f64, f64)], tolerance: f64) {
    let sorted = |of: fn(&(f64, f64)) -> f64| {
        let mut sizes: Vec<f64> = measured.iter().map(of).collect();
        sizes.sort_by(f64::total_cmp);
        sizes
    };
    let (least, most) = (sorted(|(least, _)| *least), sorted(|(_, most)| *most));
    found.sort_by(f64::total_cmp);
    let is_within = found.len() == measured.len()
        && found
            .iter()
            .zip(least.iter().zip(&most))
            .all(|(found, (least, most))| (least - tolerance..=most + tolerance).contains(found));
    assert!(is_within, "{what}: found {found:?}, the client measured {least:?} to {most:?}");
}
