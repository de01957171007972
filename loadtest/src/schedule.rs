//! What is sent when, decided before anything is answered: an open loop.
//!
//! Arrivals come at the intended rate, evenly or as a Poisson process. At each arrival the earliest beacon that
//! is due is sent; when none is, a new session begins. After the last arrival no session begins, and what is
//! still due is sent in its time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::sample::Sampler;
use crate::scenario::{Profile, Session, play, wire};

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: f64 = 1e9;
/// Stream of draws for the arrivals; sessions have the streams from 0.
const ARRIVALS_STREAM: u64 = u64::MAX;
/// The run's beginning in the fingerprint, which must not depend on the time.
const FINGERPRINT_RUN_MS: i64 = 1_800_000_000_000;

/// How arrivals follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// Independently of each other, as those of many users.
    Poisson,
}

/// What traffic is played.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Beacons a second.
    pub rate: f64,
    /// How long sessions begin.
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
        wire::request(&self.session, &self.session.beacons[self.beacon], run_ms, session_ms)
    }
}

/// The sendings of a run in their order.
pub struct Schedule {
    traffic: Traffic,
    gaps: Sampler,
    arrivals: u64,
    arrivals_max: u64,
    arrival_ns: f64,
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
            arrivals_max: (traffic.rate * traffic.seconds as f64).round() as u64,
            arrival_ns: 0.0,
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
            sending.at_ns = due_ns.max(self.arrival_ns as u64);
            return Some(sending);
        }
        self.arrivals += 1;
        let at_ns = self.arrival_ns as u64;
        self.arrival_ns += NS_PER_S
            * match self.traffic.arrivals {
                Arrivals::Constant => 1.0 / self.traffic.rate,
                Arrivals::Poisson => self.gaps.exponential_gap(self.traffic.rate),
            };
        if let Some(Reverse((due_ns, plan))) = self.due.peek().copied()
            && due_ns <= at_ns
            && let Some(mut sending) = self.planned.remove(&plan)
        {
            self.due.pop();
            sending.at_ns = at_ns;
            return Some(sending);
        }
        Some(self.begin_session(at_ns))
    }

    fn begin_session(&mut self, at_ns: u64) -> Sending {
        let session = Arc::new(play(self.traffic.seed, self.sessions, self.traffic.profile));
        self.sessions += 1;
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
        let request = sending.request(FINGERPRINT_RUN_MS);
        self.hash.update(request.target.as_bytes());
        self.hash.update(&request.body_at(FINGERPRINT_RUN_MS));
        Some(sending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(seed: u64) -> Traffic {
        Traffic { rate: 200.0, seconds: 20, seed, profile: Profile::Mixed, arrivals: Arrivals::Constant }
    }

    fn fingerprint(traffic: Traffic) -> String {
        let mut schedule = Schedule::new(traffic);
        assert!(schedule.by_ref().count() > 0);
        schedule.fingerprint()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(fingerprint(traffic(1)), fingerprint(traffic(1)));
        assert_ne!(fingerprint(traffic(1)), fingerprint(traffic(2)));
        let poisson = Traffic { arrivals: Arrivals::Poisson, ..traffic(1) };
        assert_eq!(fingerprint(poisson.clone()), fingerprint(poisson));
    }

    #[test]
    fn arrivals_keep_the_rate_and_every_beacon_is_sent_once_or_twice() {
        let sendings: Vec<Sending> = Schedule::new(traffic(3)).collect();
        let within = sendings.iter().filter(|sending| sending.at_ns < 20_000_000_000).count();
        assert_eq!(within, 200 * 20);
        assert!(sendings.is_sorted_by_key(|sending| sending.at_ns));
        let sessions: std::collections::BTreeMap<u64, &Arc<Session>> =
            sendings.iter().map(|sending| (sending.session.number, &sending.session)).collect();
        let planned: usize = sessions
            .values()
            .map(|session| {
                let repeats = session.beacons.iter().filter(|beacon| beacon.repeat_due_ms.is_some());
                session.beacons.len() + repeats.count()
            })
            .sum();
        assert_eq!(sendings.len(), planned);
        assert_eq!(sendings.iter().filter(|sending| sending.begins_session).count(), sessions.len());
    }

    #[test]
    fn sessions_that_have_begun_come_to_their_end() {
        let mut schedule = Schedule::new(Traffic { seconds: 3_600, ..traffic(4) });
        let mut sendings: Vec<Sending> = schedule.by_ref().take(500).collect();
        let begun = sendings.iter().filter(|sending| sending.begins_session).count();
        schedule.end_arrivals();
        sendings.extend(schedule);
        assert_eq!(sendings.iter().filter(|sending| sending.begins_session).count(), begun);
        let planned: usize = sendings
            .iter()
            .filter(|sending| sending.begins_session)
            .map(|sending| {
                let beacons = &sending.session.beacons;
                beacons.len() + beacons.iter().filter(|beacon| beacon.repeat_due_ms.is_some()).count()
            })
            .sum();
        assert_eq!(sendings.len(), planned);
    }

    #[test]
    fn a_poisson_process_has_the_rate_on_average() {
        let poisson = Traffic { arrivals: Arrivals::Poisson, seconds: 60, ..traffic(3) };
        let mut schedule = Schedule::new(poisson);
        let arrivals = schedule.arrivals_max() as usize;
        let last_ns = schedule.by_ref().take(arrivals).map(|sending| sending.at_ns).max().unwrap();
        let rate = arrivals as f64 / (last_ns as f64 / NS_PER_S);
        assert!((190.0..210.0).contains(&rate), "{rate}");
    }
}
