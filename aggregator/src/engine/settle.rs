//! Settling: what can no longer change leaves the session's memory and is counted.

use schema::value::Value;

use super::attempt::{Draft, Outcome, Verdict, form};
use super::cells::{Attempt, Cells, Place};
use super::context::Pools;
use super::plan::{Plan, Role, Rules};
use super::pool::{TextId, Texts};
use super::session::{DueFirst, FirstAttempt, Mark, Revision, Session, Settled};

/// An attempt whose last record came longer than this after its end has arrived late.
pub(super) const ARRIVED_LATE_MS: i64 = 3_600_000;

/// An attempt that is decided.
struct Settlement {
    journey: TextId,
    attempt: u64,
    start: Mark,
    end_ms: i64,
    verdict: Verdict,
    steps: Vec<(TextId, u64)>,
    arrived_late: bool,
    /// When it settled, had log time not jumped over that instant.
    due_ms: i64,
}

/// Settles what is due at `log_time_ms`; returns when to look again.
pub(super) fn settle(
    session: &mut Session,
    log_time_ms: i64,
    plan: &Plan,
    pools: &mut Pools,
    cells: &mut Cells,
) -> Option<i64> {
    let mut settling = Settling { log_time_ms, plan, pools, cells };
    let next_revision_ms = settling.revisions(session);
    let next_mark_ms = settling.marks(session);
    settling.firsts(session);
    settling.session(session);
    [next_revision_ms, next_mark_ms, session.next_count_ms()].into_iter().flatten().min()
}

struct Settling<'s> {
    log_time_ms: i64,
    plan: &'s Plan,
    pools: &'s mut Pools,
    cells: &'s mut Cells,
}

/// What looking at a session's marks found.
#[derive(Default)]
struct Findings {
    settlements: Vec<Settlement>,
    /// By place: whether the mark is done with.
    gone: Vec<bool>,
    /// By place: whether an attempt that has not settled needs it.
    held: Vec<bool>,
    /// By place: whether it is in an attempt that settles now.
    used: Vec<bool>,
    next_ms: Option<i64>,
}

impl Findings {
    fn look_again(&mut self, at_ms: i64) {
        self.next_ms = Some(self.next_ms.map_or(at_ms, |next_ms| next_ms.min(at_ms)));
    }
}

/// The marks of one journey and attempt id, as places in the session's marks, in their order.
struct Track {
    journey: TextId,
    attempt: u64,
    places: Vec<usize>,
}

/// Marks by a hash of the journey, which is the same in every process; then those with attempt ids before those without,
/// which may belong to one with.
fn tracks(marks: &[Mark], texts: &Texts) -> Vec<Track> {
    let mut places: Vec<usize> = (0..marks.len()).filter(|place| !marks[*place].journey.is_empty()).collect();
    let track = |place: &usize| {
        let mark = &marks[*place];
        (texts.hash(mark.journey), mark.attempt == 0, mark.attempt)
    };
    places.sort_by_key(track);
    let mut tracks: Vec<Track> = Vec::new();
    for same in places.chunk_by(|a, b| track(a) == track(b)) {
        let Mark { journey, attempt, .. } = marks[same[0]];
        tracks.push(Track { journey, attempt, places: same.to_vec() });
    }
    let interrupting = (0..marks.len()).filter(|place| marks[*place].journey.is_empty());
    let interrupting: Vec<usize> = interrupting.collect();
    for at in 0..tracks.len() {
        if tracks[at].attempt != 0 {
            let journey = tracks[at].journey;
            let unnamed = tracks[at..].iter().find(|other| other.journey == journey && other.attempt == 0);
            let shared = |place: &usize| !marks[*place].declared && marks[*place].role != Role::Start;
            let shared: Vec<usize> =
                unnamed.into_iter().flat_map(|track| &track.places).copied().filter(shared).collect();
            tracks[at].places.extend(shared);
        }
        tracks[at].places.extend(&interrupting);
        tracks[at].places.sort_by_key(|place| (marks[*place].order, marks[*place].role.rank(), *place));
    }
    tracks
}

impl Settling<'_> {
    fn grace_ms(&self) -> i64 {
        self.plan.set.settings.grace_ms
    }

    fn marks(&mut self, session: &mut Session) -> Option<i64> {
        if session.marks.is_empty() {
            return None;
        }
        session.marks.wake();
        session.activities.wake();
        let findings = self.look(session);
        for settlement in findings.settlements {
            self.count(session, settlement);
        }
        session.forget_marks(&findings.gone);
        if session.open_attempts() == 0 {
            session.forget_activities(self.log_time_ms, self.grace_ms());
        }
        findings.next_ms
    }

    /// Looks at every journey and attempt id of the session's marks.
    fn look(&mut self, session: &Session) -> Findings {
        let awake = session.marks.awake();
        let none = || vec![false; awake.len()];
        let mut findings = Findings { gone: none(), held: none(), used: none(), ..Findings::default() };
        for track in tracks(awake, &self.pools.texts) {
            self.look_at_track(session, &track, &mut findings);
        }
        for (place, mark) in awake.iter().enumerate().filter(|(_, mark)| mark.journey.is_empty()) {
            let forgotten_ms = mark.append_ms + self.grace_ms();
            if forgotten_ms > self.log_time_ms {
                findings.look_again(forgotten_ms);
            } else {
                findings.gone[place] = !findings.held[place];
            }
        }
        findings
    }

    /// Settles the attempts of one journey and attempt id in their order, as far as they are due.
    fn look_at_track(&mut self, session: &Session, track: &Track, findings: &mut Findings) {
        let Track { journey, attempt, places } = track;
        let marks: Vec<&Mark> = places.iter().map(|place| &session.marks.awake()[*place]).collect();
        let own = |mark: &Mark| mark.journey == *journey && mark.attempt == *attempt;
        let app = marks.iter().find(|mark| own(mark)).map(|mark| mark.context);
        let app = app.map_or("", |context| &self.pools.contexts.get(context).app);
        let rules = self.plan.rules(self.plan.journey(app, *journey));

        let mut in_attempt = vec![false; marks.len()];
        let mut due_ms = i64::MIN;
        for draft in form(&marks, &rules) {
            draft.members.iter().for_each(|member| in_attempt[*member] = true);
            due_ms = due_ms.max(draft.settles_at_ms(&rules));
            if due_ms > self.log_time_ms {
                findings.look_again(due_ms);
                draft.members.iter().for_each(|member| findings.held[places[*member]] = true);
                continue;
            }
            draft.members.iter().for_each(|member| findings.used[places[*member]] = true);
            for member in draft.members.iter().filter(|member| own(marks[**member])) {
                findings.gone[places[*member]] = true;
            }
            findings.settlements.push(self.settlement(session, track, draft, &rules, due_ms));
        }
        for (place, mark) in
            places.iter().zip(&marks).zip(&in_attempt).filter(|(_, is)| !**is).map(|(at, _)| at)
        {
            let forgotten_ms = mark.append_ms + rules.grace_ms;
            if !own(mark) || findings.held[*place] {
                // It is looked at with its own track, or again when the attempt with an id settles that has it.
            } else if forgotten_ms > self.log_time_ms {
                findings.look_again(forgotten_ms);
            } else {
                findings.gone[*place] = true;
                if !findings.used[*place] && (mark.declared || mark.role == Role::Success) {
                    self.cells.mark_not_counted(mark.context, self.log_time_ms, "without_start");
                }
            }
        }
    }

    fn settlement(
        &mut self,
        session: &Session,
        track: &Track,
        draft: Draft<'_>,
        rules: &Rules<'_>,
        due_ms: i64,
    ) -> Settlement {
        Settlement {
            journey: track.journey,
            attempt: track.attempt,
            start: *draft.start,
            end_ms: draft.covers_until_ms(),
            verdict: draft.judge(session.activities.awake(), rules, &mut self.pools.texts),
            arrived_late: draft.arrived_after_ms() > ARRIVED_LATE_MS,
            steps: draft.steps,
            due_ms,
        }
    }

    fn count(&mut self, session: &mut Session, settlement: Settlement) {
        let Settlement { journey, attempt, start, end_ms, verdict, steps, arrived_late, due_ms } = settlement;
        let first = FirstAttempt {
            start_ms: start.order.0,
            route: TextId::EMPTY,
            weight: start.weight,
            context: start.context,
        };
        let counted = Attempt {
            place: self.place(journey, &first),
            session: &session.id,
            outcome: verdict.outcome,
            valid: verdict.valid,
            reason: verdict.reason,
            latency: verdict.latency,
            wait_ms: verdict.wait_ms,
            steps: &steps,
            weight: start.weight,
            arrived_late,
        };
        let bad = counted.is_bad();
        self.cells.attempt(&counted, self.pools);
        self.note(session, journey, first, bad, due_ms + self.grace_ms());
        session.settle(Settled { journey, attempt, start_ms: first.start_ms, end_ms });
    }

    /// Counts the revisable values that nothing has revised for the grace period.
    fn revisions(&mut self, session: &mut Session) -> Option<i64> {
        let mut next_ms: Option<i64> = None;
        let mut place = 0;
        while let Some(revision) = session.revisions.wake().get(place) {
            let due_ms = revision.append_ms + self.grace_ms();
            if due_ms > self.log_time_ms {
                next_ms = Some(next_ms.map_or(due_ms, |next_ms| next_ms.min(due_ms)));
                place += 1;
            } else {
                let revision = session.revisions.wake().remove(place);
                self.count_revision(session, &revision);
            }
        }
        next_ms
    }

    fn count_revision(&mut self, session: &mut Session, revision: &Revision) {
        session.settle_revision(revision.id);
        let first = FirstAttempt {
            start_ms: revision.first_ms,
            route: session.route_of(revision.page).unwrap_or(revision.route),
            weight: revision.weight,
            context: revision.context,
        };
        let attempt = Attempt {
            place: self.place(revision.journey, &first),
            session: &session.id,
            outcome: if revision.success { Outcome::Success } else { Outcome::Failure },
            valid: true,
            reason: revision.reason,
            latency: revision.value.filter(|_: &Value| revision.success),
            wait_ms: None,
            steps: &[],
            weight: revision.weight,
            arrived_late: revision.append_ms - revision.first_ms > ARRIVED_LATE_MS,
        };
        self.cells.attempt(&attempt, self.pools);
        let due_ms = revision.append_ms + 2 * self.grace_ms();
        self.note(session, revision.journey, first, !revision.success, due_ms);
    }

    fn note(
        &mut self,
        session: &mut Session,
        journey: TextId,
        attempt: FirstAttempt,
        bad: bool,
        due_ms: i64,
    ) {
        if !session.note(journey, attempt, bad, due_ms, &self.pools.texts) {
            self.cells.mark_not_counted(attempt.context, self.log_time_ms, "session_limit");
        }
    }

    /// Counts the session for the journeys whose first attempt can no longer be preceded by another.
    fn firsts(&mut self, session: &mut Session) {
        while let Some(DueFirst { journey, bad, attempt }) = session.take_due_first(self.log_time_ms) {
            let place = self.place(journey, &attempt);
            self.cells.session(&place, attempt.weight, bad);
        }
    }

    /// Counts the session as an attempt: its start when that can no longer change, and then what made it bad.
    fn session(&mut self, session: &mut Session) {
        let Some(start) = &mut session.start else { return };
        let first = FirstAttempt {
            start_ms: start.order.0,
            route: TextId::EMPTY,
            weight: start.weight,
            context: start.context,
        };
        if start.due_ms.is_some_and(|due_ms| due_ms <= self.log_time_ms) {
            start.due_ms = None;
            let context = self.pools.contexts.get(start.context);
            for (journey, at) in self.plan.app(&context.app).of_sessions() {
                if self.plan.set.journeys[*at].runs_on(&context.platform) {
                    start.journeys.push(*journey);
                    self.cells.session_started(&self.place(*journey, &first), start.weight);
                }
            }
        }
        if start.due_ms.is_some() {
            return;
        }
        for broken in &mut session.broken {
            if broken.due_ms.is_some_and(|due_ms| due_ms <= self.log_time_ms) {
                broken.due_ms = None;
                if !start.journeys.contains(&broken.journey) {
                    continue;
                }
                let attempt = Attempt {
                    place: self.place(broken.journey, &first),
                    session: &session.id,
                    outcome: Outcome::Failure,
                    valid: true,
                    reason: broken.reason,
                    latency: None,
                    wait_ms: None,
                    steps: &[],
                    weight: start.weight,
                    arrived_late: self.log_time_ms - broken.order.0 > ARRIVED_LATE_MS,
                };
                self.cells.session_broken(&attempt, self.pools);
            }
        }
    }
}

impl<'s> Settling<'s> {
    fn place(&self, journey: TextId, first: &FirstAttempt) -> Place<'s> {
        let app = &self.pools.contexts.get(first.context).app;
        Place {
            context: first.context,
            definition: self.plan.journey(app, journey),
            journey,
            route: first.route,
            start_ms: first.start_ms,
        }
    }
}
