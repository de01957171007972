//! What the engine remembers of one session, and nothing else remembers anything.
//!
//! This is a session at work: the one that a record or a timer concerns. The others are at rest, as bytes
//! ([`super::rest`]).

use schema::value::Value;

use super::codec::Damaged;
use super::context::ContextId;
use super::kept::Kept;
use super::plan::Role;
use super::pool::{TextId, Texts};
use super::rest::holds_revision;

/// Activities above which those that nothing can need any more are looked for.
const ACTIVITIES_TIDY: usize = 64;
/// Settled ranges and ids that a session remembers, so that what comes after settling is known as late.
const SETTLED_MAX: usize = 256;
/// Pages whose route a session remembers.
const PAGES_MAX: usize = 64;
/// Activities that a session remembers.
const ACTIVITIES_MAX: usize = 65_536;
/// Journeys that a session counts for; an app may declare any number.
const COUNTED_MAX: usize = 256;
/// A sequence number this much greater than the last does not go on from it: nothing says that so many were lost.
const SEQUENCE_JUMP_MAX: u64 = 1_000;
/// Beacon ids above which expired ones are looked for.
const BEACON_IDS_TIDY: usize = 64;
/// Beacons of one session within the duplicate horizon; more are not counted, as `session_limit`.
pub(super) const SESSION_BEACONS_MAX: usize = 4_096;

/// One session's memory. It lives from the session's first record until no record came for the horizon.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Session {
    /// The client's session id, empty where beacons have none.
    pub id: String,
    /// Greatest sequence number so far and one; 0 before the first.
    pub(super) sequence_next: u64,
    /// Hash of a beacon's id, and the log time at which it was last seen.
    pub(super) beacons: Vec<(u64, i64)>,
    pub activities: Kept<Activity>,
    pub(super) marks: Kept<Mark>,
    pub(super) revisions: Kept<Revision>,
    /// Starts among the marks.
    pub(super) open_starts: usize,
    pub(super) settled: Vec<Settled>,
    pub(super) settled_revisions: Vec<u64>,
    /// Hash of a page's id, and its route.
    pub(super) pages: Vec<(u64, TextId)>,
    pub(super) counted: Vec<Counted>,
    pub start: Option<SessionStart>,
    pub broken: Vec<Broken>,
}

/// The order of events within a session: time, then the beacon's sequence, then the place in the beacon. A hash
/// of the beacon comes last, so that events which nothing else orders have one order all the same.
pub(super) type Order = (i64, u64, u32, u32);

/// Something was heard of the session. Of two at the same time the one that stays comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activity {
    pub time_ms: i64,
    pub leaving: bool,
    pub append_ms: i64,
}

/// An event that means something to an attempt which has not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Empty for what interrupts every journey.
    pub journey: TextId,
    /// Hash of the attempt's id, 0 where the app gives none.
    pub attempt: u64,
    pub order: Order,
    pub role: Role,
    /// The app said so itself, by a `journey.*` event.
    pub declared: bool,
    pub append_ms: i64,
    pub reason: TextId,
    /// The client's own duration since the start.
    pub value: Option<Value>,
    pub weight: u32,
    pub context: ContextId,
}

/// A journey of one event whose value may still be revised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Revision {
    pub journey: TextId,
    /// Hash of journey and id.
    pub id: u64,
    /// The latest of its events so far.
    pub order: Order,
    /// Time of the earliest.
    pub first_ms: i64,
    pub append_ms: i64,
    pub success: bool,
    pub reason: TextId,
    pub value: Option<Value>,
    pub route: TextId,
    /// Hash of the page that it measured, 0 where it does not say.
    pub page: u64,
    pub weight: u32,
    pub context: ContextId,
}

/// The time that a settled attempt covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    pub journey: TextId,
    pub attempt: u64,
    pub start_ms: i64,
    pub end_ms: i64,
}

/// Whether a session has been counted for a journey, as a session and as a hurt one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub journey: TextId,
    pub first: First,
    pub first_bad: First,
}

/// The earliest attempt of a session and journey, of all or of the bad ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    None,
    /// It counts where it is at `due_ms`, unless an earlier one comes.
    Held {
        attempt: FirstAttempt,
        due_ms: i64,
    },
    Counted,
}

/// Where an attempt that is the first of its session counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FirstAttempt {
    pub start_ms: i64,
    pub route: TextId,
    pub weight: u32,
    pub context: ContextId,
}

/// The first attempt, or the first bad one, of a session and journey that is to be counted now.
#[derive(Debug)]
pub(super) struct DueFirst {
    pub journey: TextId,
    pub bad: bool,
    pub attempt: FirstAttempt,
}

/// Where the session counts as an attempt: its earliest event among what came within the grace period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionStart {
    pub order: Order,
    pub weight: u32,
    pub context: ContextId,
    /// Log time at which it counts; `None` when it has counted.
    pub due_ms: Option<i64>,
    /// Journeys that it counted for.
    pub journeys: Vec<TextId>,
}

/// The earliest event that makes the session bad for a journey whose attempts are sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    pub journey: TextId,
    pub order: Order,
    pub reason: TextId,
    /// Log time at which it counts; `None` when it has counted.
    pub due_ms: Option<i64>,
}

/// What a beacon's id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It was not there within the horizon.
    New,
    /// It was.
    Known,
    /// The session has too many to remember one more.
    TooMany,
}

impl First {
    /// Holds the attempt when it is earlier than the one that is held.
    fn offer(&mut self, offered: FirstAttempt, due_ms: i64, texts: &Texts) {
        let is_before = |held: &FirstAttempt| {
            offered.start_ms < held.start_ms
                || (offered.start_ms == held.start_ms
                    && offered.route != held.route
                    && texts.get(offered.route) < texts.get(held.route))
        };
        let due_ms = match self {
            Self::None => due_ms,
            Self::Held { attempt, due_ms } if is_before(attempt) => *due_ms,
            Self::Held { .. } | Self::Counted => return,
        };
        *self = Self::Held { attempt: offered, due_ms };
    }

    fn due_ms(&self) -> Option<i64> {
        match self {
            Self::Held { due_ms, .. } => Some(*due_ms),
            Self::None | Self::Counted => None,
        }
    }

    fn take_due(&mut self, log_time_ms: i64) -> Option<FirstAttempt> {
        match *self {
            Self::Held { attempt, due_ms } if due_ms <= log_time_ms => {
                *self = Self::Counted;
                Some(attempt)
            }
            Self::Held { .. } | Self::None | Self::Counted => None,
        }
    }
}

impl Session {
    /// Forgets everything, but keeps the room for it.
    pub(super) fn clear(&mut self) {
        self.id.clear();
        self.sequence_next = 0;
        self.beacons.clear();
        self.activities.clear();
        self.marks.clear();
        self.revisions.clear();
        self.open_starts = 0;
        self.settled.clear();
        self.settled_revisions.clear();
        self.pages.clear();
        self.counted.clear();
        self.start = None;
        self.broken.clear();
    }

    /// Reads what rests in it once, to see whether it is sound.
    pub(super) fn check(&self) -> Result<(), Damaged> {
        self.activities.check()?;
        self.marks.check()?;
        self.revisions.check()
    }

    /// Whether a beacon with this id came within the horizon; remembers it either way, unless there are too many.
    pub(super) fn repeats(&mut self, id: u64, log_time_ms: i64, horizon_ms: i64) -> Repeat {
        if let Some((_, seen_ms)) = self.beacons.iter_mut().find(|(known, _)| *known == id) {
            let known = log_time_ms < *seen_ms + horizon_ms;
            *seen_ms = log_time_ms;
            return if known { Repeat::Known } else { Repeat::New };
        }
        if self.beacons.len() >= BEACON_IDS_TIDY && self.beacons.len().is_power_of_two() {
            self.beacons.retain(|(_, seen_ms)| log_time_ms < *seen_ms + horizon_ms);
        }
        if self.beacons.len() >= SESSION_BEACONS_MAX {
            return Repeat::TooMany;
        }
        self.beacons.push((id, log_time_ms));
        Repeat::New
    }

    /// How many beacons `sequence` says were sent since the greatest number before it. Counting begins anew with
    /// the session's first number, and with one that is out of reach of the last.
    pub(super) fn beacons_until(&mut self, sequence: u64) -> u64 {
        let before = self.sequence_next;
        self.sequence_next = before.max(sequence.saturating_add(1));
        let sent = self.sequence_next - before;
        if before == 0 || sent > SEQUENCE_JUMP_MAX { 1 } else { sent }
    }

    /// Attempts that have not settled: starts that wait for an end, and values that may be revised.
    pub(super) fn open_attempts(&self) -> usize {
        self.open_starts + self.revisions.len()
    }

    /// Holds a mark until its attempt settles.
    pub(super) fn mark(&mut self, mark: Mark) {
        self.open_starts += usize::from(mark.role == Role::Start);
        self.marks.push(mark);
    }

    /// Forgets the marks for which `is_gone`, by place, says so.
    pub(super) fn forget_marks(&mut self, is_gone: &[bool]) {
        let mut is_gone = is_gone.iter();
        let marks = self.marks.wake();
        marks.retain(|_| !is_gone.next().copied().unwrap_or(false));
        self.open_starts = marks.iter().filter(|mark| mark.role == Role::Start).count();
    }

    /// Whether the value of this id may still be revised.
    pub(super) fn holds_revision(&self, id: u64) -> bool {
        holds_revision(self.revisions.resting(), id)
            || self.revisions.awake().iter().any(|held| held.id == id)
    }

    pub(super) fn heard(&mut self, activity: Activity, grace_ms: i64) {
        let same = |kept: &Activity| *kept == activity;
        if self.activities.awake().last().is_some_and(same) {
            return;
        }
        if self.activities.len() >= ACTIVITIES_TIDY && self.activities.len().is_power_of_two() {
            self.forget_activities(activity.append_ms, grace_ms);
        }
        if self.activities.len() < ACTIVITIES_MAX {
            self.activities.push(activity);
        }
    }

    /// Forgets the activities that are older than every open attempt and came longer than the grace period ago.
    pub(super) fn forget_activities(&mut self, log_time_ms: i64, grace_ms: i64) {
        let starts = self.marks.wake().iter().filter(|mark| mark.role == Role::Start);
        let needed_ms = starts.map(|mark| mark.order.0).min().unwrap_or(i64::MAX);
        self.activities
            .wake()
            .retain(|kept| kept.append_ms + grace_ms > log_time_ms || kept.time_ms >= needed_ms);
    }

    pub(super) fn visit(&mut self, page: u64, route: TextId) {
        if !self.pages.iter().any(|(known, _)| *known == page) {
            if self.pages.len() == PAGES_MAX {
                self.pages.remove(0);
            }
            self.pages.push((page, route));
        }
    }

    /// The route of a page that the session visited.
    pub(super) fn route_of(&self, page: u64) -> Option<TextId> {
        self.pages.iter().find(|(known, _)| *known == page).map(|(_, route)| *route)
    }

    /// Whether an attempt that covered this time has settled.
    pub(super) fn has_settled(&self, journey: TextId, attempt: u64, time_ms: i64) -> bool {
        self.settled.iter().any(|settled| {
            settled.journey == journey
                && settled.attempt == attempt
                && (settled.start_ms..=settled.end_ms).contains(&time_ms)
        })
    }

    /// Whether an attempt of any journey that covered this time has settled.
    pub(super) fn has_settled_any(&self, time_ms: i64) -> bool {
        self.settled.iter().any(|settled| (settled.start_ms..=settled.end_ms).contains(&time_ms))
    }

    pub(super) fn settle(&mut self, settled: Settled) {
        if self.settled.len() == SETTLED_MAX {
            self.settled.remove(0);
        }
        self.settled.push(settled);
    }

    pub(super) fn has_settled_revision(&self, id: u64) -> bool {
        self.settled_revisions.contains(&id)
    }

    pub(super) fn settle_revision(&mut self, id: u64) {
        if self.settled_revisions.len() == SETTLED_MAX {
            self.settled_revisions.remove(0);
        }
        self.settled_revisions.push(id);
    }

    /// Notes an attempt, so that the session counts once for its journey, in the window of its first, and once
    /// as hurt, in the window of its first bad one. Beacons without a session count for none. False where the session
    /// counts for as many journeys as it can already.
    pub(super) fn note(
        &mut self,
        journey: TextId,
        attempt: FirstAttempt,
        bad: bool,
        due_ms: i64,
        texts: &Texts,
    ) -> bool {
        if self.id.is_empty() {
            return true;
        }
        let place = match self.counted.iter().position(|counted| counted.journey == journey) {
            Some(place) => place,
            None if self.counted.len() >= COUNTED_MAX => return false,
            None => {
                self.counted.push(Counted { journey, first: First::None, first_bad: First::None });
                self.counted.len() - 1
            }
        };
        let counted = &mut self.counted[place];
        counted.first.offer(attempt, due_ms, texts);
        if bad {
            counted.first_bad.offer(attempt, due_ms, texts);
        }
        true
    }

    /// Takes a first that is due.
    pub(super) fn take_due_first(&mut self, log_time_ms: i64) -> Option<DueFirst> {
        self.counted.iter_mut().find_map(|counted| {
            [(false, &mut counted.first), (true, &mut counted.first_bad)].into_iter().find_map(
                |(bad, first)| {
                    let attempt = first.take_due(log_time_ms)?;
                    Some(DueFirst { journey: counted.journey, bad, attempt })
                },
            )
        })
    }

    /// Begins the session as an attempt, or moves its start to an earlier event.
    pub(super) fn begin(&mut self, order: Order, weight: u32, context: ContextId, due_ms: i64) {
        match &mut self.start {
            None => {
                let due_ms = Some(due_ms);
                self.start = Some(SessionStart { order, weight, context, due_ms, journeys: Vec::new() });
            }
            Some(start) if start.due_ms.is_some() && order < start.order => {
                (start.order, start.weight, start.context) = (order, weight, context);
            }
            Some(_) => {}
        }
    }

    /// Makes the session bad for a journey; of several events the earliest gives the reason.
    pub(super) fn break_for(&mut self, journey: TextId, order: Order, reason: TextId, due_ms: i64) {
        match self.broken.iter_mut().find(|broken| broken.journey == journey) {
            None => self.broken.push(Broken { journey, order, reason, due_ms: Some(due_ms) }),
            Some(broken) if broken.due_ms.is_some() && order < broken.order => {
                (broken.order, broken.reason) = (order, reason);
            }
            Some(_) => {}
        }
    }

    /// When something of the session as an attempt, or a first of a journey, is due.
    pub(super) fn next_count_ms(&self) -> Option<i64> {
        let firsts =
            self.counted.iter().flat_map(|counted| [counted.first.due_ms(), counted.first_bad.due_ms()]);
        let start = self.start.as_ref().and_then(|start| start.due_ms);
        let broken = self.broken.iter().map(|broken| broken.due_ms);
        firsts.chain([start]).chain(broken).flatten().min()
    }

    /// Log time at which it must be looked at unless a timer is earlier, for what was opened at `log_time_ms`.
    pub(super) fn look_at_ms(&self, log_time_ms: i64, grace_ms: i64) -> Option<i64> {
        let opened = (!self.marks.is_empty() || !self.revisions.is_empty()).then_some(log_time_ms + grace_ms);
        [opened, self.next_count_ms()].into_iter().flatten().min()
    }
}
