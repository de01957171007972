//! The clock of one session while it is played: events in their order, and the truth that they make.

use std::borrow::Cow;

use schema::value::Value;

use super::{App, Attribute, Event};
use crate::sample::Sampler;
use crate::truth::{Attempt, Outcome, Truth};

/// How a client tells what happens, which is not everything in every format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// The native API.
    Native,
    /// Faro's SDK.
    Faro,
    /// OpenTelemetry in a page.
    OtlpPage,
    /// OpenTelemetry in an app.
    OtlpApp,
}

impl Voice {
    /// Whether it tells that the user leaves.
    pub(super) fn tells_leaving(self) -> bool {
        matches!(self, Self::Native | Self::OtlpApp)
    }

    /// Whether it tells that a session ends.
    pub(super) fn tells_end(self) -> bool {
        self != Self::Faro
    }

    /// Whether a status of 0 is a call without answer: to Faro's resource timing it may also be an opaque one.
    pub(super) fn tells_no_answer(self) -> bool {
        self != Self::Faro
    }
}

/// A session while it is played. Times are ms since its beginning until they are moved to the sending.
pub(super) struct Timeline {
    pub(super) sampler: Sampler,
    pub(super) app: App,
    pub(super) voice: Voice,
    pub(super) now_ms: u64,
    pub(super) events: Vec<Event>,
    pub(super) truth: Truth,
    /// Deadline of an attempt that is still open when the session falls silent.
    pub(super) silent_until_ms: u64,
    /// How long after a deadline the session is heard of again, at most.
    pub(super) heard_within_ms: u64,
    /// Whether the user takes their time.
    pub(super) thinks: bool,
    /// How many times longer than usual everything takes.
    pub(super) slowness: u64,
}

impl Timeline {
    pub(super) fn new(sampler: Sampler, app: App, voice: Voice) -> Self {
        Self {
            sampler,
            app,
            voice,
            now_ms: 0,
            events: Vec::new(),
            truth: Truth::default(),
            silent_until_ms: 0,
            heard_within_ms: super::session::HEARD_WITHIN_MS,
            thinks: false,
            slowness: 1,
        }
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    pub(super) fn wait_between(&mut self, low_ms: u64, high_ms: u64) {
        self.now_ms += self.sampler.between(low_ms, high_ms);
    }

    /// A duration of something that usually takes `median_ms`.
    pub(super) fn duration(&mut self, median_ms: u64, max_ms: u64) -> Value {
        self.sampler.duration(median_ms * self.slowness, max_ms)
    }

    /// An event now, without value. No two events of a session happen in the same millisecond.
    pub(super) fn event(&mut self, name: &'static str, attributes: Vec<(&'static str, Attribute)>) {
        self.measured(name, None, attributes);
    }

    /// An event now that has a value.
    pub(super) fn measured(
        &mut self,
        name: &'static str,
        value: Option<Value>,
        attributes: Vec<(&'static str, Attribute)>,
    ) {
        self.push(Event { at_ms: 0, name, value, attributes, left_out: None });
    }

    /// What a format tells once more, and must be left out.
    pub(super) fn told_again(
        &mut self,
        reason: &'static str,
        name: &'static str,
        value: Option<Value>,
        attributes: Vec<(&'static str, Attribute)>,
    ) {
        self.push(Event { at_ms: 0, name, value, attributes, left_out: Some(reason) });
    }

    fn push(&mut self, event: Event) {
        if self.events.last().is_some_and(|last| last.at_ms >= self.now_ms as i64) {
            self.now_ms += 1;
        }
        self.events.push(Event { at_ms: self.now_ms as i64, ..event });
    }

    pub(super) fn is_web(&self) -> bool {
        self.app == App::Web
    }

    pub(super) fn leave(&mut self) {
        self.event(if self.is_web() { "page.hidden" } else { "app.background" }, Vec::new());
    }

    pub(super) fn come_back(&mut self) {
        self.event(if self.is_web() { "page.visible" } else { "app.foreground" }, Vec::new());
    }

    /// An attempt of one event, the last one, which is its latency and outcome at once.
    pub(super) fn single(&mut self, journey: &'static str, failure: Option<String>, value: Option<Value>) {
        let at_ms = self.events.last().map(|event| event.at_ms);
        self.single_at(journey, failure, value, at_ms);
    }

    /// An attempt of one event that happened at `at_ms`.
    pub(super) fn single_at(
        &mut self,
        journey: &'static str,
        failure: Option<String>,
        value: Option<Value>,
        at_ms: Option<i64>,
    ) {
        self.truth.attempts.push(Attempt {
            journey: Cow::Borrowed(journey),
            single_event: true,
            at_ms,
            outcome: if failure.is_some() { Outcome::Failure } else { Outcome::Success },
            latency: if failure.is_some() { None } else { value },
            reason: failure.map_or(Cow::Borrowed(""), Cow::Owned),
            wait_ms: None,
            reached: Vec::new(),
        });
    }
}
