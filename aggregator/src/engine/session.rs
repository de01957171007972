//! What the engine remembers of one session, and nothing else remembers anything.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use schema::value::Value;

use super::cells::Attempt;
use super::context::Context;
use super::plan::Role;

/// Activities that a session without open attempts may hold before the old ones are forgotten.
const ACTIVITIES_KEPT: usize = 64;
/// Settled ranges and ids that a session remembers, so that what comes after settling is known as late.
const SETTLED_MAX: usize = 256;
/// Pages whose route a session remembers.
const PAGES_MAX: usize = 64;
/// Beacon ids above which expired ones are looked for.
const BEACON_IDS_TIDY: usize = 256;

/// One session's memory. It lives from the session's first record until no record came for the horizon.
#[derive(Debug)]
pub(super) struct Session {
    /// Offset of its first record.
    pub born: i64,
    /// Log time at which it is forgotten unless another record comes.
    pub expires_ms: i64,
    /// Log time at which it is looked at next; `i64::MAX` when nothing is open.
    pub timer_ms: i64,
    /// The client's session id, empty where beacons have none.
    pub id: Arc<str>,
    sequence_max: Option<u64>,
    beacons: FxHashMap<u64, i64>,
    pub activities: Vec<Activity>,
    pub marks: Vec<Mark>,
    pub revisions: Vec<Revision>,
    settled: Vec<Settled>,
    settled_revisions: Vec<u64>,
    pages: Vec<(u64, Arc<str>)>,
    counted: Vec<Counted>,
}

/// The order of events within a session: time, then the beacon's sequence, then the place in the beacon. The
/// beacon's hash comes last, so that events which nothing else orders have one order all the same.
pub(super) type Order = (i64, u64, u32, u64);

/// Something was heard of the session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activity {
    pub order: Order,
    pub append_ms: i64,
    pub leaving: bool,
}

/// An event that means something to an attempt which has not settled.
#[derive(Debug)]
pub(super) struct Mark {
    pub journey: Arc<str>,
    /// Hash of the attempt's id, 0 where the app gives none.
    pub attempt: u64,
    pub order: Order,
    pub role: Role,
    /// The app said so itself, by a `journey.*` event.
    pub declared: bool,
    pub append_ms: i64,
    pub reason: Option<Box<str>>,
    /// The client's own duration since the start.
    pub value: Option<Value>,
    pub weight: u32,
    pub context: Arc<Context>,
}

/// A journey of one event whose value may still be revised.
#[derive(Debug)]
pub(super) struct Revision {
    pub journey: Arc<str>,
    /// Hash of journey and id.
    pub id: u64,
    /// The latest of its events so far.
    pub order: Order,
    /// Time of the earliest.
    pub first_ms: i64,
    pub append_ms: i64,
    pub success: bool,
    pub reason: Option<Box<str>>,
    pub value: Option<Value>,
    pub route: Arc<str>,
    /// Hash of the page that it measured, 0 where it does not say.
    pub page: u64,
    pub weight: u32,
    pub context: Arc<Context>,
}

/// The time that a settled attempt covered.
#[derive(Debug)]
struct Settled {
    journey: Arc<str>,
    attempt: u64,
    start_ms: i64,
    end_ms: i64,
}

/// Whether a session has been counted for a journey, as a session and as a hurt one.
#[derive(Debug)]
struct Counted {
    journey: Arc<str>,
    first: First,
    first_bad: First,
}

/// The earliest attempt of a session and journey, of all or of the bad ones.
#[derive(Debug)]
enum First {
    None,
    /// It counts where it is at `due_ms`, unless an earlier one comes.
    Held {
        attempt: FirstAttempt,
        due_ms: i64,
    },
    Counted,
}

/// Where an attempt that is the first of its session counts.
#[derive(Debug, Clone)]
pub(super) struct FirstAttempt {
    pub start_ms: i64,
    pub route: Box<str>,
    pub weight: u32,
    pub context: Arc<Context>,
}

/// The first attempt, or the first bad one, of a session and journey that is to be counted now.
#[derive(Debug)]
pub(super) struct DueFirst {
    pub journey: Arc<str>,
    pub bad: bool,
    pub attempt: FirstAttempt,
}

impl First {
    /// Holds the attempt when it is earlier than the one that is held.
    fn offer(&mut self, offered: &Attempt<'_>, due_ms: i64) {
        let place = &offered.place;
        let due_ms = match self {
            Self::None => due_ms,
            Self::Held { attempt, due_ms }
                if (place.start_ms, place.route) < (attempt.start_ms, &*attempt.route) =>
            {
                *due_ms
            }
            Self::Held { .. } | Self::Counted => return,
        };
        let attempt = FirstAttempt {
            start_ms: place.start_ms,
            route: Box::from(place.route),
            weight: offered.weight,
            context: Arc::clone(place.context),
        };
        *self = Self::Held { attempt, due_ms };
    }

    fn due_ms(&self) -> Option<i64> {
        match self {
            Self::Held { due_ms, .. } => Some(*due_ms),
            Self::None | Self::Counted => None,
        }
    }

    fn take_due(&mut self, log_time_ms: i64) -> Option<FirstAttempt> {
        if self.due_ms().is_none_or(|due_ms| due_ms > log_time_ms) {
            return None;
        }
        match std::mem::replace(self, Self::Counted) {
            Self::Held { attempt, .. } => Some(attempt),
            Self::None | Self::Counted => None,
        }
    }
}

impl Session {
    pub(super) fn new(born: i64, id: &str) -> Self {
        Self {
            born,
            expires_ms: i64::MIN,
            timer_ms: i64::MAX,
            id: Arc::from(id),
            sequence_max: None,
            beacons: FxHashMap::default(),
            activities: Vec::new(),
            marks: Vec::new(),
            revisions: Vec::new(),
            settled: Vec::new(),
            settled_revisions: Vec::new(),
            pages: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// Whether a beacon with this id came within the horizon; remembers it either way.
    pub(super) fn repeats(&mut self, id: u64, log_time_ms: i64, horizon_ms: i64) -> bool {
        if self.beacons.len() >= BEACON_IDS_TIDY && self.beacons.len().is_power_of_two() {
            self.beacons.retain(|_, seen_ms| log_time_ms < *seen_ms + horizon_ms);
        }
        self.beacons.insert(id, log_time_ms).is_some_and(|seen_ms| log_time_ms < seen_ms + horizon_ms)
    }

    /// How many beacons `sequence` says were sent since the greatest number before it.
    pub(super) fn beacons_until(&mut self, sequence: u64) -> u64 {
        let before = self.sequence_max;
        self.sequence_max = before.max(Some(sequence));
        before.map_or(1, |before| sequence.saturating_sub(before))
    }

    /// Marks and revisions that have not settled.
    pub(super) fn open_marks(&self) -> usize {
        self.marks.len() + self.revisions.len()
    }

    pub(super) fn heard(&mut self, activity: Activity, grace_ms: i64) {
        if self.activities.len() >= ACTIVITIES_KEPT && self.marks.is_empty() {
            self.activities.retain(|kept| kept.append_ms + grace_ms > activity.append_ms);
        }
        self.activities.push(activity);
    }

    pub(super) fn visit(&mut self, page: u64, route: &str) {
        if !self.pages.iter().any(|(known, _)| *known == page) {
            if self.pages.len() == PAGES_MAX {
                self.pages.remove(0);
            }
            self.pages.push((page, Arc::from(route)));
        }
    }

    /// The route of a page that the session visited.
    pub(super) fn route_of(&self, page: u64) -> Option<Arc<str>> {
        self.pages.iter().find(|(known, _)| *known == page).map(|(_, route)| Arc::clone(route))
    }

    /// Whether an attempt that covered this time has settled.
    pub(super) fn has_settled(&self, journey: &str, attempt: u64, time_ms: i64) -> bool {
        self.settled.iter().any(|settled| {
            settled.attempt == attempt
                && (settled.start_ms..=settled.end_ms).contains(&time_ms)
                && settled.journey.as_ref() == journey
        })
    }

    pub(super) fn settle(&mut self, journey: Arc<str>, attempt: u64, start_ms: i64, end_ms: i64) {
        if self.settled.len() == SETTLED_MAX {
            self.settled.remove(0);
        }
        self.settled.push(Settled { journey, attempt, start_ms, end_ms });
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
    /// as hurt, in the window of its first bad one. Beacons without a session count for none.
    pub(super) fn note(&mut self, attempt: &Attempt<'_>, due_ms: i64) {
        let journey = attempt.place.journey;
        if self.id.is_empty() {
            return;
        }
        let place = match self.counted.iter().position(|counted| counted.journey == *journey) {
            Some(place) => place,
            None => {
                let journey = Arc::clone(journey);
                self.counted.push(Counted { journey, first: First::None, first_bad: First::None });
                self.counted.len() - 1
            }
        };
        let counted = &mut self.counted[place];
        counted.first.offer(attempt, due_ms);
        if attempt.is_bad() {
            counted.first_bad.offer(attempt, due_ms);
        }
    }

    /// The firsts that are due, and when the next of the others is.
    pub(super) fn due_firsts(&mut self, log_time_ms: i64) -> (Vec<DueFirst>, Option<i64>) {
        let mut due = Vec::new();
        for counted in &mut self.counted {
            for (bad, first) in [(false, &mut counted.first), (true, &mut counted.first_bad)] {
                if let Some(attempt) = first.take_due(log_time_ms) {
                    due.push(DueFirst { journey: Arc::clone(&counted.journey), bad, attempt });
                }
            }
        }
        (due, self.next_first_ms())
    }

    fn next_first_ms(&self) -> Option<i64> {
        self.counted
            .iter()
            .flat_map(|counted| [counted.first.due_ms(), counted.first_bad.due_ms()])
            .flatten()
            .min()
    }

    /// Log time at which it must be looked at unless a timer is earlier, for what was opened at `log_time_ms`.
    pub(super) fn look_at_ms(&self, log_time_ms: i64, grace_ms: i64) -> Option<i64> {
        let opened = (!self.marks.is_empty() || !self.revisions.is_empty()).then_some(log_time_ms + grace_ms);
        [opened, self.next_first_ms()].into_iter().flatten().min()
    }
}
