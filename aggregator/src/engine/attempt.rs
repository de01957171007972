//! From marks to attempts: the semantics of a journey, as a function of one session's ordered events.
//!
//! | ending | outcome |
//! |---|---|
//! | a success mark in time | success |
//! | a failure mark in time that is not recoverable | failure |
//! | a recoverable one, and no success in time | failure |
//! | a crash, or that the system killed the app | interrupted |
//! | the app did not answer, and no success in time | interrupted |
//! | a cancel mark in time | cancelled |
//! | another start, where the journey restarts | abandoned |
//! | the deadline, and the session was heard of between it and the end of the grace period | timeout |
//! | the deadline, and the last that was heard before it is leaving | abandoned |
//! | the deadline, and silence | unknown |
//!
//! Hidden and background never end an attempt by themselves: the page may come back.

use schema::definition::Restart;
use schema::value::Value;

use super::plan::{Role, Rules};
use super::pool::{TextId, Texts};
use super::session::{Activity, Mark};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Success,
    Failure,
    Timeout,
    Interrupted,
    Abandoned,
    Cancelled,
    Unknown,
}

impl Outcome {
    /// How many outcomes there are.
    pub(super) const COUNT: usize = 7;

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

/// One run of a journey, as far as the marks that are known tell.
#[derive(Debug)]
pub(super) struct Draft<'s> {
    pub start: &'s Mark,
    /// Places of its marks in the slice that it was formed from.
    pub members: Vec<usize>,
    pub end_ms: i64,
    ending: Ending<'s>,
    deadline_ms: i64,
    restarted: bool,
    /// Steps in the order of reaching, with ms since the start.
    pub steps: Vec<(TextId, u64)>,
    last_append_ms: i64,
}

#[derive(Debug)]
enum Ending<'s> {
    Success(&'s Mark),
    Failure(&'s Mark),
    Interrupted(&'s Mark),
    Cancelled(&'s Mark),
    Restarted,
    Deadline,
}

/// What a draft turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub outcome: Outcome,
    pub valid: bool,
    pub reason: TextId,
    /// Latency of a success.
    pub latency: Option<Value>,
    /// How long a user waited who abandoned.
    pub wait_ms: Option<u64>,
}

/// Forms attempts from the marks of one journey and attempt id, sorted by their order.
pub(super) fn form<'s>(marks: &[&'s Mark], rules: &Rules<'_>) -> Vec<Draft<'s>> {
    let mut drafts = Vec::new();
    let mut open: Option<(Draft<'s>, Option<&'s Mark>)> = None;
    for (place, mark) in marks.iter().enumerate() {
        let time_ms = mark.order.0;
        if open.as_ref().is_some_and(|(draft, _)| time_ms > draft.deadline_ms) {
            drafts.extend(open.take().map(finish_at_deadline));
        }
        match (mark.role, &mut open) {
            (Role::Start, None) => open = Some((Draft::new(mark, place, rules), None)),
            (Role::Start, Some((draft, _))) if rules.restart == Restart::Continue => draft.take(mark, place),
            (Role::Start, Some(_)) => {
                drafts.extend(open.take().map(|former| finish_at_restart(former, time_ms)));
                open = Some((Draft::new(mark, place, rules), None));
            }
            (
                Role::Step(_)
                | Role::Success
                | Role::Failure { .. }
                | Role::Cancel
                | Role::Interruption { .. },
                None,
            ) => {}
            (Role::Step(name), Some((draft, _))) => {
                draft.take(mark, place);
                draft.reach(name, mark);
            }
            (
                Role::Failure { recoverable: true } | Role::Interruption { recoverable: true },
                Some((draft, recoverable)),
            ) => {
                draft.take(mark, place);
                recoverable.get_or_insert(mark);
            }
            (Role::Failure { recoverable: false } | Role::Interruption { recoverable: false }, Some(_)) => {
                drafts.extend(open.take().map(|(draft, _)| draft.end(mark, place, bad_ending(mark))));
            }
            (Role::Success, Some(_)) => {
                drafts.extend(open.take().map(|(draft, _)| draft.end(mark, place, Ending::Success(mark))));
            }
            (Role::Cancel, Some(_)) => {
                drafts.extend(open.take().map(|(draft, _)| draft.end(mark, place, Ending::Cancelled(mark))));
            }
        }
    }
    drafts.extend(open.map(finish_at_deadline));
    drafts
}

fn bad_ending(mark: &Mark) -> Ending<'_> {
    if matches!(mark.role, Role::Interruption { .. }) {
        Ending::Interrupted(mark)
    } else {
        Ending::Failure(mark)
    }
}

/// No success came in time: a recoverable failure has not been recovered.
fn finish_at_deadline<'s>((mut draft, recoverable): (Draft<'s>, Option<&'s Mark>)) -> Draft<'s> {
    draft.end_ms = draft.deadline_ms;
    draft.ending = recoverable.map_or(Ending::Deadline, bad_ending);
    draft
}

fn finish_at_restart<'s>((mut draft, recoverable): (Draft<'s>, Option<&'s Mark>), time_ms: i64) -> Draft<'s> {
    draft.end_ms = time_ms;
    draft.restarted = true;
    draft.ending = recoverable.map_or(Ending::Restarted, bad_ending);
    draft
}

impl<'s> Draft<'s> {
    fn new(start: &'s Mark, place: usize, rules: &Rules<'_>) -> Self {
        let deadline_ms = start.order.0 + rules.timeout_ms;
        Self {
            start,
            members: vec![place],
            end_ms: deadline_ms,
            ending: Ending::Deadline,
            deadline_ms,
            restarted: false,
            steps: Vec::new(),
            last_append_ms: start.append_ms,
        }
    }

    fn take(&mut self, mark: &Mark, place: usize) {
        self.members.push(place);
        self.last_append_ms = self.last_append_ms.max(mark.append_ms);
    }

    fn reach(&mut self, name: TextId, mark: &Mark) {
        if !self.steps.iter().any(|(reached, _)| *reached == name) {
            let elapsed_ms = mark.value.map_or_else(|| self.elapsed_ms(mark), Value::units);
            self.steps.push((name, elapsed_ms));
        }
    }

    fn end(mut self, mark: &Mark, place: usize, ending: Ending<'s>) -> Self {
        self.take(mark, place);
        self.end_ms = mark.order.0;
        self.ending = ending;
        self
    }

    fn elapsed_ms(&self, mark: &Mark) -> u64 {
        mark.order.0.abs_diff(self.start.order.0)
    }

    /// Log time from which nothing can change it any more.
    pub(super) fn settles_at_ms(&self, rules: &Rules<'_>) -> i64 {
        self.end_ms.max(self.last_append_ms) + rules.grace_ms
    }

    /// The last instant that belongs to it: the start that ended it belongs to the next attempt.
    pub(super) fn covers_until_ms(&self) -> i64 {
        self.end_ms - i64::from(self.restarted)
    }

    /// By how long its last record came after its end.
    pub(super) fn arrived_after_ms(&self) -> i64 {
        self.last_append_ms - self.end_ms
    }

    /// Decides the outcome; `activities` is everything that was heard of the session.
    pub(super) fn judge(&self, activities: &[Activity], rules: &Rules<'_>, texts: &mut Texts) -> Verdict {
        match self.ending {
            Ending::Success(mark) => Verdict {
                outcome: Outcome::Success,
                valid: true,
                reason: TextId::EMPTY,
                latency: mark.value.or_else(|| Value::from_units(self.elapsed_ms(mark)).ok()),
                wait_ms: None,
            },
            Ending::Failure(mark) => {
                without_latency(Outcome::Failure, true, reason_of(mark, "failure", texts))
            }
            Ending::Interrupted(mark) => {
                without_latency(Outcome::Interrupted, true, reason_of(mark, "interrupted", texts))
            }
            Ending::Cancelled(mark) => {
                without_latency(Outcome::Cancelled, false, reason_of(mark, "cancelled", texts))
            }
            Ending::Restarted => self.abandoned(self.end_ms, texts.intern("restarted"), rules),
            Ending::Deadline => self.judge_deadline(activities, rules, texts),
        }
    }

    fn judge_deadline(&self, activities: &[Activity], rules: &Rules<'_>, texts: &mut Texts) -> Verdict {
        let heard_after = self.deadline_ms..=self.deadline_ms + rules.grace_ms;
        if activities.iter().any(|activity| heard_after.contains(&activity.time_ms)) {
            let reached = |name: &str| self.steps.iter().any(|(reached, _)| texts.get(*reached) == name);
            let missing = rules.steps.iter().find(|step| !reached(&step.name));
            let reason = match missing {
                Some(step) => texts.intern(&format!("timeout at {}", step.name)),
                None => texts.intern("timeout"),
            };
            return without_latency(Outcome::Timeout, true, reason);
        }
        match self.left_ms(activities) {
            Some(left_ms) if left_ms >= self.start.order.0 => {
                self.abandoned(left_ms, texts.intern("abandoned"), rules)
            }
            Some(_) | None => without_latency(Outcome::Unknown, false, texts.intern("unknown")),
        }
    }

    /// When the user left: the first leaving after the last sign of staying before the deadline.
    fn left_ms(&self, activities: &[Activity]) -> Option<i64> {
        let before = || activities.iter().filter(|activity| activity.time_ms < self.deadline_ms);
        let stayed_ms = before().filter(|activity| !activity.leaving).map(|activity| activity.time_ms).max();
        let left = before().filter(|activity| activity.leaving).map(|activity| activity.time_ms);
        left.filter(|left_ms| Some(*left_ms) >= stayed_ms).min()
    }

    fn abandoned(&self, left_ms: i64, reason: TextId, rules: &Rules<'_>) -> Verdict {
        let wait_ms = left_ms.abs_diff(self.start.order.0);
        Verdict {
            outcome: Outcome::Abandoned,
            valid: wait_ms > rules.patience_ms as u64,
            reason,
            latency: None,
            wait_ms: Some(wait_ms),
        }
    }
}

fn without_latency(outcome: Outcome, valid: bool, reason: TextId) -> Verdict {
    Verdict { outcome, valid, reason, latency: None, wait_ms: None }
}

fn reason_of(mark: &Mark, otherwise: &str, texts: &mut Texts) -> TextId {
    if mark.reason.is_empty() { texts.intern(otherwise) } else { mark.reason }
}
