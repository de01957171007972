//! What the engine remembers of one session, and nothing else remembers anything.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use schema::value::Value;

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
    pub id: Box<str>,
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

/// Which of a journey's session counters this session has entered.
#[derive(Debug)]
struct Counted {
    journey: u64,
    hurt: bool,
}

/// Whether an attempt is the first of its session, and the first bad one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Firsts {
    pub session: bool,
    pub hurt: bool,
}

impl Session {
    pub(super) fn new(born: i64, id: &str) -> Self {
        Self {
            born,
            expires_ms: i64::MIN,
            timer_ms: i64::MAX,
            id: Box::from(id),
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

    pub(super) fn is_open(&self) -> bool {
        !self.marks.is_empty() || !self.revisions.is_empty()
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

    /// Counts the session for a journey: once, and once more as hurt. Beacons without a session count for none.
    pub(super) fn count(&mut self, journey: u64, bad: bool) -> Firsts {
        if self.id.is_empty() {
            return Firsts::default();
        }
        match self.counted.iter_mut().find(|counted| counted.journey == journey) {
            Some(counted) => {
                let hurt = bad && !counted.hurt;
                counted.hurt |= bad;
                Firsts { session: false, hurt }
            }
            None => {
                self.counted.push(Counted { journey, hurt: bad });
                Firsts { session: true, hurt: bad }
            }
        }
    }
}
