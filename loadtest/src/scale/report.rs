//! What sizes cost beside each other, as Markdown for people and as JSON for machines.

use comfy_table::Table;
use deploy::stack::{AGGREGATOR, INGEST};
use serde::{Deserialize, Serialize};

use super::Point;
use crate::capacity::sum_cores;
use crate::fleet::KINDS;
use crate::page::{self, NONE, align_right};
use crate::report::machine::Machine;

/// Version of the JSON.
pub const VERSION: u32 = 2;

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// How it was asked for.
    pub command: String,
    /// Where it was measured.
    pub machine: Machine,
    /// This program and its build.
    pub program: String,
    /// Beacons a second.
    pub rate: f64,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// The sizes, in the order in which they were measured.
    pub points: Vec<Point>,
}

impl Point {
    /// CPU of a kind for each beacon beyond what it uses while idle, µs.
    pub fn us_per_beacon(&self, kind: &str) -> f64 {
        self.step.cpu.beyond(&self.idle).us_per(kind, self.step.beacons())
    }

    /// CPU of all parts for each beacon, µs.
    fn us_together(&self) -> f64 {
        KINDS.iter().map(|kind| self.us_per_beacon(kind)).sum()
    }
}

impl Report {
    /// Whether every size was measured.
    pub fn holds(&self) -> bool {
        !self.points.is_empty() && self.points.iter().all(|point| point.step.is_valid())
    }

    /// The tables, with what they were measured on.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{} {} beacons/s for {} s at each size (profile `mixed`).\n\n{}\n\n{}\n",
            page::measured_on(&self.command, &format!("loadtest {}", self.program), &self.machine),
            self.rate,
            self.seconds,
            self.table(),
            self.spread()
        );
        for point in self.points.iter().filter(|point| !point.step.is_valid()) {
            let Point { partitions, processes, step, .. } = point;
            text.push_str(&format!(
                "\nNo figures for {partitions} partitions with {processes} of each process: {}\n",
                if step.why.is_empty() { "the generator did not keep its schedule" } else { &step.why }
            ));
        }
        text
    }

    fn table(&self) -> Table {
        let mut header = vec!["partitions".to_owned(), "ingests, aggregators".to_owned()];
        header.extend(KINDS.iter().map(|kind| format!("{kind} µs a beacon")));
        header.extend(["together", "cores", "of them idle", "p99 ms", "tables behind s"].map(str::to_owned));
        let mut table = page::table(&header);
        for point in &self.points {
            let figure =
                |number: f64| if point.step.is_valid() { format!("{number:.1}") } else { NONE.to_owned() };
            let (p99_ms, behind_ms) = (point.step.p99_ms, point.step.freshness_ms);
            let mut row =
                vec![point.partitions.to_string(), format!("{}, {}", point.processes, point.processes)];
            row.extend(KINDS.iter().map(|kind| figure(point.us_per_beacon(kind))));
            row.extend([
                figure(point.us_together()),
                format!("{:.2}", sum_cores(&point.step.cpu)),
                format!("{:.3}", sum_cores(&point.idle)),
                p99_ms.map_or(NONE.to_owned(), |ms| format!("{ms:.0}")),
                behind_ms.map_or(NONE.to_owned(), |ms| format!("{:.1}", ms as f64 / 1_000.0)),
            ]);
            table.add_row(row);
        }
        align_right(&mut table, 0..=10);
        table
    }

    /// How far the largest is from the smallest.
    fn spread(&self) -> String {
        let of = |number: &dyn Fn(&Point) -> f64| {
            let numbers = self.points.iter().filter(|point| point.step.is_valid()).map(number);
            let (low, high) = numbers.fold((f64::MAX, 0.0f64), |(low, high), n| (low.min(n), high.max(n)));
            if high == 0.0 { NONE.to_owned() } else { format!("{:.2}", high / low.max(1e-9)) }
        };
        format!(
            "Largest ÷ smallest over all sizes: ingest {}, aggregator {}, all parts together {}.",
            of(&|point| point.us_per_beacon(INGEST)),
            of(&|point| point.us_per_beacon(AGGREGATOR)),
            of(&Point::us_together)
        )
    }
}

#[cfg(test)]
mod tests;
