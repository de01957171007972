//! Protects against a process that was paused (a stopped virtual machine, a debugger, a swap storm) and then
//! goes on as if it still owned its partitions.
//!
//! The consumer renews the lease each time round its loop; a writer sends nothing unless the lease is fresh. A
//! consumer that finds that it had lost the lease begins anew from `sli.batches`, and drops what was queued. So what an
//! owner can repeat after a pause is at most what it had under way, which the deduplication window absorbs
//! ([`crate::checks`] says how large that must be).
//!
//! Silence is measured by the monotonic clock and by the wall clock, and the longer counts: on Linux the monotonic one
//! stands still while the machine is suspended. A wall clock that is set forward costs one new beginning.
//!
//! The lease is two thirds of `session.timeout.ms`: it ends before Kafka gives the partitions away, and leaves the last
//! third to an insert that was begun just before its end. With static membership a successor of the same name can
//! come sooner; what both write is the same, and a pause shorter than the lease is shorter than the window. Looking at
//! the lease and sending are two steps: a pause between them repeats one insert, which is harmless as long as the
//! window holds it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock;

/// See the module.
#[derive(Debug)]
pub struct Lease {
    period: Duration,
    renewed_at: Mutex<Moment>,
    renewed: Notify,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    monotonic: Instant,
    wall_ms: i64,
}

impl Moment {
    fn now() -> Self {
        Self { monotonic: clock::monotonic(), wall_ms: clock::wall_ms() }
    }

    fn since(self, earlier: Self) -> Duration {
        let by_wall_ms = u64::try_from(self.wall_ms - earlier.wall_ms).unwrap_or(0);
        self.monotonic.duration_since(earlier.monotonic).max(Duration::from_millis(by_wall_ms))
    }
}

impl Lease {
    /// A lease that is held from now on, for a group that removes a member after `session_timeout` without a sign of it.
    pub fn new(session_timeout: Duration) -> Self {
        Self {
            period: session_timeout * 2 / 3,
            renewed_at: Mutex::new(Moment::now()),
            renewed: Notify::new(),
        }
    }

    /// How long the consumer may be silent.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Renews the lease if it is still held; says whether it is.
    pub fn renew(&self) -> bool {
        self.renew_at(Moment::now())
    }

    fn renew_at(&self, now: Moment) -> bool {
        let mut renewed_at = self.lock();
        let held = now.since(*renewed_at) < self.period;
        if held {
            *renewed_at = now;
        }
        held
    }

    /// Takes a lease that was lost, once everything of the former one is dropped.
    pub fn take(&self) {
        *self.lock() = Moment::now();
        self.renewed.notify_waiters();
    }

    /// Waits until the lease is held.
    pub async fn held(&self) {
        loop {
            let renewed = self.renewed.notified();
            if Moment::now().since(*self.lock()) < self.period {
                return;
            }
            renewed.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Moment> {
        self.renewed_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION_TIMEOUT: Duration = Duration::from_secs(45);

    fn later(moment: Moment, monotonic_ms: u64, wall_ms: i64) -> Moment {
        let monotonic = moment.monotonic + Duration::from_millis(monotonic_ms);
        Moment { monotonic, wall_ms: moment.wall_ms + wall_ms }
    }

    #[test]
    fn the_lease_ends_before_the_group_removes_its_holder() {
        let lease = Lease::new(SESSION_TIMEOUT);
        assert_eq!(lease.period(), Duration::from_secs(30));
        let renewed = later(*lease.lock(), 29_999, 29_999);
        assert!(lease.renew_at(renewed));
        assert!(!lease.renew_at(later(renewed, 30_000, 30_000)), "silent for the whole period");
        assert!(!lease.renew_at(later(renewed, 45_000, 45_000)), "what is lost is not renewed");
    }

    #[test]
    fn the_longer_silence_of_both_clocks_counts() {
        let check = |monotonic_ms, wall_ms, expect| {
            let lease = Lease::new(SESSION_TIMEOUT);
            let now = later(*lease.lock(), monotonic_ms, wall_ms);
            assert_eq!(lease.renew_at(now), expect, "{monotonic_ms} ms, {wall_ms} ms by the wall clock");
        };
        check(10, 10, true);
        check(10, 30_000, false);
        check(30_000, 10, false);
        check(10, -3_600_000, true);
    }

    #[tokio::test]
    async fn a_writer_waits_until_a_lost_lease_is_taken_again() {
        let lease = Lease::new(Duration::ZERO);
        let waited = tokio::time::timeout(Duration::from_millis(1), lease.held()).await;
        assert!(waited.is_err(), "nothing is sent without a lease");
        let lease = Lease::new(SESSION_TIMEOUT);
        lease.lock().monotonic -= SESSION_TIMEOUT;
        assert!(!lease.renew());
        let (taken, ()) =
            tokio::join!(tokio::time::timeout(SESSION_TIMEOUT, lease.held()), async { lease.take() },);
        assert!(taken.is_ok());
    }
}
