//! Attempts of journeys, each played to a known end.
//!
//! The app declares them by `journey.*` events. While an attempt is open nothing else happens in its session
//! that a definition could take for its end.

use std::borrow::Cow;

use schema::value::Value;

use super::timeline::Timeline;
use super::{Attribute, TIMEOUT_MS, signals};
use crate::sample::{scaled, whole_ms};
use crate::truth::{Attempt, Outcome};

/// A journey of the study app.
#[derive(Debug, Clone, Copy)]
pub(super) struct Journey {
    pub(super) name: &'static str,
    /// Steps that the app may report on the way, in their order.
    pub(super) steps: &'static [&'static str],
    pub(super) median_ms: u64,
    pub(super) failures: &'static [&'static str],
}

const JOURNEYS: [(u32, Journey); 3] = [
    (
        5,
        Journey {
            name: "watch-lecture",
            steps: &["page", "video"],
            median_ms: 1_100,
            failures: &["http 503", "decoder", ""],
        },
    ),
    (
        3,
        Journey {
            name: "submit-answer",
            steps: &[],
            median_ms: 350,
            failures: &["http 503", "rejected", ""],
        },
    ),
    (2, Journey { name: "sign-in", steps: &[], median_ms: 700, failures: &["wrong password", "http 500"] }),
];

/// Journeys that the app declares and nobody has defined.
const UNDEFINED: [Journey; 2] = [
    Journey { name: "open-library", steps: &[], median_ms: 400, failures: &["offline"] },
    Journey { name: "share-note", steps: &[], median_ms: 900, failures: &[""] },
];

/// Latencies of successes stay clear of the deadline.
const LATENCY_MAX_MS: u64 = 28_000;

/// How an attempt is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Play {
    Success,
    Failure,
    Cancel,
    /// Started again, then success.
    Restart,
    /// Success, and a failure after it that changes nothing.
    SuccessThenFailure,
    Timeout,
    /// A success after the deadline.
    TooLate,
    Abandon,
    Silence,
}

impl Play {
    /// Whether the session ends with it: nothing more may be heard until its deadline.
    pub(super) fn ends_session(self) -> bool {
        matches!(self, Self::Abandon | Self::Silence)
    }
}

/// Draws a journey and how it goes; `last` says whether the session may end with it.
pub(super) fn draw(timeline: &mut Timeline, last: bool) -> (Journey, Play) {
    let journey = if timeline.sampler.chance(30) {
        timeline.sampler.one_of(&UNDEFINED)
    } else {
        timeline.sampler.weighted(&JOURNEYS)
    };
    let play = timeline.sampler.weighted(&[
        (820, Play::Success),
        (50, Play::Failure),
        (20, Play::Cancel),
        (20, Play::Restart),
        (10, Play::SuccessThenFailure),
        (20, Play::Timeout),
        (10, Play::TooLate),
        (if last { 60 } else { 0 }, Play::Abandon),
        (if last { 40 } else { 0 }, Play::Silence),
    ]);
    (journey, play)
}

/// The events of one attempt, which share the journey's name and its id, where the app gives one.
struct Declared {
    journey: Journey,
    attempt: Option<String>,
    started_ms: u64,
    reached: Vec<Cow<'static, str>>,
}

/// Plays one attempt.
pub(super) fn attempt(timeline: &mut Timeline, journey: Journey, play: Play, number: u64) {
    let mut declared = Declared::start(timeline, journey, number);
    match play {
        Play::Success => declared.succeed(timeline),
        Play::Failure => declared.fail(timeline),
        Play::Cancel => {
            timeline.wait_between(50, 8_000);
            declared.event(timeline, "journey.cancel", None, Vec::new());
            declared.end(timeline, Outcome::Cancelled, "cancelled", None, None);
        }
        Play::Restart => {
            timeline.wait_between(100, 12_000);
            let waited_ms = timeline.now_ms - declared.started_ms;
            let again = Declared::start_again(timeline, &declared);
            declared.end(timeline, Outcome::Abandoned, "restarted", None, Some(waited_ms));
            declared = again;
            declared.succeed(timeline);
        }
        Play::SuccessThenFailure => {
            declared.succeed(timeline);
            timeline.wait_between(1, 500);
            let after = Declared { reached: Vec::new(), ..declared };
            after.event(timeline, "journey.failure", None, vec![("reason", "after the end".into())]);
        }
        Play::Timeout => {
            declared.reach_some(timeline);
            timeline.now_ms = declared.started_ms + TIMEOUT_MS;
            timeline.wait_between(50, 15_000);
            declared.end(timeline, Outcome::Timeout, "", None, None);
            signals::sign_of_life(timeline);
        }
        Play::TooLate => {
            declared.reach_some(timeline);
            timeline.now_ms = declared.started_ms + TIMEOUT_MS;
            timeline.wait_between(50, 15_000);
            declared.event(timeline, "journey.success", None, Vec::new());
            declared.end(timeline, Outcome::Timeout, "", None, None);
        }
        Play::Abandon => declared.abandon(timeline),
        Play::Silence => {
            if timeline.sampler.chance(300) {
                timeline.wait_between(50, 4_000);
                timeline.leave();
                timeline.wait_between(50, 4_000);
                timeline.come_back();
            }
            timeline.silent_until_ms = declared.started_ms + TIMEOUT_MS;
            declared.end(timeline, Outcome::Unknown, "unknown", None, None);
        }
    }
}

impl Declared {
    fn start(timeline: &mut Timeline, journey: Journey, number: u64) -> Self {
        let attempt = timeline.sampler.chance(400).then(|| format!("a{number}"));
        Self::begin(timeline, journey, attempt)
    }

    fn start_again(timeline: &mut Timeline, former: &Self) -> Self {
        Self::begin(timeline, former.journey, former.attempt.clone())
    }

    fn begin(timeline: &mut Timeline, journey: Journey, attempt: Option<String>) -> Self {
        let mut declared = Self { journey, attempt, started_ms: 0, reached: Vec::new() };
        declared.event(timeline, "journey.start", None, Vec::new());
        declared.started_ms = timeline.now_ms;
        declared
    }

    fn event(
        &self,
        timeline: &mut Timeline,
        name: &'static str,
        duration: Option<Value>,
        mut more: Vec<(&'static str, Attribute)>,
    ) {
        more.push(("journey", self.journey.name.into()));
        if let Some(attempt) = &self.attempt {
            more.push(("attempt", attempt.clone().into()));
        }
        if let Some(duration) = duration {
            more.push(("duration_ms", duration.into()));
        }
        timeline.event(name, more);
    }

    fn step(&mut self, timeline: &mut Timeline, step: &'static str) {
        self.event(timeline, "journey.step", None, vec![("step", step.into())]);
        self.reached.push(step.into());
    }

    /// Reaches the first steps or none, well before the deadline.
    fn reach_some(&mut self, timeline: &mut Timeline) {
        let steps = timeline.sampler.between(0, self.journey.steps.len() as u64) as usize;
        for step in &self.journey.steps[..steps] {
            timeline.wait_between(20, 2_000);
            self.step(timeline, step);
        }
    }

    /// Half of the apps' builds say how long it took by their monotonic clock; the others leave it to the
    /// times of the events.
    fn succeed(&mut self, timeline: &mut Timeline) {
        let took = timeline.sampler.duration(self.journey.median_ms, LATENCY_MAX_MS);
        let steps = self.journey.steps;
        let share_ms = took.units() / (steps.len() as u64 + 1);
        for step in steps {
            timeline.wait(share_ms.saturating_sub(1));
            self.step(timeline, step);
        }
        timeline.now_ms = timeline.now_ms.max(self.started_ms + took.units());
        let own_clock = timeline.sampler.chance(500);
        let (name, more) = if timeline.sampler.chance(500) {
            ("journey.success", Vec::new())
        } else {
            ("journey.end", vec![("outcome", "success".into())])
        };
        self.event(timeline, name, own_clock.then_some(took), more);
        let by_times = whole_ms(timeline.now_ms - self.started_ms);
        let latency = if own_clock { scaled(took.scaled()) } else { by_times };
        self.end(timeline, Outcome::Success, "", Some(latency), None);
    }

    fn fail(&mut self, timeline: &mut Timeline) {
        self.reach_some(timeline);
        timeline.wait_between(30, 6_000);
        let reason = timeline.sampler.one_of(self.journey.failures);
        let mut more: Vec<(&'static str, Attribute)> = Vec::new();
        if !reason.is_empty() {
            more.push(("reason", reason.into()));
        }
        let name = if timeline.sampler.chance(500) {
            "journey.failure"
        } else {
            more.push(("outcome", "failure".into()));
            "journey.end"
        };
        self.event(timeline, name, None, more);
        self.end(timeline, Outcome::Failure, if reason.is_empty() { "failure" } else { reason }, None, None);
    }

    /// Leaves after a short or a long wait, now and then with a look at something else before.
    fn abandon(&mut self, timeline: &mut Timeline) {
        self.reach_some(timeline);
        if timeline.sampler.chance(200) {
            timeline.wait_between(50, 1_000);
            timeline.leave();
            timeline.wait_between(50, 2_000);
            timeline.come_back();
        }
        if timeline.sampler.chance(500) {
            timeline.wait_between(20, 900);
        } else {
            timeline.wait_between(3_000, 18_000);
        }
        timeline.leave();
        let waited_ms = timeline.now_ms - self.started_ms;
        if timeline.sampler.chance(500) {
            timeline.wait_between(1, 100);
            timeline.event("session.end", Vec::new());
        }
        timeline.silent_until_ms = self.started_ms + TIMEOUT_MS;
        self.end(timeline, Outcome::Abandoned, "abandoned", None, Some(waited_ms));
    }

    fn end(
        &self,
        timeline: &mut Timeline,
        outcome: Outcome,
        reason: &'static str,
        latency: Option<Value>,
        wait_ms: Option<u64>,
    ) {
        timeline.truth.attempts.push(Attempt {
            journey: Cow::Borrowed(self.journey.name),
            single_event: false,
            outcome,
            reason: Cow::Borrowed(reason),
            latency,
            wait_ms,
            reached: self.reached.clone(),
        });
    }
}
