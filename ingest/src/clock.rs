//! The one place where this crate reads a clock. Adapters get the time of receipt as a number.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch by this host's clock.
#[expect(clippy::disallowed_methods, reason = "an edge: beacons carry the time of their receipt")]
pub fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as i64
}

/// The monotonic clock; for timeouts and latencies.
#[expect(clippy::disallowed_methods, reason = "an edge: timeouts run by the monotonic clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}
