//! Decides what happens with each request between an aggregator and ClickHouse, and strikes at the armed point.
//!
//! A gate knows which request of which batch comes from whom, so it strikes exactly between two of them. It does
//! no I/O of its own: requests are forwarded by [`super::proxy`], processes are struck by the function that it is
//! given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::journal::Journal;
use super::point::Point;
use super::request::{Insert, Request};

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL to the aggregator.
    KillMember,
    /// SIGSTOP to the aggregator; what it sends is held until it is [released](Gate::release).
    StopMember,
    /// SIGKILL to ClickHouse.
    KillServer,
}

/// Strikes an aggregator, named by its number, or ClickHouse.
pub type Strike = Box<dyn Fn(Blow, usize) + Send + Sync>;

/// A point that is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Aim {
    /// Where.
    pub point: Point,
    /// What is done there: at once, or by the caller where the point is only the [beginning](Point::is_beginning).
    pub blow: Blow,
}

/// The aimed point was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The aggregator whose request reached the point.
    pub member: usize,
    /// Its request: a deduplication token, or what it asked.
    pub at: String,
}

/// What becomes of a request that has arrived, or of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Go,
    /// Its connection is closed.
    Cut,
}

/// See the module.
pub struct Gate {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    strike: Strike,
}

#[derive(Debug, Default)]
struct State {
    aim: Option<Aim>,
    victim: Option<Victim>,
    hit: Option<Hit>,
    /// Kills of each member: what a killed process had sent goes no further.
    lives: BTreeMap<usize, u64>,
    stopped: BTreeSet<usize>,
    /// The batch of each partition that was begun last, and by whom.
    begun: BTreeMap<i32, (usize, String)>,
    journal: Journal,
}

/// The batch that the aim has chosen.
#[derive(Debug)]
struct Victim {
    member: usize,
    batch: String,
    /// Its first insert, which is never held.
    first: String,
    written: u32,
}

/// What a waiting request does next.
enum Step {
    Pass(Passage),
    Wait,
    /// The blow is dealt, then the request passes so.
    Strike(Passage),
}

impl Gate {
    /// A gate through which everything goes until something is aimed at.
    pub fn new(strike: Strike) -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(()), strike }
    }

    /// Waits for a point; replaces what was waited for before.
    pub fn aim(&self, aim: Aim) {
        self.change(|state| {
            state.aim = Some(aim);
            state.victim = None;
            state.hit = None;
        });
    }

    /// Waits no longer.
    pub fn lower(&self) {
        self.change(|state| {
            state.aim = None;
            state.victim = None;
        });
    }

    /// Returns when the point was reached.
    pub async fn hit(&self) -> Hit {
        self.until(|state| state.hit.take()).await
    }

    /// Strikes now.
    pub fn strike(&self, blow: Blow, member: usize) {
        self.change(|state| self.deal(state, blow, member));
    }

    /// Lets go on what a stopped aggregator had sent and will send; the process is continued by the caller.
    pub fn release(&self, member: usize) {
        self.change(|state| {
            state.stopped.remove(&member);
        });
    }

    /// The life of an aggregator: a request belongs to the one in which it came.
    pub fn life(&self, member: usize) -> u64 {
        self.lock().life(member)
    }

    /// The partitions whose last batch was begun by `member`.
    pub fn partitions_of(&self, member: usize) -> Vec<i32> {
        let state = self.lock();
        let begun = state.begun.iter().filter(|(_, (writer, _))| *writer == member);
        begun.map(|(partition, _)| *partition).collect()
    }

    /// Returns when `condition` holds for what was written.
    pub async fn written(&self, condition: impl Fn(&Journal) -> bool) {
        self.until(|state| condition(&state.journal).then_some(())).await;
    }

    /// Reads what was written.
    pub fn read<T>(&self, read: impl FnOnce(&Journal) -> T) -> T {
        read(&self.lock().journal)
    }

    /// A request has arrived; returns when it may go on or its connection is to be closed.
    pub async fn arrives(&self, member: usize, life: u64, request: &Request) -> Passage {
        self.until(|state| match state.arrival(member, life, request) {
            Step::Wait => None,
            Step::Pass(passage) => Some(passage),
            Step::Strike(passage) => {
                self.strike_at(state, member, request);
                // What a stopped process has sent is held until it is released.
                (!state.is_stopped(member)).then_some(passage)
            }
        })
        .await
    }

    /// ClickHouse has answered, with success or not; says whether the answer goes on.
    pub fn answered(&self, member: usize, life: u64, request: &Request, ok: bool) -> Passage {
        let passage = {
            let mut state = self.lock();
            match state.answer(member, life, request, ok) {
                Step::Strike(passage) => {
                    self.strike_at(&mut state, member, request);
                    passage
                }
                Step::Pass(passage) => passage,
                Step::Wait => Passage::Go,
            }
        };
        self.changed.send_replace(());
        passage
    }

    fn strike_at(&self, state: &mut State, member: usize, request: &Request) {
        let Some(aim) = state.aim.take() else { return };
        state.victim = None;
        let at = match request {
            Request::Insert(insert) => insert.token.clone(),
            Request::Lookup | Request::Other => "the lookup of a start".to_owned(),
        };
        if !aim.point.is_beginning() {
            self.deal(state, aim.blow, member);
        }
        state.hit = Some(Hit { member, at });
        self.changed.send_replace(());
    }

    fn deal(&self, state: &mut State, blow: Blow, member: usize) {
        match blow {
            Blow::KillMember => *state.lives.entry(member).or_default() += 1,
            Blow::StopMember => {
                state.stopped.insert(member);
            }
            Blow::KillServer => {}
        }
        (self.strike)(blow, member);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.send_replace(());
    }

    async fn until<T>(&self, mut take: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(taken) = take(&mut self.lock()) {
                self.changed.send_replace(());
                return taken;
            }
            // The sender lives as long as this borrow of the gate.
            let _ = changed.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn life(&self, member: usize) -> u64 {
        self.lives.get(&member).copied().unwrap_or_default()
    }

    fn is_stopped(&self, member: usize) -> bool {
        self.stopped.contains(&member)
    }

    fn arrival(&mut self, member: usize, life: u64, request: &Request) -> Step {
        if self.life(member) != life {
            return Step::Pass(Passage::Cut);
        }
        if self.is_stopped(member) {
            return Step::Wait;
        }
        let Request::Insert(insert) = request else { return Step::Pass(Passage::Go) };
        let step = self.insert_arrival(member, insert);
        let stops = self.aim.is_some_and(|aim| aim.blow == Blow::StopMember);
        let goes = match step {
            Step::Pass(passage) => passage == Passage::Go,
            Step::Strike(passage) => passage == Passage::Go && !stops,
            Step::Wait => false,
        };
        if goes {
            self.begun.insert(insert.partition, (member, insert.batch.clone()));
            self.journal.sent(member, insert);
        }
        step
    }

    fn insert_arrival(&mut self, member: usize, insert: &Insert) -> Step {
        let go = Step::Pass(Passage::Go);
        let Some(Aim { point, blow, .. }) = self.aim else { return go };
        let begins = !insert.ends_batch
            && self.begun.get(&insert.partition).is_none_or(|(_, batch)| *batch != insert.batch);
        let strike = match blow {
            Blow::KillMember => Step::Strike(Passage::Cut),
            Blow::StopMember | Blow::KillServer => Step::Strike(Passage::Go),
        };
        match point {
            Point::BeforeFirstTable if begins => strike,
            Point::BeforeBatchesRow | Point::ServerBeforeBatchesRow if insert.ends_batch => strike,
            Point::ServerDuringInsert if !insert.ends_batch => strike,
            Point::BetweenTables | Point::ServerBetweenTables => match &self.victim {
                None if begins => {
                    self.victim = Some(Victim {
                        member,
                        batch: insert.batch.clone(),
                        first: insert.token.clone(),
                        written: 0,
                    });
                    go
                }
                Some(victim) if (victim.member, &victim.batch) == (member, &insert.batch) => {
                    match (insert.ends_batch, victim.written) {
                        // A batch of one table has nothing between two.
                        (true, _) => {
                            self.victim = None;
                            go
                        }
                        (false, _) if victim.first == insert.token => go,
                        (false, 0) => Step::Wait,
                        (false, _) => strike,
                    }
                }
                None | Some(_) => go,
            },
            Point::BeforeFirstTable
            | Point::BeforeBatchesRow
            | Point::ServerBeforeBatchesRow
            | Point::ServerDuringInsert
            | Point::TableUnanswered
            | Point::BatchesRowUnanswered
            | Point::StartLookup
            | Point::Replay
            | Point::Random => go,
        }
    }

    fn answer(&mut self, member: usize, life: u64, request: &Request, ok: bool) -> Step {
        if let Request::Insert(insert) = request {
            if ok {
                self.journal.written(member, insert);
            } else {
                self.journal.not_written();
            }
        }
        if self.life(member) != life {
            return Step::Pass(Passage::Cut);
        }
        if let (Request::Insert(insert), Some(victim)) = (request, &mut self.victim)
            && (victim.member, &victim.batch) == (member, &insert.batch)
        {
            if ok {
                victim.written += 1;
            } else {
                self.victim = None;
            }
        }
        match (request, self.aim.map(|aim| aim.point)) {
            (_, None) => Step::Pass(Passage::Go),
            (Request::Insert(insert), Some(Point::TableUnanswered)) if ok && !insert.ends_batch => {
                Step::Strike(Passage::Cut)
            }
            (Request::Insert(insert), Some(Point::BatchesRowUnanswered)) if ok && insert.ends_batch => {
                Step::Strike(Passage::Cut)
            }
            (Request::Lookup, Some(Point::StartLookup)) => Step::Strike(Passage::Cut),
            (Request::Lookup, Some(Point::Replay)) => Step::Strike(Passage::Go),
            (Request::Insert(_) | Request::Lookup | Request::Other, Some(_)) => Step::Pass(Passage::Go),
        }
    }
}

#[cfg(test)]
mod tests;
