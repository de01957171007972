//! Sampling: how many sessions one stands for.

use xxhash_rust::xxh3::xxh3_64;

use super::scalar::Scalar;
use crate::refusal::{Refusal, quoted};

/// The largest weight of a beacon: a rate below 1 in this is refused, since keys are public.
pub const WEIGHT_MAX: u32 = 10_000;

/// The share of sessions that send, more than 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRate(f64);

impl SampleRate {
    /// Every session sends.
    pub const ALL: Self = Self(1.0);

    /// As a client says it; all where it says nothing.
    ///
    /// # Errors
    /// When the rate is not in (0, 1] or would give more than [`WEIGHT_MAX`].
    pub fn read(rate: &Scalar<'_>) -> Result<Self, Refusal> {
        let number = match rate {
            Scalar::Null => return Ok(Self::ALL),
            Scalar::Whole(whole) => *whole as f64,
            Scalar::Number(number) => *number,
            Scalar::Text(text) => text.trim().parse().unwrap_or(f64::NAN),
            Scalar::Flag(_) | Scalar::Nested => f64::NAN,
        };
        Self::new(number).ok_or_else(|| Refusal::InvalidSampleRate {
            rate: rate.text().map_or_else(|| "no number".to_owned(), |text| quoted(&text)),
            weight_max: WEIGHT_MAX,
        })
    }

    /// A rate that gives a weight of 1 to [`WEIGHT_MAX`].
    pub fn new(rate: f64) -> Option<Self> {
        (rate > 0.0 && rate <= 1.0 && 1.0 / rate <= f64::from(WEIGHT_MAX)).then_some(Self(rate))
    }

    /// How many one stands for: 1 ÷ rate, whose fraction is rounded up or down by a hash of the session (or of
    /// what stands for it), so that sums over sessions are unbiased and all beacons of one have the same weight.
    pub fn weight(self, session: &str) -> u32 {
        let weight = 1.0 / self.0;
        // A rate such as 1/3 has no exact number: the nearest whole weight is meant.
        let nearest = weight.round();
        if (weight - nearest).abs() < 1e-6 {
            return nearest as u32;
        }
        let position = (xxh3_64(session.as_bytes()) >> 11) as f64 / (1u64 << 53) as f64;
        weight as u32 + u32::from(position < weight.fract())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_becomes_a_weight() {
        let check = |rate: Scalar<'_>, expect: Result<u32, &str>| {
            let weight = SampleRate::read(&rate).map(|rate| rate.weight("s-1"));
            assert_eq!(weight.map_err(|refusal| refusal.error()), expect, "{rate:?}");
        };
        check(Scalar::Null, Ok(1));
        check(Scalar::Whole(1), Ok(1));
        check(Scalar::Number(0.5), Ok(2));
        check(Scalar::Number(1.0 / 3.0), Ok(3));
        check(Scalar::Text("0.1".into()), Ok(10));
        check(Scalar::Number(1.0 / f64::from(WEIGHT_MAX)), Ok(WEIGHT_MAX));
        for bad in [0.0, -0.5, 1.5, f64::NAN, 1.0 / (f64::from(WEIGHT_MAX) + 1.0), 1e-300] {
            check(Scalar::Number(bad), Err("invalid_sample_rate"));
        }
        check(Scalar::Flag(true), Err("invalid_sample_rate"));
    }

    #[test]
    fn rounding_of_weights_is_unbiased_over_sessions_and_constant_in_one() {
        let rate = SampleRate::new(0.4).unwrap();
        let weights: Vec<u32> = (0..20_000).map(|n| rate.weight(&format!("s-{n}"))).collect();
        assert!(weights.iter().all(|weight| matches!(weight, 2 | 3)));
        let mean = weights.iter().map(|weight| f64::from(*weight)).sum::<f64>() / 20_000.0;
        assert!((mean - 2.5).abs() < 0.02, "{mean}");
        assert_eq!(rate.weight("s-7"), rate.weight("s-7"));
    }
}
