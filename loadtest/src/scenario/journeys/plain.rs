//! The events that the study app's definitions look for, where the app declares nothing itself.

use std::borrow::Cow;

use super::super::signals;
use super::super::timeline::Timeline;

/// Why users cancel, as the app says it.
const CANCEL_REASON: &str = "changed my mind";

/// What an app does in a journey.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matched {
    start: &'static str,
    success: Success,
    /// Whether an uncaught exception is its failure; else only calls are.
    exceptions: bool,
    /// The call whose failure a success makes good.
    route: &'static str,
    cancel: Option<&'static str>,
    steps_before_end: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
enum Success {
    Action(&'static str),
    Event(&'static str),
}

pub(super) const WATCH_LECTURE: Matched = Matched {
    start: "lecture.open",
    success: Success::Event("video.first_frame"),
    exceptions: true,
    route: "/api/lectures/:id",
    cancel: None,
    steps_before_end: &["page"],
};

pub(super) const SUBMIT_ANSWER: Matched = Matched {
    start: "answer.submit",
    success: Success::Action("answer.taken"),
    exceptions: true,
    route: "/api/answers/:id",
    cancel: None,
    steps_before_end: &[],
};

pub(super) const SIGN_IN: Matched = Matched {
    start: "sign-in.submit",
    success: Success::Action("sign-in.done"),
    exceptions: false,
    route: "/api/session",
    cancel: Some("sign-in.cancel"),
    steps_before_end: &[],
};

impl Matched {
    pub(super) fn steps_before_end(&self) -> &'static [&'static str] {
        self.steps_before_end
    }

    pub(super) fn start(&self, timeline: &mut Timeline) {
        signals::user_action(timeline, self.start, None);
    }

    /// The only step before an end is the lecture's page or screen.
    pub(super) fn step(&self, timeline: &mut Timeline, _step: &'static str) {
        if timeline.is_web() {
            signals::page_load_of(timeline, "/lectures/:id");
        } else {
            signals::screen_of(timeline, "lecture");
        }
    }

    pub(super) fn succeed(&self, timeline: &mut Timeline) {
        match self.success {
            Success::Action(name) => signals::user_action(timeline, name, None),
            Success::Event(name) => timeline.event(name, Vec::new()),
        }
    }

    /// A failure that ends the attempt where the definition has one, else one that nothing makes good; returns
    /// the reason that must be counted.
    pub(super) fn fail(&self, timeline: &mut Timeline) -> Cow<'static, str> {
        if !self.exceptions {
            return self.fail_recoverably(timeline);
        }
        let kind = timeline.sampler.one_of(&["TypeError", "MediaError"]);
        signals::exception_of(timeline, kind, true);
        Cow::Owned(format!("exception {kind}"))
    }

    pub(super) fn fail_recoverably(&self, timeline: &mut Timeline) -> Cow<'static, str> {
        let told = if timeline.voice.tells_no_answer() { &[500, 503, 0][..] } else { &[500, 503] };
        let status = timeline.sampler.one_of(told);
        signals::http_call_with(timeline, self.route, status);
        Cow::Owned(format!("http {status} {}", self.route))
    }

    /// Returns the reason that must be counted; `None` where the definition knows no cancelling.
    pub(super) fn cancel(&self, timeline: &mut Timeline) -> Option<&'static str> {
        let name = self.cancel?;
        signals::user_action(timeline, name, Some(CANCEL_REASON));
        Some(CANCEL_REASON)
    }
}
