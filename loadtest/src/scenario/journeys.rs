//! Attempts of journeys, each played to a known end.
//!
//! An app either declares an attempt by `journey.*` events ([`declared`]), or does what the definition's matchers
//! look for ([`plain`]). While an attempt is open nothing else happens in its session that a definition could
//! take for its end.

use std::borrow::Cow;

use schema::value::Value;

use super::timeline::{Timeline, Voice};
use super::{TIMEOUT_MS, signals};
use crate::sample::whole_ms;
use crate::truth::{Attempt, Outcome};

mod declared;
mod plain;

/// A journey of the study app.
#[derive(Debug, Clone, Copy)]
pub(super) struct Journey {
    pub(super) name: &'static str,
    /// Steps on the way, in their order.
    steps: &'static [&'static str],
    median_ms: u64,
    /// Reasons that the app gives for a failure, empty for none.
    failures: &'static [&'static str],
    /// The events that the definition looks for.
    matched: Option<plain::Matched>,
}

const JOURNEYS: [(u32, Journey); 3] = [
    (
        5,
        Journey {
            name: "watch-lecture",
            steps: &["page", "video"],
            median_ms: 1_100,
            failures: &["http 503", "decoder", ""],
            matched: Some(plain::WATCH_LECTURE),
        },
    ),
    (
        3,
        Journey {
            name: "submit-answer",
            steps: &[],
            median_ms: 350,
            failures: &["http 503", "rejected", ""],
            matched: Some(plain::SUBMIT_ANSWER),
        },
    ),
    (
        2,
        Journey {
            name: "sign-in",
            steps: &[],
            median_ms: 700,
            failures: &["wrong password", "http 500"],
            matched: Some(plain::SIGN_IN),
        },
    ),
];

/// Journeys that the app declares and nobody has defined.
const UNDEFINED: [Journey; 2] = [
    Journey { name: "open-library", steps: &[], median_ms: 400, failures: &["offline"], matched: None },
    Journey { name: "share-note", steps: &[], median_ms: 900, failures: &[""], matched: None },
];

/// Latencies of successes stay clear of the deadline.
const LATENCY_MAX_MS: u64 = 28_000;

/// How an attempt is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Play {
    Success,
    Failure,
    /// A failure that a success makes good.
    Recovery,
    /// A failure that could have been made good, and silence.
    NoRecovery,
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
        matches!(self, Self::NoRecovery | Self::Abandon | Self::Silence)
    }
}

/// Draws a journey and how it goes; `last` says whether the session may end with it.
pub(super) fn draw(timeline: &mut Timeline, last: bool) -> (Journey, Play) {
    let journey = if timeline.sampler.chance(30) {
        timeline.sampler.one_of(&UNDEFINED)
    } else {
        timeline.sampler.weighted(&JOURNEYS)
    };
    let (last, leaving) = (u32::from(last), u32::from(timeline.voice.tells_leaving()));
    let play = timeline.sampler.weighted(&[
        (800, Play::Success),
        (50, Play::Failure),
        (20, Play::Recovery),
        (20 * last, Play::NoRecovery),
        (20, Play::Cancel),
        (20, Play::Restart),
        (10, Play::SuccessThenFailure),
        (20, Play::Timeout),
        (10, Play::TooLate),
        (60 * last * leaving, Play::Abandon),
        (40 * last, Play::Silence),
    ]);
    (journey, play)
}

/// One attempt while it is played.
struct Running {
    journey: Journey,
    style: Style,
    started_ms: u64,
    reached: Vec<&'static str>,
}

/// By what the attempt is known.
#[derive(Debug, Clone)]
enum Style {
    /// The app declares it, some with an id of the attempt.
    Declared { attempt: Option<String> },
    /// The definition's matchers find it.
    Plain(plain::Matched),
}

/// Plays one attempt.
pub(super) fn attempt(timeline: &mut Timeline, journey: Journey, play: Play, number: u64) {
    let mut running = Running::start(timeline, journey, number);
    match play {
        Play::Success => running.succeed(timeline),
        Play::Failure => running.fail(timeline),
        Play::Recovery => {
            running.fail_recoverably(timeline);
            running.succeed(timeline);
        }
        Play::NoRecovery => running.fail_for_good(timeline),
        Play::Cancel => running.cancel(timeline),
        Play::Restart => {
            timeline.wait_between(100, 12_000);
            let again = running.start_again(timeline);
            let waited_ms = again.started_ms - running.started_ms;
            running.end(timeline, Outcome::Abandoned, "restarted", None, Some(waited_ms));
            running = again;
            running.succeed(timeline);
        }
        Play::SuccessThenFailure => {
            running.succeed(timeline);
            timeline.wait_between(1, 500);
            running.emit_failure(timeline);
        }
        Play::Timeout => {
            running.reach_some(timeline);
            running.pass_deadline(timeline);
            signals::sign_of_life(timeline);
        }
        Play::TooLate => {
            running.reach_some(timeline);
            running.pass_deadline(timeline);
            running.emit_success(timeline, None);
        }
        Play::Abandon => running.abandon(timeline),
        Play::Silence => {
            if timeline.voice.tells_leaving() && timeline.sampler.chance(300) {
                timeline.wait_between(50, 4_000);
                timeline.leave();
                timeline.wait_between(50, 4_000);
                timeline.come_back();
            }
            running.fall_silent(timeline);
            running.end(timeline, Outcome::Unknown, "unknown", None, None);
        }
    }
}

impl Running {
    fn start(timeline: &mut Timeline, journey: Journey, number: u64) -> Self {
        let style = match journey.matched {
            Some(matched) if timeline.voice != Voice::Faro && timeline.sampler.chance(400) => {
                Style::Plain(matched)
            }
            Some(_) | None => {
                Style::Declared { attempt: timeline.sampler.chance(400).then(|| format!("a{number}")) }
            }
        };
        Self { journey, style, started_ms: 0, reached: Vec::new() }.begin(timeline)
    }

    /// Starts the same again while it is open.
    fn start_again(&self, timeline: &mut Timeline) -> Self {
        let again =
            Self { journey: self.journey, style: self.style.clone(), started_ms: 0, reached: Vec::new() };
        again.begin(timeline)
    }

    fn begin(mut self, timeline: &mut Timeline) -> Self {
        match &self.style {
            Style::Declared { .. } => self.declare(timeline, "journey.start", Vec::new()),
            Style::Plain(matched) => matched.start(timeline),
        }
        self.started_ms = timeline.now_ms;
        self
    }

    fn step(&mut self, timeline: &mut Timeline, step: &'static str) {
        match &self.style {
            Style::Declared { .. } => self.declare(timeline, "journey.step", vec![("step", step.into())]),
            Style::Plain(matched) => matched.step(timeline, step),
        }
        self.reached.push(step);
    }

    fn emit_success(&self, timeline: &mut Timeline, own_clock: Option<Value>) {
        match &self.style {
            Style::Declared { .. } => self.declare_success(timeline, own_clock),
            Style::Plain(matched) => matched.succeed(timeline),
        }
    }

    /// Returns the reason that must be counted.
    fn emit_failure(&self, timeline: &mut Timeline) -> Cow<'static, str> {
        match &self.style {
            Style::Declared { .. } => self.declare_failure(timeline),
            Style::Plain(matched) => matched.fail(timeline),
        }
    }

    /// The steps that can be reached before the end: where a step is the success itself, all but that.
    fn steps_before_end(&self) -> &'static [&'static str] {
        match &self.style {
            Style::Declared { .. } => self.journey.steps,
            Style::Plain(matched) => matched.steps_before_end(),
        }
    }

    /// Reaches the first steps or none, well before the deadline.
    fn reach_some(&mut self, timeline: &mut Timeline) {
        let steps = self.steps_before_end();
        let count = timeline.sampler.between(0, steps.len() as u64) as usize;
        for step in &steps[..count] {
            timeline.wait_between(20, 2_000);
            self.step(timeline, step);
        }
    }

    /// Half of the apps' builds say how long it took by their monotonic clock; the others leave it to the
    /// times of the events.
    fn succeed(&mut self, timeline: &mut Timeline) {
        let room_ms = LATENCY_MAX_MS.saturating_sub(timeline.now_ms - self.started_ms);
        let took = timeline.duration(self.journey.median_ms, room_ms.max(1_000));
        let steps = self.steps_before_end();
        let share_ms = took.units() / (steps.len() as u64 + 1);
        for step in steps {
            timeline.wait(share_ms.saturating_sub(1));
            self.step(timeline, step);
        }
        timeline.now_ms = timeline.now_ms.max(self.started_ms + took.units());
        let own_clock = matches!(self.style, Style::Declared { .. }) && timeline.sampler.chance(500);
        self.emit_success(timeline, own_clock.then_some(took));
        self.reached = self.journey.steps.to_vec();
        let by_times = whole_ms(timeline.now_ms - self.started_ms);
        self.end(timeline, Outcome::Success, "", Some(if own_clock { took } else { by_times }), None);
    }

    fn fail(&mut self, timeline: &mut Timeline) {
        self.reach_some(timeline);
        timeline.wait_between(30, 6_000);
        let reason = self.emit_failure(timeline);
        self.end(timeline, Outcome::Failure, reason, None, None);
    }

    /// A failure after which a success still counts; a declared failure never is one.
    fn fail_recoverably(&mut self, timeline: &mut Timeline) -> Option<Cow<'static, str>> {
        timeline.wait_between(30, 3_000);
        match &self.style {
            Style::Declared { .. } => None,
            Style::Plain(matched) => Some(matched.fail_recoverably(timeline)),
        }
    }

    /// No success follows: what could have been made good is a failure after all, whatever the silence is.
    fn fail_for_good(&mut self, timeline: &mut Timeline) {
        let reason = self.fail_recoverably(timeline);
        self.fall_silent(timeline);
        match reason {
            Some(reason) => self.end(timeline, Outcome::Failure, reason, None, None),
            None => self.end(timeline, Outcome::Unknown, "unknown", None, None),
        }
    }

    fn cancel(&mut self, timeline: &mut Timeline) {
        timeline.wait_between(50, 8_000);
        let cancelled = match &self.style {
            Style::Declared { .. } => {
                self.declare(timeline, "journey.cancel", Vec::new());
                Some(Cow::Borrowed("cancelled"))
            }
            Style::Plain(matched) => matched.cancel(timeline).map(Cow::Borrowed),
        };
        match cancelled {
            Some(reason) => self.end(timeline, Outcome::Cancelled, reason, None, None),
            None => self.succeed(timeline),
        }
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
        self.fall_silent(timeline);
        self.end(timeline, Outcome::Abandoned, "abandoned", None, Some(waited_ms));
    }

    fn pass_deadline(&mut self, timeline: &mut Timeline) {
        timeline.now_ms = self.started_ms + TIMEOUT_MS;
        timeline.wait_between(50, timeline.heard_within_ms);
        self.end(timeline, Outcome::Timeout, "", None, None);
    }

    fn fall_silent(&self, timeline: &mut Timeline) {
        timeline.silent_until_ms = self.started_ms + TIMEOUT_MS;
    }

    fn end(
        &self,
        timeline: &mut Timeline,
        outcome: Outcome,
        reason: impl Into<Cow<'static, str>>,
        latency: Option<Value>,
        wait_ms: Option<u64>,
    ) {
        timeline.truth.attempts.push(Attempt {
            journey: Cow::Borrowed(self.journey.name),
            single_event: false,
            at_ms: Some(self.started_ms as i64),
            outcome,
            reason: reason.into(),
            latency,
            wait_ms,
            reached: self.reached.iter().map(|step| Cow::Borrowed(*step)).collect(),
        });
    }
}
