//! What must be in ClickHouse, from a ledger.
//!
//! A session counts as certain when each of its beacons was accepted, and soon enough that no outcome depends on
//! which of them came first. Of the others nothing certain is known: what they may add is kept beside the numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::bail;
use schema::definition::{AttemptKind, DefinitionSet, Journey};
use schema::value::Value;

use crate::ledger::{self, AnswerLine, Fate, Line, SessionLine};
use crate::scenario::{GRACE_MS_MIN, TIMEOUT_MS};
use crate::truth::{Attempt, Outcome};

/// Between the append of a beacon and its answer.
const ANSWER_MS_MAX: u64 = 1_000;
/// How often one try can be on the log: what Kafka did not acknowledge in time goes there from the spool of `ingest` as well.
const COPIES_MAX: u64 = 2;

/// Everything that must be there.
#[derive(Debug, Default)]
pub struct Expected {
    /// By app and journey.
    pub cells: BTreeMap<(String, String), Cell>,
    /// Sessions of the run.
    pub sessions: u64,
    /// Sessions of which it is not certain what was taken, or when.
    pub sessions_uncertain: u64,
    /// Beacons that were accepted.
    pub beacons: u64,
    /// Records of accepted beacons of bots, at least and at most.
    pub bots: (u64, u64),
    /// Beacons of uncertain sessions.
    pub beacons_uncertain: u64,
    /// Records that must have been counted as duplicates, at least and at most.
    pub duplicates: (u64, u64),
    /// Events older than the retention of late data.
    pub too_old: u64,
    /// When the last answer came, ms since the epoch.
    pub ended_ms: i64,
    /// Whether the ledger has its last line.
    pub run_ended: bool,
}

/// What must be there of one journey in one app; every count is weighted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// By [`Outcome::ALL`].
    pub outcomes: [u64; 6],
    /// Attempts that an objective judges.
    pub valid: u64,
    /// Sessions with an attempt, where that can be known.
    pub sessions: Option<u64>,
    /// Reasons of what was no success.
    pub reasons: BTreeMap<String, u64>,
    /// Latencies or values of the successes in the histogram's unit, and how many.
    pub latencies: BTreeMap<u64, u64>,
    /// Sum of the latencies or values, ten-thousandths.
    pub latency_sum: u64,
    /// Steps of the definition: name, attempts that reached the one before, attempts that reached it.
    pub steps: Vec<(String, u64, u64)>,
    /// Attempts of uncertain sessions.
    pub uncertain: u64,
    /// A session is the attempt: what breaks it may come after it was counted, so the tables hold no successes.
    pub of_sessions: bool,
}

impl Cell {
    /// Successes as the tables hold them.
    pub fn stored_successes(&self) -> u64 {
        if self.of_sessions { 0 } else { self.outcomes[0] }
    }

    /// Attempts of every outcome.
    pub fn attempts(&self) -> u64 {
        self.outcomes.iter().sum()
    }
}

#[derive(Debug, Default)]
struct Ledger {
    sessions: HashMap<u64, SessionLine>,
    /// By session and sequence.
    beacons: BTreeMap<(u64, u64), BeaconFate>,
    ended_ms: u64,
}

/// What became of a beacon in all its sendings.
#[derive(Debug, Default)]
struct BeaconFate {
    accepted: u64,
    tries: u64,
    records_max: u64,
    taken_from_ms: Option<u64>,
    accepted_ms: Option<u64>,
}

impl Ledger {
    fn take(&mut self, line: Line) {
        match line {
            Line::Session(session) => {
                self.sessions.insert(session.number, session);
            }
            Line::Answer(answer) => {
                self.ended_ms = self.ended_ms.max(answer.ended_ms);
                self.beacons.entry((answer.session, answer.sequence)).or_default().take(&answer);
            }
            Line::Run(_) | Line::End(_) => {}
        }
    }
}

impl BeaconFate {
    fn take(&mut self, answer: &AnswerLine) {
        self.tries += u64::from(answer.tries);
        self.records_max = u64::from(answer.records_max);
        if answer.fate == Fate::Accepted {
            self.accepted += 1;
            let accepted_ms = self.accepted_ms.map_or(answer.ended_ms, |at| at.min(answer.ended_ms));
            self.accepted_ms = Some(accepted_ms);
        }
        if answer.fate != Fate::Refused {
            let from_ms = self.taken_from_ms.map_or(answer.first_try_ms, |at| at.min(answer.first_try_ms));
            self.taken_from_ms = Some(from_ms);
        }
    }
}

impl Expected {
    /// Reads a ledger.
    ///
    /// # Errors
    /// When it cannot be read, or the definitions are not those that were played for.
    pub fn read(path: &Path, set: &DefinitionSet) -> anyhow::Result<Self> {
        let grace_ms = set.settings.grace_ms.unsigned_abs();
        if grace_ms < GRACE_MS_MIN {
            bail!("the grace period is {grace_ms} ms, sessions are played for {GRACE_MS_MIN} ms or more");
        }
        let mut ledger = Ledger::default();
        let (run, end) = ledger::read(path, |line| ledger.take(line))?;
        let mut expected = Self {
            sessions: ledger.sessions.len() as u64,
            ended_ms: run.started_ms + ledger.ended_ms as i64,
            run_ended: end.is_some(),
            ..Self::default()
        };
        let mut of_session: HashMap<u64, Vec<&BeaconFate>> = HashMap::new();
        for ((session, _), fate) in &ledger.beacons {
            of_session.entry(*session).or_default().push(fate);
        }
        for (number, session) in &ledger.sessions {
            let fates = of_session.get(number).map_or(&[][..], Vec::as_slice);
            expected.add_session(session, fates, set)?;
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
        fates: &[&BeaconFate],
        set: &DefinitionSet,
    ) -> anyhow::Result<()> {
        let accepted = fates.iter().filter(|fate| fate.accepted > 0).count() as u64;
        for fate in fates {
            // Of an accepted beacon one record counts; every further one is a duplicate.
            if fate.accepted > 0 {
                self.duplicates.0 += fate.accepted - 1;
            }
            self.duplicates.1 += (fate.tries * COPIES_MAX).saturating_sub(1) * fate.records_max;
        }
        let certain =
            accepted == session.beacons && !is_stretched(fates, set.settings.grace_ms.unsigned_abs());
        if certain {
            self.beacons += accepted;
            if session.bot {
                self.bots.0 += accepted;
                self.bots.1 += fates.iter().map(|fate| COPIES_MAX * fate.records_max).sum::<u64>();
            }
            self.too_old += session.truth.too_old;
        } else {
            self.sessions_uncertain += 1;
            self.beacons_uncertain += session.beacons;
        }
        let mut seen = BTreeSet::new();
        for attempt in &session.truth.attempts {
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
                bail!(
                    "{} has a timeout of {} ms, played was for {TIMEOUT_MS} ms",
                    journey.name,
                    journey.timeout_ms
                );
            }
            let key = (session.app.clone(), attempt.journey.to_string());
            let cell = self.cells.entry(key).or_default();
            cell.of_sessions = journey.is_some_and(|journey| journey.attempt == AttemptKind::Session);
            let weight = u64::from(session.weight);
            if certain {
                cell.add(attempt, weight, journey);
                if !attempt.single_event && seen.insert(attempt.journey.as_ref()) {
                    *cell.sessions.get_or_insert(0) += weight;
                }
            } else {
                cell.uncertain += weight;
            }
        }
        Ok(())
    }
}

/// Whether the beacons came so far apart that an attempt may have settled before the last of them.
fn is_stretched(fates: &[&BeaconFate], grace_ms: u64) -> bool {
    let first_ms = fates.iter().filter_map(|fate| fate.taken_from_ms).min();
    let last_ms = fates.iter().filter_map(|fate| fate.accepted_ms).max();
    matches!((first_ms, last_ms), (Some(first_ms), Some(last_ms)) if last_ms - first_ms > grace_ms - ANSWER_MS_MAX)
}

impl Cell {
    fn add(&mut self, attempt: &Attempt, weight: u64, journey: Option<&Journey>) {
        let place = Outcome::ALL.iter().position(|outcome| *outcome == attempt.outcome);
        self.outcomes[place.unwrap_or_default()] += weight;
        let patience_ms = journey.map_or(TIMEOUT_MS, |journey| journey.patience_ms);
        let valid = match attempt.outcome {
            Outcome::Success | Outcome::Failure | Outcome::Timeout => true,
            Outcome::Abandoned => attempt.wait_ms.is_some_and(|wait_ms| wait_ms > patience_ms),
            Outcome::Cancelled | Outcome::Unknown => false,
        };
        self.valid += weight * u64::from(valid);
        if attempt.outcome != Outcome::Success {
            *self.reasons.entry(reason(attempt, journey)).or_default() += weight;
        }
        if let Some(latency) = attempt.latency {
            let unit = journey.map(|journey| journey.unit).unwrap_or_default();
            *self.latencies.entry(unit.key_units(latency)).or_default() += weight;
            self.latency_sum += Value::scaled(latency) * weight;
        }
        self.add_steps(attempt, weight, journey);
    }

    fn add_steps(&mut self, attempt: &Attempt, weight: u64, journey: Option<&Journey>) {
        let steps = journey.map_or(&[][..], |journey| journey.steps.as_slice());
        self.steps.resize_with(steps.len(), Default::default);
        let mut reaches = true;
        for (step, (name, attempts, success)) in steps.iter().zip(&mut self.steps) {
            name.clone_from(&step.name);
            *attempts += weight * u64::from(reaches);
            reaches &= attempt.reached.iter().any(|reached| *reached == step.name);
            *success += weight * u64::from(reaches);
        }
    }
}

/// The reason, which for a timeout names the first step that was not reached.
fn reason(attempt: &Attempt, journey: Option<&Journey>) -> String {
    if attempt.outcome != Outcome::Timeout {
        return attempt.reason.to_string();
    }
    let steps = journey.map_or(&[][..], |journey| journey.steps.as_slice());
    match steps.iter().find(|step| !attempt.reached.iter().any(|reached| *reached == step.name)) {
        Some(step) => format!("timeout at {}", step.name),
        None => "timeout".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use schema::definition::{EngineSettings, load};

    use super::*;
    use crate::truth::Truth;

    const APP: &str = "app: studyapp-web\nkeys: [k]\n";
    const JOURNEY: &str = "journey: watch\ntitle: Watch\nproduct: p\nowner: o\npromise: It plays.\n\
        apps: [studyapp-web]\nstart: {event: a}\nsteps:\n  - {name: page, done: {event: b}}\n  \
        - {name: video, done: {event: c}}\nsuccess: {event: c}\ntimeout: 30s\n\
        objectives:\n  - {name: fast, within: 2s, target: 95%}\n";

    fn definitions() -> DefinitionSet {
        let files = [
            ("apps/web.yaml", APP),
            ("journeys/watch.yaml", JOURNEY),
            ("products/p.yaml", "product: p\ntitle: P\n"),
            ("owners/o.yaml", "owner: o\ntitle: O\n"),
            ("policies/default.yaml", include_str!("../../../definitions/policies/default.yaml")),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()));
        load(&files, EngineSettings::default()).unwrap()
    }

    fn attempt(outcome: Outcome, wait_ms: Option<u64>, reached: &[&'static str]) -> Attempt {
        Attempt {
            journey: "watch".into(),
            single_event: false,
            outcome,
            reason: "".into(),
            latency: None,
            wait_ms,
            reached: reached.iter().map(|step| (*step).into()).collect(),
        }
    }

    fn fate(accepted: u64, tries: u64, from_ms: u64, to_ms: u64) -> BeaconFate {
        BeaconFate {
            accepted,
            tries,
            records_max: 1,
            taken_from_ms: Some(from_ms),
            accepted_ms: (accepted > 0).then_some(to_ms),
        }
    }

    fn expect(attempts: Vec<Attempt>, fates: &[BeaconFate]) -> Expected {
        let session = SessionLine {
            number: 0,
            app: "studyapp-web".into(),
            weight: 2,
            bot: false,
            beacons: 2,
            truth: Truth { attempts, too_old: 0 },
        };
        let mut expected = Expected::default();
        let fates: Vec<&BeaconFate> = fates.iter().collect();
        expected.add_session(&session, &fates, &definitions()).unwrap();
        expected
    }

    fn cell(expected: &Expected) -> &Cell {
        &expected.cells[&("studyapp-web".to_owned(), "watch".to_owned())]
    }

    #[test]
    fn the_definition_says_what_a_player_cannot_know() {
        let attempts = vec![
            attempt(Outcome::Abandoned, Some(2_000), &[]),
            attempt(Outcome::Abandoned, Some(2_001), &["page"]),
            attempt(Outcome::Timeout, None, &["page"]),
            attempt(Outcome::Timeout, None, &["page", "video"]),
        ];
        let expected = expect(attempts, &[fate(1, 1, 0, 5), fate(1, 1, 100, 105)]);
        let cell = cell(&expected);
        assert_eq!((cell.attempts(), cell.valid, cell.sessions), (8, 6, Some(2)));
        assert_eq!(cell.reasons["timeout at video"], 2);
        assert_eq!(cell.reasons["timeout"], 2);
        assert_eq!(cell.steps, [("page".to_owned(), 8, 6), ("video".to_owned(), 6, 2)]);
    }

    #[test]
    fn a_session_is_certain_only_when_all_of_it_came_in_time() {
        let uncertain = |fates: &[BeaconFate]| {
            let expected = expect(vec![attempt(Outcome::Unknown, None, &[])], fates);
            let cell = cell(&expected);
            assert_eq!(cell.attempts() + cell.uncertain, 2);
            expected.sessions_uncertain == 1
        };
        assert!(!uncertain(&[fate(1, 1, 0, 5), fate(1, 3, 28_000, 29_000)]));
        assert!(uncertain(&[fate(1, 1, 0, 5), fate(1, 1, 29_000, 29_001)]));
        assert!(uncertain(&[fate(1, 1, 0, 5)]));
        assert!(uncertain(&[fate(1, 1, 0, 5), fate(0, 4, 100, 0)]));
    }

    #[test]
    fn duplicates_are_known_as_far_as_tries_were_answered() {
        let twice_and_retried = [fate(2, 2, 0, 5), fate(1, 3, 100, 105)];
        assert_eq!(expect(Vec::new(), &twice_and_retried).duplicates, (1, 8));
    }
}
