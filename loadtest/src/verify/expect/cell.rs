//! What must be there of one journey in one app.

use std::collections::BTreeMap;

use schema::definition::{AttemptKind, Journey};
use schema::value::Value;

use crate::scenario::TIMEOUT_MS;
use crate::truth::{Attempt, Outcome};

/// An attempt whose last beacon comes so much later has arrived late, ms; what is played is far from it on both sides.
const ARRIVED_LATE_MS: i64 = 3_600_000;

/// What must be there of one journey in one app; every count is weighted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// By [`Outcome::ALL`].
    pub outcomes: [u64; 6],
    /// Attempts that an objective judges.
    pub valid: u64,
    /// Sessions with an attempt, where that can be known.
    pub sessions: Option<u64>,
    /// Reasons of what was no success.
    pub reasons: BTreeMap<String, u64>,
    /// Latencies or values of the successes in the histogram's unit, and how many.
    pub latencies: BTreeMap<u64, u64>,
    /// Sum of the latencies or values, ten-thousandths.
    pub latency_sum: u64,
    /// Steps of the definition: name, attempts that reached the one before, attempts that reached it.
    pub steps: Vec<(String, u64, u64)>,
    /// By release: attempts, and the sum of their latencies or values in ten-thousandths.
    pub releases: BTreeMap<String, (u64, u64)>,
    /// Attempts by the hour in which they began, s since the epoch, of the hours before the run.
    pub past_hours: BTreeMap<u32, u64>,
    /// Attempts that came long after their end.
    pub arrived_late: u64,
    /// Attempts of uncertain sessions.
    pub uncertain: u64,
    /// A session is the attempt: what breaks it may come after it was counted, so the tables hold no successes.
    pub of_sessions: bool,
}

/// Where an attempt belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Belonging<'b> {
    pub(super) weight: u64,
    pub(super) release: &'b str,
    /// The hour in which it began, where that lies before the run.
    pub(super) past_hour_s: Option<u32>,
}

impl Cell {
    /// Successes as the tables hold them.
    pub fn stored_successes(&self) -> u64 {
        if self.of_sessions { 0 } else { self.outcomes[0] }
    }

    /// Attempts of every outcome.
    pub fn attempts(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    pub(super) fn add(&mut self, attempt: &Attempt, to: Belonging<'_>, journey: Option<&Journey>) {
        let Belonging { weight, release, past_hour_s } = to;
        let place = Outcome::ALL.iter().position(|outcome| *outcome == attempt.outcome);
        self.outcomes[place.unwrap_or_default()] += weight;
        self.of_sessions = journey.is_some_and(|journey| journey.attempt == AttemptKind::Session);
        self.valid += weight * u64::from(is_valid(attempt, journey));
        if attempt.outcome != Outcome::Success {
            *self.reasons.entry(reason(attempt, journey)).or_default() += weight;
        }
        let of_release = self.releases.entry(release.to_owned()).or_default();
        of_release.0 += weight;
        if let Some(latency) = attempt.latency {
            let unit = journey.map(|journey| journey.unit).unwrap_or_default();
            *self.latencies.entry(unit.key_units(latency)).or_default() += weight;
            let sum = Value::scaled(latency) * weight;
            self.latency_sum += sum;
            of_release.1 += sum;
        }
        if let Some(hour_s) = past_hour_s {
            *self.past_hours.entry(hour_s).or_default() += weight;
        }
        self.arrived_late += weight * u64::from(attempt.at_ms.is_some_and(|at_ms| at_ms < -ARRIVED_LATE_MS));
        self.add_steps(attempt, weight, journey);
    }

    fn add_steps(&mut self, attempt: &Attempt, weight: u64, journey: Option<&Journey>) {
        let steps = journey.map_or(&[][..], |journey| journey.steps.as_slice());
        self.steps.resize_with(steps.len(), Default::default);
        let mut reaches = true;
        for (step, (name, attempts, success)) in steps.iter().zip(&mut self.steps) {
            name.clone_from(&step.name);
            *attempts += weight * u64::from(reaches);
            reaches &= attempt.reached.iter().any(|reached| *reached == step.name);
            *success += weight * u64::from(reaches);
        }
    }
}

fn is_valid(attempt: &Attempt, journey: Option<&Journey>) -> bool {
    let patience_ms = journey.map_or(TIMEOUT_MS, |journey| journey.patience_ms);
    match attempt.outcome {
        Outcome::Success | Outcome::Failure | Outcome::Timeout => true,
        Outcome::Abandoned => attempt.wait_ms.is_some_and(|wait_ms| wait_ms > patience_ms),
        Outcome::Cancelled | Outcome::Unknown => false,
    }
}

/// The reason, which for a timeout names the first step that was not reached.
pub(in crate::verify) fn reason(attempt: &Attempt, journey: Option<&Journey>) -> String {
    if attempt.outcome != Outcome::Timeout {
        return attempt.reason.to_string();
    }
    let steps = journey.map_or(&[][..], |journey| journey.steps.as_slice());
    match steps.iter().find(|step| !attempt.reached.iter().any(|reached| *reached == step.name)) {
        Some(step) => format!("timeout at {}", step.name),
        None => "timeout".to_owned(),
    }
}
