//! Taking a beacon in: what each of its events means to its session, and the name of everything that is not
//! counted.

use schema::beacon::{Beacon, Event, TimeMethod, bounded};
use schema::definition::AttemptKind;
use xxhash_rust::xxh3::xxh3_64;

use super::Arrival;
use super::attempt::Outcome;
use super::cells::{Attempt, Cells, Place, SeenId};
use super::context::Pools;
use super::plan::{AppPlan, Binding, Meaning, Plan, Role};
use super::pool::TextId;
use super::session::{Activity, FirstAttempt, Mark, Order, Repeat, Revision, Session};
use super::settle::ARRIVED_LATE_MS;

/// Events by which an app itself tells of an attempt. Others of the kind are events as any.
const DECLARATIONS: [&str; 7] = [
    "journey.start",
    "journey.step",
    "journey.end",
    "journey.success",
    "journey.failure",
    "journey.cancel",
    "journey.cancelled",
];

/// A beacon and everything that it can change beside its session.
pub(super) struct Intake<'i> {
    pub arrival: &'i Arrival<'i>,
    /// Nothing was remembered of the session before this beacon.
    pub begins: bool,
    pub app: &'i AppPlan,
    pub plan: &'i Plan,
    pub pools: &'i mut Pools,
    pub cells: &'i mut Cells,
}

/// One event on its way into the session.
struct Happening<'h> {
    event: &'h Event<'h>,
    name: TextId,
    order: Order,
}

impl Intake<'_> {
    /// Counts the beacon, or the reason why it is not counted, and takes its events in.
    pub(super) fn take(&mut self, session: &mut Session) {
        let Arrival { beacon, context, log_time_ms, record, .. } = *self.arrival;
        let hash = xxh3_64(beacon.id.as_bytes());
        match session.repeats(hash, log_time_ms, self.plan.duplicate_horizon_ms(beacon.is_web())) {
            Repeat::New => {}
            Repeat::Known => {
                self.cells.quality(context, log_time_ms).duplicates += 1;
                return self.cells.record_not_counted("duplicate");
            }
            Repeat::TooMany => return self.cells.record_not_counted("session_limit"),
        }
        let excluded = if beacon.bot && !self.app.counts_bots() {
            Some("bot")
        } else {
            (!self.app.counts_environment(&beacon.environment)).then_some("environment")
        };
        self.note_quality(session, excluded);
        if let Some(reason) = excluded {
            return self.cells.record_not_counted(reason);
        }
        self.cells.record_counted(beacon.events.len() as u64);
        let oldest_ms = record.append_ms - self.plan.set.settings.late_retention_ms;
        for (place, event) in beacon.events.iter().enumerate() {
            // The log decides: nothing can have happened after the broker had it.
            let time_ms = event.time_ms.min(record.append_ms);
            if time_ms < oldest_ms {
                self.event_not_counted("too_old");
                continue;
            }
            let order = (time_ms, beacon.sequence.unwrap_or(0), place as u32, hash as u32);
            let name = self.pools.texts.intern(&event.name);
            self.take_event(session, &Happening { event, name, order });
        }
    }

    /// Counts what `quality` shows of a beacon that is no duplicate.
    fn note_quality(&mut self, session: &mut Session, excluded: Option<&str>) {
        let beacon: &Beacon<'_> = self.arrival.beacon;
        let quality = self.cells.quality(self.arrival.context, self.arrival.log_time_ms);
        quality.beacons += 1;
        quality.events += beacon.events.len() as u64;
        quality.bots += u64::from(beacon.bot);
        quality.environments += u64::from(excluded == Some("environment"));
        let of_session = u64::from(!session.id.is_empty());
        quality.sessions += of_session * u64::from(self.begins);
        if let Some(sequence) = beacon.sequence {
            quality.sessions_measured += of_session * u64::from(session.sequence_next == 0);
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

    fn take_event(&mut self, session: &mut Session, happening: &Happening<'_>) {
        let Happening { event, name, order } = *happening;
        let Arrival { beacon, context, record, log_time_ms, .. } = *self.arrival;
        let grace_ms = self.plan.set.settings.grace_ms;
        let seen = self.cells.seen(context, name, event, order.0, self.pools);
        if !session.id.is_empty() && !self.app.of_sessions().is_empty() {
            session.begin(order, beacon.weight, context, log_time_ms + grace_ms);
        }
        // A report of the next launch is no sign of life of the session that it names.
        if !is_report(event) {
            let activity =
                Activity { time_ms: order.0, leaving: event.is_leaving(), append_ms: record.append_ms };
            session.heard(activity, grace_ms);
        }
        if DECLARATIONS.contains(&event.name.as_ref()) {
            return self.take_declared(session, happening, seen);
        }
        if event.name == "browser.navigation"
            && let (Some(page), Some(route)) = (event.attribute("id"), event.attribute("route"))
        {
            session.visit(xxh3_64(page.as_bytes()), self.pools.texts.intern(route));
        }
        self.take_bound(session, happening, seen);
        if let Some(recoverable) = interruption(event) {
            let mark = Mark {
                reason: self.reason_of(event),
                ..self.mark(TextId::EMPTY, order, Role::Interruption { recoverable })
            };
            if session.has_settled_any(order.0) {
                // It would have interrupted an attempt that has been counted; others may be open.
                let log_time_ms = self.arrival.log_time_ms;
                self.cells.mark_not_counted(context, log_time_ms, "late");
            }
            self.push_mark(session, mark);
        }
    }

    /// Does what the definitions say of the event.
    fn take_bound(&mut self, session: &mut Session, happening: &Happening<'_>, seen: SeenId) {
        let Happening { event, name, order } = *happening;
        let mut whole_of = None;
        let mut before = None;
        for binding in self.app.bindings(name, event) {
            if !self.plan.set.journeys[binding.journey].runs_on(&self.arrival.beacon.platform) {
                continue;
            }
            // A list of matchers means any of them: what two of them match is one start, one success.
            if before.replace((binding.journey, binding.meaning)) == Some((binding.journey, binding.meaning))
            {
                continue;
            }
            self.cells.matched(seen, binding.name);
            match binding.meaning {
                Meaning::WholeFailure | Meaning::WholeSuccess if whole_of == Some(binding.journey) => {}
                Meaning::WholeFailure | Meaning::WholeSuccess => {
                    whole_of = Some(binding.journey);
                    self.take_whole(session, happening, binding);
                }
                Meaning::BadSession if session.id.is_empty() => {
                    let (context, log_time_ms) = (self.arrival.context, self.arrival.log_time_ms);
                    self.cells.mark_not_counted(context, log_time_ms, "without_session");
                }
                Meaning::BadSession => {
                    let reason = self.reason_of(event);
                    let due_ms = self.arrival.log_time_ms + self.plan.set.settings.grace_ms;
                    session.break_for(binding.name, order, reason, due_ms);
                }
                Meaning::Mark(role) => {
                    let reason = match role {
                        Role::Failure { .. } => self.reason_of(event),
                        Role::Cancel => self.given_reason(event),
                        Role::Start | Role::Step(_) | Role::Success | Role::Interruption { .. } => {
                            TextId::EMPTY
                        }
                    };
                    let mark = Mark { reason, ..self.mark(binding.name, order, role) };
                    self.push_mark(session, mark);
                }
            }
        }
    }

    /// An event by which the app itself tells of an attempt.
    fn take_declared(&mut self, session: &mut Session, happening: &Happening<'_>, seen: SeenId) {
        let Happening { event, order, .. } = *happening;
        let Some(name) = event.attribute("journey").or_else(|| event.attribute("journey.name")) else {
            return self.event_not_counted("journey_without_name");
        };
        let Some(role) = self.declared_role(event) else {
            return self.event_not_counted("unknown_outcome");
        };
        let journey = self.pools.texts.intern(bounded(name));
        if let Some(at) = self.app.journey(journey) {
            let definition = &self.plan.set.journeys[at];
            match definition.attempt {
                AttemptKind::Journey => {}
                AttemptKind::Event => return self.event_not_counted("journey_of_one_event"),
                AttemptKind::Session => return self.event_not_counted("journey_is_the_session"),
            }
            if !definition.runs_on(&self.arrival.beacon.platform) {
                return self.event_not_counted("other_platform");
            }
        }
        self.cells.matched(seen, journey);
        let reason = match role {
            Role::Failure { .. } | Role::Cancel => self.given_reason(event),
            Role::Start | Role::Step(_) | Role::Success | Role::Interruption { .. } => TextId::EMPTY,
        };
        let attempt = event.attribute("attempt").map_or(0, |attempt| xxh3_64(attempt.as_bytes()).max(1));
        let mark =
            Mark { attempt, reason, declared: true, value: event.value, ..self.mark(journey, order, role) };
        self.push_mark(session, mark);
    }

    /// What a `journey.*` event says; `None` for an outcome that the glossary does not have.
    fn declared_role(&mut self, event: &Event<'_>) -> Option<Role> {
        let by_outcome = |outcome: &str| match outcome {
            "success" => Some(Role::Success),
            "failure" => Some(Role::Failure { recoverable: false }),
            "cancel" | "cancelled" => Some(Role::Cancel),
            _ => None,
        };
        match event.name.as_ref() {
            "journey.start" => Some(Role::Start),
            "journey.step" => {
                event.attribute("step").map(|step| Role::Step(self.pools.texts.intern(bounded(step))))
            }
            "journey.end" => event.attribute("outcome").and_then(by_outcome),
            name => name.strip_prefix("journey.").and_then(by_outcome),
        }
    }

    /// A mark of this beacon, without what only some have.
    fn mark(&self, journey: TextId, order: Order, role: Role) -> Mark {
        Mark {
            journey,
            attempt: 0,
            order,
            role,
            declared: false,
            append_ms: self.arrival.record.append_ms,
            reason: TextId::EMPTY,
            value: None,
            weight: self.arrival.beacon.weight,
            context: self.arrival.context,
        }
    }

    fn push_mark(&mut self, session: &mut Session, mark: Mark) {
        let Arrival { context, log_time_ms, .. } = *self.arrival;
        if session.has_settled(mark.journey, mark.attempt, mark.order.0) {
            self.cells.mark_not_counted(context, log_time_ms, "late");
        } else if session.marks.len() >= self.plan.set.settings.session_marks_max {
            self.cells.mark_not_counted(context, log_time_ms, "session_limit");
        } else {
            session.mark(mark);
        }
    }

    /// An event that is a whole attempt: counted at once, or held while its value may be revised.
    fn take_whole(&mut self, session: &mut Session, happening: &Happening<'_>, binding: &Binding) {
        let Happening { event, order, .. } = *happening;
        let Arrival { beacon, context, record, log_time_ms, .. } = *self.arrival;
        let journey = &self.plan.set.journeys[binding.journey];
        let success = binding.meaning == Meaning::WholeSuccess;
        let reason = if success { TextId::EMPTY } else { self.reason_of(event) };
        let route = self.pools.texts.intern(event.attribute("route").unwrap_or_default());
        if let Some(id) = journey.revised_by.as_deref().and_then(|attribute| event.attribute(attribute)) {
            let revision = Revision {
                journey: binding.name,
                id: xxh3_64(id.as_bytes()) ^ self.pools.texts.hash(binding.name),
                order,
                first_ms: order.0,
                append_ms: record.append_ms,
                success,
                reason,
                value: event.value,
                route,
                page: event.attribute("navigation").map_or(0, |page| xxh3_64(page.as_bytes())),
                weight: beacon.weight,
                context,
            };
            return self.revise(session, revision);
        }
        let attempt = Attempt {
            place: Place {
                context,
                definition: Some(journey),
                journey: binding.name,
                route,
                start_ms: order.0,
            },
            session: &session.id,
            outcome: if success { Outcome::Success } else { Outcome::Failure },
            valid: true,
            reason,
            latency: event.value.filter(|_| success),
            wait_ms: None,
            steps: &[],
            weight: beacon.weight,
            arrived_late: record.append_ms - order.0 > ARRIVED_LATE_MS,
        };
        self.cells.attempt(&attempt, self.pools);
        let first = FirstAttempt { start_ms: order.0, route, weight: beacon.weight, context };
        let due_ms = log_time_ms + self.plan.set.settings.grace_ms;
        if !session.note(binding.name, first, !success, due_ms, &self.pools.texts) {
            self.cells.mark_not_counted(context, log_time_ms, "session_limit");
        }
    }

    /// Holds the first value of an id, or lets the later event of the two decide.
    fn revise(&mut self, session: &mut Session, new: Revision) {
        let Arrival { context, log_time_ms, .. } = *self.arrival;
        if session.holds_revision(new.id)
            && let Some(held) = session.revisions.wake().iter_mut().find(|held| held.id == new.id)
        {
            let first_ms = held.first_ms.min(new.first_ms);
            let append_ms = held.append_ms.max(new.append_ms);
            if new.order > held.order {
                *held = new;
            }
            (held.first_ms, held.append_ms) = (first_ms, append_ms);
        } else if session.has_settled_revision(new.id) {
            self.cells.mark_not_counted(context, log_time_ms, "late");
        } else if session.revisions.len() >= self.plan.set.settings.session_marks_max {
            self.cells.mark_not_counted(context, log_time_ms, "session_limit");
        } else {
            session.revisions.push(new);
        }
    }

    fn event_not_counted(&mut self, reason: &'static str) {
        self.cells.event_not_counted(self.arrival.context, self.arrival.log_time_ms, reason);
    }

    /// The reason that an event itself gives.
    fn given_reason(&mut self, event: &Event<'_>) -> TextId {
        self.pools.texts.intern(bounded(event.attribute("reason").unwrap_or_default()))
    }

    /// Why a failure event is one, from its own attributes.
    fn reason_of(&mut self, event: &Event<'_>) -> TextId {
        let attribute = |name| event.attribute(name).unwrap_or_default();
        let text = match event.name.as_ref() {
            _ if event.attribute("reason").is_some() => attribute("reason").to_owned(),
            "http.client" => format!("http {} {}", attribute("status"), attribute("route")),
            "exception" => format!("exception {}", attribute("type")),
            name => match name.strip_prefix("app.") {
                Some(what) => format!("{what} {}", attribute("type")),
                None => name.to_owned(),
            },
        };
        self.pools.texts.intern(bounded(text.trim_end()))
    }
}

/// Whether an event reports something of a session that is over, from the app's next launch.
fn is_report(event: &Event<'_>) -> bool {
    event.name.starts_with("app.") && event.attribute("session").is_some()
}

/// Whether an event tells that the app broke, and whether it may have gone on.
fn interruption(event: &Event<'_>) -> Option<bool> {
    match event.name.as_ref() {
        "app.crash" | "app.kill" => Some(false),
        "app.anr" => Some(true),
        _ => None,
    }
}
