//! What became of a session's beacons, and whether that makes its truth certain.

use crate::ledger::{AnswerLine, Fate};
use crate::scenario::{Format, PLANNED_MS_MAX};

/// Between the append of a beacon and its answer.
const ANSWER_MS_MAX: u64 = 1_000;
/// How often one try can be on the log: what Kafka did not acknowledge in time goes there from the spool of `ingest` as well.
pub(super) const COPIES_MAX: u64 = 2;

/// What became of a beacon in all its sendings.
#[derive(Debug, Clone, Default)]
pub struct BeaconFate {
    pub(super) sequence: u64,
    pub(super) format: Option<Format>,
    pub(super) accepted: u64,
    pub(super) tries: u64,
    pub(super) records: u64,
    pub(super) due_ms: u64,
    pub(super) taken_from_ms: Option<u64>,
    pub(super) accepted_ms: Option<u64>,
}

impl BeaconFate {
    /// Adds what became of one sending.
    pub(super) fn take(&mut self, answer: &AnswerLine) {
        self.sequence = answer.sequence;
        self.format = Some(answer.format);
        self.tries += u64::from(answer.tries);
        self.records = answer.records;
        self.due_ms = answer.due_ms;
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

    /// How much later than planned it was accepted, ms.
    pub fn late_ms(&self) -> u64 {
        self.accepted_ms.unwrap_or(u64::MAX).saturating_sub(self.due_ms)
    }

    /// Tries beyond those that were meant.
    pub fn retries(&self) -> u64 {
        self.tries - self.accepted.min(self.tries)
    }

    /// Duplicates that must have been counted, at least and at most: of an accepted beacon one copy counts.
    pub(super) fn duplicates(&self) -> (u64, u64) {
        if self.format.is_some_and(|format| !format.is_idempotent()) {
            return (0, self.tries.saturating_sub(1) * self.records);
        }
        let low = self.accepted.saturating_sub(1);
        (low * self.records, (self.tries * COPIES_MAX).saturating_sub(1) * self.records)
    }
}

impl std::fmt::Display for BeaconFate {
    /// Such as `beacon 2 Faro retried 1x 40 ms late`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "beacon {}", self.sequence)?;
        if let Some(format) = self.format {
            write!(f, " {format:?}")?;
        }
        if self.retries() > 0 {
            write!(f, " retried {}x", self.retries())?;
        }
        match self.accepted_ms {
            Some(_) => write!(f, " {} ms late", self.late_ms()),
            None => f.write_str(" not accepted"),
        }
    }
}

/// Whether all that a session of `beacons` sent was counted, once, and soon enough that no outcome depends on which
/// of it came first.
pub(super) fn is_certain(fates: &[&BeaconFate], beacons: u64, grace_ms: u64) -> bool {
    let accepted = fates.iter().filter(|fate| fate.accepted > 0).count() as u64;
    accepted == beacons
        && (is_together(fates, grace_ms) || is_as_planned(fates, grace_ms))
        && fates.iter().all(|fate| is_counted_once(fate))
        && is_in_order(fates)
}

/// Whether everything came within the grace period of its first: nothing settles before that.
fn is_together(fates: &[&BeaconFate], grace_ms: u64) -> bool {
    let first_ms = fates.iter().filter_map(|fate| fate.taken_from_ms).min();
    let last_ms = fates.iter().filter_map(|fate| fate.accepted_ms).max();
    match (first_ms, last_ms) {
        (Some(first_ms), Some(last_ms)) => last_ms - first_ms <= grace_ms.saturating_sub(ANSWER_MS_MAX),
        _ => true,
    }
}

/// Whether each came as late as the grace period leaves room for.
fn is_as_planned(fates: &[&BeaconFate], grace_ms: u64) -> bool {
    let room_ms = grace_ms.saturating_sub(PLANNED_MS_MAX + ANSWER_MS_MAX);
    fates.iter().all(|fate| fate.late_ms() <= room_ms)
}

/// A retry of what has no id is another beacon.
fn is_counted_once(fate: &BeaconFate) -> bool {
    fate.format.is_none_or(Format::is_idempotent) || fate.tries == fate.accepted
}

/// Of values without a time the one counts that was received last, so that they must not have overtaken each other.
fn is_in_order(fates: &[&BeaconFate]) -> bool {
    let timeless: Vec<&&BeaconFate> =
        fates.iter().filter(|fate| fate.format.is_some_and(Format::is_timeless)).collect();
    timeless.windows(2).all(|pair| pair[0].accepted_ms < pair[1].taken_from_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE_MS: u64 = 30_000;

    fn fate(sequence: u64, due_ms: u64, from_ms: u64, to_ms: u64) -> BeaconFate {
        BeaconFate {
            sequence,
            format: Some(Format::Native),
            accepted: 1,
            tries: 1,
            records: 1,
            due_ms,
            taken_from_ms: Some(from_ms),
            accepted_ms: Some(to_ms),
        }
    }

    fn certain(fates: &[BeaconFate]) -> bool {
        is_certain(&fates.iter().collect::<Vec<_>>(), 2, GRACE_MS)
    }

    #[test]
    fn a_session_is_certain_when_all_of_it_came_together() {
        assert!(certain(&[fate(1, 0, 0, 5), fate(2, 0, 28_000, 29_000)]));
        assert!(!certain(&[fate(1, 0, 0, 5), fate(2, 0, 29_000, 29_001)]));
        assert!(!certain(&[fate(1, 0, 0, 5)]));
        let refused = BeaconFate { accepted: 0, accepted_ms: None, tries: 4, ..fate(2, 0, 100, 0) };
        assert!(!certain(&[fate(1, 0, 0, 5), refused]));
    }

    #[test]
    fn a_long_session_is_certain_when_each_beacon_came_as_planned() {
        assert!(certain(&[fate(1, 0, 0, 5), fate(2, 60_000, 60_000, 60_005)]));
        assert!(certain(&[fate(1, 0, 0, 5), fate(2, 60_000, 60_000, 83_000)]));
        assert!(!certain(&[fate(1, 0, 0, 5), fate(2, 60_000, 60_000, 83_001)]));
    }

    #[test]
    fn what_has_no_id_must_have_been_tried_once() {
        let report = BeaconFate { format: Some(Format::NetworkErrors), ..fate(1, 0, 0, 5) };
        assert!(certain(&[report.clone(), fate(2, 0, 0, 5)]));
        assert!(!certain(&[BeaconFate { tries: 2, ..report }, fate(2, 0, 0, 5)]));
    }

    #[test]
    fn what_has_no_time_must_have_come_in_order() {
        let vitals = |sequence, from_ms, to_ms| BeaconFate {
            format: Some(Format::WebVitals),
            ..fate(sequence, 0, from_ms, to_ms)
        };
        assert!(certain(&[vitals(1, 0, 5), vitals(2, 6, 9)]));
        assert!(!certain(&[vitals(1, 0, 5), vitals(2, 5, 9)]));
    }

    #[test]
    fn duplicates_are_known_as_far_as_tries_were_answered() {
        assert_eq!(fate(1, 0, 0, 5).duplicates(), (0, 1));
        assert_eq!(BeaconFate { accepted: 2, tries: 2, ..fate(1, 0, 0, 5) }.duplicates(), (1, 3));
        assert_eq!(
            BeaconFate { accepted: 2, tries: 3, records: 3, ..fate(1, 0, 0, 5) }.duplicates(),
            (3, 15)
        );
    }
}
