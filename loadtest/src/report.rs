//! The report of a run: everything that was measured in one JSON file for machines, and one page for people.
//!
//! A [`RunReport`] is the file; [`judge`] says which claims it supports, and [`page`] makes the page from nothing but
//! the file, so that it can be made again at any time. Who measures is [`crate::drive`], [`crate::observe`] and
//! [`crate::verify`].

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::drive::seconds::Timeline;
use crate::observe::Sample;
use crate::schedule::Traffic;
use crate::summary::{Quantiles, Summary};
use crate::verify::report::Report as VerifyReport;

pub mod axis;
pub mod chart;
pub mod judge;
pub mod machine;
pub mod page;
pub mod plots;
pub mod trend;

pub use judge::Claim;
use machine::Machine;

/// Version of the file's shape. A field that is added keeps it; one that is taken away, renamed or means something
/// else raises it.
pub const VERSION: u32 = 1;
/// Differences that are kept: more say no more.
const DIFFERENCES_MAX: usize = 200;

/// Everything about one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// [`VERSION`].
    pub version: u32,
    /// What kind of run it was, for the head of the page.
    pub title: String,
    /// The command that made it.
    pub command: String,
    /// Where it was made.
    pub machine: Machine,
    /// Name of what took part → its version.
    pub versions: BTreeMap<String, String>,
    /// What was played, as the ledger has it.
    pub traffic: serde_json::Map<String, serde_json::Value>,
    /// What became of it.
    pub sent: Sent,
    /// The same over time.
    pub timeline: Timeline,
    /// What was seen of the parts; empty when none was observed.
    pub samples: Vec<Sample>,
    /// Faults that were brought about.
    pub marks: Vec<FaultMark>,
    /// What ClickHouse held compared with the ledger; `None` when it was not looked at.
    pub verified: Option<Verified>,
    /// What the run is to show, and whether it does.
    pub claims: Vec<Claim>,
}

/// A fault that was brought about during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultMark {
    /// When it struck, ms since the epoch.
    pub at_ms: i64,
    /// When everything worked again, ms since the epoch.
    pub until_ms: i64,
    /// What was done to whom.
    pub what: String,
}

/// What became of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Hash of what was sent, as if at a fixed time.
    pub fingerprint: String,
    /// From the beginning to the last answer, s.
    pub seconds: f64,
    /// Sessions that were begun.
    pub sessions: u64,
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
    /// Status, or why there was none → tries.
    pub answers: BTreeMap<String, u64>,
    /// From the intended time to the final answer, ms; accepted beacons only.
    pub latency_ms: Quantiles,
    /// From the writing of the last try to its answer, ms; accepted beacons only.
    pub service_ms: Quantiles,
    /// How late the generator was itself, ms.
    pub slip_ms: Quantiles,
    /// CPU time of the generator ÷ wall time.
    pub cpu_cores: f64,
    /// Whether the schedule was not kept because of the generator.
    pub generator_was_the_bottleneck: bool,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether everything was as it must be.
    pub equal: bool,
    /// Whether the run came to its own end.
    pub run_ended: bool,
    /// How many things were compared.
    pub checks: u64,
    /// How many of them differ.
    pub different: u64,
    /// Gaps, overlaps and unbalanced batches that the audit lists.
    pub audit_rows: Option<u64>,
    /// The result in a sentence.
    pub sentence: String,
    /// The first of what differs, one a line.
    pub differences: Vec<String>,
}

impl From<&VerifyReport> for Verified {
    fn from(report: &VerifyReport) -> Self {
        Self {
            equal: report.equal,
            run_ended: report.run_ended,
            checks: report.checks.len() as u64,
            different: report.checks.iter().filter(|check| !check.equal).count() as u64,
            audit_rows: report.audit_rows(),
            sentence: report.sentence(),
            differences: report.differences().take(DIFFERENCES_MAX).collect(),
        }
    }
}

impl From<&Summary> for Sent {
    fn from(summary: &Summary) -> Self {
        let answers = summary.answers.iter().map(|(status, count)| (status.to_string(), *count));
        let no_answers = summary.no_answers.iter().map(|(cause, count)| ((*cause).to_owned(), *count));
        Self {
            fingerprint: summary.fingerprint.clone(),
            seconds: summary.seconds,
            sessions: summary.sessions,
            beacons: summary.sendings,
            accepted: summary.accepted,
            refused: summary.refused,
            unanswered: summary.unanswered,
            retries: summary.retries,
            answers: answers.chain(no_answers).collect(),
            latency_ms: summary.latency_ms.clone(),
            service_ms: summary.service_ms.clone(),
            slip_ms: summary.slip_ms.clone(),
            cpu_cores: summary.cpu_cores,
            generator_was_the_bottleneck: summary.generator_was_the_bottleneck,
        }
    }
}

impl RunReport {
    /// The report of what this process has sent, on this machine; nothing was observed, verified or claimed yet.
    pub fn new(title: &str, traffic: &Traffic, summary: &Summary) -> Self {
        let traffic = match serde_json::to_value(traffic) {
            Ok(serde_json::Value::Object(traffic)) => traffic,
            Ok(_) | Err(_) => serde_json::Map::new(),
        };
        Self {
            version: VERSION,
            title: title.to_owned(),
            command: machine::command(),
            machine: Machine::this(),
            versions: BTreeMap::from([("loadtest".to_owned(), machine::program())]),
            traffic,
            sent: Sent::from(summary),
            timeline: summary.timeline.clone(),
            samples: Vec::new(),
            marks: Vec::new(),
            verified: None,
            claims: Vec::new(),
        }
    }

    /// Whether no claim is refuted.
    pub fn holds(&self) -> bool {
        self.claims.iter().all(|claim| claim.holds != Some(false))
    }

    /// The verdict in a sentence.
    pub fn sentence(&self) -> String {
        judge::sentence(&self.claims)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is of another version.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let what = || format!("{} is not a report of loadtest", path.display());
        let Versioned { version } = serde_json::from_str(&text).with_context(what)?;
        if version != VERSION {
            bail!("{}: version {version} is not known, this build reads {VERSION}", path.display());
        }
        serde_json::from_str(&text).with_context(what)
    }

    /// Writes the file for machines.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self).context("writing the report as JSON")?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }

    /// Writes the page for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_page(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, page::html(self)).with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests;
