//! What came of a drill, and whether it held.

use serde::Serialize;

use super::file::Compare;
use super::strike::Seen;
use crate::faults::report::Written;
use crate::summary::Summary;
use crate::verify::compare::Check;
use crate::verify::report::Report as Verified;

/// Whether a drill held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every fault struck, everything recovered, and every count is equal.
    Holds,
    /// Something is not as it must be.
    Fails,
    /// It could not be tried here.
    NotRun,
}

impl Verdict {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "FAILS",
            Self::NotRun => "not run",
        }
    }
}

/// A step that was carried out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Struck {
    /// When it was due, s after the beginning of the traffic.
    pub at_s: f64,
    /// When it began, ms since the epoch.
    pub from_ms: i64,
    /// When it was over, ms since the epoch.
    pub until_ms: i64,
    /// What was done.
    pub what: String,
    /// Whether it was seen to have happened.
    pub struck: bool,
    /// What was seen of it, or why it is not believed.
    pub seen: String,
}

impl Struck {
    /// A step with what was seen of it.
    pub fn new(at_s: f64, (from_ms, until_ms): (i64, i64), what: String, seen: Seen) -> Self {
        let struck = seen.is_ok();
        Self { at_s, from_ms, until_ms, what, struck, seen: seen.unwrap_or_else(|missed| missed) }
    }
}

/// Counts of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Beacons, each with its retries counted once.
    pub beacons: u64,
    /// Of them those that ended with 2xx.
    pub accepted: u64,
    /// Of them those that ended with another status.
    pub refused: u64,
    /// Of them those of which it is not known.
    pub unanswered: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// Sessions.
    pub sessions: u64,
    /// Sessions of which it is not certain what was taken, or when.
    pub sessions_uncertain: u64,
}

/// Counts of what was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Inserted {
    /// Inserts that were sent on to ClickHouse.
    pub inserts: u64,
    /// Of them those whose token had been sent before.
    pub repeated: u64,
    /// Tokens that came with different contents.
    pub contradicted: u64,
}

/// Counts of what was compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Checks.
    pub checks: u64,
    /// Of them those that are equal.
    pub equal: u64,
    /// Rows of `sli.audit`; none is right.
    pub audit_rows: u64,
    /// What differs, one a line.
    pub differences: Vec<String>,
}

/// Everything about one drill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Its name.
    pub drill: String,
    /// What happens, in a sentence.
    pub what: String,
    /// Whether it held.
    pub verdict: Verdict,
    /// Why it did not, one reason a line.
    pub why: Vec<String>,
    /// Its steps.
    pub steps: Vec<Struck>,
    /// What became of the traffic; `None` where it was not played to its end.
    pub sent: Option<Sent>,
    /// What was inserted.
    pub inserted: Option<Inserted>,
    /// What was compared.
    pub compared: Option<Compared>,
    /// From the end of the last step until everything that had been appended by then was in ClickHouse and every part
    /// did its work, s.
    pub recovered_s: Option<f64>,
    /// Processes that ended by themselves and were started again.
    pub failures: u32,
    /// The whole drill, s.
    pub took_s: f64,
}

impl Outcome {
    /// A drill of which nothing is known yet; it fails until something else is said.
    pub fn new(drill: &str, what: &str) -> Self {
        Self {
            drill: drill.to_owned(),
            what: what.to_owned(),
            verdict: Verdict::Fails,
            why: Vec::new(),
            steps: Vec::new(),
            sent: None,
            inserted: None,
            compared: None,
            recovered_s: None,
            failures: 0,
            took_s: 0.0,
        }
    }

    /// Judges by what is known.
    pub fn judge(&mut self) {
        let mut why = Vec::new();
        let missed = self.steps.iter().filter(|step| !step.struck);
        why.extend(missed.map(|step| format!("{} did not strike: {}", step.what, step.seen)));
        match &self.sent {
            Some(sent) if sent.accepted == 0 => why.push("no beacon was accepted".to_owned()),
            Some(_) => {}
            None => why.push("the traffic did not come to its end".to_owned()),
        }
        if self.recovered_s.is_none() {
            why.push("it did not recover".to_owned());
        }
        match &self.compared {
            Some(compared) => {
                if compared.equal < compared.checks {
                    why.push(format!(
                        "{} of {} checks differ",
                        compared.checks - compared.equal,
                        compared.checks
                    ));
                }
                if compared.audit_rows > 0 {
                    why.push(format!("the audit lists {} rows", compared.audit_rows));
                }
            }
            None => why.push("nothing was compared".to_owned()),
        }
        if let Some(Inserted { contradicted: contradicted @ 1.., .. }) = self.inserted {
            why.push(format!("{contradicted} tokens came with different contents"));
        }
        self.why.extend(why);
        self.verdict = if self.why.is_empty() { Verdict::Holds } else { Verdict::Fails };
    }
}

impl Sent {
    /// What became of the traffic.
    pub fn of(summary: &Summary, verified: &Verified) -> Self {
        Self {
            beacons: summary.sendings,
            accepted: summary.accepted,
            refused: summary.refused,
            unanswered: summary.unanswered,
            retries: summary.retries,
            sessions: verified.sessions,
            sessions_uncertain: verified.sessions_uncertain,
        }
    }
}

impl Inserted {
    /// What went to ClickHouse.
    pub fn of(written: &Written) -> Self {
        Self {
            inserts: written.inserts,
            repeated: written.repeated + written.repeated_by_another,
            contradicted: written.contradicted.len() as u64,
        }
    }
}

/// Checks that depend on when something happened, though they are of a whole app.
const OF_TIME: [&str; 2] = ["events of wrong clocks", "late"];

impl Compared {
    /// What a verification found of what is to be compared.
    pub fn of(verified: &Verified, compare: Compare) -> Self {
        let is_compared = |check: &&Check| match compare {
            Compare::All => true,
            Compare::Records => check.journey.is_empty() && !OF_TIME.contains(&check.what.as_str()),
        };
        let checks: Vec<&Check> = verified.checks.iter().filter(is_compared).collect();
        let different = checks.iter().filter(|check| !check.equal).map(|check| check.sentence());
        Self {
            checks: checks.len() as u64,
            equal: checks.iter().filter(|check| check.equal).count() as u64,
            audit_rows: verified.audit_rows().unwrap_or(1),
            differences: different.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
