//! Ticks: a record to every partition each second, so that log time passes where no beacons come.

use std::sync::Arc;
use std::time::Duration;

use schema::record::encode_tick;
use tokio::time::MissedTickBehavior;

use crate::log::Log;

/// Time between two ticks of a partition.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Ticks after which the number of partitions is asked again.
const REFRESH_TICKS: u64 = 30;
/// Longest wait for the number of partitions.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes ticks for ever.
pub async fn run(log: Arc<Log>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let tick = encode_tick();
    let mut partitions = 0;
    for count in 0u64.. {
        interval.tick().await;
        log.note_time();
        if partitions == 0 || count % REFRESH_TICKS == 0 {
            partitions = refresh(&log, partitions).await;
        }
        for partition in 0..partitions {
            if let Err(error) = log.append_to(partition, &tick) {
                tracing::debug!(partition, %error, "no tick");
            }
        }
    }
}

async fn refresh(log: &Arc<Log>, known: i32) -> i32 {
    let log = Arc::clone(log);
    match tokio::task::spawn_blocking(move || log.partitions(METADATA_TIMEOUT)).await {
        Ok(Ok(partitions)) => partitions,
        Ok(Err(error)) => {
            tracing::warn!(%error, known, "the number of partitions is not known anew");
            known
        }
        Err(_) => known,
    }
}
