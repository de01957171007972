//! The clock of one session while it is played: events in their order, and the truth that they make.

use std::borrow::Cow;

use schema::value::Value;

use super::{App, Attribute, Event};
use crate::sample::Sampler;
use crate::truth::{Attempt, Outcome, Truth};

/// A session while it is played. Times are ms since its beginning until they are moved to the sending.
pub(super) struct Timeline {
    pub(super) sampler: Sampler,
    pub(super) app: App,
    pub(super) now_ms: u64,
    pub(super) events: Vec<Event>,
    pub(super) truth: Truth,
    /// Sent by Faro, which reports only a part of what can happen.
    pub(super) is_faro: bool,
    /// Deadline of an attempt that is still open when the session falls silent.
    pub(super) silent_until_ms: u64,
}

impl Timeline {
    pub(super) fn new(sampler: Sampler, app: App) -> Self {
        Self {
            sampler,
            app,
            now_ms: 0,
            events: Vec::new(),
            truth: Truth::default(),
            is_faro: false,
            silent_until_ms: 0,
        }
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    pub(super) fn wait_between(&mut self, low_ms: u64, high_ms: u64) {
        self.now_ms += self.sampler.between(low_ms, high_ms);
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
        if self.events.last().is_some_and(|last| last.at_ms >= self.now_ms as i64) {
            self.now_ms += 1;
        }
        self.events.push(Event { at_ms: self.now_ms as i64, name, value, attributes });
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

    /// An attempt of one event, which is its latency and outcome at once.
    pub(super) fn single(&mut self, journey: &'static str, failure: Option<String>, value: Option<Value>) {
        self.truth.attempts.push(Attempt {
            journey: Cow::Borrowed(journey),
            single_event: true,
            outcome: if failure.is_some() { Outcome::Failure } else { Outcome::Success },
            latency: if failure.is_some() { None } else { value },
            reason: failure.map_or(Cow::Borrowed(""), Cow::Owned),
            wait_ms: None,
            reached: Vec::new(),
        });
    }
}
