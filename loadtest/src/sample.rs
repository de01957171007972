//! Seeded draws. Only integers decide what is drawn from what; a session's draws do not depend on any other
//! session's, so that the order of generation changes nothing.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use schema::value::{SCALE, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A stream of draws. Equal for an equal seed within one build; the generator behind it may differ between
/// platforms.
#[derive(Debug, Clone)]
pub struct Sampler(SmallRng);

impl Sampler {
    /// The stream number `stream` of a run's seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(SmallRng::seed_from_u64(xxh3_64_with_seed(&stream.to_le_bytes(), seed)))
    }

    /// True in `per_mille` of 1,000 draws.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.0.random_range(0..1000) < per_mille
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high)
    }

    /// One of `choices`, all equally likely.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }

    /// One of `choices` by weight.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u32, T)]) -> T {
        let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
        let mut at = self.0.random_range(0..total);
        for (weight, choice) in choices {
            if at < *weight {
                return *choice;
            }
            at -= weight;
        }
        choices[choices.len() - 1].1
    }

    /// A log-normal duration around `median_ms` with one decimal, between 1 ms and `max_ms`.
    pub fn duration(&mut self, median_ms: u64, max_ms: u64) -> Value {
        // The sum of twelve uniform draws less six is close to a standard normal one.
        let normal: f64 = (0..12).map(|_| self.0.random::<f64>()).sum::<f64>() - 6.0;
        let tenths = (median_ms as f64 * 10.0 * (normal * 0.7).exp()).round() as u64;
        scaled(tenths.clamp(10, max_ms * 10) * (SCALE / 10))
    }

    /// Seconds until the next arrival of a Poisson process of `rate` a second.
    pub fn exponential_gap(&mut self, rate: f64) -> f64 {
        let uniform: f64 = self.0.random();
        -(1.0 - uniform).ln() / rate
    }
}

/// A value from its ten-thousandths; what is too large for an event becomes the largest that it can carry.
pub fn scaled(ten_thousandths: u64) -> Value {
    Value::from_scaled(ten_thousandths).unwrap_or_default()
}

/// A whole number of milliseconds as a value.
pub fn whole_ms(ms: u64) -> Value {
    scaled(ms * SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_the_same() {
        let draw = |seed, stream| {
            let mut sampler = Sampler::new(seed, stream);
            (0..50).map(|_| sampler.between(0, 1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 7), draw(1, 7));
        assert_ne!(draw(1, 7), draw(1, 8));
        assert_ne!(draw(1, 7), draw(2, 7));
    }

    #[test]
    fn weights_are_kept() {
        let mut sampler = Sampler::new(3, 0);
        let drawn = (0..10_000).filter(|_| sampler.weighted(&[(1, true), (3, false)])).count();
        assert!((2_300..2_700).contains(&drawn), "{drawn}");
    }

    #[test]
    fn durations_stay_in_their_bounds() {
        let mut sampler = Sampler::new(5, 0);
        for _ in 0..10_000 {
            let ms = sampler.duration(800, 4_000).units();
            assert!((1..=4_000).contains(&ms), "{ms}");
        }
    }
}
