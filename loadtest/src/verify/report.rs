//! What a verification found, for people and as JSON.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::{Cell, Color, Table, presets};
use serde::Serialize;

use super::compare::{AUDIT_ROWS, Check, Comparison, LEVELS};
use super::expect::Expected;

/// The result of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether everything is as it must be.
    pub equal: bool,
    /// Whether log time has passed everything that could still change a number.
    pub complete: bool,
    /// Whether the run came to its own end.
    pub run_ended: bool,
    /// How long it took, s.
    pub waited_s: f64,
    /// Sessions of the run.
    pub sessions: u64,
    /// Sessions of which it is not certain what was taken, or when; every count may be higher by theirs.
    pub sessions_uncertain: u64,
    /// Beacons of the certain sessions.
    pub beacons: u64,
    /// Everything that was compared.
    pub checks: Vec<Check>,
}

impl Report {
    /// The report of a comparison.
    pub fn new(expected: &Expected, comparison: Comparison, complete: bool, waited: Duration) -> Self {
        Self {
            equal: comparison.is_equal(),
            complete,
            run_ended: expected.run_ended,
            waited_s: waited.as_secs_f64(),
            sessions: expected.sessions,
            sessions_uncertain: expected.sessions_uncertain,
            beacons: expected.beacons,
            checks: comparison.checks,
        }
    }

    /// Gaps, overlaps and unbalanced batches that the audit lists; `None` where that was not looked at.
    pub fn audit_rows(&self) -> Option<u64> {
        self.checks.iter().find(|check| check.what == AUDIT_ROWS)?.found.parse().ok()
    }

    /// One line a journey: what must be there and what is there.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let mut header = vec!["app".to_owned(), "journey".to_owned()];
        header.extend(["attempts", "valid", "success"].map(str::to_owned));
        header.extend(LEVELS.iter().map(|(_, name)| (*name).to_owned()));
        header.push("differences".to_owned());
        table.set_header(header);
        let colours = std::io::stdout().is_terminal();
        for checks in self.checks.chunk_by(|a, b| (&a.app, &a.journey) == (&b.app, &b.journey)) {
            let Some(first) = checks.first().filter(|first| !first.journey.is_empty()) else { continue };
            let mut row = vec![Cell::new(&first.app), Cell::new(&first.journey)];
            for what in
                ["attempts", "valid", "success"].into_iter().chain(LEVELS.iter().map(|(_, name)| *name))
            {
                row.push(Cell::new(shown(checks, what)));
            }
            let different = checks.iter().filter(|check| !check.equal).count();
            let (text, colour) = match different {
                0 => ("none".to_owned(), Color::Green),
                _ => (format!("{different} of {}", checks.len()), Color::Red),
            };
            row.push(if colours { Cell::new(text).fg(colour) } else { Cell::new(text) });
            table.add_row(row);
        }
        table
    }

    /// The checks that are not equal, one a line, each with the sessions that it may come from.
    pub fn differences(&self) -> impl Iterator<Item = String> {
        self.checks.iter().filter(|check| !check.equal).map(Check::sentence)
    }

    /// The result in a sentence.
    pub fn sentence(&self) -> String {
        let different = self.checks.iter().filter(|check| !check.equal).count();
        let certainty = match self.sessions_uncertain {
            0 => String::new(),
            count => format!(", {count} sessions are uncertain and every count may be higher by theirs"),
        };
        let end = if self.run_ended { "" } else { ", the run did not come to its end" };
        let verdict = if self.equal {
            format!("all {} checks are equal", self.checks.len())
        } else if self.complete {
            format!("{different} of {} checks differ", self.checks.len())
        } else {
            format!("{different} of {} checks differ, and not everything has settled yet", self.checks.len())
        };
        format!(
            "{verdict} ({} beacons of {} sessions, after {:.0} s{certainty}{end})",
            self.beacons, self.sessions, self.waited_s
        )
    }
}

/// What was found, and what was expected where it is something else.
fn shown(checks: &[Check], what: &str) -> String {
    match checks.iter().find(|check| check.what == what) {
        None => String::new(),
        Some(check) if check.expected == check.found => check.found.clone(),
        Some(check) => format!("{} ({})", check.found, check.expected),
    }
}
