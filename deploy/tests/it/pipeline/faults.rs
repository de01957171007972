//! Parts die, pause and come back while traffic with known truth is on its way: the counts agree all the same.
//!
//! `loadtest faults` brings up a stack of its own and does all of it; this is the small version that everyone runs.

use std::time::Duration;

use super::loadtest;

/// One kill at each named point, owners that pause, and each store killed.
const FAULTS: &str = "faults --kills 7 --zombies 2 --clickhouse-restarts 1 --kafka-restarts 1 --rebalances 0 \
                      --rate 150 --grace-ms 20000";
/// On a machine that is busy with other tests; alone it takes two minutes.
const PATIENCE: Duration = Duration::from_secs(900);

#[tokio::test]
async fn real_faults_change_no_count() {
    loadtest(FAULTS.split_whitespace(), PATIENCE).await;
}
