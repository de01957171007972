//! What was found and what follows from it, as Markdown for people and as JSON for machines.

use std::collections::BTreeMap;

use comfy_table::Table;
use serde::{Deserialize, Serialize};

use super::model::{Assumptions, Model, Need};
use super::search::Knee;
use super::step::{Limits, Step};
use crate::cost::Cpu;
use crate::fleet::KINDS;
use crate::page::{self, NONE, align_right};
use crate::report::Verified;
use crate::report::machine::Machine;

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
    /// This program and its build.
    pub program: String,
    /// What a step had to keep.
    pub limits: Limits,
    /// Seconds of a step.
    pub step_s: u64,
    /// The knee of the whole pipeline.
    pub whole: Found,
    /// The knee of ingest while nobody reads the log.
    pub alone: Found,
    /// The aggregator behind what that left.
    pub drained: Drained,
    /// The lower of the two rates that the model is made from.
    pub low: Step,
    /// The higher one.
    pub high: Step,
    /// The one that it is checked by.
    pub checked: Checked,
    /// What a beacon costs.
    pub model: Model,
    /// What is assumed beyond it.
    pub assumed: Assumptions,
    /// What a million beacons a second need.
    pub million: Need,
    /// Users a day, events of each, and what they need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<(f64, f64, Need)>,
}

/// A knee and the steps that it was found by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Of what.
    pub what: String,
    /// The knee.
    pub knee: Knee,
    /// What was tried.
    pub steps: Vec<Step>,
}

impl Found {
    /// Beacons that were accepted in all steps.
    pub fn beacons(&self) -> u64 {
        self.steps.iter().map(|step| step.accepted).sum()
    }
}

/// An aggregator that caught up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drained {
    /// Beacons that it was behind.
    pub beacons: u64,
    /// What it took.
    pub cpu: Cpu,
}

/// A prediction and what came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Cores by kind that the model said.
    pub predicted: BTreeMap<String, f64>,
    /// What was measured.
    pub step: Step,
    /// Events that were counted.
    pub events: u64,
    /// Bytes of the log.
    pub kafka_bytes: u64,
    /// Bytes of the tables.
    pub clickhouse_bytes: u64,
    /// Whether the counts are those of the truth.
    pub verified: Verified,
}

impl Report {
    /// Whether there are figures, and the counts of the last measurement are right.
    pub fn holds(&self) -> bool {
        let steps = [&self.low, &self.high, &self.checked.step];
        self.checked.verified.equal && steps.iter().all(|step| step.is_valid())
    }

    /// The tables, with what they were measured on.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{} Traffic of profile `mixed`, {:.1} events a beacon.\n",
            page::measured_on(&self.command, &format!("loadtest {}", self.program), &self.machine),
            self.model.events_per_beacon,
        );
        text.push_str(&format!(
            "\n**Where limits break**: p99 {} ms, tables {} s behind, steps of {} s\n\n{}\n",
            self.limits.p99_ms,
            self.limits.freshness_ms / 1_000,
            self.step_s,
            self.knees()
        ));
        text.push_str(&format!("\n**What a thousand beacons cost**\n\n{}\n", self.costs()));
        text.push_str(&format!(
            "\n**The model against a third rate**: made at {:.0} and {:.0} beacons/s, checked at {:.0}; {}\n\n{}\n",
            self.low.rate,
            self.high.rate,
            self.checked.step.rate,
            self.checked.verified.sentence,
            self.check()
        ));
        text.push_str(&format!("\n**What traffic needs**\n\n{}\n\n{}\n", self.needs(), self.first()));
        text.push_str(&format!("\n{}\n", assumptions(&self.assumed)));
        text
    }

    fn knees(&self) -> Table {
        let mut table =
            page::table(&["what", "beacons/s that keep the limits", "what broke", "cores of generator"]);
        for Found { what, knee, steps } in [&self.whole, &self.alone] {
            let mut broke =
                steps.iter().filter(|step| Some(step.rate) == knee.breaks).map(|step| step.why.as_str());
            let at = steps.iter().find(|step| step.rate == knee.holds).map(|step| step.generator_cores);
            table.add_row([
                what.clone(),
                knee.words(),
                broke.next_back().unwrap_or(NONE).to_owned(),
                at.map_or(NONE.to_owned(), |cores| format!("{cores:.2}")),
            ]);
        }
        let Drained { beacons, cpu } = &self.drained;
        table.add_row([
            "the aggregator, catching up".to_owned(),
            format!(
                "{:.0} drained; {:.0} for each core that it used",
                *beacons as f64 / cpu.wall_s,
                self.model.drained_per_core
            ),
            NONE.to_owned(),
            NONE.to_owned(),
        ]);
        table
    }

    fn costs(&self) -> String {
        let mut table = page::table(&["part", "CPU ms", "cores at any rate"]);
        for kind in KINDS {
            let of = |map: &BTreeMap<String, f64>| map.get(kind).copied().unwrap_or_default();
            table.add_row([
                kind.to_owned(),
                format!("{:.1}", of(&self.model.us_per_beacon)),
                format!("{:.3}", of(&self.model.fixed_cores)),
            ]);
        }
        align_right(&mut table, 1..=2);
        let millions = |bytes: u64| bytes as f64 / self.checked.events.max(1) as f64;
        let mut bytes = page::table(&["bytes", "a thousand beacons", "a million events"]);
        let events = self.model.events_per_beacon.max(1e-9);
        bytes.add_row([
            "requests, with heads".to_owned(),
            format!("{:.1} kB", self.model.http_bytes),
            format!("{:.1} MB", self.model.http_bytes / events),
        ]);
        bytes.add_row([
            "Kafka's log, one replica".to_owned(),
            format!("{:.1} kB", self.model.kafka_bytes),
            format!("{:.1} MB", millions(self.checked.kafka_bytes)),
        ]);
        bytes.add_row([
            "ClickHouse's tables, one replica; less at a higher rate".to_owned(),
            format!("{:.1} kB", self.model.clickhouse_bytes),
            format!("{:.1} MB", millions(self.checked.clickhouse_bytes)),
        ]);
        align_right(&mut bytes, 1..=2);
        format!("{table}\n\n{bytes}")
    }

    fn check(&self) -> Table {
        let mut table = page::table(&["part", "cores predicted", "cores measured", "error"]);
        for kind in KINDS {
            let predicted = self.checked.predicted.get(kind).copied().unwrap_or_default();
            let measured = self.checked.step.cpu.cores(kind);
            table.add_row([
                kind.to_owned(),
                format!("{predicted:.3}"),
                format!("{measured:.3}"),
                error(predicted, measured),
            ]);
        }
        let predicted = self.checked.predicted.values().sum();
        let measured = super::sum_cores(&self.checked.step.cpu);
        table.add_row([
            "together".to_owned(),
            format!("{predicted:.3}"),
            format!("{measured:.3}"),
            error(predicted, measured),
        ]);
        align_right(&mut table, 1..=3);
        table
    }

    fn needs(&self) -> Table {
        let mut header = vec!["what".to_owned(), "a million beacons/s".to_owned()];
        let mut needs = vec![&self.million];
        if let Some((users, events, need)) = &self.users {
            header.push(format!("{} users a day, {events} events each", grouped(*users)));
            needs.push(need);
        }
        let mut table = page::table(&header);
        let mut row = |what: &str, of: &dyn Fn(&Need) -> String| {
            table.add_row(std::iter::once(what.to_owned()).chain(needs.iter().map(|need| of(need))));
        };
        row("beacons/s at the busiest moment", &|need| grouped(need.beacons_per_s));
        row("beacons a day", &|need| grouped(need.beacons_per_day));
        for kind in KINDS {
            row(&format!("cores of {kind}"), &|need| {
                format!("{:.1}", need.cores.get(kind).copied().unwrap_or_default())
            });
        }
        row("partitions", &|need| need.partitions.to_string());
        row("received by ingest", &|need| format!("{}/s", bytes(need.http_bytes_per_s)));
        row("written by Kafka's brokers", &|need| format!("{}/s", bytes(need.kafka_bytes_per_s)));
        row("disk of Kafka", &|need| bytes(need.kafka_disk_bytes));
        row("disk of ClickHouse, at most", &|need| bytes(need.clickhouse_disk_bytes));
        align_right(&mut table, 1..=2);
        table
    }

    /// What saturates first.
    fn first(&self) -> String {
        let machines = self.million.machines.iter().map(|(what, machines)| format!("{what} {machines:.1}"));
        let machines: Vec<_> = machines.collect();
        let first = self.million.machines.first().map_or(NONE, |(what, _)| what.as_str());
        format!(
            "At a million beacons a second **{first}** saturates first: machines that each resource fills by itself are {}.",
            machines.join(", ")
        )
    }
}

fn assumptions(assumed: &Assumptions) -> String {
    let Assumptions {
        utilisation,
        kafka_replicas,
        kafka_days,
        clickhouse_replicas,
        clickhouse_days,
        catching_up,
        machine_cores,
        machine_network_bits,
        machine_disk_bytes,
    } = assumed;
    format!(
        "Assumed, not measured: cost for each beacon stays what it is, and what a part uses at any rate grows with the partitions; parts use {:.0} % of their cores at the busiest moment, \
         which is {:.2} times the mean of a day; Kafka keeps {kafka_replicas} copies for {kafka_days} days, each taking as much CPU \
         as the first; ClickHouse keeps {clickhouse_replicas} copies, whose tables grow for {clickhouse_days} days as fast as at \
         the rate that was measured; a backlog is read {catching_up} times as fast as it grows, by one core a partition; a \
         machine has {machine_cores} cores, {:.0} Gbit/s and disks that write {:.0} MB/s.",
        utilisation * 100.0,
        super::model::busiest(),
        machine_network_bits / 1e9,
        machine_disk_bytes / 1e6,
    )
}

fn error(predicted: f64, measured: f64) -> String {
    if measured <= 0.0 {
        return NONE.to_owned();
    }
    format!("{:+.0} %", (predicted / measured - 1.0) * 100.0)
}

/// Bytes in the largest unit that leaves a whole number before the point.
pub fn bytes(bytes: f64) -> String {
    let units = [(1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")];
    let (unit, name) = units.into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1e3, "kB"));
    format!("{:.1} {name}", bytes / unit)
}

/// A whole number with commas.
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
