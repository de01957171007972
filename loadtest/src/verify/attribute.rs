//! Where a difference may come from: the sessions whose truth has what is counted, the oddest first.
//!
//! A count in ClickHouse does not say whose attempts it holds. But of a number that is too high those are to be looked
//! at first that were tried more often than meant, and of one that is too low those that came late.

use std::cmp::Reverse;
use std::collections::HashMap;

use schema::definition::DefinitionSet;

use super::compare::{Check, Comparison};
use super::expect::{BeaconFate, Ledger, cell, definition_of, release_of};
use crate::ledger::SessionLine;
use crate::truth::Outcome;

/// Sessions that are named for one difference.
const SESSIONS_MAX: usize = 5;

/// Names the sessions that each difference may come from.
pub(super) fn attribute(comparison: &mut Comparison, ledger: &Ledger, run_ms: i64, set: &DefinitionSet) {
    let fates = ledger.fates();
    for check in comparison.checks.iter_mut().filter(|check| !check.equal && !check.app.is_empty()) {
        let mut sessions: Vec<&SessionLine> =
            ledger.sessions.values().filter(|session| has(session, check, set)).collect();
        sessions.sort_by_key(|session| Reverse(oddity(session, &fates)));
        let named = sessions.iter().take(SESSIONS_MAX).map(|session| line(session, run_ms, &fates));
        check.about = named.collect();
    }
}

/// Whether a session's truth has what a check counts.
fn has(session: &SessionLine, check: &Check, set: &DefinitionSet) -> bool {
    if session.app != check.app {
        return false;
    }
    let truth = &session.truth;
    if check.journey.is_empty() {
        return match check.what.as_str() {
            "records of bots" => session.bot,
            "records of unlisted environments" => !session.environment.is_empty(),
            "events too old" => truth.too_old > 0,
            "events of wrong clocks" => truth.corrected > 0,
            what => {
                let event = what.strip_prefix("events ").map(|name| truth.events.contains_key(name));
                let left_out =
                    what.strip_prefix("left out as ").map(|name| truth.left_out.contains_key(name));
                event.or(left_out).unwrap_or(true)
            }
        };
    }
    truth.attempts.iter().filter(|attempt| attempt.journey == check.journey).any(|attempt| {
        if let Some(outcome) = Outcome::ALL.iter().find(|outcome| outcome.column() == check.what) {
            return attempt.outcome == *outcome;
        }
        if let Some(reason) = check.what.strip_prefix("reason ") {
            let journey = definition_of(session, attempt, set).ok().flatten();
            return reason == format!("{:?}", cell::reason(attempt, journey));
        }
        if let Some((_, release)) = check.what.split_once("of release ") {
            return release == format!("{:?}", release_of(session, attempt));
        }
        if check.what == "measured" || check.what == "sum of latencies" {
            return attempt.latency.is_some();
        }
        true
    })
}

fn oddity(session: &SessionLine, fates: &HashMap<u64, Vec<&BeaconFate>>) -> (u64, u64) {
    let fates = fates.get(&session.number).map_or(&[][..], Vec::as_slice);
    let retries = fates.iter().map(|fate| fate.retries()).sum();
    let late_ms = fates.iter().map(|fate| fate.late_ms()).max().unwrap_or(0);
    (retries, late_ms)
}

/// A session with its beacons, such as `s-19c2-7: beacon 1 Faro 3 ms late, beacon 2 Faro retried 1x 40 ms late`.
fn line(session: &SessionLine, run_ms: i64, fates: &HashMap<u64, Vec<&BeaconFate>>) -> String {
    let fates = fates.get(&session.number).map_or(&[][..], Vec::as_slice);
    let beacons: Vec<String> = fates.iter().map(ToString::to_string).collect();
    format!("{}: {}", session.id(run_ms), beacons.join(", "))
}
