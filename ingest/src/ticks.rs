//! Ticks: a record to every partition each second, so that log time passes where no beacons come.
//!
//! Ticks also tell whether the log acknowledges in time, so that an outage is noticed before a beacon waits for it,
//! and its end before one is tried.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_ok;
use schema::record::encode_tick;
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::log::{Log, LogState};

/// Time between two ticks of a partition.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Ticks after which the number of partitions is asked again.
const REFRESH_TICKS: u64 = 30;
/// Longest wait for the number of partitions.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes ticks for ever, to a topic that was checked. One that is acknowledged within `timely` shows that the log
/// answers, none that it is away.
pub async fn run(log: Arc<Log>, timely: Duration) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut partitions = 0;
    for count in 0u64.. {
        interval.tick().await;
        log.note_time();
        if matches!(log.state(), LogState::Unchecked | LogState::Wrong(_)) {
            continue;
        }
        if partitions == 0 || (count % REFRESH_TICKS == 0 && log.takes()) {
            partitions = refresh(&log, partitions).await;
        }
        let started = clock::monotonic();
        if any_acknowledged(&log, partitions, timely).await {
            log.note_return();
        } else {
            log.suspect(started);
        }
    }
}

/// Writes a tick to each partition; tells whether any was acknowledged in time.
async fn any_acknowledged(log: &Log, partitions: i32, timely: Duration) -> bool {
    let tick = encode_tick();
    let mut deliveries = Vec::new();
    for partition in 0..partitions {
        let delivery = log.begin(1);
        match log.append_to(partition, &tick, &delivery) {
            Ok(()) => deliveries.push(delivery),
            Err(error) => tracing::debug!(partition, %error, "no tick"),
        }
    }
    if deliveries.is_empty() {
        return false;
    }
    let any = select_ok(deliveries.iter().map(|delivery| Box::pin(delivery.confirmed())));
    matches!(tokio::time::timeout(timely, any).await, Ok(Ok(_)))
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
