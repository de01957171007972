//! Protects against a process that was paused (a stopped virtual machine, a debugger, a swap storm) and then
//! goes on as if it still owned its partitions.
//!
//! The consumer renews the lease each time round its loop; a writer sends nothing unless the lease is fresh. A
//! consumer that finds that it had lost the lease begins anew from `sli.batches`, and drops what was queued. So what an
//! owner can repeat after a pause is at most what it had under way, which the deduplication window absorbs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock;

/// How long the consumer may be silent; shorter than `session.timeout.ms`, after which Kafka gives its partitions away.
pub const LEASE_PERIOD: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct Lease {
    renewed_at: Mutex<Instant>,
    renewed: Notify,
}

impl Default for Lease {
    fn default() -> Self {
        Self { renewed_at: Mutex::new(clock::monotonic()), renewed: Notify::new() }
    }
}

impl Lease {
    /// Renews the lease if it is still held; says whether it is.
    pub fn renew(&self) -> bool {
        let now = clock::monotonic();
        let mut renewed_at = self.lock();
        let held = now.duration_since(*renewed_at) < LEASE_PERIOD;
        if held {
            *renewed_at = now;
        }
        held
    }

    /// Takes a lease that was lost, once everything of the former one is dropped.
    pub fn take(&self) {
        *self.lock() = clock::monotonic();
        self.renewed.notify_waiters();
    }

    /// Waits until the lease is held.
    pub async fn held(&self) {
        loop {
            let renewed = self.renewed.notified();
            if clock::monotonic().duration_since(*self.lock()) < LEASE_PERIOD {
                return;
            }
            renewed.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.renewed_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
