//! The one place where this crate reads a clock. The engine never does: its time is the log's.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch by this host's clock; only for metrics, messages, and a second look at the lease.
#[expect(clippy::disallowed_methods, reason = "an edge: ages in metrics are told by the wall clock")]
pub fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as i64
}

/// The monotonic clock; for timeouts, back-off and latencies.
#[expect(clippy::disallowed_methods, reason = "an edge: timeouts run by the monotonic clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}
