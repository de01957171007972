//! Where a server stops keeping its limits: the rate is doubled until they break, then halved between.
//!
//! The search is pure: it is told how each rate went and says which to try next.

use serde::{Deserialize, Serialize};

/// How a rate went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every limit was kept.
    Holds,
    /// A limit was broken.
    Breaks,
    /// The generator did not keep its own schedule: nothing is known of the server at this rate.
    Unknown,
}

/// What is known of a knee.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    /// Highest rate that kept the limits; 0 when none did.
    pub holds: f64,
    /// Lowest rate that broke one; `None` when none did.
    pub breaks: Option<f64>,
    /// Lowest rate at which the generator was too slow; the knee may lie beyond it.
    pub generator: Option<f64>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Search {
    next: f64,
    steps_left: u32,
    resolution: f64,
    knee: Knee,
}

impl Search {
    /// Begins at `first`, takes `steps_max` steps at most, and is content when the knee is known to the share
    /// `resolution` of itself.
    pub fn new(first: f64, steps_max: u32, resolution: f64) -> Self {
        Self { next: first, steps_left: steps_max, resolution, knee: Knee::default() }
    }

    /// The rate to try next; `None` when enough is known.
    pub fn next_rate(&self) -> Option<f64> {
        let Knee { holds, .. } = self.knee;
        let is_known = self.ceiling().is_some_and(|ceiling| ceiling - holds <= self.resolution * ceiling);
        (self.steps_left > 0 && !is_known).then_some(self.next)
    }

    /// Says how [`Search::next_rate`] went.
    pub fn tell(&mut self, verdict: Verdict) {
        let rate = self.next;
        self.steps_left = self.steps_left.saturating_sub(1);
        let lower = |old: Option<f64>| Some(old.map_or(rate, |old| old.min(rate)));
        match verdict {
            Verdict::Holds => self.knee.holds = self.knee.holds.max(rate),
            Verdict::Breaks => self.knee.breaks = lower(self.knee.breaks),
            Verdict::Unknown => self.knee.generator = lower(self.knee.generator),
        }
        self.next = match self.ceiling() {
            None => rate * 2.0,
            Some(ceiling) => ((self.knee.holds + ceiling) / 2.0).round().max(1.0),
        };
    }

    /// What is known.
    pub fn knee(&self) -> Knee {
        self.knee
    }

    /// The lowest rate that is not known to hold.
    fn ceiling(&self) -> Option<f64> {
        match (self.knee.breaks, self.knee.generator) {
            (Some(breaks), Some(generator)) => Some(breaks.min(generator)),
            (breaks, generator) => breaks.or(generator),
        }
    }
}

impl Knee {
    /// Whether the generator gave up before the server did.
    pub fn is_the_generators(&self) -> bool {
        match (self.breaks, self.generator) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(breaks), Some(generator)) => generator < breaks,
        }
    }

    /// The knee in words.
    pub fn words(&self) -> String {
        match (self.holds, self.breaks, self.is_the_generators()) {
            (holds, _, true) => format!("at least {holds:.0}: beyond it the generator was too slow"),
            (0.0, Some(breaks), false) => format!("less than {breaks:.0}"),
            (holds, Some(breaks), false) => format!("{holds:.0} (at {breaks:.0} no more)"),
            (holds, None, false) => format!("at least {holds:.0}: the search ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server of one queue: its p99 grows without bound towards its capacity.
    fn p99_ms(rate: f64, capacity: f64) -> f64 {
        if rate >= capacity { f64::INFINITY } else { 2.0 + 5.0 / (1.0 - rate / capacity) }
    }

    fn search(first: f64, steps: u32, server: impl Fn(f64) -> Verdict) -> (Knee, u32) {
        let mut search = Search::new(first, steps, 0.1);
        let mut taken = 0;
        while let Some(rate) = search.next_rate() {
            search.tell(server(rate));
            taken += 1;
        }
        (search.knee(), taken)
    }

    fn keeps(rate: f64, capacity: f64) -> Verdict {
        if p99_ms(rate, capacity) <= 100.0 { Verdict::Holds } else { Verdict::Breaks }
    }

    #[test]
    fn the_knee_of_a_queue_is_found_from_any_beginning() {
        // 100 ms is reached where 5 / (1 − ρ) = 98.
        for capacity in [300.0, 1_000.0, 7_777.0, 60_000.0] {
            let truth = capacity * (1.0 - 5.0 / 98.0);
            for first in [50.0, 250.0, 2_000.0] {
                let (knee, steps) = search(first, 30, |rate| keeps(rate, capacity));
                let breaks = knee.breaks.unwrap();
                assert!(knee.holds <= truth && truth < breaks, "{capacity} {first}: {knee:?}");
                assert!(breaks - knee.holds <= 0.1 * breaks + 1.0, "{capacity} {first}: {knee:?}");
                assert!(steps < 20, "{steps}");
            }
        }
    }

    #[test]
    fn a_slow_generator_is_no_slow_server() {
        let (knee, _) =
            search(250.0, 12, |rate| if rate > 3_000.0 { Verdict::Unknown } else { keeps(rate, 10_000.0) });
        assert!(knee.is_the_generators() && knee.breaks.is_none(), "{knee:?}");
        assert!((2_700.0..=3_000.0).contains(&knee.holds), "{knee:?}");
        assert!(knee.words().starts_with("at least "), "{}", knee.words());
    }

    #[test]
    fn the_search_ends_with_what_it_knows() {
        let (knee, steps) = search(100.0, 3, |_| Verdict::Holds);
        assert_eq!((knee.holds, knee.breaks, steps), (400.0, None, 3));
        let (knee, _) = search(8.0, 3, |_| Verdict::Breaks);
        assert_eq!((knee.holds, knee.breaks), (0.0, Some(2.0)));
        assert_eq!(knee.words(), "less than 2");
    }
}
