//! A run second by second of intended time: what was to be sent in each, what became of it, and how long it took.
//!
//! A beacon belongs to the second in which it was due, however late it was sent or answered, so that a stall shows
//! where it began. A second keeps how often each distinguishable latency came rather than a histogram of all that
//! could come, which bounds its memory by what it saw; there are [`SECONDS_MAX`] seconds at most.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::ledger::Fate;

/// Seconds that are told apart: a day and a quarter of an hour for what is still due. The last one has all that
/// comes after it as well.
pub const SECONDS_MAX: usize = 87_300;
/// Latencies that differ by less than one in a hundred are one.
const DIGITS: u8 = 2;
const HIGHEST_US: u64 = 600_000_000;

/// One second of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its number from the run's beginning.
    pub second: u64,
    /// Beacons that were due in it.
    pub sent: u64,
    /// Of them those that ended with 2xx.
    pub accepted: u64,
    /// Of them those that ended with another status.
    pub refused: u64,
    /// Of them those of which it is not known.
    pub unanswered: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// Median from the intended time to the final answer, ms; accepted beacons only. 0 where there is none.
    pub latency_p50_ms: f64,
    /// The same: 99 of 100 took no longer.
    pub latency_p99_ms: f64,
    /// The same: the longest.
    pub latency_max_ms: f64,
    /// How late the generator was itself at most, ms.
    pub slip_max_ms: f64,
}

/// One point of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// Share of the beacons that took no longer, percent.
    pub percent: f64,
    /// How long, ms.
    pub latency_ms: f64,
}

/// When things happened in a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Beginning of the run, ms since the epoch.
    pub started_ms: i64,
    /// Second by second; one without beacons that were due is left out.
    pub seconds: Vec<Second>,
    /// Latency of the whole run by percentile.
    pub percentiles: Vec<Percentile>,
}

#[derive(Debug, Default)]
struct Open {
    counts: Second,
    /// µs, the largest that is not told from it → how often.
    latencies: BTreeMap<u64, u64>,
}

/// Collects the seconds of a run.
#[derive(Debug)]
pub struct Seconds {
    seconds: BTreeMap<usize, Open>,
    /// Never recorded in: it knows which latencies are one.
    scale: Histogram<u8>,
}

/// What became of a beacon and when it was due.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Intended time, ns after the run's beginning.
    pub due_ns: u64,
    /// What is known of it.
    pub fate: Fate,
    /// How often it was tried.
    pub tries: u32,
    /// From the intended time to the final answer, µs.
    pub latency_us: u64,
    /// From the intended time to the handing over, µs.
    pub slip_us: u64,
}

impl Seconds {
    /// None yet.
    ///
    /// # Errors
    /// When the bounds of the latencies are not valid.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { seconds: BTreeMap::new(), scale: Histogram::new_with_bounds(1, HIGHEST_US, DIGITS)? })
    }

    /// Adds a beacon that has come to its end.
    pub fn add(&mut self, outcome: Outcome) {
        let second = usize::try_from(outcome.due_ns / 1_000_000_000).unwrap_or(usize::MAX);
        let open = self.seconds.entry(second.min(SECONDS_MAX - 1)).or_default();
        let counts = &mut open.counts;
        counts.sent += 1;
        counts.retries += u64::from(outcome.tries.saturating_sub(1));
        counts.slip_max_ms = counts.slip_max_ms.max(ms(outcome.slip_us));
        match outcome.fate {
            Fate::Accepted => {
                counts.accepted += 1;
                counts.latency_max_ms = counts.latency_max_ms.max(ms(outcome.latency_us));
                let bucket = self.scale.highest_equivalent(outcome.latency_us.clamp(1, HIGHEST_US));
                *open.latencies.entry(bucket).or_default() += 1;
            }
            Fate::Refused => counts.refused += 1,
            Fate::Unanswered => counts.unanswered += 1,
        }
    }

    /// The rows, and with them the percentiles of `latency`, µs, over the whole run.
    pub fn timeline(self, started_ms: i64, latency: &Histogram<u64>) -> Timeline {
        let seconds = self.seconds.into_iter().map(|(second, open)| Second {
            second: second as u64,
            latency_p50_ms: quantile_ms(&open, 0.5),
            latency_p99_ms: quantile_ms(&open, 0.99),
            ..open.counts
        });
        Timeline { started_ms, seconds: seconds.collect(), percentiles: percentiles(latency) }
    }
}

/// At least the share `quantile` of the accepted took no longer; never longer than the longest.
fn quantile_ms(open: &Open, quantile: f64) -> f64 {
    let rank = (quantile * open.counts.accepted as f64).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (bucket, count) in &open.latencies {
        seen += count;
        if seen >= rank {
            return ms(*bucket).min(open.counts.latency_max_ms);
        }
    }
    0.0
}

/// Five points for each halving of the distance to 100 %, as HDR plots have it.
fn percentiles(latency: &Histogram<u64>) -> Vec<Percentile> {
    let points = latency.iter_quantiles(5);
    points
        .map(|point| Percentile {
            percent: point.quantile_iterated_to() * 100.0,
            latency_ms: ms(point.value_iterated_to().min(latency.max())),
        })
        .collect()
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(due_ns: u64, fate: Fate, latency_us: u64) -> Outcome {
        Outcome { due_ns, fate, tries: 1, latency_us, slip_us: 0 }
    }

    fn rows(outcomes: &[Outcome]) -> Vec<Second> {
        let mut seconds = Seconds::new().unwrap();
        outcomes.iter().for_each(|outcome| seconds.add(*outcome));
        seconds.timeline(0, &Histogram::new(3).unwrap()).seconds
    }

    #[test]
    fn a_beacon_belongs_to_the_second_in_which_it_was_due() {
        let found = rows(&[
            outcome(999_999_999, Fate::Accepted, 5_000_000),
            Outcome { tries: 3, slip_us: 700, ..outcome(1_000_000_000, Fate::Refused, 1) },
            outcome(1_000_000_001, Fate::Unanswered, 1),
        ]);
        let latency = |ms| (ms, ms, ms);
        let of = |row: &Second| (row.latency_p50_ms, row.latency_p99_ms, row.latency_max_ms);
        assert_eq!(found.iter().map(|row| row.second).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((found[0].sent, found[0].accepted, of(&found[0])), (1, 1, latency(5_000.0)));
        let second = Second {
            second: 1,
            sent: 2,
            refused: 1,
            unanswered: 1,
            retries: 2,
            slip_max_ms: 0.7,
            ..Second::default()
        };
        assert_eq!(found[1], second);
    }

    #[test]
    fn quantiles_are_within_one_percent_of_the_exact_ones() {
        let all: Vec<Outcome> = (1..=1_000).map(|ms| outcome(0, Fate::Accepted, ms * 1_000)).collect();
        let row = &rows(&all)[0];
        for (found, exact) in [(row.latency_p50_ms, 500.0), (row.latency_p99_ms, 990.0)] {
            assert!(found >= exact && found <= exact * 1.01, "{found} for {exact}");
        }
        assert_eq!(row.latency_max_ms, 1_000.0);
    }

    #[test]
    fn the_last_second_has_all_that_comes_after_it() {
        let at = |second: u64| outcome(second * 1_000_000_000, Fate::Accepted, 1);
        let last = SECONDS_MAX as u64 - 1;
        let found = rows(&[at(last), at(last + 1), at(u64::MAX / 1_000_000_000)]);
        assert_eq!(found.iter().map(|row| (row.second, row.sent)).collect::<Vec<_>>(), [(last, 3)]);
    }

    #[test]
    fn percentiles_rise_to_the_longest() {
        let mut latency = Histogram::<u64>::new(3).unwrap();
        (1..=10_000).for_each(|us| latency.record(us).unwrap());
        let points = percentiles(&latency);
        assert!(points.is_sorted_by(|a, b| a.percent <= b.percent && a.latency_ms <= b.latency_ms));
        let last = points.last().unwrap();
        assert!(last.percent == 100.0 && (10.0..10.01).contains(&last.latency_ms), "{last:?}");
        let p99 = points.iter().find(|point| point.percent >= 99.0).unwrap();
        assert!((9.8..=10.0).contains(&p99.latency_ms), "{p99:?}");
    }
}
