//! What is sent when, decided before anything is answered: an open loop.
//!
//! Arrivals come at the rate of their moment ([`Arrivals`]). At each arrival the earliest beacon that is due is sent,
//! and with it those that its session sends at the same instant; when none is, a new session begins. After the last
//! arrival no session begins, and what is still due is sent in its time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::sample::Sampler;
use crate::scenario::{Profile, Session, play, wire};

mod arrivals;

pub use arrivals::Arrivals;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: f64 = 1e9;
/// Stream of draws for the arrivals; sessions have the streams from 0.
const ARRIVALS_STREAM: u64 = u64::MAX;
/// The run's beginning in the fingerprint, which must not depend on the time.
const FINGERPRINT_RUN_MS: i64 = 1_800_000_000_000;

/// What traffic is played.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Beacons a second, where arrivals do not change it.
    pub rate: f64,
    /// How long sessions begin. In the middle of it a new release comes out.
    pub seconds: u64,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Kind of traffic.
    pub profile: Profile,
    /// How arrivals follow each other.
    pub arrivals: Arrivals,
}

/// One request that is to be sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// When, ns after the run's beginning.
    pub at_ns: u64,
    /// The session.
    pub session: Arc<Session>,
    /// When the session's first beacon was due, ns after the run's beginning.
    pub session_at_ns: u64,
    /// Place of the beacon in the session.
    pub beacon: usize,
    /// Whether the same beacon was sent before.
    pub repeat: bool,
    /// Whether it is the first of its session.
    pub begins_session: bool,
}

impl Sending {
    /// The request in a run that began at `run_ms`.
    pub fn request(&self, run_ms: i64) -> wire::Request {
        let session_ms = run_ms + (self.session_at_ns / NS_PER_MS) as i64;
        wire::request(&self.session, &self.session.beacons[self.beacon], run_ms, session_ms, self.repeat)
    }
}

/// The sendings of a run in their order.
pub struct Schedule {
    traffic: Traffic,
    gaps: Sampler,
    arrivals: u64,
    arrivals_max: u64,
    arrival_ns: f64,
    /// What its session sends at the same instant as the last sending: number and time when it was due.
    burst: Option<(u64, u64)>,
    last_ns: u64,
    sessions: u64,
    /// What is due: time and order of planning.
    due: BinaryHeap<Reverse<(u64, u64)>>,
    planned: BTreeMap<u64, Sending>,
    plans: u64,
    hash: Xxh3,
}

impl std::fmt::Debug for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schedule").field("traffic", &self.traffic).finish_non_exhaustive()
    }
}

impl Schedule {
    /// The schedule of `traffic`.
    pub fn new(traffic: Traffic) -> Self {
        Self {
            gaps: Sampler::new(traffic.seed, ARRIVALS_STREAM),
            arrivals: 0,
            arrivals_max: traffic.arrivals.count(traffic.rate, traffic.seconds),
            arrival_ns: 0.0,
            burst: None,
            last_ns: 0,
            sessions: 0,
            due: BinaryHeap::new(),
            planned: BTreeMap::new(),
            plans: 0,
            hash: Xxh3::new(),
            traffic,
        }
    }

    /// Requests that arrive at the intended rate; a few that are due later follow.
    pub fn arrivals_max(&self) -> u64 {
        self.arrivals_max
    }

    /// Nothing arrives any more: what is due is still sent in its time, but no session begins.
    pub fn end_arrivals(&mut self) {
        self.arrivals_max = self.arrivals;
    }

    /// Hash of every request so far, as it would be in a run that began at a fixed time: 16 hex digits.
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", self.hash.digest())
    }

    fn next_sending(&mut self) -> Option<Sending> {
        if self.arrivals == self.arrivals_max {
            let Reverse((due_ns, plan)) = self.due.pop()?;
            let mut sending = self.planned.remove(&plan)?;
            sending.at_ns = due_ns.max(self.last_ns).max(self.arrival_ns as u64);
            return Some(sending);
        }
        if let Some(end) = self.traffic.arrivals.pause_end(self.arrival_ns / NS_PER_S) {
            let end_ns = NS_PER_S * end;
            if let Some(Reverse((due_ns, plan))) = self.due.peek().copied()
                && (due_ns as f64) < end_ns
                && let Some(mut sending) = self.planned.remove(&plan)
            {
                self.due.pop();
                sending.at_ns = due_ns.max(self.last_ns).max(self.arrival_ns as u64);
                return Some(sending);
            }
            self.arrival_ns = end_ns;
        }
        self.arrivals += 1;
        let at_ns = self.arrival_ns as u64;
        let (second, seconds) = (self.arrival_ns / NS_PER_S, self.traffic.seconds as f64);
        let Traffic { rate, arrivals, .. } = self.traffic;
        self.arrival_ns += NS_PER_S * arrivals.gap_s(&mut self.gaps, rate, second, seconds);
        if let Some(Reverse((due_ns, plan))) = self.due.peek().copied()
            && due_ns <= at_ns
            && let Some(mut sending) = self.planned.remove(&plan)
        {
            self.due.pop();
            let instant = (sending.session.number, due_ns);
            // What is sent at one instant takes as many arrivals, so the rate stays what it is.
            sending.at_ns = if self.burst == Some(instant) { self.last_ns } else { at_ns };
            self.burst = Some(instant);
            return Some(sending);
        }
        Some(self.begin_session(at_ns))
    }

    fn begin_session(&mut self, at_ns: u64) -> Sending {
        let Traffic { seed, seconds, profile, .. } = self.traffic;
        let release_is_out = 2 * at_ns > seconds * NS_PER_MS * 1_000;
        let session = Arc::new(play(seed, self.sessions, profile, release_is_out));
        self.sessions += 1;
        self.burst = Some((session.number, at_ns));
        // The beacon that is due first begins the session, which need not be the first in its sequence.
        let first = (0..session.beacons.len()).min_by_key(|at| session.beacons[*at].due_ms).unwrap_or(0);
        for (place, beacon) in session.beacons.iter().enumerate() {
            if place != first {
                self.plan(at_ns, &session, place, beacon.due_ms, false);
            }
            if let Some(due_ms) = beacon.repeat_due_ms {
                self.plan(at_ns, &session, place, due_ms, true);
            }
        }
        Sending { at_ns, session, session_at_ns: at_ns, beacon: first, repeat: false, begins_session: true }
    }

    fn plan(&mut self, at_ns: u64, session: &Arc<Session>, beacon: usize, due_ms: u64, repeat: bool) {
        self.plans += 1;
        let due_ns = at_ns + due_ms * NS_PER_MS;
        let sending = Sending {
            at_ns: due_ns,
            session: Arc::clone(session),
            session_at_ns: at_ns,
            beacon,
            repeat,
            begins_session: false,
        };
        self.due.push(Reverse((due_ns, self.plans)));
        self.planned.insert(self.plans, sending);
    }
}

impl Iterator for Schedule {
    type Item = Sending;

    fn next(&mut self) -> Option<Sending> {
        let sending = self.next_sending()?;
        self.last_ns = sending.at_ns;
        sending.request(FINGERPRINT_RUN_MS).add_to(&mut self.hash, FINGERPRINT_RUN_MS);
        Some(sending)
    }
}

#[cfg(test)]
mod tests;
