//! What parts cost: CPU of processes between two moments, bytes on disk, and what a question takes.
//!
//! The CPU of a process is what the kernel charges it for, user and system time together; that the processes of a run
//! share cores with its generator makes everything slower, and hardly changes these numbers. What a part uses while
//! nothing happens is measured by itself ([`Cpu::beyond`]), since it says how long a window was rather than what an event
//! costs. Who is measured, and what the numbers are compared with, is the caller's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::observe::{Process, process};

pub mod disk;
pub mod question;
pub mod settled;

/// CPU time of processes in a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Length of the window, s.
    pub wall_s: f64,
    /// CPU time by the name of the part, s.
    pub parts: BTreeMap<String, f64>,
}

impl Cpu {
    /// CPU time of a part, s; 0 where it was not measured.
    pub fn seconds(&self, part: &str) -> f64 {
        self.parts.get(part).copied().unwrap_or_default()
    }

    /// Cores that a part used on average.
    pub fn cores(&self, part: &str) -> f64 {
        self.seconds(part) / self.wall_s.max(1e-9)
    }

    /// The same window without what the parts use while nothing happens, as it was measured in the window `idle`.
    #[must_use]
    pub fn beyond(&self, idle: &Self) -> Self {
        let parts = self.parts.iter().map(|(part, seconds)| {
            let beyond_s = (seconds - idle.cores(part) * self.wall_s).max(0.0);
            (part.clone(), beyond_s)
        });
        Self { wall_s: self.wall_s, parts: parts.collect() }
    }

    /// CPU time of a part for each of `count` things, µs.
    pub fn us_per(&self, part: &str, count: u64) -> f64 {
        self.seconds(part) * 1e6 / (count.max(1) as f64)
    }
}

/// A window that has begun.
#[derive(Debug)]
pub struct Meter {
    processes: Vec<Process>,
    started: Instant,
    before: BTreeMap<String, (u32, u64)>,
}

impl Meter {
    /// Begins a window now.
    ///
    /// # Errors
    /// When one of the processes does not run.
    pub fn start(processes: Vec<Process>) -> anyhow::Result<Self> {
        let before = read(&processes)?;
        Ok(Self { processes, started: Instant::now(), before })
    }

    /// What was used since it began; may be asked again later.
    ///
    /// # Errors
    /// When a process has ended or was started again: what it used before is lost.
    pub fn read(&self) -> anyhow::Result<Cpu> {
        let now = read(&self.processes)?;
        let mut parts = BTreeMap::new();
        for (name, (pid, cpu_ms)) in now {
            let (pid_before, cpu_ms_before) = self.before.get(&name).copied().unwrap_or((pid, cpu_ms));
            if pid != pid_before {
                bail!("{name} was started again while its CPU was measured: see its log");
            }
            parts.insert(name, cpu_ms.saturating_sub(cpu_ms_before) as f64 / 1_000.0);
        }
        Ok(Cpu { wall_s: self.started.elapsed().as_secs_f64(), parts })
    }

    /// What the processes use in a window of `length` that begins now.
    ///
    /// # Errors
    /// When one of them does not run, or ends.
    pub async fn over(processes: Vec<Process>, length: Duration) -> anyhow::Result<Cpu> {
        let meter = Self::start(processes)?;
        tokio::time::sleep(length).await;
        meter.read()
    }
}

/// Process id and CPU time in ms, by name.
fn read(processes: &[Process]) -> anyhow::Result<BTreeMap<String, (u32, u64)>> {
    processes
        .iter()
        .map(|process| {
            let read = process.pid().and_then(process::read);
            let read = read.with_context(|| format!("{} does not run: see its log", process.name))?;
            Ok((process.name.clone(), (read.pid, read.cpu_ms)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(wall_s: f64, parts: &[(&str, f64)]) -> Cpu {
        Cpu { wall_s, parts: parts.iter().map(|(name, seconds)| ((*name).to_owned(), *seconds)).collect() }
    }

    #[test]
    fn what_a_part_uses_while_idle_is_taken_off_by_the_time_of_the_window() {
        let idle = cpu(10.0, &[("ingest", 0.1), ("kafka", 1.0)]);
        let beyond = cpu(60.0, &[("ingest", 3.6), ("kafka", 5.0)]).beyond(&idle);
        assert!((beyond.seconds("ingest") - 3.0).abs() < 1e-9, "{beyond:?}");
        assert_eq!(beyond.seconds("kafka"), 0.0);
        assert!((beyond.us_per("ingest", 100_000) - 30.0).abs() < 1e-9);
        assert!((beyond.cores("ingest") - 0.05).abs() < 1e-9);
        assert_eq!(beyond.seconds("none"), 0.0);
    }

    #[tokio::test]
    async fn own_work_is_measured_and_a_stranger_is_refused() {
        let meter = Meter::start(vec![Process::own()]).unwrap();
        // Two ticks of the kernel's clock at least.
        while meter.read().unwrap().seconds(crate::observe::GENERATOR) < 0.02 {}
        let gone = Meter::start(vec![Process::with_pid("gone", u32::MAX)]).unwrap_err();
        assert_eq!(gone.to_string(), "gone does not run: see its log");
    }
}
