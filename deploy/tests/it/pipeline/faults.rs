//! Parts die, pause and come back while traffic with known truth is on its way: the counts agree all the same.
//!
//! `loadtest faults` brings up a stack of its own and does all of it; this is the small version that everyone runs.

use std::time::Duration;

use deploy::executable::Executables;
use deploy::progress::Progress;
use tokio::process::Command;

/// One kill at each named point, owners that pause, and each store killed.
const FAULTS: &str = "faults --kills 7 --zombies 2 --clickhouse-restarts 1 --kafka-restarts 1 --rebalances 0 \
                      --rate 150 --grace-ms 20000";
/// On a machine that is busy with other tests; alone it takes two minutes.
const PATIENCE: Duration = Duration::from_secs(900);

#[tokio::test]
async fn real_faults_change_no_count() {
    let program = tokio::task::spawn_blocking(|| {
        Executables::locate().unwrap().get(&["loadtest"], Progress::Quiet).unwrap().remove(0)
    });
    let mut faults = Command::new(program.await.unwrap());
    faults.args(FAULTS.split_whitespace()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, faults.output()).await;
    let output = ended.expect("it comes to an end").unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
}
