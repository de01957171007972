//! All sessions of a partition: taking a beacon in, and looking again at what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use schema::beacon::{Beacon, Event, TimeMethod, bounded};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::Arrival;
use super::attempt::Outcome;
use super::cells::{Attempt, Cells, Place, SeenId};
use super::plan::{AppPlan, Binding, Meaning, Plan, Role};
use super::session::{Activity, Mark, Order, Revision, Session};
use super::settle::{ARRIVED_LATE_MS, settle};

/// Every session that is remembered.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_key: FxHashMap<u128, Session>,
    /// When to look at a session next. An entry that is not the session's current timer is stale.
    timers: BinaryHeap<Reverse<(i64, u128)>>,
    /// When a session may be forgotten; looked at again when it was heard of since.
    expiries: BinaryHeap<Reverse<(i64, u128)>>,
    open_marks: usize,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn open_marks(&self) -> usize {
        self.open_marks
    }

    /// Whether the session that began at `born` is still remembered.
    pub(super) fn lives_since(&self, key: u128, born: i64) -> bool {
        self.by_key.get(&key).is_some_and(|session| session.born == born)
    }

    /// Settles everything that is due at `log_time_ms`.
    pub(super) fn settle_due(&mut self, log_time_ms: i64, plan: &Plan, cells: &mut Cells) {
        while let Some(Reverse((due_ms, key))) = self.timers.peek().copied()
            && due_ms <= log_time_ms
        {
            self.timers.pop();
            let Some(session) = self.by_key.get_mut(&key).filter(|session| session.timer_ms == due_ms) else {
                continue;
            };
            let open_before = session.open_marks();
            session.timer_ms = i64::MAX;
            if let Some(next_ms) = settle(session, log_time_ms, plan, cells) {
                session.timer_ms = next_ms;
                self.timers.push(Reverse((next_ms, key)));
            }
            self.open_marks -= open_before - session.open_marks();
        }
    }

    /// Has every session with something open looked at with the next record, and every living one remembered
    /// for as long as the new rules need: the rules have changed.
    pub(super) fn change_rules(&mut self, log_time_ms: i64, plan: &Plan) {
        for (key, session) in self.by_key.iter_mut().filter(|(_, session)| session.expires_ms > log_time_ms) {
            let open_until_ms = log_time_ms + plan.open_horizon_ms();
            session.expires_ms = session.expires_ms.max(open_until_ms);
            if session.timer_ms != i64::MAX {
                session.timer_ms = log_time_ms;
                self.timers.push(Reverse((log_time_ms, *key)));
            }
        }
    }

    /// Forgets the sessions of which nothing was heard for their horizon.
    pub(super) fn drop_expired(&mut self, log_time_ms: i64) {
        while let Some(Reverse((at_ms, key))) = self.expiries.peek().copied()
            && at_ms <= log_time_ms
        {
            self.expiries.pop();
            let Some(session) = self.by_key.get(&key) else { continue };
            if session.expires_ms > log_time_ms {
                self.expiries.push(Reverse((session.expires_ms, key)));
            } else {
                self.open_marks -= session.open_marks();
                self.by_key.remove(&key);
            }
        }
    }

    /// Takes a beacon into its session; returns the session's key when the beacon began it.
    pub(super) fn take(&mut self, arrival: &Arrival<'_>, plan: &Plan, cells: &mut Cells) -> Option<u128> {
        let (beacon, log_time_ms) = (arrival.beacon, arrival.log_time_ms);
        let key = xxh3_128_with_seed(arrival.record.key, xxh3_64(beacon.app.as_bytes()));
        let born = arrival.record.offset;
        let expires_ms = log_time_ms + plan.session_horizon_ms(beacon.is_web());
        let mut is_born = false;
        let session = self.by_key.entry(key).or_insert_with(|| {
            is_born = true;
            Session::new(born, &beacon.session)
        });
        if !is_born && session.expires_ms <= log_time_ms {
            self.open_marks -= session.open_marks();
            *session = Session::new(born, &beacon.session);
            is_born = true;
        }
        if is_born {
            self.expiries.push(Reverse((expires_ms, key)));
        }
        session.expires_ms = session.expires_ms.max(expires_ms);

        let open_before = session.open_marks();
        admit(session, arrival, plan, cells);
        let opened = session.open_marks() - open_before;
        self.open_marks += opened;
        if let Some(look_ms) = session.look_at_ms(log_time_ms, plan.set.settings.grace_ms)
            && look_ms < session.timer_ms
        {
            session.timer_ms = look_ms;
            self.timers.push(Reverse((look_ms, key)));
        }
        is_born.then_some(key)
    }
}

/// Counts a beacon, or the reason why it is not counted, and takes its events in.
fn admit(session: &mut Session, arrival: &Arrival<'_>, plan: &Plan, cells: &mut Cells) {
    let Arrival { beacon, context, log_time_ms, .. } = arrival;
    let hash = xxh3_64(beacon.id.as_bytes());
    if session.repeats(hash, *log_time_ms, plan.duplicate_horizon_ms(beacon.is_web())) {
        cells.quality(context, *log_time_ms).duplicates += 1;
        cells.record_not_counted("duplicate");
        return;
    }
    let app = plan.app(&beacon.app);
    let excluded = if beacon.bot && !app.counts_bots() {
        Some("bot")
    } else {
        (!app.counts_environment(&beacon.environment)).then_some("environment")
    };
    note_quality(session, arrival, excluded, cells);
    if let Some(reason) = excluded {
        cells.record_not_counted(reason);
        return;
    }
    cells.record_counted(beacon.events.len() as u64);
    let oldest_ms = arrival.record.append_ms - plan.set.settings.late_retention_ms;
    for (place, event) in beacon.events.iter().enumerate() {
        // The log decides: nothing can have happened after the broker had it.
        let time_ms = event.time_ms.min(arrival.record.append_ms);
        if time_ms < oldest_ms {
            cells.event_not_counted(context, *log_time_ms, "too_old");
            continue;
        }
        let order = (time_ms, beacon.sequence.unwrap_or(0), place as u32, hash);
        take_event(session, &Happening { arrival, event, order }, app, plan, cells);
    }
}

/// Counts what `quality` shows of a beacon that is no duplicate.
fn note_quality(session: &mut Session, arrival: &Arrival<'_>, excluded: Option<&str>, cells: &mut Cells) {
    let beacon: &Beacon<'_> = arrival.beacon;
    let quality = cells.quality(&arrival.context, arrival.log_time_ms);
    quality.beacons += 1;
    quality.events += beacon.events.len() as u64;
    quality.bots += u64::from(beacon.bot);
    quality.environments += u64::from(excluded == Some("environment"));
    if let Some(sequence) = beacon.sequence {
        quality.sequence_received += 1;
        quality.sequence_expected += session.beacons_until(sequence);
    }
    let corrected = |event: &&Event<'_>| {
        matches!(event.time_method, TimeMethod::OffsetCorrected | TimeMethod::ClampedToReceived)
    };
    quality.clock_corrected += beacon.events.iter().filter(corrected).count() as u64;
    for (reason, count) in &beacon.rejected {
        *quality.not_counted.entry(reason.to_string()).or_default() += u64::from(*count);
    }
}

/// One event on its way into the session.
struct Happening<'h> {
    arrival: &'h Arrival<'h>,
    event: &'h Event<'h>,
    order: Order,
}

fn take_event(
    session: &mut Session,
    happening: &Happening<'_>,
    app: &AppPlan,
    plan: &Plan,
    cells: &mut Cells,
) {
    let Happening { arrival, event, order } = happening;
    let activity =
        Activity { order: *order, append_ms: arrival.record.append_ms, leaving: event.is_leaving() };
    session.heard(activity, plan.set.settings.grace_ms);
    let seen = cells.seen(&arrival.context, event, order.0);
    if event.name.starts_with("journey.") {
        take_declared(session, happening, app, plan, cells, seen);
        return;
    }
    if event.name == "browser.navigation"
        && let (Some(page), Some(route)) = (event.attribute("id"), event.attribute("route"))
    {
        session.visit(xxh3_64(page.as_bytes()), route);
    }
    let mut whole_of = None;
    for binding in app.bindings(event) {
        cells.matched(seen, &binding.name);
        match &binding.meaning {
            Meaning::WholeFailure | Meaning::WholeSuccess if whole_of == Some(binding.journey) => {}
            Meaning::WholeFailure | Meaning::WholeSuccess => {
                whole_of = Some(binding.journey);
                take_whole(session, happening, binding, plan, cells);
            }
            Meaning::Mark(role) => {
                let mark = Mark {
                    journey: binding.name.clone(),
                    attempt: 0,
                    order: *order,
                    role: role.clone(),
                    declared: false,
                    append_ms: arrival.record.append_ms,
                    reason: match role {
                        Role::Failure { .. } => Some(reason_of(event).into_boxed_str()),
                        Role::Cancel => event.attribute("reason").map(|reason| bounded(reason).into()),
                        Role::Start | Role::Step(_) | Role::Success => None,
                    },
                    value: None,
                    weight: arrival.beacon.weight,
                    context: arrival.context.clone(),
                };
                push_mark(session, mark, happening, plan, cells);
            }
        }
    }
}

/// An event by which the app itself tells of an attempt.
fn take_declared(
    session: &mut Session,
    happening: &Happening<'_>,
    app: &AppPlan,
    plan: &Plan,
    cells: &mut Cells,
    seen: SeenId,
) {
    let Happening { arrival, event, order } = happening;
    let refuse = |cells: &mut Cells, reason| {
        cells.event_not_counted(&arrival.context, arrival.log_time_ms, reason);
    };
    let Some(name) = event.attribute("journey").or_else(|| event.attribute("journey.name")) else {
        return refuse(cells, "journey_without_name");
    };
    let Some(role) = declared_role(event) else {
        return refuse(cells, "unknown_outcome");
    };
    if app.journey(name).is_some_and(|at| plan.set.journeys[at].is_single_event()) {
        return refuse(cells, "journey_of_one_event");
    }
    cells.matched(seen, bounded(name));
    let mark = Mark {
        journey: bounded(name).into(),
        attempt: event.attribute("attempt").map_or(0, |attempt| xxh3_64(attempt.as_bytes()).max(1)),
        order: *order,
        reason: event
            .attribute("reason")
            .filter(|_| matches!(role, Role::Failure { .. } | Role::Cancel))
            .map(|reason| bounded(reason).into()),
        role,
        declared: true,
        append_ms: arrival.record.append_ms,
        value: event.value,
        weight: arrival.beacon.weight,
        context: arrival.context.clone(),
    };
    push_mark(session, mark, happening, plan, cells);
}

/// What a `journey.*` event says; `None` for an outcome that the glossary does not have.
fn declared_role(event: &Event<'_>) -> Option<Role> {
    let by_outcome = |outcome: &str| match outcome {
        "success" => Some(Role::Success),
        "failure" => Some(Role::Failure { recoverable: false }),
        "cancel" | "cancelled" => Some(Role::Cancel),
        _ => None,
    };
    match event.name.as_ref() {
        "journey.start" => Some(Role::Start),
        "journey.step" => event.attribute("step").map(|step| Role::Step(bounded(step).into())),
        "journey.end" => event.attribute("outcome").and_then(by_outcome),
        name => name.strip_prefix("journey.").and_then(by_outcome),
    }
}

fn push_mark(session: &mut Session, mark: Mark, happening: &Happening<'_>, plan: &Plan, cells: &mut Cells) {
    let Happening { arrival, order, .. } = happening;
    if session.has_settled(&mark.journey, mark.attempt, order.0) {
        cells.mark_not_counted(&arrival.context, arrival.log_time_ms, "late");
    } else if session.marks.len() >= plan.set.settings.session_marks_max {
        cells.mark_not_counted(&arrival.context, arrival.log_time_ms, "session_limit");
    } else {
        session.marks.push(mark);
    }
}

/// An event that is a whole attempt: counted at once, or held while its value may be revised.
fn take_whole(
    session: &mut Session,
    happening: &Happening<'_>,
    binding: &Binding,
    plan: &Plan,
    cells: &mut Cells,
) {
    let Happening { arrival, event, order } = happening;
    let journey = &plan.set.journeys[binding.journey];
    let success = binding.meaning == Meaning::WholeSuccess;
    let reason = if success { None } else { Some(reason_of(event).into_boxed_str()) };
    if let Some(id) = journey.revised_by.as_deref().and_then(|attribute| event.attribute(attribute)) {
        let id = xxh3_64(id.as_bytes()) ^ xxh3_64(journey.name.as_bytes());
        let revision = Revision {
            journey: binding.name.clone(),
            id,
            order: *order,
            first_ms: order.0,
            append_ms: arrival.record.append_ms,
            success,
            reason,
            value: event.value,
            route: event.attribute("route").unwrap_or_default().into(),
            page: event.attribute("navigation").map_or(0, |page| xxh3_64(page.as_bytes())),
            weight: arrival.beacon.weight,
            context: arrival.context.clone(),
        };
        return revise(session, revision, happening, plan, cells);
    }
    let id = Arc::clone(&session.id);
    let attempt = Attempt {
        place: Place {
            context: &arrival.context,
            definition: Some(journey),
            journey: &binding.name,
            route: event.attribute("route").unwrap_or_default(),
            start_ms: order.0,
        },
        session: &id,
        outcome: if success { Outcome::Success } else { Outcome::Failure },
        valid: true,
        reason: reason.as_deref().unwrap_or_default(),
        latency: event.value.filter(|_| success),
        wait_ms: None,
        steps: &[],
        weight: arrival.beacon.weight,
        arrived_late: arrival.record.append_ms - order.0 > ARRIVED_LATE_MS,
    };
    cells.attempt(&attempt);
    session.note(&attempt, arrival.log_time_ms + plan.set.settings.grace_ms);
}

/// Holds the first value of an id, or lets the later event of the two decide.
fn revise(session: &mut Session, new: Revision, happening: &Happening<'_>, plan: &Plan, cells: &mut Cells) {
    let Happening { arrival, .. } = happening;
    if let Some(held) = session.revisions.iter_mut().find(|held| held.id == new.id) {
        let first_ms = held.first_ms.min(new.first_ms);
        let append_ms = held.append_ms.max(new.append_ms);
        if new.order > held.order {
            *held = new;
        }
        (held.first_ms, held.append_ms) = (first_ms, append_ms);
    } else if session.has_settled_revision(new.id) {
        cells.mark_not_counted(&arrival.context, arrival.log_time_ms, "late");
    } else if session.revisions.len() >= plan.set.settings.session_marks_max {
        cells.mark_not_counted(&arrival.context, arrival.log_time_ms, "session_limit");
    } else {
        session.revisions.push(new);
    }
}

/// Why a failure event is one, from its own attributes.
fn reason_of(event: &Event<'_>) -> String {
    let attribute = |name| event.attribute(name).unwrap_or_default();
    let text = match event.name.as_ref() {
        _ if event.attribute("reason").is_some() => attribute("reason").to_owned(),
        "http.client" => format!("http {} {}", attribute("status"), attribute("route")),
        "exception" => format!("exception {}", attribute("type")),
        name => name.to_owned(),
    };
    bounded(text.trim_end()).to_owned()
}
