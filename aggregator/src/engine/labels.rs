//! Bounds on the number of distinct labels in a batch: the most frequent stay, ties decided by name, and the
//! rest is counted under one name. Decided within the batch, so that no longer memory decides a number.

use std::collections::{BTreeMap, BTreeSet};

/// The name under which everything beyond a bound is counted.
pub(super) const OTHER: &str = "__other__";

/// Counts labels of one dimension within scopes (an app, a journey of an app).
#[derive(Debug, Default)]
pub(super) struct LabelCounts<'l> {
    counts: BTreeMap<(&'l str, &'l str), BTreeMap<&'l str, u64>>,
}

/// Labels that stay, by scope.
#[derive(Debug)]
pub(super) struct Labels<'l> {
    dropped: BTreeSet<((&'l str, &'l str), &'l str)>,
}

impl<'l> LabelCounts<'l> {
    pub(super) fn add(&mut self, scope: (&'l str, &'l str), label: &'l str, count: u64) {
        *self.counts.entry(scope).or_default().entry(label).or_default() += count;
    }

    /// Keeps the `max` most frequent labels of each scope.
    pub(super) fn keep(self, max: usize) -> Labels<'l> {
        let mut dropped = BTreeSet::new();
        for (scope, counts) in self.counts {
            dropped.extend(beyond(counts, max).into_iter().map(|label| (scope, label)));
        }
        Labels { dropped }
    }
}

impl<'l> Labels<'l> {
    /// The label itself, or [`OTHER`].
    pub(super) fn bounded(&self, scope: (&'l str, &'l str), label: &'l str) -> &'l str {
        if !self.dropped.is_empty() && self.dropped.contains(&(scope, label)) { OTHER } else { label }
    }
}

/// The labels that are not among the `max` most frequent.
fn beyond(counts: BTreeMap<&str, u64>, max: usize) -> Vec<&str> {
    if counts.len() <= max {
        return Vec::new();
    }
    let mut ranked: Vec<(&str, u64)> = counts.into_iter().collect();
    // The sort is stable and the map was sorted by name, so ties stay in the order of their names.
    ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    ranked.split_off(max).into_iter().map(|(label, _)| label).collect()
}

/// Sums what is beyond the `max` most frequent keys of `counts` under [`OTHER`].
pub(super) fn bound_map(counts: &mut BTreeMap<String, u64>, max: usize) {
    if counts.len() <= max {
        return;
    }
    let beyond: Vec<String> = beyond(counts.iter().map(|(key, count)| (key.as_str(), *count)).collect(), max)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let rest: u64 = beyond.iter().filter_map(|key| counts.remove(key)).sum();
    *counts.entry(OTHER.to_owned()).or_default() += rest;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_stay_and_ties_go_by_name() {
        let mut counts = LabelCounts::default();
        for (label, count) in [("d", 1), ("c", 5), ("b", 1), ("a", 1)] {
            counts.add(("app", ""), label, count);
        }
        counts.add(("other-app", ""), "d", 1);
        let labels = counts.keep(2);
        let bounded = ["a", "b", "c", "d"].map(|label| labels.bounded(("app", ""), label));
        assert_eq!(bounded, ["a", OTHER, "c", OTHER]);
        assert_eq!(labels.bounded(("other-app", ""), "d"), "d");
    }

    #[test]
    fn a_map_keeps_its_sum() {
        let mut counts: BTreeMap<String, u64> =
            [("a", 3), ("b", 1), ("c", 2)].map(|(key, count)| (key.to_owned(), count)).into();
        bound_map(&mut counts, 1);
        assert_eq!(counts, [("a", 3), (OTHER, 3)].map(|(key, count)| (key.to_owned(), count)).into());
    }
}
