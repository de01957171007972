//! The `journey.*` events by which an app declares its attempts.

use std::borrow::Cow;

use schema::value::Value;

use super::super::Attribute;
use super::super::timeline::Timeline;
use super::{Running, Style};

impl Running {
    /// One event of the attempt, with its journey's name and its id, where the app gives one.
    pub(super) fn declare(
        &self,
        timeline: &mut Timeline,
        name: &'static str,
        mut attributes: Vec<(&'static str, Attribute)>,
    ) {
        attributes.push(("journey", self.journey.name.into()));
        if let Style::Declared { attempt: Some(attempt) } = &self.style {
            attributes.push(("attempt", attempt.clone().into()));
        }
        timeline.event(name, attributes);
    }

    pub(super) fn declare_success(&self, timeline: &mut Timeline, own_clock: Option<Value>) {
        let mut attributes: Vec<(&'static str, Attribute)> = Vec::new();
        attributes.extend(own_clock.map(|took| ("duration_ms", took.into())));
        if timeline.sampler.chance(500) {
            self.declare(timeline, "journey.success", attributes);
        } else {
            attributes.push(("outcome", "success".into()));
            self.declare(timeline, "journey.end", attributes);
        }
    }

    /// Returns the reason that must be counted.
    pub(super) fn declare_failure(&self, timeline: &mut Timeline) -> Cow<'static, str> {
        let reason = timeline.sampler.one_of(self.journey.failures);
        let mut attributes: Vec<(&'static str, Attribute)> = Vec::new();
        if !reason.is_empty() {
            attributes.push(("reason", reason.into()));
        }
        if timeline.sampler.chance(500) {
            self.declare(timeline, "journey.failure", attributes);
        } else {
            attributes.push(("outcome", "failure".into()));
            self.declare(timeline, "journey.end", attributes);
        }
        Cow::Borrowed(if reason.is_empty() { "failure" } else { reason })
    }
}
