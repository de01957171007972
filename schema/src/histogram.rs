//! The bucket layout of latencies: HDR with two significant digits.
//!
//! Values below 256 have a bucket of their own; above, each doubling has 128 buckets, so a bucket is at most
//! 1/128 (0.8 %) wide and its middle at most 0.4 % off. Source of the layout: HdrHistogram,
//! <https://github.com/HdrHistogram/HdrHistogram> (`numberOfSignificantValueDigits = 2`, lowest value 1).

/// Values below this have a bucket each: the smallest power of two of at least 2 × 10².
const EXACT_BELOW: u64 = 256;
const HALF_BITS: u32 = EXACT_BELOW.trailing_zeros() - 1;

/// The middle value of the bucket of `value`, rounded down: the key of a stored histogram.
///
/// ```
/// use schema::histogram::bucket;
/// assert_eq!((bucket(153), bucket(414), bucket(415), bucket(10_000)), (153, 414, 414, 10_015));
/// ```
///
/// `value` is in the journey's key unit ([`crate::definition::Unit`]) and saturates at the last bucket of 32 bits.
pub fn bucket(value: u64) -> u32 {
    let value = value.min(u64::from(u32::MAX) >> 1);
    let width_bits = if value < EXACT_BELOW { 0 } else { value.ilog2() - HALF_BITS };
    let lowest = value >> width_bits << width_bits;
    (lowest + ((1u64 << width_bits) - 1) / 2) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn buckets_are_those_of_hdrhistogram(value in 1u64..1_000_000_000) {
            let reference = Histogram::<u64>::new(2).unwrap();
            let (low, high) = (reference.lowest_equivalent(value), reference.highest_equivalent(value));
            prop_assert_eq!(u64::from(bucket(value)), low + (high - low) / 2);
        }

        #[test]
        fn a_key_is_in_its_own_bucket_and_near_its_values(value in 0u64..1_000_000_000) {
            let key = bucket(value);
            prop_assert_eq!(bucket(u64::from(key)), key);
            prop_assert!(u64::from(key).abs_diff(value) * 128 <= value.max(1));
        }
    }

    #[test]
    fn huge_values_saturate() {
        assert_eq!(bucket(u64::MAX), bucket(u64::from(u32::MAX) >> 1));
    }
}
