//! What the attacks got, as a table, and whether it is what they must get.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use super::attack::Answers;
use super::case::Case;
use super::honest::Seen;

/// Bytes of the server's memory at most.
pub const PEAK_BYTES_MAX: u64 = 200_000_000;
/// The p99 of honest traffic beside the attacks may be less than this many times its normal value.
pub const P99_FACTOR: f64 = 2.0;

/// One case and what came of it.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// The answers.
    pub answers: Answers,
    /// From the first connection to the last answer.
    pub duration: Duration,
    /// The server's memory at most meanwhile; none where cases ran side by side.
    pub peak_bytes: Option<u64>,
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// Every case.
    pub rows: Vec<Row>,
    /// The server's memory at most in the whole run.
    pub peak_bytes: u64,
    /// Honest traffic before the attacks, and beside them; none where none was sent.
    pub honest: Option<(Seen, Seen)>,
    /// Lines of the server's log that hold what clients sent.
    pub leaks: Vec<String>,
}

impl Row {
    /// Whether every expected answer came, and no other.
    pub fn is_expected(&self) -> bool {
        self.answers.keys().all(|answer| self.case.expect.contains(&answer.as_str()))
            && self.case.expect.iter().all(|expect| self.answers.contains_key(*expect))
    }

    fn answers(&self) -> String {
        let texts: Vec<_> = match self.case.is_single() {
            true => self.answers.keys().cloned().collect(),
            false => self.answers.iter().map(|(answer, count)| format!("{count} × {answer}")).collect(),
        };
        texts.join(", ")
    }
}

impl Report {
    /// Everything that is not as it must be, in words.
    pub fn failures(&self) -> Vec<String> {
        let mut failures: Vec<_> = self
            .rows
            .iter()
            .filter(|row| !row.is_expected())
            .map(|row| {
                let Row { case, .. } = row;
                format!(
                    "{}: {}: {}, want {}",
                    case.group,
                    case.name,
                    row.answers(),
                    case.expect.join(" and ")
                )
            })
            .collect();
        if self.peak_bytes > PEAK_BYTES_MAX {
            failures.push(format!(
                "the server took {} MB, want {} MB at most",
                mb(self.peak_bytes),
                mb(PEAK_BYTES_MAX)
            ));
        }
        if let Some((normal, beside)) = &self.honest {
            if normal.refused + beside.refused > 0 {
                failures
                    .push(format!("{} honest beacons were not accepted", normal.refused + beside.refused));
            }
            if beside.p99.as_secs_f64() >= normal.p99.as_secs_f64() * P99_FACTOR {
                failures.push(format!("honest p99 {} ms, normal {} ms", ms(beside.p99), ms(normal.p99)));
            }
        }
        failures
            .extend(self.leaks.iter().map(|line| format!("the server's log holds a client's text: {line}")));
        failures
    }

    /// The cases.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["", "of", "attack", "answer", "ms", "peak MB"]);
        for (number, row) in self.rows.iter().enumerate() {
            let mut attack = row.case.name.clone();
            if row.case.connections > 1 {
                attack = format!("{attack} ({} connections)", row.case.connections);
            }
            table.add_row([
                (number + 1).to_string(),
                row.case.group.to_owned(),
                attack,
                row.answers(),
                ms(row.duration),
                row.peak_bytes.map(mb).unwrap_or_default(),
            ]);
        }
        for at in [0, 4, 5] {
            if let Some(column) = table.column_mut(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// The sums, one a line.
    pub fn lines(&self) -> Vec<String> {
        let expected = self.rows.iter().filter(|row| row.is_expected()).count();
        let mut lines = vec![
            format!("{} attacks, {expected} answered as they must be", self.rows.len()),
            format!("server's memory at most {} MB", mb(self.peak_bytes)),
        ];
        if let Some((normal, beside)) = &self.honest {
            for (name, seen) in [("alone", normal), ("beside the attacks", beside)] {
                lines.push(format!(
                    "honest traffic {name}: {} beacons, {} not accepted, p50 {} ms, p99 {} ms",
                    seen.beacons,
                    seen.refused,
                    ms(seen.p50),
                    ms(seen.p99)
                ));
            }
        }
        lines
    }
}

fn mb(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1e6)
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e3)
}
