//! Settling: what can no longer change leaves the session's memory and is counted.

use std::sync::Arc;

use schema::value::Value;

use super::attempt::{Outcome, Verdict, form};
use super::cells::{Attempt, Cells, Place};
use super::context::Context;
use super::plan::{Plan, Role};
use super::session::{DueFirst, Mark, Revision, Session};

/// An attempt whose last record came longer than this after its end has arrived late.
pub(super) const ARRIVED_LATE_MS: i64 = 3_600_000;

/// An attempt that is decided.
struct Settlement {
    journey: Arc<str>,
    attempt: u64,
    start_ms: i64,
    end_ms: i64,
    verdict: Verdict,
    steps: Vec<(Arc<str>, u64)>,
    weight: u32,
    context: Arc<Context>,
    arrived_late: bool,
    /// When it settled, had log time not jumped over that instant.
    due_ms: i64,
}

/// What looking at a session's marks found.
#[derive(Default)]
struct Findings {
    settlements: Vec<Settlement>,
    /// Places of marks that are done with.
    gone: Vec<usize>,
    next_ms: Option<i64>,
}

/// Settles what is due at `log_time_ms`; returns when to look again.
pub(super) fn settle(session: &mut Session, log_time_ms: i64, plan: &Plan, cells: &mut Cells) -> Option<i64> {
    let next_revision_ms = settle_revisions(session, log_time_ms, plan, cells);
    let next_mark_ms = settle_marks(session, log_time_ms, plan, cells);
    let next_first_ms = count_firsts(session, log_time_ms, plan, cells);
    [next_revision_ms, next_mark_ms, next_first_ms].into_iter().flatten().min()
}

fn settle_marks(session: &mut Session, log_time_ms: i64, plan: &Plan, cells: &mut Cells) -> Option<i64> {
    if session.marks.is_empty() {
        return None;
    }
    let grace_ms = plan.set.settings.grace_ms;
    let findings = look(session, log_time_ms, plan, cells);
    for settlement in findings.settlements {
        count(session, settlement, plan, cells);
    }
    let mut gone = findings.gone;
    gone.sort_unstable();
    let mut place = 0;
    session.marks.retain(|_| {
        place += 1;
        gone.binary_search(&(place - 1)).is_err()
    });
    if session.marks.is_empty() {
        session.activities.retain(|activity| activity.append_ms + grace_ms > log_time_ms);
        session.activities.shrink_to_fit();
        session.marks.shrink_to_fit();
    }
    findings.next_ms
}

/// Counts the session for the journeys whose first attempt can no longer be preceded by another.
fn count_firsts(session: &mut Session, log_time_ms: i64, plan: &Plan, cells: &mut Cells) -> Option<i64> {
    let (due, next_ms) = session.due_firsts(log_time_ms);
    for DueFirst { journey, bad, attempt } in due {
        let place = Place {
            context: &attempt.context,
            definition: plan.journey(&attempt.context.app, &journey),
            journey: &journey,
            route: &attempt.route,
            start_ms: attempt.start_ms,
        };
        cells.session(&place, attempt.weight, bad);
    }
    next_ms
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Looks at every journey and attempt id of the session's marks. Marks without attempt id come last, since
/// they may belong to an attempt with one.
fn look(session: &Session, log_time_ms: i64, plan: &Plan, cells: &mut Cells) -> Findings {
    let mut tracks: Vec<(&Arc<str>, u64)> =
        session.marks.iter().map(|mark| (&mark.journey, mark.attempt)).collect();
    tracks.sort_by(|a, b| (a.0, a.1 == 0, a.1).cmp(&(b.0, b.1 == 0, b.1)));
    tracks.dedup();
    let mut findings = Findings::default();
    for (at, (journey, attempt)) in tracks.iter().enumerate() {
        let named_attempt_open = *attempt == 0
            && tracks[..at].iter().any(|(other, _)| other == journey)
            && session.marks.iter().enumerate().any(|(place, mark)| {
                mark.journey == **journey && mark.attempt != 0 && !findings.gone.contains(&place)
            });
        look_at_track(
            session,
            (journey, *attempt),
            named_attempt_open,
            log_time_ms,
            plan,
            &mut findings,
            cells,
        );
    }
    findings
}

/// Settles the attempts of one journey and attempt id in their order, as far as they are due.
fn look_at_track(
    session: &Session,
    (journey, attempt): (&Arc<str>, u64),
    named_attempt_open: bool,
    log_time_ms: i64,
    plan: &Plan,
    findings: &mut Findings,
    cells: &mut Cells,
) {
    let mut places: Vec<usize> =
        (0..session.marks.len()).filter(|place| belongs(&session.marks[*place], journey, attempt)).collect();
    places.sort_by(|a, b| {
        let (a, b) = (&session.marks[*a], &session.marks[*b]);
        (&a.order, &a.role).cmp(&(&b.order, &b.role))
    });
    let marks: Vec<&Mark> = places.iter().map(|place| &session.marks[*place]).collect();
    let app = marks.first().map_or("", |mark| mark.context.app.as_ref());
    let rules = plan.rules(plan.journey(app, journey));

    let mut in_attempt = vec![false; marks.len()];
    let mut due_ms = i64::MIN;
    for draft in form(&marks, &rules) {
        for member in &draft.members {
            in_attempt[*member] = true;
        }
        due_ms = due_ms.max(draft.settles_at_ms(&rules));
        if due_ms > log_time_ms {
            findings.next_ms = earlier(findings.next_ms, Some(due_ms));
            continue;
        }
        let own = |member: &&usize| session.marks[places[**member]].attempt == attempt;
        findings.gone.extend(draft.members.iter().filter(own).map(|member| places[*member]));
        findings.settlements.push(Settlement {
            journey: Arc::clone(journey),
            attempt,
            start_ms: draft.start.order.0,
            end_ms: draft.covers_until_ms(),
            verdict: draft.judge(&session.activities, &rules),
            weight: draft.start.weight,
            context: Arc::clone(&draft.start.context),
            arrived_late: draft.arrived_after_ms() > ARRIVED_LATE_MS,
            steps: draft.steps,
            due_ms,
        });
    }
    for (mark, place) in marks
        .iter()
        .zip(&places)
        .zip(&in_attempt)
        .filter(|(_, in_attempt)| !**in_attempt)
        .map(|(pair, _)| pair)
    {
        let forgotten_ms = mark.append_ms + rules.grace_ms;
        if mark.attempt != attempt || named_attempt_open {
            // An attempt with an id may need it: it is looked at again when that one settles.
        } else if forgotten_ms > log_time_ms {
            findings.next_ms = earlier(findings.next_ms, Some(forgotten_ms));
        } else {
            findings.gone.push(*place);
            if mark.declared || mark.role == Role::Success {
                cells.mark_not_counted(&mark.context, log_time_ms, "without_start");
            }
        }
    }
}

/// Whether a mark is looked at for this attempt id: its own, and what no app declared and may hit any attempt.
fn belongs(mark: &Mark, journey: &str, attempt: u64) -> bool {
    let shared = mark.attempt == 0 && !mark.declared && mark.role != Role::Start;
    mark.journey.as_ref() == journey && (mark.attempt == attempt || shared)
}

fn count(session: &mut Session, settlement: Settlement, plan: &Plan, cells: &mut Cells) {
    let Settlement {
        journey,
        attempt,
        start_ms,
        end_ms,
        verdict,
        steps,
        weight,
        context,
        arrived_late,
        due_ms,
    } = settlement;
    let id = Arc::clone(&session.id);
    let counted = Attempt {
        place: Place {
            context: &context,
            definition: plan.journey(&context.app, &journey),
            journey: &journey,
            route: "",
            start_ms,
        },
        session: &id,
        outcome: verdict.outcome,
        valid: verdict.valid,
        reason: &verdict.reason,
        latency: verdict.latency,
        wait_ms: verdict.wait_ms,
        steps: &steps,
        weight,
        arrived_late,
    };
    cells.attempt(&counted);
    session.note(&counted, due_ms + plan.set.settings.grace_ms);
    session.settle(journey, attempt, start_ms, end_ms);
}

/// Counts the revisable values that nothing has revised for the grace period.
fn settle_revisions(session: &mut Session, log_time_ms: i64, plan: &Plan, cells: &mut Cells) -> Option<i64> {
    let grace_ms = plan.set.settings.grace_ms;
    let mut next_ms = None;
    let mut place = 0;
    while let Some(revision) = session.revisions.get(place) {
        let due_ms = revision.append_ms + grace_ms;
        if due_ms > log_time_ms {
            next_ms = earlier(next_ms, Some(due_ms));
            place += 1;
        } else {
            let revision = session.revisions.remove(place);
            count_revision(session, &revision, plan, cells);
        }
    }
    next_ms
}

fn count_revision(session: &mut Session, revision: &Revision, plan: &Plan, cells: &mut Cells) {
    session.settle_revision(revision.id);
    let route = session.route_of(revision.page).unwrap_or_else(|| Arc::clone(&revision.route));
    let id = Arc::clone(&session.id);
    let attempt = Attempt {
        place: Place {
            context: &revision.context,
            definition: plan.journey(&revision.context.app, &revision.journey),
            journey: &revision.journey,
            route: &route,
            start_ms: revision.first_ms,
        },
        session: &id,
        outcome: if revision.success { Outcome::Success } else { Outcome::Failure },
        valid: true,
        reason: revision.reason.as_deref().unwrap_or_default(),
        latency: revision.value.filter(|_: &Value| revision.success),
        wait_ms: None,
        steps: &[],
        weight: revision.weight,
        arrived_late: revision.append_ms - revision.first_ms > ARRIVED_LATE_MS,
    };
    cells.attempt(&attempt);
    session.note(&attempt, revision.append_ms + 2 * plan.set.settings.grace_ms);
}
