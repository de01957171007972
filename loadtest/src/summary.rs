//! The numbers of a run, and how they are shown.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Table, presets};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::drive::seconds::{Seconds, Timeline};

/// Above this the schedule was not kept: the numbers then say more about the generator than about the server.
pub const SLIP_P99_MS_MAX: f64 = 50.0;
/// What is said instead of numbers that are the generator's.
pub const GENERATOR_WAS_THE_BOTTLENECK: &str = "the generator did not keep its own schedule, so its latencies are not \
     the server's: give it more CPU, a lower rate, or fewer neighbours";
const HIGHEST_US: u64 = 600_000_000;

/// What a run has measured, while it goes on.
#[derive(Debug)]
pub struct Measured {
    /// From the intended time of sending to the final answer, µs. Accepted beacons only.
    pub latency: Histogram<u64>,
    /// From the writing of the last try to its answer, µs. Accepted beacons only.
    pub service: Histogram<u64>,
    /// From the intended time of sending to the handing over to a connection's queue, µs.
    pub slip: Histogram<u64>,
    /// Answers by status, retries included.
    pub answers: BTreeMap<u16, u64>,
    /// Tries without an answer, by cause.
    pub no_answers: BTreeMap<&'static str, u64>,
    /// Sendings that ended with 2xx.
    pub accepted: u64,
    /// Sendings that ended with another status.
    pub refused: u64,
    /// Sendings whose last try had no answer.
    pub unanswered: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// The same by the second in which a beacon was due.
    pub seconds: Seconds,
}

impl Measured {
    /// Nothing yet.
    ///
    /// # Errors
    /// When the histograms' bounds are not valid.
    pub fn new() -> anyhow::Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, HIGHEST_US, 3);
        Ok(Self {
            latency: histogram()?,
            service: histogram()?,
            slip: histogram()?,
            answers: BTreeMap::new(),
            no_answers: BTreeMap::new(),
            accepted: 0,
            refused: 0,
            unanswered: 0,
            retries: 0,
            seconds: Seconds::new()?,
        })
    }

    /// Sendings that have come to their end.
    pub fn ended(&self) -> u64 {
        self.accepted + self.refused + self.unanswered
    }

    /// p50 and p99 of the latency, ms.
    pub fn latency_ms(&self) -> (f64, f64) {
        (ms(&self.latency, 0.5), ms(&self.latency, 0.99))
    }
}

/// Quantiles of one duration, ms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50: ms(histogram, 0.5),
            p90: ms(histogram, 0.9),
            p99: ms(histogram, 0.99),
            p999: ms(histogram, 0.999),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1000.0
}

/// A run's result.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Hash of what was sent, as if at a fixed time.
    pub fingerprint: String,
    /// Intended beacons a second.
    pub rate: f64,
    /// Seconds from the beginning to the last answer.
    pub seconds: f64,
    /// Sessions that were begun.
    pub sessions: u64,
    /// Sendings, each with its retries counted once.
    pub sendings: u64,
    /// Sendings that ended with 2xx.
    pub accepted: u64,
    /// Sendings that ended with another status.
    pub refused: u64,
    /// Sendings whose last try had no answer.
    pub unanswered: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// Answers by status, retries included.
    pub answers: BTreeMap<u16, u64>,
    /// Tries without an answer, by cause.
    pub no_answers: BTreeMap<&'static str, u64>,
    /// From the intended time of sending to the final answer, ms; accepted beacons only.
    pub latency_ms: Quantiles,
    /// From the writing of the last try to its answer, ms; accepted beacons only.
    pub service_ms: Quantiles,
    /// How late the generator was itself, ms.
    pub slip_ms: Quantiles,
    /// The generator's own CPU time ÷ wall time while it sent, 1 is one core.
    pub cpu_cores: f64,
    /// Whether the schedule was not kept because of the generator.
    pub generator_was_the_bottleneck: bool,
    /// The same over time, for reports rather than for a summary.
    #[serde(skip)]
    pub timeline: Timeline,
}

impl Summary {
    /// The result of what was measured in `elapsed` with `cpu` of the process's own time.
    pub fn new(
        measured: Measured,
        fingerprint: String,
        rate: f64,
        sessions: u64,
        elapsed: Duration,
        cpu: Duration,
    ) -> Self {
        let slip_ms = Quantiles::of(&measured.slip);
        Self {
            fingerprint,
            rate,
            seconds: elapsed.as_secs_f64(),
            sessions,
            sendings: measured.ended(),
            accepted: measured.accepted,
            refused: measured.refused,
            unanswered: measured.unanswered,
            retries: measured.retries,
            latency_ms: Quantiles::of(&measured.latency),
            service_ms: Quantiles::of(&measured.service),
            generator_was_the_bottleneck: slip_ms.p99 > SLIP_P99_MS_MAX,
            slip_ms,
            timeline: measured.seconds.timeline(0, &measured.latency),
            answers: measured.answers,
            no_answers: measured.no_answers,
            cpu_cores: cpu.as_secs_f64() / elapsed.as_secs_f64().max(1e-9),
        }
    }

    /// Whether every sending was accepted.
    pub fn is_complete(&self) -> bool {
        self.sendings > 0 && self.accepted == self.sendings
    }

    /// The result for machines; where the generator was the bottleneck it says so in place of latencies.
    ///
    /// # Errors
    /// When a number cannot be written as JSON.
    pub fn json(&self) -> serde_json::Result<serde_json::Value> {
        let mut json = serde_json::to_value(self)?;
        if self.generator_was_the_bottleneck {
            json["latency_ms"] = serde_json::Value::Null;
            json["service_ms"] = serde_json::Value::Null;
            json["invalid"] = GENERATOR_WAS_THE_BOTTLENECK.into();
        }
        Ok(json)
    }

    /// The table for people; it has no latencies where the generator was the bottleneck.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let mut row = |name: &str, text: String| {
            table.add_row(vec![name.to_owned(), text]);
        };
        row(
            "beacons",
            format!(
                "{} of {} sessions in {:.1} s, intended {}/s",
                self.sendings, self.sessions, self.seconds, self.rate
            ),
        );
        row("accepted", self.accepted.to_string());
        row("refused", self.refused.to_string());
        row("unanswered", self.unanswered.to_string());
        row("answers by status", list(self.answers.iter()));
        if !self.no_answers.is_empty() {
            row("tries without answer", list(self.no_answers.iter()));
        }
        row("retries", self.retries.to_string());
        if !self.generator_was_the_bottleneck {
            row("latency from intended sending", quantiles(&self.latency_ms));
            row("service time", quantiles(&self.service_ms));
        }
        row("own slip", quantiles(&self.slip_ms));
        row("own CPU", format!("{:.2} cores", self.cpu_cores));
        row("fingerprint", self.fingerprint.clone());
        table
    }
}

fn list<K: std::fmt::Display, V: std::fmt::Display>(pairs: impl Iterator<Item = (K, V)>) -> String {
    pairs.map(|(key, count)| format!("{key}: {count}")).collect::<Vec<_>>().join(", ")
}

fn quantiles(quantiles: &Quantiles) -> String {
    let Quantiles { p50, p90, p99, p999, max } = quantiles;
    format!("p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(slip_ms: u64) -> Summary {
        let mut measured = Measured::new().unwrap();
        measured.accepted = 1;
        measured.latency.record(7_777_000).unwrap();
        measured.service.record(7_777_000).unwrap();
        measured.slip.record(slip_ms * 1_000).unwrap();
        Summary::new(measured, String::new(), 1.0, 1, Duration::from_secs(1), Duration::ZERO)
    }

    #[test]
    fn a_generator_that_was_too_slow_gives_no_latencies() {
        // The histogram rounds up, so what lies just below is as close as can be told.
        let kept = summary(SLIP_P99_MS_MAX as u64 - 1);
        assert!(kept.table().to_string().contains("777"), "{}", kept.table());
        assert_eq!(kept.json().unwrap()["latency_ms"]["max"].as_f64().unwrap().round(), 7_778.0);
        let late = summary(SLIP_P99_MS_MAX as u64 + 1);
        assert!(!late.table().to_string().contains("777"), "{}", late.table());
        let json = late.json().unwrap();
        assert!(json["latency_ms"].is_null() && json["service_ms"].is_null(), "{json}");
        assert_eq!(json["invalid"], GENERATOR_WAS_THE_BOTTLENECK);
    }
}
