//! A session at rest, as bytes: a tenth of the room that it takes at work, and one allocation.
//!
//! Times are written as their distance from the session's base, so most take two or three bytes. A snapshot
//! holds the same bytes. What stands in them names texts and contexts by their numbers.

use schema::value::Value;

use super::codec::{Damaged, Put, Reader};
use super::context::{ContextId, Pools};
use super::kept::Rests;
use super::plan::Role;
use super::pool::TextId;
use super::session::{
    Activity, Broken, Counted, First, FirstAttempt, Mark, Order, Revision, Session, SessionStart, Settled,
};

/// Writes `session` with times as distances from `base_ms`; its lists of [`Rests`] are laid to rest.
pub(super) fn write(session: &mut Session, base_ms: i64, to: &mut Vec<u8>) {
    to.put_bytes(session.id.as_bytes());
    to.put(session.sequence_next);
    to.put(session.open_starts as u64);
    session.activities.write(base_ms, to);
    session.marks.write(base_ms, to);
    session.revisions.write(base_ms, to);
    let to = &mut Writer { bytes: to, base_ms };
    to.all(&session.beacons, |(id, seen_ms), to| {
        to.bytes.put_hash(*id);
        to.time(*seen_ms);
    });
    to.all(&session.settled, |settled, to| {
        to.text(settled.journey);
        to.bytes.put(settled.attempt);
        to.time(settled.start_ms);
        to.bytes.put_signed(settled.end_ms - settled.start_ms);
    });
    to.all(&session.settled_revisions, |id, to| to.bytes.put_hash(*id));
    to.all(&session.pages, |(page, route), to| {
        to.bytes.put_hash(*page);
        to.text(*route);
    });
    to.all(&session.counted, |counted, to| {
        to.text(counted.journey);
        to.first(&counted.first);
        to.first(&counted.first_bad);
    });
    to.all(session.start.as_slice(), |start, to| {
        to.order(&start.order);
        to.bytes.put(u64::from(start.weight));
        to.context(start.context);
        to.due(start.due_ms);
        to.all(&start.journeys, |journey, to| to.text(*journey));
    });
    to.all(&session.broken, |broken, to| {
        to.text(broken.journey);
        to.order(&broken.order);
        to.text(broken.reason);
        to.due(broken.due_ms);
    });
}

/// Reads what [`write()`] wrote into `session`, which is empty. What is in its lists of [`Rests`] stays at rest.
///
/// # Errors
/// When the bytes are not what was written.
pub(super) fn read(session: &mut Session, base_ms: i64, bytes: &[u8]) -> Result<(), Damaged> {
    let mut from = Reader::new(bytes);
    session.id.push_str(from.text());
    session.sequence_next = from.number();
    session.open_starts = from.small();
    session.activities.read(&mut from, base_ms);
    session.marks.read(&mut from, base_ms);
    session.revisions.read(&mut from, base_ms);
    let resting = &mut Resting { bytes: &mut from, base_ms };
    resting.all(&mut session.beacons, |from| (from.bytes.hash(), from.time()));
    resting.all(&mut session.settled, |from| {
        let (journey, attempt, start_ms) = (from.text(), from.bytes.number(), from.time());
        Settled { journey, attempt, start_ms, end_ms: start_ms.wrapping_add(from.bytes.signed()) }
    });
    resting.all(&mut session.settled_revisions, |from| from.bytes.hash());
    resting.all(&mut session.pages, |from| (from.bytes.hash(), from.text()));
    resting.all(&mut session.counted, |from| Counted {
        journey: from.text(),
        first: from.first(),
        first_bad: from.first(),
    });
    let mut start = Vec::new();
    resting.all(&mut start, |from| {
        let (order, weight, context) = (from.order(), from.bytes.small(), from.context());
        let (due_ms, mut journeys) = (from.due(), Vec::new());
        from.all(&mut journeys, Resting::text);
        SessionStart { order, weight, context, due_ms, journeys }
    });
    session.start = start.pop();
    resting.all(&mut session.broken, |from| Broken {
        journey: from.text(),
        order: from.order(),
        reason: from.text(),
        due_ms: from.due(),
    });
    from.finish()
}

/// Has what `session` names kept until `until_ms`. What stayed at rest was kept when it was last at work, until after
/// the session's next timer, which wakes it again.
pub(super) fn keep_named(session: &Session, until_ms: i64, pools: &mut Pools) {
    let Pools { texts, contexts } = pools;
    for mark in session.marks.awake() {
        texts.keep(mark.journey, until_ms);
        texts.keep(mark.reason, until_ms);
        contexts.keep(mark.context, until_ms);
        if let Role::Step(name) = mark.role {
            texts.keep(name, until_ms);
        }
    }
    for revision in session.revisions.awake() {
        texts.keep(revision.journey, until_ms);
        texts.keep(revision.reason, until_ms);
        texts.keep(revision.route, until_ms);
        contexts.keep(revision.context, until_ms);
    }
    for settled in &session.settled {
        texts.keep(settled.journey, until_ms);
    }
    for (_, route) in &session.pages {
        texts.keep(*route, until_ms);
    }
    for counted in &session.counted {
        texts.keep(counted.journey, until_ms);
        for first in [&counted.first, &counted.first_bad] {
            if let First::Held { attempt, .. } = first {
                texts.keep(attempt.route, until_ms);
                contexts.keep(attempt.context, until_ms);
            }
        }
    }
    if let Some(start) = &session.start {
        contexts.keep(start.context, until_ms);
        start.journeys.iter().for_each(|journey| texts.keep(*journey, until_ms));
    }
    for broken in &session.broken {
        texts.keep(broken.journey, until_ms);
        texts.keep(broken.reason, until_ms);
    }
}

struct Writer<'w> {
    bytes: &'w mut Vec<u8>,
    base_ms: i64,
}

impl Writer<'_> {
    fn all<T>(&mut self, items: &[T], mut write: impl FnMut(&T, &mut Self)) {
        self.bytes.put(items.len() as u64);
        items.iter().for_each(|item| write(item, self));
    }

    #[inline]
    fn time(&mut self, time_ms: i64) {
        self.bytes.put_signed(time_ms - self.base_ms);
    }

    #[inline]
    fn text(&mut self, text: TextId) {
        self.bytes.put(u64::from(text.0));
    }

    #[inline]
    fn context(&mut self, context: ContextId) {
        self.bytes.put(u64::from(context.0));
    }

    #[inline]
    fn order(&mut self, (time_ms, sequence, place, hash): &Order) {
        self.time(*time_ms);
        self.bytes.put(*sequence);
        self.bytes.put(u64::from(*place));
        self.bytes.extend_from_slice(&hash.to_le_bytes());
    }

    #[inline]
    fn due(&mut self, due_ms: Option<i64>) {
        self.bytes.push(u8::from(due_ms.is_some()));
        due_ms.into_iter().for_each(|due_ms| self.time(due_ms));
    }

    #[inline]
    fn value(&mut self, value: Option<Value>) {
        self.bytes.put(value.map_or(0, |value| value.scaled() + 1));
    }

    #[inline]
    fn first(&mut self, first: &First) {
        match first {
            First::None => self.bytes.push(0),
            First::Counted => self.bytes.push(1),
            First::Held { attempt, due_ms } => {
                self.bytes.push(2);
                self.time(attempt.start_ms);
                self.text(attempt.route);
                self.bytes.put(u64::from(attempt.weight));
                self.context(attempt.context);
                self.time(*due_ms);
            }
        }
    }
}

struct Resting<'r, 'b> {
    bytes: &'r mut Reader<'b>,
    base_ms: i64,
}

impl Resting<'_, '_> {
    #[inline]
    fn all<T>(&mut self, items: &mut Vec<T>, mut read: impl FnMut(&mut Self) -> T) {
        for _ in 0..self.bytes.count() {
            items.push(read(self));
        }
    }

    #[inline]
    fn time(&mut self) -> i64 {
        self.base_ms.wrapping_add(self.bytes.signed())
    }

    #[inline]
    fn text(&mut self) -> TextId {
        TextId(self.bytes.small())
    }

    #[inline]
    fn context(&mut self) -> ContextId {
        ContextId(self.bytes.small())
    }

    #[inline]
    fn order(&mut self) -> Order {
        (self.time(), self.bytes.number(), self.bytes.small(), self.bytes.half_hash())
    }

    #[inline]
    fn due(&mut self) -> Option<i64> {
        (self.bytes.byte() != 0).then(|| self.time())
    }

    #[inline]
    fn value(&mut self) -> Option<Value> {
        let scaled = self.bytes.number().checked_sub(1)?;
        let value = Value::from_scaled(scaled).ok();
        if value.is_none() {
            self.bytes.fail();
        }
        value
    }

    #[inline]
    fn first(&mut self) -> First {
        match self.bytes.byte() {
            0 => First::None,
            1 => First::Counted,
            2 => First::Held {
                attempt: FirstAttempt {
                    start_ms: self.time(),
                    route: self.text(),
                    weight: self.bytes.small(),
                    context: self.context(),
                },
                due_ms: self.time(),
            },
            _ => {
                self.bytes.fail();
                First::None
            }
        }
    }
}

impl Rests for Activity {
    #[inline]
    fn write(&self, base_ms: i64, to: &mut Vec<u8>) {
        to.put_signed(self.time_ms - base_ms);
        to.put_signed((self.append_ms - base_ms) * 2 + i64::from(self.leaving));
    }

    #[inline]
    fn read(from: &mut Reader<'_>, base_ms: i64) -> Self {
        let (time, append) = (from.signed(), from.signed());
        Self {
            time_ms: base_ms.wrapping_add(time),
            leaving: append & 1 == 1,
            append_ms: base_ms.wrapping_add(append >> 1),
        }
    }
}

impl Rests for Mark {
    #[inline]
    fn write(&self, base_ms: i64, to: &mut Vec<u8>) {
        let to = &mut Writer { bytes: to, base_ms };
        let (code, step) = match self.role {
            Role::Start => (0, None),
            Role::Step(name) => (1, Some(name)),
            Role::Success => (2, None),
            Role::Failure { recoverable } => (3 + u8::from(recoverable), None),
            Role::Cancel => (5, None),
            Role::Interruption { recoverable } => (6 + u8::from(recoverable), None),
        };
        to.bytes.push(code << 1 | u8::from(self.declared));
        step.into_iter().for_each(|name| to.text(name));
        to.text(self.journey);
        to.bytes.put(self.attempt);
        to.order(&self.order);
        to.time(self.append_ms);
        to.text(self.reason);
        to.value(self.value);
        to.bytes.put(u64::from(self.weight));
        to.context(self.context);
    }

    #[inline]
    fn read(from: &mut Reader<'_>, base_ms: i64) -> Self {
        let from = &mut Resting { bytes: from, base_ms };
        let code = from.bytes.byte();
        let role = match code >> 1 {
            0 => Role::Start,
            1 => Role::Step(from.text()),
            2 => Role::Success,
            3 => Role::Failure { recoverable: false },
            4 => Role::Failure { recoverable: true },
            5 => Role::Cancel,
            6 => Role::Interruption { recoverable: false },
            7 => Role::Interruption { recoverable: true },
            _ => {
                from.bytes.fail();
                Role::Cancel
            }
        };
        Self {
            role,
            declared: code & 1 == 1,
            journey: from.text(),
            attempt: from.bytes.number(),
            order: from.order(),
            append_ms: from.time(),
            reason: from.text(),
            value: from.value(),
            weight: from.bytes.small(),
            context: from.context(),
        }
    }
}

impl Rests for Revision {
    /// Its length comes first, and then its id, so that it can be found among others that rest.
    #[inline]
    fn write(&self, base_ms: i64, to: &mut Vec<u8>) {
        let at = to.len();
        to.push(0);
        let to = &mut Writer { bytes: to, base_ms };
        to.bytes.put_hash(self.id);
        to.bytes.push(u8::from(self.success));
        to.text(self.journey);
        to.order(&self.order);
        to.time(self.first_ms);
        to.time(self.append_ms);
        to.text(self.reason);
        to.value(self.value);
        to.text(self.route);
        to.bytes.put_hash(self.page);
        to.bytes.put(u64::from(self.weight));
        to.context(self.context);
        // At most 105 bytes: two hashes and a half, and ten numbers of at most ten bytes each.
        to.bytes[at] = (to.bytes.len() - at - 1) as u8;
    }

    #[inline]
    fn read(from: &mut Reader<'_>, base_ms: i64) -> Self {
        from.byte();
        let id = from.hash();
        let from = &mut Resting { bytes: from, base_ms };
        Self {
            id,
            success: from.bytes.byte() == 1,
            journey: from.text(),
            order: from.order(),
            first_ms: from.time(),
            append_ms: from.time(),
            reason: from.text(),
            value: from.value(),
            route: from.text(),
            page: from.bytes.hash(),
            weight: from.bytes.small(),
            context: from.context(),
        }
    }
}

/// Whether a revision of this id is among those that `bytes` hold.
pub(super) fn holds_revision(mut bytes: &[u8], id: u64) -> bool {
    let id = id.to_le_bytes();
    while let [length, rest @ ..] = bytes {
        if rest.starts_with(&id) {
            return true;
        }
        bytes = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    false
}
