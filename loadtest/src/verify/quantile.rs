//! Whether a quantile from buckets is one of the exact values, within one percent.
//!
//! ClickHouse picks an element of the histogram, the one at which the cumulated weight reaches
//! `ceil(level × total)`; a bucket's middle is at most 0.4 % off its values.

use std::collections::BTreeMap;

const TOLERANCE_PERCENT: u64 = 1;

/// The exact element at `level` of a histogram of value → weight; `None` of an empty one.
pub fn exact(values: &BTreeMap<u64, u64>, level: f64) -> Option<u64> {
    at_rank(values, rank(values, level)?)
}

/// Whether `found` is within one percent of an exact element at the rank of `level` or at most `slack` beside it.
pub fn accepts(values: &BTreeMap<u64, u64>, level: f64, found: u64, slack: u64) -> bool {
    let Some(rank) = rank(values, level) else { return false };
    let (low, high) = (rank.saturating_sub(slack).max(1), rank.saturating_add(slack));
    let mut before = 0;
    for (value, weight) in values {
        let (first, last) = (before + 1, before + weight);
        before = last;
        if last >= low && first <= high && found.abs_diff(*value) * 100 <= value * TOLERANCE_PERCENT {
            return true;
        }
    }
    false
}

/// Whether `found` lies, within one percent, between the exact elements `slack` ranks around that of `level`: all
/// that can be said when as many values are not known.
pub fn accepts_between(values: &BTreeMap<u64, u64>, level: f64, found: u64, slack: u64) -> bool {
    let Some(rank) = rank(values, level) else { return true };
    let total: u64 = values.values().sum();
    // Beyond the known values on either side an unknown one may be anything.
    let low = rank.checked_sub(slack).filter(|rank| *rank > 0).and_then(|rank| at_rank(values, rank));
    let high = Some(rank + slack).filter(|rank| *rank <= total).and_then(|rank| at_rank(values, rank));
    low.is_none_or(|low| found * 100 >= low * (100 - TOLERANCE_PERCENT))
        && high.is_none_or(|high| found * 100 <= high * (100 + TOLERANCE_PERCENT))
}

/// Rank from 1 of the element at `level`.
fn rank(values: &BTreeMap<u64, u64>, level: f64) -> Option<u64> {
    let total: u64 = values.values().sum();
    (total > 0).then(|| ((level * total as f64).ceil() as u64).clamp(1, total))
}

fn at_rank(values: &BTreeMap<u64, u64>, rank: u64) -> Option<u64> {
    let mut before = 0;
    values.iter().find_map(|(value, weight)| {
        before += weight;
        (before >= rank).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schema::histogram::bucket;

    use super::*;

    fn histogram(values: &[u64]) -> BTreeMap<u64, u64> {
        let mut histogram = BTreeMap::new();
        for value in values {
            *histogram.entry(*value).or_default() += 1;
        }
        histogram
    }

    proptest! {
        #[test]
        fn the_exact_element_is_that_of_the_sorted_list(
            mut values in prop::collection::vec(0u64..100_000, 1..200),
            level in 0.01f64..1.0,
        ) {
            let found = exact(&histogram(&values), level);
            values.sort_unstable();
            let rank = ((level * values.len() as f64).ceil() as usize).max(1);
            prop_assert_eq!(found, Some(values[rank - 1]));
        }

        #[test]
        fn the_quantile_of_the_buckets_is_accepted(
            values in prop::collection::vec(0u64..10_000_000, 1..300),
            level in prop::sample::select(vec![0.5, 0.75, 0.95, 0.99]),
        ) {
            let values = histogram(&values);
            let mut buckets = BTreeMap::new();
            for (value, weight) in &values {
                *buckets.entry(u64::from(bucket(*value))).or_default() += weight;
            }
            let found = exact(&buckets, level).unwrap();
            prop_assert!(accepts(&values, level, found, 0));
        }

        #[test]
        fn values_that_are_not_known_move_a_quantile_within_its_slack(
            known in prop::collection::vec(0u64..100_000, 1..100),
            unknown in prop::collection::vec(0u64..100_000, 0..20),
            level in prop::sample::select(vec![0.5, 0.75, 0.95, 0.99]),
        ) {
            let all: Vec<u64> = known.iter().chain(&unknown).copied().collect();
            let found = exact(&histogram(&all), level).unwrap();
            prop_assert!(accepts_between(&histogram(&known), level, found, 1 + unknown.len() as u64));
        }

        #[test]
        fn a_quantile_that_is_two_percent_off_is_refused(value in 200u64..10_000_000, weight in 1u64..50) {
            let values = BTreeMap::from([(value, weight)]);
            prop_assert!(accepts(&values, 0.5, value, 0));
            prop_assert!(!accepts(&values, 0.5, value + value / 50, 1));
            prop_assert!(!accepts(&values, 0.5, value - value / 50, 1));
        }
    }

    #[test]
    fn slack_looks_at_the_ranks_around() {
        let values = histogram(&[100, 200, 300, 400, 500]);
        assert!(accepts(&values, 0.5, 300, 0));
        assert!(!accepts(&values, 0.5, 200, 0));
        assert!(accepts(&values, 0.5, 200, 1));
        assert!(!accepts(&values, 0.5, 100, 1));
        assert!(!accepts(&BTreeMap::new(), 0.5, 0, 1));
        assert!(accepts_between(&values, 0.5, 250, 1));
        assert!(!accepts_between(&values, 0.5, 190, 1));
        assert!(!accepts_between(&values, 0.5, 410, 1));
    }
}
