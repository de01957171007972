//! What a run of faults did and found, for people.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Table, presets};

use super::journal::Journal;
use super::round::Done;
use crate::summary::Summary;
use crate::verify::report::Report as Verified;

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// Seed of the faults and of the traffic.
    pub seed: u64,
    /// From the first fault to the end of the last.
    pub duration: Duration,
    /// Faults in their order.
    pub done: Vec<Done>,
    /// From a fault to a new batch in every partition and every aggregator ready, where that was waited for.
    pub recoveries: Vec<Duration>,
    /// What went to ClickHouse.
    pub written: Written,
    /// Ends of an aggregator that nobody here brought about.
    pub failures: u32,
    /// What was sent.
    pub traffic: Summary,
    /// What ClickHouse holds, compared with the ledger.
    pub verified: Verified,
}

/// What went to ClickHouse through the proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Inserts.
    pub inserts: u64,
    /// Of them those that the same aggregator had sent before.
    pub repeated: u64,
    /// Of them those that another had sent before.
    pub repeated_by_another: u64,
    /// Tokens that came with different contents.
    pub contradicted: Vec<String>,
}

impl Written {
    /// What `journal` says.
    pub fn of(journal: &Journal) -> Self {
        Self {
            inserts: journal.inserts,
            repeated: journal.repeated,
            repeated_by_another: journal.repeated_by_another,
            contradicted: journal.contradicted.iter().cloned().collect(),
        }
    }
}

impl Report {
    /// Whether every count equals the ledger, and every repeated insert had the same content.
    pub fn holds(&self) -> bool {
        self.verified.equal && self.verified.run_ended && self.written.contradicted.is_empty()
    }

    /// The faults by point, and what was seen meanwhile.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["fault", "point", "times"]);
        let mut times: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for done in &self.done {
            *times.entry((done.fault, done.point)).or_default() += 1;
        }
        let mut counts = times.iter().peekable();
        let mut total = 0;
        while let Some(((fault, point), count)) = counts.next() {
            if !point.is_empty() {
                table.add_row([*fault, *point, &count.to_string()]);
            }
            total += count;
            if counts.peek().is_none_or(|((next, _), _)| next != fault) {
                table.add_row([*fault, "in all", &total.to_string()]);
                total = 0;
            }
        }
        table
    }

    /// What was seen while the faults struck, one thing a line.
    pub fn lines(&self) -> Vec<String> {
        let Self { traffic, written, .. } = self;
        let mut lines = vec![
            format!("seed {}, {:.0} s of faults", self.seed, self.duration.as_secs_f64()),
            format!(
                "traffic: {} beacons of {} sessions at {}/s, {} accepted, {} refused, {} unanswered, {} retries",
                traffic.sendings,
                traffic.sessions,
                traffic.rate,
                traffic.accepted,
                traffic.refused,
                traffic.unanswered,
                traffic.retries
            ),
            format!(
                "inserts: {}, of them {} sent again by the same aggregator and {} by another, {} with another content",
                written.inserts,
                written.repeated,
                written.repeated_by_another,
                written.contradicted.len()
            ),
            format!("aggregators that ended by themselves and were started again: {}", self.failures),
        ];
        if let Some(longest) = self.recoveries.iter().max() {
            let total: Duration = self.recoveries.iter().sum();
            lines.push(format!(
                "recovered {} times, after {:.1} s on average and {:.1} s at most",
                self.recoveries.len(),
                total.as_secs_f64() / self.recoveries.len() as f64,
                longest.as_secs_f64()
            ));
        }
        for token in &written.contradicted {
            lines.push(format!("two contents for {token}"));
        }
        lines
    }
}
