//! How arrivals follow each other: at which rate at which moment of a run.

use std::fmt;
use std::str::FromStr;

use crate::sample::Sampler;

/// A day of a study app, by the hour: how many times the mean arrives. Before school, in the breaks and in the evening.
const DAY: [f64; 24] = [
    0.10, 0.05, 0.04, 0.04, 0.08, 0.25, 0.80, 1.50, 1.20, 1.10, 1.30, 1.25, 1.45, 1.15, 1.10, 1.30, 1.75,
    2.10, 2.20, 1.95, 1.55, 1.00, 0.50, 0.24,
];
/// A rate never falls below this share of the run's rate, so that a run comes to its end.
const SHARE_MIN: f64 = 0.01;

/// How arrivals follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// Independently of each other, as those of many users.
    Poisson,
    /// Evenly, while the rate goes from the run's to this, a second.
    Ramp {
        /// Rate at the end of the run.
        to: u32,
    },
    /// Evenly, but for a while at a multiple of the rate.
    Spike {
        /// How many times the rate.
        factor: u32,
        /// When it begins, s after the run.
        at_s: u32,
        /// How long it lasts, s.
        for_s: u32,
    },
    /// Evenly, but for a while nobody begins: what is due is sent in its time.
    Pause {
        /// When it begins, s after the run.
        at_s: u32,
        /// How long it lasts, s.
        for_s: u32,
    },
    /// A day's curve, compressed into the run, around the rate as its mean.
    Day,
}

impl Arrivals {
    /// Arrivals a second at `second` of a run of `seconds` at `rate`.
    pub fn rate_at(self, rate: f64, second: f64, seconds: f64) -> f64 {
        let share = (second / seconds.max(1e-9)).clamp(0.0, 1.0);
        let now = match self {
            Self::Constant | Self::Poisson | Self::Pause { .. } => rate,
            Self::Ramp { to } => rate + (f64::from(to) - rate) * share,
            Self::Spike { factor, at_s, for_s } => {
                let since = second - f64::from(at_s);
                if (0.0..f64::from(for_s)).contains(&since) { rate * f64::from(factor) } else { rate }
            }
            Self::Day => rate * day_at(share * 24.0) / mean_of_day(),
        };
        now.max(rate * SHARE_MIN)
    }

    /// Arrivals of a whole run.
    pub fn count(self, rate: f64, seconds: u64) -> u64 {
        let length = seconds as f64;
        let count = match self {
            Self::Constant | Self::Poisson | Self::Day => rate * length,
            Self::Ramp { to } => (rate + f64::from(to)) / 2.0 * length,
            Self::Spike { factor, at_s, for_s } => {
                let spike_s = f64::from(for_s).min(length - f64::from(at_s)).max(0.0);
                rate * length + rate * (f64::from(factor) - 1.0) * spike_s
            }
            Self::Pause { at_s, for_s } => {
                rate * (length - f64::from(for_s).min(length - f64::from(at_s)).max(0.0))
            }
        };
        count.round() as u64
    }

    /// The second at which nobody waits any more, where nobody begins at `second`.
    pub(super) fn pause_end(self, second: f64) -> Option<f64> {
        let Self::Pause { at_s, for_s } = self else { return None };
        let (begin, end) = (f64::from(at_s), f64::from(at_s) + f64::from(for_s));
        (begin..end).contains(&second).then_some(end)
    }

    /// Seconds from an arrival at `second` to the next.
    pub(super) fn gap_s(self, gaps: &mut Sampler, rate: f64, second: f64, seconds: f64) -> f64 {
        if self == Self::Poisson {
            return gaps.exponential_gap(rate);
        }
        // The rate in the middle of the gap: what it changes meanwhile evens out.
        let half = 0.5 / self.rate_at(rate, second, seconds);
        1.0 / self.rate_at(rate, second + half, seconds)
    }
}

/// Between two hours the curve goes straight.
fn day_at(hour: f64) -> f64 {
    let at = (hour.floor() as usize).min(DAY.len() - 1);
    let next = DAY[(at + 1) % DAY.len()];
    DAY[at] + (next - DAY[at]) * (hour - at as f64)
}

fn mean_of_day() -> f64 {
    DAY.iter().sum::<f64>() / DAY.len() as f64
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Ramp { to } => write!(f, "ramp:{to}"),
            Self::Spike { factor, at_s, for_s } => write!(f, "spike:{factor}x@{at_s}+{for_s}"),
            Self::Pause { at_s, for_s } => write!(f, "pause:{at_s}+{for_s}"),
            Self::Day => f.write_str("day"),
        }
    }
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "arrivals {text:?}: want constant, poisson, ramp:TO, spike:FACTORx@AT+FOR, pause:AT+FOR or day"
            )
        };
        match text.split_once(':') {
            None if text == "constant" => Ok(Self::Constant),
            None if text == "poisson" => Ok(Self::Poisson),
            None if text == "day" => Ok(Self::Day),
            Some(("ramp", to)) => Ok(Self::Ramp { to: positive(to, text)? }),
            Some(("spike", spike)) => {
                let (factor, when) = spike.split_once("x@").ok_or_else(unknown)?;
                let (at_s, for_s) = stretch(when, text).ok_or_else(unknown)??;
                Ok(Self::Spike { factor: positive(factor, text)?, at_s, for_s })
            }
            Some(("pause", when)) => {
                let (at_s, for_s) = stretch(when, text).ok_or_else(unknown)??;
                Ok(Self::Pause { at_s, for_s })
            }
            Some(_) | None => Err(unknown()),
        }
    }
}

/// `AT+FOR`; `None` where it is something else.
fn stretch(when: &str, text: &str) -> Option<Result<(u32, u32), String>> {
    let (at_s, for_s) = when.split_once('+')?;
    let begins = at_s.parse().map_err(|_| format!("arrivals {text:?}: {at_s:?} is no number"));
    Some(begins.and_then(|begins| Ok((begins, positive(for_s, text)?))))
}

fn positive(number: &str, text: &str) -> Result<u32, String> {
    match number.parse::<u32>() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        Ok(number) => Err(format!("arrivals {text:?}: {number} is not in 1 to 1000000")),
        Err(_) => Err(format!("arrivals {text:?}: {number:?} is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of the arrivals of a run.
    fn arrivals(text: &str, rate: f64, seconds: u64) -> Vec<f64> {
        let arrivals: Arrivals = text.parse().unwrap();
        assert_eq!(arrivals.to_string(), text);
        let (mut gaps, mut at, mut all) = (Sampler::new(1, 0), 0.0, Vec::new());
        for _ in 0..arrivals.count(rate, seconds) {
            all.push(at);
            at += arrivals.gap_s(&mut gaps, rate, at, seconds as f64);
        }
        all
    }

    fn between(all: &[f64], from: f64, to: f64) -> usize {
        all.iter().filter(|at| (from..to).contains(*at)).count()
    }

    #[test]
    fn every_kind_fills_its_run() {
        for text in ["constant", "poisson", "ramp:300", "ramp:5", "spike:5x@40+10", "day"] {
            let all = arrivals(text, 100.0, 100);
            let last = *all.last().unwrap();
            assert!((97.0..103.0).contains(&last), "{text}: the last of {} comes at {last} s", all.len());
        }
    }

    #[test]
    fn a_ramp_goes_from_its_rate_to_the_other() {
        let all = arrivals("ramp:500", 100.0, 60);
        assert_eq!(all.len(), 300 * 60);
        assert!((95..115).contains(&between(&all, 0.0, 1.0)), "{}", between(&all, 0.0, 1.0));
        assert!((485..505).contains(&between(&all, 59.0, 60.0)), "{}", between(&all, 59.0, 60.0));
    }

    #[test]
    fn a_spike_is_as_high_and_long_as_it_says() {
        let all = arrivals("spike:5x@20+10", 100.0, 60);
        assert!((99..=101).contains(&between(&all, 10.0, 11.0)));
        assert!((4_990..=5_010).contains(&between(&all, 20.0, 30.0)), "{}", between(&all, 20.0, 30.0));
        assert!((99..=101).contains(&between(&all, 40.0, 41.0)));
    }

    #[test]
    fn a_day_is_busiest_in_the_evening_and_quiet_at_night() {
        let all = arrivals("day", 100.0, 240);
        let hour = |hour: f64| between(&all, hour * 10.0, (hour + 1.0) * 10.0);
        assert!(hour(18.0) > 10 * hour(3.0), "{} and {}", hour(18.0), hour(3.0));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is_allowed() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<Arrivals>().unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("burst", "want constant, poisson, ramp:TO, spike:FACTORx@AT+FOR, pause:AT+FOR or day");
        check("pause:5", "want constant");
        check("pause:5+0", "0 is not in 1 to 1000000");
        check("spike:5", "want constant");
        check("ramp:0", "0 is not in 1 to 1000000");
        check("ramp:1000001", "1000001 is not in 1 to 1000000");
        check("spike:2x@later+1", "\"later\" is no number");
        assert_eq!("ramp:1000000".parse(), Ok(Arrivals::Ramp { to: 1_000_000 }));
    }
}
