//! What must be in ClickHouse, from a ledger.
//!
//! A session counts as certain when each of its beacons was accepted, and soon enough that no outcome depends on
//! which of them came first ([`fate`]). Of the others nothing certain is known: what they may add is kept beside the
//! numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::bail;
use schema::definition::{DefinitionSet, Journey};

use crate::ledger::{self, Line, SessionLine};
use crate::scenario::{GRACE_MS_MIN, TIMEOUT_MS};
use crate::truth::Attempt;

pub mod cell;
pub mod fate;

use cell::Belonging;
pub use cell::Cell;
pub use fate::BeaconFate;

/// Environment of what does not say its own, and the one that enters journeys where an app lists none.
const PRODUCTION: &str = "production";
/// Hours before this before the run are compared one by one: nothing else of the run lies there.
const PAST_MS: i64 = 2 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;

/// Everything that must be there.
#[derive(Debug, Default)]
pub struct Expected {
    /// By app and journey.
    pub cells: BTreeMap<(String, String), Cell>,
    /// By app.
    pub apps: BTreeMap<String, AppTotals>,
    /// Sessions of the run.
    pub sessions: u64,
    /// Sessions of which it is not certain what was taken, or when.
    pub sessions_uncertain: u64,
    /// Beacons that were accepted.
    pub beacons: u64,
    /// Records that must have been counted as duplicates, at least and at most.
    pub duplicates: (u64, u64),
    /// Hours before this one are compared one by one, s since the epoch.
    pub past_until_s: u32,
    /// Only windows from this minute on are looked at.
    pub since_s: Option<u32>,
    /// When the last answer came, ms since the epoch.
    pub ended_ms: i64,
    /// Whether the ledger has its last line.
    pub run_ended: bool,
}

/// What must be there of one app, whatever its journeys are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppTotals {
    /// Records that are no duplicates.
    pub records: u64,
    /// Events in them, however old.
    pub events: u64,
    /// Records of bots.
    pub bots: u64,
    /// Records of environments that the app does not list.
    pub environments: u64,
    /// Events older than the retention of late data.
    pub too_old: u64,
    /// Events whose time was corrected.
    pub corrected: u64,
    /// Events by name, of what enters journeys.
    pub seen: BTreeMap<String, u64>,
    /// Events that were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Records of uncertain sessions.
    pub records_uncertain: u64,
    /// Events of uncertain sessions.
    pub events_uncertain: u64,
}

/// A ledger in memory.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By number and place.
    pub(super) sessions: BTreeMap<(u64, u64), SessionLine>,
    /// By session and sequence.
    beacons: BTreeMap<(u64, u64), BeaconFate>,
    ended_ms: u64,
}

impl Ledger {
    fn take(&mut self, line: Line) {
        match line {
            Line::Session(session) => {
                self.sessions.insert((session.number, session.place), session);
            }
            Line::Answer(answer) => {
                self.ended_ms = self.ended_ms.max(answer.ended_ms);
                self.beacons.entry((answer.session, answer.sequence)).or_default().take(&answer);
            }
            Line::Run(_) | Line::End(_) => {}
        }
    }

    /// Reads a ledger.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(path: &Path) -> anyhow::Result<(Self, ledger::Run, bool)> {
        let mut ledger = Self::default();
        let (run, end) = ledger::read(path, |line| ledger.take(line))?;
        Ok((ledger, run, end.is_some()))
    }

    /// What became of the beacons of each session, by its number and in their sequence.
    pub(super) fn fates(&self) -> HashMap<u64, Vec<&BeaconFate>> {
        let mut of_session: HashMap<u64, Vec<&BeaconFate>> = HashMap::new();
        for ((session, _), fate) in &self.beacons {
            of_session.entry(*session).or_default().push(fate);
        }
        of_session
    }
}

impl Expected {
    /// Reads a ledger; only what lies in windows from `since_s` on is expected.
    ///
    /// # Errors
    /// When it cannot be read, or the definitions are not those that were played for.
    pub fn read(path: &Path, set: &DefinitionSet, since_s: Option<u32>) -> anyhow::Result<Self> {
        let grace_ms = set.settings.grace_ms.unsigned_abs();
        if grace_ms < GRACE_MS_MIN {
            bail!("the grace period is {grace_ms} ms, sessions are played for {GRACE_MS_MIN} ms or more");
        }
        let (ledger, run, run_ended) = Ledger::read(path)?;
        let mut expected = Self {
            sessions: ledger.sessions.len() as u64,
            ended_ms: run.started_ms + ledger.ended_ms as i64,
            past_until_s: hour_s(run.started_ms - PAST_MS),
            since_s,
            run_ended,
            ..Self::default()
        };
        for fate in ledger.beacons.values() {
            let (low, high) = fate.duplicates();
            expected.duplicates.0 += low;
            expected.duplicates.1 += high;
        }
        let of_session = ledger.fates();
        for session in ledger.sessions.values() {
            let fates = of_session.get(&session.number).map_or(&[][..], Vec::as_slice);
            let certain = fate::is_certain(fates, session.beacons, grace_ms);
            expected.add_session(session, run.started_ms, certain, set)?;
        }
        Ok(expected)
    }

    /// Log time from which on no attempt of the run can be open.
    pub fn settled_ms(&self, set: &DefinitionSet) -> i64 {
        self.ended_ms + TIMEOUT_MS as i64 + 2 * set.settings.grace_ms + set.settings.flush_interval_ms
    }

    fn add_session(
        &mut self,
        session: &SessionLine,
        run_ms: i64,
        certain: bool,
        set: &DefinitionSet,
    ) -> anyhow::Result<()> {
        let enters = enters_journeys(session, set);
        let totals = self.apps.entry(session.app.clone()).or_default();
        if certain {
            totals.add(session, set);
            self.beacons += if session.place == 0 { session.beacons } else { 0 };
        } else {
            totals.records_uncertain += session.truth.records;
            totals.events_uncertain += session.truth.events.values().sum::<u64>() + session.truth.too_old;
            self.sessions_uncertain += 1;
        }
        if !enters {
            return Ok(());
        }
        let mut seen = BTreeSet::new();
        for attempt in &session.truth.attempts {
            let began_ms = attempt.at_ms.map(|at_ms| run_ms + session.begins_ms as i64 + at_ms);
            if let (Some(since_s), Some(began_ms)) = (self.since_s, began_ms)
                && began_ms < i64::from(since_s / 60 * 60) * 1_000
            {
                continue;
            }
            let journey = definition_of(session, attempt, set)?;
            let key = (session.app.clone(), attempt.journey.to_string());
            let cell = self.cells.entry(key).or_default();
            let weight = u64::from(session.weight);
            if !certain {
                cell.uncertain += weight;
                continue;
            }
            let past_hour_s = began_ms.map(hour_s).filter(|hour_s| *hour_s < self.past_until_s);
            let release = release_of(session, attempt);
            cell.add(attempt, Belonging { weight, release, past_hour_s }, journey);
            if !attempt.single_event && seen.insert(attempt.journey.as_ref()) {
                *cell.sessions.get_or_insert(0) += weight;
            }
        }
        Ok(())
    }
}

impl AppTotals {
    fn add(&mut self, session: &SessionLine, set: &DefinitionSet) {
        let truth = &session.truth;
        self.records += truth.records;
        self.events += truth.events.values().sum::<u64>() + truth.too_old;
        self.corrected += truth.corrected;
        self.bots += if session.bot { truth.records } else { 0 };
        for (reason, count) in &truth.left_out {
            *self.left_out.entry(reason.to_string()).or_default() += count;
        }
        if !lists_environment(session, set) && !is_excluded_bot(session, set) {
            self.environments += truth.records;
        }
        if enters_journeys(session, set) {
            self.too_old += truth.too_old;
            for (name, count) in &truth.events {
                *self.seen.entry(name.to_string()).or_default() += count;
            }
        }
    }
}

/// Whether a session is one of those that the app's file lets into its journeys.
fn enters_journeys(session: &SessionLine, set: &DefinitionSet) -> bool {
    lists_environment(session, set) && !is_excluded_bot(session, set)
}

fn lists_environment(session: &SessionLine, set: &DefinitionSet) -> bool {
    let said = if session.environment.is_empty() { PRODUCTION } else { &session.environment };
    match set.apps.iter().find(|app| app.name == session.app) {
        Some(app) => app.environments.iter().any(|listed| listed == said),
        None => said == PRODUCTION,
    }
}

fn is_excluded_bot(session: &SessionLine, set: &DefinitionSet) -> bool {
    let app = set.apps.iter().find(|app| app.name == session.app);
    session.bot && !app.is_some_and(|app| app.count_bots)
}

/// The definition that an attempt was played for; none where nobody has defined its journey.
pub(super) fn definition_of<'s>(
    session: &SessionLine,
    attempt: &Attempt,
    set: &'s DefinitionSet,
) -> anyhow::Result<Option<&'s Journey>> {
    let journey = set
        .journeys
        .iter()
        .find(|journey| journey.name == attempt.journey && journey.applies_to(&session.app));
    if journey.is_none() && attempt.single_event {
        bail!("the active definitions have no journey {} for {}", attempt.journey, session.app);
    }
    if let Some(journey) = journey
        && !attempt.single_event
        && journey.timeout_ms != TIMEOUT_MS
    {
        bail!("{} has a timeout of {} ms, played was for {TIMEOUT_MS} ms", journey.name, journey.timeout_ms);
    }
    Ok(journey)
}

/// The release that an attempt is counted for: the library for web vitals, whose metrics are placed at their receipt, tells
/// of none.
pub(super) fn release_of<'s>(session: &'s SessionLine, attempt: &Attempt) -> &'s str {
    let is_of_library = attempt.at_ms.is_none() && attempt.journey.starts_with("web-vital-");
    if is_of_library { "" } else { &session.release }
}

/// The hour of a time in ms since the epoch, s since the epoch.
fn hour_s(time_ms: i64) -> u32 {
    u32::try_from(time_ms.div_euclid(HOUR_MS) * HOUR_MS / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests;
