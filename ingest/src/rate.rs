//! Limits of the rate of requests: for each write key, and for each network of clients.
//!
//! Write keys are public, so a key's limit keeps one app from taking the capacity of the others, and a network's keeps
//! one place from taking it all. Who the client is, is [`crate::address`]'s. Memory is bounded by construction: a
//! network has one of a fixed number of slots, chosen by a hash that nobody outside knows.

use std::hash::RandomState;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

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
    keys: Vec<DefaultDirectRateLimiter>,
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
            keys: key
                .map_or_else(Vec::new, |quota| (0..key_slots).map(|_| RateLimiter::direct(quota)).collect()),
        }
    }

    /// Whether networks have a limit, so that the client's must be known.
    pub fn limits_networks(&self) -> bool {
        self.networks.is_some()
    }

    /// Counts a request of a network.
    ///
    /// # Errors
    /// When it has had too many.
    pub fn check_network(&self, network: Network) -> Result<(), Refusal> {
        match &self.networks {
            Some(limiter) => limiter
                .check_key(&network.slot(&self.hasher, NETWORK_SLOTS))
                .map_err(|until| self.refusal("from this network", &until)),
            None => Ok(()),
        }
    }

    /// Counts a request with the write key of a slot.
    ///
    /// # Errors
    /// When the key has had too many.
    pub fn check_key(&self, slot: usize) -> Result<(), Refusal> {
        match self.keys.get(slot) {
            Some(limiter) => limiter.check().map_err(|until| self.refusal("with this write key", &until)),
            None => Ok(()),
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
        assert!((0..3).all(|_| refused(limiter.check_network(network(1))).is_none()));
        assert_eq!(refused(limiter.check_network(network(1))), Some(1));
        assert_eq!(refused(limiter.check_network(network(2))), None);
        assert!((0..3).all(|_| refused(limiter.check_key(0)).is_none()));
        assert_eq!(refused(limiter.check_key(0)), Some(1));
        assert_eq!(refused(limiter.check_key(1)), None);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let limiter = limiter(0, 1);
        assert!(!limiter.limits_networks());
        assert!(
            (0..1_000).all(|_| limiter.check_network(network(1)).is_ok() && limiter.check_key(0).is_ok())
        );
    }

    #[test]
    fn memory_is_bounded_by_the_slots_and_given_back() {
        // So fast that each is forgotten at once.
        let limiter = limiter(1_000_000, 1);
        for number in 0..NETWORK_SLOTS * 2 {
            let _ = limiter.check_network(network(number));
        }
        assert!(limiter.networks.as_ref().unwrap().len() <= NETWORK_SLOTS as usize);
        while limiter.sweep() > 0 {}
    }
}
