//! What the comparison found, as tables of Markdown for people and as JSON for machines.

use std::collections::BTreeMap;

use clap::ValueEnum;
use comfy_table::Table;
use serde::{Deserialize, Serialize};

use super::questions::Answered;
use crate::cost::Cpu;
use crate::page::{self, NONE, align_right};
use crate::report::Verified;
use crate::report::machine::Machine;
use crate::scenario::Profile;
use crate::schedule::Traffic;

/// Version of the JSON.
pub const VERSION: u32 = 1;

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// How it was asked for.
    pub command: String,
    /// Where it was measured.
    pub machine: Machine,
    /// What took part, and its version.
    pub versions: BTreeMap<String, String>,
    /// What was played for all tables but the first.
    pub traffic: Traffic,
    /// Beacons of it.
    pub beacons: u64,
    /// Events of it, as the log has them: repeats are among them.
    pub events: u64,
    /// Events of beacons that came again: whoever keeps all rows counts them twice.
    pub repeated_events: u64,
    /// Bytes of the log of this traffic, one replica.
    pub log_bytes: u64,
    /// Bytes of its copy as JSON, one replica.
    pub copy_bytes: Option<u64>,
    /// Whether our own counts are those of the truth.
    pub verified: Option<Verified>,
    /// What was measured.
    pub rows: Vec<Row>,
    /// What answers take.
    pub questions: Vec<Answered>,
    /// What could not be measured.
    pub absent: Vec<Absent>,
}

/// Which way events go: rows of one way are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From the client to what keeps them, the same bodies of OTLP.
    Receive,
    /// From the log to tables, the same events.
    Count,
}

/// One measured thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its way.
    pub way: Way,
    /// What it is.
    pub name: String,
    /// Whether it is of this project.
    pub ours: bool,
    /// Events that went this way.
    pub events: u64,
    /// The part that does the work.
    pub part: String,
    /// The store that takes it.
    pub store: String,
    /// CPU in the whole window.
    pub cpu: Cpu,
    /// CPU of a window in which nothing was asked of them.
    pub idle: Cpu,
    /// Bytes that the store keeps of it.
    pub bytes: Option<u64>,
    /// p50 and p99 of the answers, ms, where there are some.
    pub latency_ms: Option<(f64, f64)>,
    /// What it does not do.
    pub lacks: String,
    /// Why there are no figures: the generator was too slow.
    pub invalid: Option<String>,
}

/// A peer without a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Which.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Row {
    /// CPU of the working part and of the store for each event beyond what they use while idle, µs.
    pub fn us_per_event(&self) -> (f64, f64) {
        let beyond = self.cpu.beyond(&self.idle);
        (beyond.us_per(&self.part, self.events), beyond.us_per(&self.store, self.events))
    }

    fn bytes_per_million(&self) -> Option<f64> {
        Some(self.bytes? as f64 / (self.events.max(1) as f64) * 1e6)
    }
}

impl Report {
    /// Whether our own part was measured and its counts are right.
    pub fn holds(&self) -> bool {
        let measured = |way| self.rows.iter().any(|row| row.ours && row.way == way && row.invalid.is_none());
        self.verified.as_ref().is_some_and(|verified| verified.equal)
            && measured(Way::Count)
            && measured(Way::Receive)
            && self.rows.iter().all(|row| !row.ours || row.invalid.is_none())
    }

    /// The tables, with what they were measured on.
    pub fn markdown(&self) -> String {
        let versions: Vec<_> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let mut text = format!(
            "{}\n\n{} beacons of {} events at {} beacons/s for {} s (profile {}); {}. µs are CPU time of a part's process for \
             each event, beyond what it uses while idle.\n",
            page::measured_on(&self.command, &versions.join(", "), &self.machine),
            self.beacons,
            self.events,
            self.traffic.rate,
            self.traffic.seconds,
            profile(self.traffic.profile),
            self.verified.as_ref().map_or("not verified", |verified| verified.sentence.as_str()),
        );
        for (way, title) in [
            (Way::Receive, "From the client to what keeps them: the same bodies of OTLP over HTTP"),
            (Way::Count, "From the log to tables: the same events"),
        ] {
            text.push_str(&format!("\n**{title}**\n\n{}\n", self.table(way)));
        }
        text.push_str(&format!("\n**What a question costs**\n\n{}\n", self.questions_table()));
        if let Some(copy_bytes) = self.copy_bytes {
            let per_million = |bytes: u64| megabytes(bytes as f64 / self.events.max(1) as f64 * 1e6);
            text.push_str(&format!(
                "\nKafka keeps {} a million events of the log, and {} of the copy as JSON, both by lz4.\n",
                per_million(self.log_bytes),
                per_million(copy_bytes)
            ));
        }
        if self.repeated_events > 0 {
            text.push_str(&format!(
                "\n{} of the {} events came in beacons that were sent again: tables that keep every row count them twice, \
                 `sli` once.\n",
                self.repeated_events, self.events
            ));
        }
        for Absent { name, reason } in &self.absent {
            text.push_str(&format!("\nNot measured: {name}: {}\n", reason.replace('\n', " ")));
        }
        text
    }

    fn table(&self, way: Way) -> Table {
        let mut table = page::table(&[
            "what",
            "events",
            "its CPU µs an event",
            "store's CPU µs an event",
            "together",
            "× ours",
            "idle cores",
            "bytes kept a million events",
            "p50 / p99 ms",
            "what it does not do",
        ]);
        let total = |row: &Row| {
            let (own, store) = row.us_per_event();
            own + store
        };
        let ours =
            self.rows.iter().find(|row| row.way == way && row.ours && row.invalid.is_none()).map(total);
        for row in self.rows.iter().filter(|row| row.way == way) {
            let (own, store) = row.us_per_event();
            let figure = |text: String| if row.invalid.is_some() { NONE.to_owned() } else { text };
            // What one process does is not told twice.
            let is_one = row.part == row.store;
            let (own_text, together) =
                if is_one { (NONE.to_owned(), store) } else { (format!("{own:.2}"), own + store) };
            let times = ours
                .filter(|ours| *ours > 0.0)
                .map_or(NONE.to_owned(), |ours| format!("{:.2}", together / ours));
            let idle = if is_one {
                format!("{:.3}", row.idle.cores(&row.store))
            } else {
                format!("{:.3} + {:.3}", row.idle.cores(&row.part), row.idle.cores(&row.store))
            };
            table.add_row([
                row.name.clone(),
                row.events.to_string(),
                figure(own_text),
                figure(format!("{store:.2}")),
                figure(format!("{together:.2}")),
                figure(times),
                idle,
                row.bytes_per_million().map_or(NONE.to_owned(), megabytes),
                figure(row.latency_ms.map_or(NONE.to_owned(), |(p50, p99)| format!("{p50:.1} / {p99:.1}"))),
                row.invalid.clone().unwrap_or_else(|| row.lacks.clone()),
            ]);
        }
        align_right(&mut table, 1..=8);
        table
    }

    fn questions_table(&self) -> Table {
        let mut table = page::table(&[
            "question",
            "asked of",
            "rows read",
            "bytes read",
            "CPU ms",
            "median ms",
            "what the answer leaves out",
        ]);
        for Answered { what, tables, lacks, asked } in &self.questions {
            table.add_row([
                what.clone(),
                tables.title().to_owned(),
                asked.rows.to_string(),
                asked.bytes.to_string(),
                format!("{:.1}", asked.cpu_ms),
                format!("{:.1}", asked.median_ms),
                if lacks.is_empty() { NONE.to_owned() } else { lacks.clone() },
            ]);
        }
        align_right(&mut table, 2..=5);
        table
    }
}

fn profile(profile: Profile) -> String {
    profile.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
}

/// Bytes as MB.
fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

#[cfg(test)]
mod tests;
