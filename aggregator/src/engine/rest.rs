//! A session at rest, as bytes: a tenth of the room that it takes at work, and one allocation.
//!
//! Times are written as their distance from the session's base, so most take two or three bytes. A snapshot
//! holds the same bytes. What stands in them names texts and contexts by their numbers.

use schema::value::Value;

use super::codec::{Damaged, Put, Reader};
use super::context::{ContextId, Pools};
use super::plan::Role;
use super::pool::TextId;
use super::session::{
    Activity, Broken, Counted, First, FirstAttempt, Mark, Order, Revision, Session, SessionStart, Settled,
};

/// Writes `session` with times as distances from `base_ms`.
pub(super) fn write(session: &Session, base_ms: i64, to: &mut Vec<u8>) {
    let to = &mut Writer { bytes: to, base_ms };
    to.bytes.put_bytes(session.id.as_bytes());
    to.bytes.put(session.sequence_next);
    to.all(&session.beacons, |(id, seen_ms), to| {
        to.bytes.put_hash(*id);
        to.time(*seen_ms);
    });
    to.all(&session.activities, |activity, to| {
        to.time(activity.time_ms);
        to.bytes.put_signed((activity.append_ms - to.base_ms) * 2 + i64::from(activity.leaving));
    });
    to.all(&session.marks, |mark, to| to.mark(mark));
    to.all(&session.revisions, |revision, to| to.revision(revision));
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

/// Reads what [`write()`] wrote into `session`, which is empty.
///
/// # Errors
/// When the bytes are not what was written.
pub(super) fn read(session: &mut Session, base_ms: i64, bytes: &[u8]) -> Result<(), Damaged> {
    let from = &mut Resting { bytes: Reader::new(bytes), base_ms };
    session.id.push_str(from.bytes.text()?);
    session.sequence_next = from.bytes.number()?;
    from.all(&mut session.beacons, |from| Ok((from.bytes.hash()?, from.time()?)))?;
    from.all(&mut session.activities, |from| {
        let time_ms = from.time()?;
        let packed = from.bytes.signed()?;
        Ok(Activity { time_ms, leaving: packed & 1 == 1, append_ms: from.base_ms.wrapping_add(packed >> 1) })
    })?;
    from.all(&mut session.marks, Resting::mark)?;
    from.all(&mut session.revisions, Resting::revision)?;
    from.all(&mut session.settled, |from| {
        let (journey, attempt, start_ms) = (from.text()?, from.bytes.number()?, from.time()?);
        Ok(Settled { journey, attempt, start_ms, end_ms: start_ms + from.bytes.signed()? })
    })?;
    from.all(&mut session.settled_revisions, |from| from.bytes.hash())?;
    from.all(&mut session.pages, |from| Ok((from.bytes.hash()?, from.text()?)))?;
    from.all(&mut session.counted, |from| {
        Ok(Counted { journey: from.text()?, first: from.first()?, first_bad: from.first()? })
    })?;
    let mut start = Vec::new();
    from.all(&mut start, |from| {
        let (order, weight, context) = (from.order()?, from.bytes.small()?, from.context()?);
        let (due_ms, mut journeys) = (from.due()?, Vec::new());
        from.all(&mut journeys, Resting::text)?;
        Ok(SessionStart { order, weight, context, due_ms, journeys })
    })?;
    session.start = start.pop();
    from.all(&mut session.broken, |from| {
        Ok(Broken { journey: from.text()?, order: from.order()?, reason: from.text()?, due_ms: from.due()? })
    })?;
    if from.bytes.is_empty() { Ok(()) } else { Err(from.bytes.damaged()) }
}

/// Has what `session` names kept until `until_ms`.
pub(super) fn keep_named(session: &Session, until_ms: i64, pools: &mut Pools) {
    let Pools { texts, contexts } = pools;
    for mark in &session.marks {
        texts.keep(mark.journey, until_ms);
        texts.keep(mark.reason, until_ms);
        contexts.keep(mark.context, until_ms);
        if let Role::Step(name) = mark.role {
            texts.keep(name, until_ms);
        }
    }
    for revision in &session.revisions {
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
    fn mark(&mut self, mark: &Mark) {
        let (code, step) = match mark.role {
            Role::Start => (0, None),
            Role::Step(name) => (1, Some(name)),
            Role::Success => (2, None),
            Role::Failure { recoverable } => (3 + u8::from(recoverable), None),
            Role::Cancel => (5, None),
            Role::Interruption { recoverable } => (6 + u8::from(recoverable), None),
        };
        self.bytes.push(code << 1 | u8::from(mark.declared));
        step.into_iter().for_each(|name| self.text(name));
        self.text(mark.journey);
        self.bytes.put(mark.attempt);
        self.order(&mark.order);
        self.time(mark.append_ms);
        self.text(mark.reason);
        self.value(mark.value);
        self.bytes.put(u64::from(mark.weight));
        self.context(mark.context);
    }

    #[inline]
    fn revision(&mut self, revision: &Revision) {
        self.bytes.push(u8::from(revision.success));
        self.text(revision.journey);
        self.bytes.put_hash(revision.id);
        self.order(&revision.order);
        self.time(revision.first_ms);
        self.time(revision.append_ms);
        self.text(revision.reason);
        self.value(revision.value);
        self.text(revision.route);
        self.bytes.put_hash(revision.page);
        self.bytes.put(u64::from(revision.weight));
        self.context(revision.context);
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

struct Resting<'b> {
    bytes: Reader<'b>,
    base_ms: i64,
}

impl Resting<'_> {
    fn all<T>(
        &mut self,
        items: &mut Vec<T>,
        mut read: impl FnMut(&mut Self) -> Result<T, Damaged>,
    ) -> Result<(), Damaged> {
        for _ in 0..self.bytes.number()? {
            items.push(read(self)?);
        }
        Ok(())
    }

    #[inline]
    fn time(&mut self) -> Result<i64, Damaged> {
        Ok(self.base_ms.wrapping_add(self.bytes.signed()?))
    }

    #[inline]
    fn text(&mut self) -> Result<TextId, Damaged> {
        self.bytes.small().map(TextId)
    }

    #[inline]
    fn context(&mut self) -> Result<ContextId, Damaged> {
        self.bytes.small().map(ContextId)
    }

    #[inline]
    fn order(&mut self) -> Result<Order, Damaged> {
        let (time_ms, sequence, place) = (self.time()?, self.bytes.number()?, self.bytes.small()?);
        Ok((time_ms, sequence, place, self.bytes.half_hash()?))
    }

    #[inline]
    fn due(&mut self) -> Result<Option<i64>, Damaged> {
        if self.bytes.byte()? == 0 { Ok(None) } else { self.time().map(Some) }
    }

    #[inline]
    fn value(&mut self) -> Result<Option<Value>, Damaged> {
        let Some(scaled) = self.bytes.number()?.checked_sub(1) else { return Ok(None) };
        Value::from_scaled(scaled).map(Some).map_err(|_| self.bytes.damaged())
    }

    #[inline]
    fn mark(&mut self) -> Result<Mark, Damaged> {
        let code = self.bytes.byte()?;
        let role = match code >> 1 {
            0 => Role::Start,
            1 => Role::Step(self.text()?),
            2 => Role::Success,
            3 => Role::Failure { recoverable: false },
            4 => Role::Failure { recoverable: true },
            5 => Role::Cancel,
            6 => Role::Interruption { recoverable: false },
            7 => Role::Interruption { recoverable: true },
            _ => return Err(self.bytes.damaged()),
        };
        Ok(Mark {
            role,
            declared: code & 1 == 1,
            journey: self.text()?,
            attempt: self.bytes.number()?,
            order: self.order()?,
            append_ms: self.time()?,
            reason: self.text()?,
            value: self.value()?,
            weight: self.bytes.small()?,
            context: self.context()?,
        })
    }

    #[inline]
    fn revision(&mut self) -> Result<Revision, Damaged> {
        Ok(Revision {
            success: self.bytes.byte()? == 1,
            journey: self.text()?,
            id: self.bytes.hash()?,
            order: self.order()?,
            first_ms: self.time()?,
            append_ms: self.time()?,
            reason: self.text()?,
            value: self.value()?,
            route: self.text()?,
            page: self.bytes.hash()?,
            weight: self.bytes.small()?,
            context: self.context()?,
        })
    }

    #[inline]
    fn first(&mut self) -> Result<First, Damaged> {
        match self.bytes.byte()? {
            0 => Ok(First::None),
            1 => Ok(First::Counted),
            2 => Ok(First::Held {
                attempt: FirstAttempt {
                    start_ms: self.time()?,
                    route: self.text()?,
                    weight: self.bytes.small()?,
                    context: self.context()?,
                },
                due_ms: self.time()?,
            }),
            _ => Err(self.bytes.damaged()),
        }
    }
}
