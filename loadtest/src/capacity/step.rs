//! One rate for a while: what answers took, how far the tables were behind, and what every part used.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use deploy::stack::AGGREGATOR;
use serde::{Deserialize, Serialize};

use super::search::Verdict;
use crate::cost::{Cpu, Meter};
use crate::drive;
use crate::fleet::{Fleet, KINDS, by_kind};
use crate::observe::{Observer, Targets};
use crate::scenario::Profile;
use crate::schedule::{Arrivals, Schedule, Traffic};
use crate::summary::Summary;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long beacons are tried again after the last sending: what is not taken by then broke the limit long ago.
const DRAIN: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 128;
/// Between the beginnings of two generators, so that no two have sessions of the same name.
const APART: Duration = Duration::from_millis(20);
const NS_PER_MS: u64 = 1_000_000;
/// The beginning of a run that is only looked at, ms since the epoch.
const RUN_MS: i64 = 1_800_000_000_000;

/// What a step must keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// 99th percentile of the answers, ms.
    pub p99_ms: f64,
    /// How far the tables may be behind, ms.
    pub freshness_ms: u64,
}

/// What a rate gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Beacons a second that were to be sent.
    pub rate: f64,
    /// Beacons that were answered 2xx.
    pub accepted: u64,
    /// Beacons that were sent.
    pub sent: u64,
    /// 99th percentile of the answers, ms; `None` where the generator was too slow.
    pub p99_ms: Option<f64>,
    /// The largest distance of the tables, ms; `None` where no aggregator ran.
    pub freshness_ms: Option<u64>,
    /// Cores of the generator itself.
    pub generator_cores: f64,
    /// CPU of each kind of part, from when they were warm until no new session began.
    pub cpu: Cpu,
    /// How it went.
    pub verdict: Verdict,
    /// Which limit was broken, and by what; empty where none was.
    pub why: String,
}

impl Step {
    /// Beacons that were due while CPU was measured.
    pub fn beacons(&self) -> u64 {
        (self.rate * self.cpu.wall_s).round() as u64
    }

    /// Whether every beacon was accepted, and the generator kept its schedule.
    pub fn is_valid(&self) -> bool {
        self.accepted == self.sent && self.p99_ms.is_some()
    }
}

/// The traffic of a step.
pub fn traffic(rate: f64, seconds: u64, seed: u64) -> Traffic {
    Traffic { rate, seconds, seed, profile: Profile::Mixed, arrivals: Arrivals::Poisson }
}

/// Sends `traffic` to all ingests of the fleet, divided among them, with ledgers beside `ledger`. CPU is measured from
/// `warm_up` on: a broker that has just started compiles its code for a while.
///
/// # Errors
/// When a run cannot be made, or a process has ended.
pub async fn measure(
    fleet: &Fleet,
    traffic: &Traffic,
    warm_up: Duration,
    ledger: &Path,
    limits: &Limits,
) -> anyhow::Result<Step> {
    let urls = fleet.ingest_urls();
    if urls.is_empty() {
        bail!("there is no ingest to send to");
    }
    let observed = Targets { aggregators: running(fleet), ..Targets::default() };
    let has_aggregators = !observed.aggregators.is_empty();
    let observer = Observer::start(observed)?;
    let processes = fleet.processes(&KINDS);
    let length = Duration::from_secs(traffic.seconds).saturating_sub(warm_up);
    let window = tokio::spawn(async move {
        tokio::time::sleep(warm_up).await;
        Meter::over(processes, length).await
    });
    let mut runs = Vec::new();
    for (number, url) in urls.iter().enumerate() {
        let share = Traffic {
            rate: traffic.rate / urls.len() as f64,
            seed: traffic.seed + number as u64,
            ..traffic.clone()
        };
        let settings = drive::Settings {
            ingest: url.clone(),
            traffic: share,
            ledger: ledger.with_extension(format!("{number}.jsonl")),
            connections: CONNECTIONS,
            timeout: ANSWER_TIMEOUT,
            drain: DRAIN,
        };
        runs.push(tokio::spawn(drive::run(settings)));
        tokio::time::sleep(APART).await;
    }
    let mut summaries = Vec::new();
    for run in runs {
        summaries.push(run.await??);
    }
    let cpu = by_kind(&window.await??);
    let samples = observer.finish().await?.samples;
    let freshness_ms =
        samples.iter().filter_map(|sample| Some(sample.aggregator?.written_freshness_ms)).max();
    Ok(judge(traffic.rate, &summaries, freshness_ms.filter(|_| has_aggregators), cpu, limits))
}

/// Admin servers of the aggregators that run.
fn running(fleet: &Fleet) -> Vec<String> {
    if fleet.processes(&[AGGREGATOR]).is_empty() { Vec::new() } else { fleet.aggregators().urls }
}

fn judge(rate: f64, summaries: &[Summary], freshness_ms: Option<u64>, cpu: Cpu, limits: &Limits) -> Step {
    let sum = |of: fn(&Summary) -> u64| summaries.iter().map(of).sum::<u64>();
    let (accepted, sent) = (sum(|summary| summary.accepted), sum(|summary| summary.sendings));
    let is_late = summaries.iter().any(|summary| summary.generator_was_the_bottleneck);
    let p99_ms = summaries.iter().map(|summary| summary.latency_ms.p99).fold(0.0, f64::max);
    let mut broken = Vec::new();
    if accepted < sent {
        broken.push(format!("{} of {sent} beacons were not accepted", sent - accepted));
    }
    if let Some(freshness_ms) = freshness_ms.filter(|freshness_ms| *freshness_ms > limits.freshness_ms) {
        broken.push(format!("the tables were {:.1} s behind", freshness_ms as f64 / 1_000.0));
    }
    if !is_late && p99_ms > limits.p99_ms {
        broken.push(format!("p99 was {p99_ms:.0} ms"));
    }
    let verdict = match (broken.is_empty(), is_late) {
        (true, true) => Verdict::Unknown,
        (true, false) => Verdict::Holds,
        (false, _) => Verdict::Breaks,
    };
    Step {
        rate,
        accepted,
        sent,
        p99_ms: (!is_late).then_some(p99_ms),
        freshness_ms,
        generator_cores: summaries.iter().map(|summary| summary.cpu_cores).sum(),
        cpu,
        verdict,
        why: broken.join(", "),
    }
}

/// Bytes of a beacon's request on average, line, heads and body as they are sent.
pub fn request_bytes(traffic: &Traffic) -> f64 {
    let (mut requests, mut bytes) = (0u64, 0u64);
    for sending in Schedule::new(traffic.clone()) {
        let request = sending.request(RUN_MS);
        // Method, target and version with their spaces and the ends of lines; then names and values with theirs.
        let line = request.method.as_str().len() + request.target.len() + "  HTTP/1.1\r\n\r\n".len();
        let heads: usize = request.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let body = request.body_at(RUN_MS + (sending.at_ns / NS_PER_MS) as i64).len();
        bytes += (line + heads + body) as u64;
        requests += 1;
    }
    bytes as f64 / requests.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Measured;

    const LIMITS: Limits = Limits { p99_ms: 100.0, freshness_ms: 15_000 };

    fn summary(latency_ms: u64, slip_ms: u64, refused: u64) -> Summary {
        let mut measured = Measured::new().unwrap();
        measured.accepted = 10;
        measured.refused = refused;
        measured.latency.record(latency_ms * 1_000).unwrap();
        measured.slip.record(slip_ms * 1_000).unwrap();
        Summary::new(measured, String::new(), 1.0, 1, Duration::from_secs(1), Duration::ZERO)
    }

    fn check(summary: Summary, freshness_ms: Option<u64>, verdict: Verdict, why: &str) {
        let step = judge(10.0, &[summary], freshness_ms, Cpu::default(), &LIMITS);
        assert_eq!(step.verdict, verdict, "{step:?}");
        assert!(step.why.contains(why) && step.why.is_empty() == why.is_empty(), "{step:?}");
    }

    #[test]
    fn a_step_breaks_by_each_limit_and_is_unknown_when_the_generator_was_late() {
        check(summary(50, 1, 0), Some(4_000), Verdict::Holds, "");
        check(summary(50, 1, 0), None, Verdict::Holds, "");
        check(summary(150, 1, 0), None, Verdict::Breaks, "p99 was 150 ms");
        check(summary(50, 1, 0), Some(16_000), Verdict::Breaks, "the tables were 16.0 s behind");
        check(summary(50, 1, 3), None, Verdict::Breaks, "3 of 13 beacons were not accepted");
        // What a late generator measures is its own lateness.
        check(summary(150, 90, 0), Some(4_000), Verdict::Unknown, "");
        check(summary(150, 90, 0), Some(16_000), Verdict::Breaks, "the tables");
    }

    #[test]
    fn a_request_has_the_bytes_of_its_heads_and_body() {
        let bytes = request_bytes(&traffic(100.0, 3, 1));
        assert!((300.0..5_000.0).contains(&bytes), "{bytes}");
    }
}
