//! All sessions of a partition: at rest as bytes, in the order of their birth, with the times at which each must
//! be looked at again and at which it is forgotten.
//!
//! What a beacon does to its session is in [`super::intake`], what time does to it in [`super::settle`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::Arrival;
use super::cells::Cells;
use super::context::Pools;
use super::intake::Intake;
use super::plan::Plan;
use super::rest;
use super::session::Session;
use super::settle::settle;

/// No session: the end of the list of births.
const NONE: u32 = u32::MAX;

/// Every session that is remembered.
#[derive(Debug)]
pub(super) struct Sessions {
    residents: Vec<Resident>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    /// First and last of the living in the order of their birth.
    oldest: u32,
    youngest: u32,
    /// When to look at a session next. An entry that is not the session's current timer is stale.
    timers: BinaryHeap<Reverse<(i64, u32)>>,
    /// When a session may be forgotten; looked at again when it was heard of since.
    expiries: BinaryHeap<Reverse<(i64, u32)>>,
    pub(super) open_attempts: usize,
    pub(super) state_bytes: usize,
    /// The session at work, empty between two uses.
    at_work: Session,
    bytes: Vec<u8>,
}

/// A session at rest.
#[derive(Debug, Clone)]
pub(super) struct Resident {
    /// Hash of app and record key.
    pub(super) key: [u64; 2],
    /// The record with which it began, and what was known before it.
    pub(super) birth: Birth,
    /// Log time at which it is forgotten unless another record comes.
    pub(super) expires_ms: i64,
    /// Log time at which it is looked at next; `i64::MAX` when nothing is open.
    pub(super) timer_ms: i64,
    older: u32,
    younger: u32,
    /// As [`rest`] writes it, with times as distances from [`Birth::log_time_ms`].
    pub(super) bytes: Box<[u8]>,
}

/// The record with which a session began.
#[derive(Debug, Clone)]
pub(super) struct Birth {
    pub offset: i64,
    /// Log time with the record.
    pub log_time_ms: i64,
    pub log_time_before_ms: i64,
    /// Id of the definition set that was active before the record.
    pub definition_set: Arc<str>,
}

/// Where a replay must begin.
#[derive(Debug, Clone)]
pub(super) struct ReplayPoint {
    pub offset: i64,
    pub log_time_before_ms: i64,
    pub definition_set: Arc<str>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            residents: Vec::new(),
            free: Vec::new(),
            by_key: HashTable::new(),
            oldest: NONE,
            youngest: NONE,
            timers: BinaryHeap::new(),
            expiries: BinaryHeap::new(),
            open_attempts: 0,
            state_bytes: 0,
            at_work: Session::default(),
            bytes: Vec::new(),
        }
    }
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Where a replay must begin to find every session that is remembered; `None` when there is none.
    pub(super) fn replay_point(&self) -> Option<ReplayPoint> {
        let birth = &self.residents.get(self.oldest as usize)?.birth;
        Some(ReplayPoint {
            offset: birth.offset,
            log_time_before_ms: birth.log_time_before_ms,
            definition_set: Arc::clone(&birth.definition_set),
        })
    }

    /// The living, in the order of their birth.
    pub(super) fn by_birth(&self) -> impl Iterator<Item = &Resident> {
        let first = self.residents.get(self.oldest as usize);
        std::iter::successors(first, |resident| self.residents.get(resident.younger as usize))
    }

    /// Settles everything that is due at `log_time_ms`, and forgets the sessions of which nothing was heard for
    /// their horizon.
    pub(super) fn advance(&mut self, log_time_ms: i64, plan: &Plan, pools: &mut Pools, cells: &mut Cells) {
        while let Some(Reverse((due_ms, at))) = self.timers.peek().copied()
            && due_ms <= log_time_ms
        {
            self.timers.pop();
            if self.residents[at as usize].timer_ms != due_ms {
                continue;
            }
            self.residents[at as usize].timer_ms = i64::MAX;
            let mut session = self.wake(at);
            let next_ms = settle(&mut session, log_time_ms, plan, pools, cells);
            next_ms.into_iter().for_each(|next_ms| self.set_timer(at, next_ms));
            self.lay_to_rest(at, session, pools);
        }
        while let Some(Reverse((at_ms, at))) = self.expiries.peek().copied()
            && at_ms <= log_time_ms
        {
            self.expiries.pop();
            let expires_ms = self.residents[at as usize].expires_ms;
            if expires_ms > log_time_ms {
                self.expiries.push(Reverse((expires_ms, at)));
            } else {
                self.forget(at);
            }
        }
    }

    /// Has every session with something open looked at with the next record, and every living one remembered
    /// for as long as the new rules need: the rules have changed.
    pub(super) fn change_rules(&mut self, log_time_ms: i64, plan: &Plan, pools: &mut Pools) {
        let open_until_ms = log_time_ms + plan.open_horizon_ms();
        pools.keep_used(log_time_ms, open_until_ms);
        let mut at = self.oldest;
        while let Some(resident) = self.residents.get_mut(at as usize) {
            resident.expires_ms = resident.expires_ms.max(open_until_ms);
            if resident.timer_ms != i64::MAX {
                resident.timer_ms = log_time_ms;
                self.timers.push(Reverse((log_time_ms, at)));
            }
            at = resident.younger;
        }
    }

    /// Takes a beacon into its session.
    pub(super) fn take(&mut self, arrival: &Arrival<'_>, plan: &Plan, pools: &mut Pools, cells: &mut Cells) {
        let (beacon, log_time_ms) = (arrival.beacon, arrival.log_time_ms);
        let key = xxh3_128_with_seed(arrival.record.key, xxh3_64(beacon.app.as_bytes()));
        let key = [key as u64, (key >> 64) as u64];
        let expires_ms = log_time_ms + plan.session_horizon_ms(beacon.is_web());
        let known = self.find(key);
        let (at, mut session) = match known {
            Some(at) => (at, self.wake(at)),
            None => {
                let birth = Birth {
                    offset: arrival.record.offset,
                    log_time_ms,
                    log_time_before_ms: arrival.log_time_before_ms,
                    definition_set: Arc::clone(&plan.set_id),
                };
                let mut session = std::mem::take(&mut self.at_work);
                session.id.push_str(&beacon.session);
                (self.bear(key, birth, expires_ms), session)
            }
        };
        let resident = &mut self.residents[at as usize];
        resident.expires_ms = resident.expires_ms.max(expires_ms);
        let begins = known.is_none();
        Intake { arrival, begins, app: plan.app(&beacon.app), plan, pools, cells }.take(&mut session);
        if let Some(look_ms) = session.look_at_ms(log_time_ms, plan.set.settings.grace_ms)
            && look_ms < self.residents[at as usize].timer_ms
        {
            self.set_timer(at, look_ms);
        }
        self.lay_to_rest(at, session, pools);
    }

    fn find(&self, key: [u64; 2]) -> Option<u32> {
        self.by_key.find(key[0], |at| self.residents[*at as usize].key == key).copied()
    }

    fn set_timer(&mut self, at: u32, due_ms: i64) {
        self.residents[at as usize].timer_ms = due_ms;
        self.timers.push(Reverse((due_ms, at)));
    }

    /// A new session, the youngest.
    fn bear(&mut self, key: [u64; 2], birth: Birth, expires_ms: i64) -> u32 {
        let resident = Resident {
            key,
            birth,
            expires_ms,
            timer_ms: i64::MAX,
            older: self.youngest,
            younger: NONE,
            bytes: Box::default(),
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.residents[at as usize] = resident;
                at
            }
            None => {
                self.residents.push(resident);
                self.residents.len() as u32 - 1
            }
        };
        match self.residents.get_mut(self.youngest as usize) {
            Some(former) => former.younger = at,
            None => self.oldest = at,
        }
        self.youngest = at;
        let residents = &self.residents;
        self.by_key.insert_unique(key[0], at, |at| residents[*at as usize].key[0]);
        self.expiries.push(Reverse((expires_ms, at)));
        self.state_bytes += size_of::<Resident>();
        at
    }

    fn forget(&mut self, at: u32) {
        let Resident { key, older, younger, .. } = self.residents[at as usize];
        match self.residents.get_mut(older as usize) {
            Some(older) => older.younger = younger,
            None => self.oldest = younger,
        }
        match self.residents.get_mut(younger as usize) {
            Some(younger) => younger.older = older,
            None => self.youngest = older,
        }
        if let Ok(entry) = self.by_key.find_entry(key[0], |found| *found == at) {
            entry.remove();
        }
        let resident = &mut self.residents[at as usize];
        let bytes = std::mem::take(&mut resident.bytes);
        resident.timer_ms = i64::MAX;
        self.state_bytes -= size_of::<Resident>() + bytes.len();
        self.free.push(at);
    }

    /// Reads a session for work; [`Sessions::lay_to_rest`] gives it back.
    fn wake(&mut self, at: u32) -> Session {
        let mut session = std::mem::take(&mut self.at_work);
        let resident = &self.residents[at as usize];
        if let Err(error) = rest::read(&mut session, resident.birth.log_time_ms, &resident.bytes) {
            unreachable!("a session was laid to rest and cannot be read: {error}");
        }
        self.open_attempts -= session.open_attempts();
        session
    }

    fn lay_to_rest(&mut self, at: u32, mut session: Session, pools: &mut Pools) {
        let resident = &mut self.residents[at as usize];
        self.bytes.clear();
        rest::keep_named(&session, resident.expires_ms, pools);
        rest::write(&mut session, resident.birth.log_time_ms, &mut self.bytes);
        self.open_attempts += session.open_attempts();
        self.state_bytes = self.state_bytes + self.bytes.len() - resident.bytes.len();
        if resident.bytes.len() == self.bytes.len() {
            resident.bytes.copy_from_slice(&self.bytes);
        } else {
            resident.bytes = Box::from(self.bytes.as_slice());
        }
        session.clear();
        self.at_work = session;
    }

    /// Takes up a session that a snapshot holds, younger than all before it.
    pub(super) fn restore(&mut self, resident: Resident, open_attempts: usize) {
        let Resident { key, birth, expires_ms, timer_ms, bytes, .. } = resident;
        let at = self.bear(key, birth, expires_ms);
        self.state_bytes += bytes.len();
        self.open_attempts += open_attempts;
        self.residents[at as usize].bytes = bytes;
        if timer_ms != i64::MAX {
            self.set_timer(at, timer_ms);
        }
    }
}

impl Resident {
    /// A session as a snapshot holds it.
    pub(super) fn new(key: [u64; 2], birth: Birth, expires_ms: i64, timer_ms: i64, bytes: Box<[u8]>) -> Self {
        Self { key, birth, expires_ms, timer_ms, older: NONE, younger: NONE, bytes }
    }
}
