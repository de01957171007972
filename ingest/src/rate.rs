//! Limits of the rate of requests: for each write key, and for each network of clients.
//!
//! Write keys are public, so a key's limit keeps one app from taking the capacity of the others, and a network's keeps
//! one place from taking it all. Who the client is, is [`crate::address`]'s. Memory is bounded by construction: a
//! network has one of a fixed number of slots, chosen by a hash that nobody outside knows.

use std::hash::RandomState;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, InsufficientCapacity, NotUntil, Quota, RateLimiter,
};

use crate::address::Network;
use crate::config::Rates;
use crate::refusal::Refusal;

/// Slots of networks: two of them share one with a chance of 1 in as many.
pub const NETWORK_SLOTS: u32 = 1 << 17;
/// How often networks that have been quiet are forgotten.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

type Instant = <DefaultClock as Clock>::Instant;

/// The limits, and how much of each is used.
#[derive(Debug)]
pub struct Limiter {
    clock: DefaultClock,
    hasher: RandomState,
    networks: Option<DefaultKeyedRateLimiter<u32>>,
    network_burst: u32,
    keys: Vec<DefaultDirectRateLimiter>,
    key_burst: u32,
}

impl Limiter {
    /// Limits for so many slots of write keys; a rate of 0 is no limit.
    pub fn new(rates: &Rates, key_slots: usize) -> Self {
        let network = quota(rates.network_requests_per_s, rates.network_burst);
        let key = quota(rates.key_requests_per_s, rates.key_burst);
        Self {
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            networks: network.map(RateLimiter::dashmap),
            network_burst: rates.network_burst,
            keys: key
                .map_or_else(Vec::new, |quota| (0..key_slots).map(|_| RateLimiter::direct(quota)).collect()),
            key_burst: rates.key_burst,
        }
    }

    /// Whether networks have a limit, so that the client's must be known.
    pub fn limits_networks(&self) -> bool {
        self.networks.is_some()
    }

    /// Counts requests, or beacons, of a network; more than its burst count as the burst.
    ///
    /// # Errors
    /// When it has had too many.
    pub fn check_network(&self, network: Network, count: usize) -> Result<(), Refusal> {
        let (Some(limiter), Some(count)) = (&self.networks, cells(count, self.network_burst)) else {
            return Ok(());
        };
        match limiter.check_key_n(&network.slot(&self.hasher, NETWORK_SLOTS), count) {
            Ok(checked) => checked.map_err(|until| self.refusal("from this network", &until)),
            Err(InsufficientCapacity(_)) => Ok(()),
        }
    }

    /// Counts requests, or beacons, with the write key of a slot; more than its burst count as the burst.
    ///
    /// # Errors
    /// When the key has had too many.
    pub fn check_key(&self, slot: usize, count: usize) -> Result<(), Refusal> {
        let (Some(limiter), Some(count)) = (self.keys.get(slot), cells(count, self.key_burst)) else {
            return Ok(());
        };
        match limiter.check_n(count) {
            Ok(checked) => checked.map_err(|until| self.refusal("with this write key", &until)),
            Err(InsufficientCapacity(_)) => Ok(()),
        }
    }

    /// Forgets networks that have been quiet; those that are left, so that memory can be watched.
    pub fn sweep(&self) -> usize {
        let Some(networks) = &self.networks else { return 0 };
        networks.retain_recent();
        networks.shrink_to_fit();
        networks.len()
    }

    fn refusal(&self, of: &'static str, until: &NotUntil<Instant>) -> Refusal {
        let wait = until.wait_time_from(self.clock.now());
        Refusal::TooManyRequests { of, retry_after_s: wait.as_millis().div_ceil(1_000).max(1) as u64 }
    }
}

/// Sweeps for ever.
pub async fn sweep(limiter: std::sync::Arc<Limiter>, left: impl Fn(usize)) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        left(limiter.sweep());
    }
}

/// What a limiter is asked for, which grants no more than its burst at once.
fn cells(count: usize, burst: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX).min(burst))
}

fn quota(requests_per_s: u32, burst: u32) -> Option<Quota> {
    let requests = NonZeroU32::new(requests_per_s)?;
    Some(Quota::per_second(requests).allow_burst(NonZeroU32::new(burst).unwrap_or(requests)))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(number: u32) -> Network {
        Network::of(IpAddr::from((number << 8).to_be_bytes()))
    }

    fn limiter(per_s: u32, burst: u32) -> Limiter {
        let rates = Rates {
            network_requests_per_s: per_s,
            network_burst: burst,
            key_requests_per_s: per_s,
            key_burst: burst,
        };
        Limiter::new(&rates, 2)
    }

    #[test]
    fn a_burst_passes_and_the_next_is_refused_with_a_time() {
        let limiter = limiter(1, 3);
        let refused = |answer: Result<(), Refusal>| match answer {
            Ok(()) => None,
            Err(Refusal::TooManyRequests { retry_after_s, .. }) => Some(retry_after_s),
            Err(other) => panic!("{other}"),
        };
        assert!((0..3).all(|_| refused(limiter.check_network(network(1), 1)).is_none()));
        assert_eq!(refused(limiter.check_network(network(1), 1)), Some(1));
        assert_eq!(refused(limiter.check_network(network(2), 1)), None);
        assert!((0..3).all(|_| refused(limiter.check_key(0, 1)).is_none()));
        assert_eq!(refused(limiter.check_key(0, 1)), Some(1));
        assert_eq!(refused(limiter.check_key(1, 1)), None);
    }

    #[test]
    fn many_at_once_count_as_many_and_as_the_burst_at_most() {
        let limiter = limiter(1, 10);
        assert!(limiter.check_key(0, 8).is_ok());
        assert!(limiter.check_key(0, 0).is_ok());
        assert!(limiter.check_key(0, 3).is_err());
        assert!(limiter.check_key(0, 2).is_ok());
        assert!(limiter.check_network(network(1), 1_000).is_ok());
        assert!(limiter.check_network(network(1), 1).is_err());
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let limiter = limiter(0, 1);
        assert!(!limiter.limits_networks());
        assert!(
            (0..1_000)
                .all(|_| limiter.check_network(network(1), 1).is_ok() && limiter.check_key(0, 1).is_ok())
        );
    }

    #[test]
    fn memory_is_bounded_by_the_slots_and_given_back() {
        // So fast that each is forgotten at once.
        let limiter = limiter(1_000_000, 1);
        for number in 0..NETWORK_SLOTS * 2 {
            let _ = limiter.check_network(network(number), 1);
        }
        assert!(limiter.networks.as_ref().unwrap().len() <= NETWORK_SLOTS as usize);
        while limiter.sweep() > 0 {}
    }
}
