//! The truth: what the generator knows must be in the tables, counted without the engine, and the same lines
//! read from the rows.

use std::collections::BTreeMap;

use aggregator::engine::Batch;
use schema::histogram::bucket;
use schema::rows::Counters;
use schema::value::SCALE;

use crate::definitions::FAST_MS;
use crate::law::{Law, Violation, differences};
use crate::log::{Origin, PartitionLog};

/// Lines of the truth that are told when they differ.
const TOLD_MAX: usize = 8;

/// Line → count.
pub type Tally = BTreeMap<String, u64>;

/// Adds to a line; nothing for 0.
pub fn add(tally: &mut Tally, line: String, count: u64) {
    if count > 0 {
        *tally.entry(line).or_default() += count;
    }
}

/// An attempt as the generator designed it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the glossary")]
pub struct Attempt {
    pub journey: &'static str,
    pub platform: &'static str,
    pub route: String,
    pub start_ms: i64,
    pub outcome: &'static str,
    pub valid: bool,
    /// Why it was no success.
    pub reason: String,
    /// Latency or value of a success.
    pub latency_ms: Option<u64>,
    /// How long who abandoned waited.
    pub wait_ms: Option<u64>,
    /// The steps of `watch` that were reached, in their order, with ms since the start.
    pub steps: Vec<(&'static str, u64)>,
    pub weight: u64,
    pub arrived_late: bool,
}

impl Attempt {
    /// Whether it is valid and no success.
    pub fn is_bad(&self) -> bool {
        self.valid && self.outcome != "success"
    }

    /// Adds the lines of this attempt.
    pub fn tell(&self, tally: &mut Tally) {
        let Self { journey, platform, route, weight, .. } = self;
        let (minute, hour) = (self.start_ms / 60_000 * 60, self.start_ms / 3_600_000 * 3600);
        let place = format!("{journey}{route} {platform}");
        let mut count = |what: &str, count: u64| add(tally, format!("minute {place} {minute} {what}"), count);
        count("attempts", *weight);
        count(self.outcome, *weight);
        count("valid", weight * u64::from(self.valid));
        count("arrived late", weight * u64::from(self.arrived_late));
        if !self.reason.is_empty() {
            count(&format!("because {}", self.reason), *weight);
        }
        if let Some(latency_ms) = self.latency_ms {
            count(&format!("{} ms", bucket(latency_ms)), *weight);
            count("latency", latency_ms * SCALE * weight);
        }
        if let Some(wait_ms) = self.wait_ms {
            count(&format!("waited {} ms", bucket(wait_ms)), *weight);
        }
        add(tally, format!("hour {place} {hour} attempts"), *weight);
        add(tally, format!("hour {place} {hour} {}", self.outcome), *weight);
        if *journey == "watch" {
            self.tell_watch(tally, minute);
        }
    }

    /// Steps and objectives of `watch`.
    fn tell_watch(&self, tally: &mut Tally, minute: i64) {
        let Self { platform, weight, .. } = self;
        for step in ["page", "video"] {
            add(tally, format!("step {step} {platform} {minute} attempts"), *weight);
            let Some((_, elapsed_ms)) = self.steps.iter().find(|(name, _)| *name == step) else { break };
            add(tally, format!("step {step} {platform} {minute} success"), *weight);
            add(tally, format!("step {step} {platform} {minute} {} ms", bucket(*elapsed_ms)), *weight);
        }
        if !self.valid {
            return;
        }
        let good = self.outcome == "success";
        let fast = self.latency_ms.is_some_and(|latency_ms| latency_ms <= FAST_MS as u64);
        let mut objective = |name: &str, good: bool| {
            let line = |what: &str| format!("objective {name} {platform} {minute} {what}");
            add(tally, line("valid"), *weight);
            add(tally, line("observed"), 1);
            add(tally, line("bad"), weight * u64::from(!good));
        };
        objective("works", good);
        if *platform == "web" {
            objective("fast", good && fast);
        }
    }
}

/// Adds what the records of a partition below `end` say by themselves.
pub fn tell_records(log: &PartitionLog, end: i64, tally: &mut Tally) {
    for entry in log.entries.iter().filter(|entry| entry.offset < end) {
        let reason = match &entry.origin {
            Origin::Control => "control",
            Origin::Undecodable => "undecodable",
            Origin::TooEarly => "no_definitions",
            Origin::Duplicate => "duplicate",
            Origin::Bot => "bot",
            Origin::Environment => "environment",
            Origin::Counted { events, too_old } => {
                add(tally, "events".to_owned(), *events);
                add(tally, "events too_old".to_owned(), *too_old);
                add(tally, "seen".to_owned(), events - too_old);
                "counted"
            }
        };
        add(tally, format!("records {reason}"), 1);
    }
}

/// The same lines from the rows of batches.
pub fn read(batches: &[Batch]) -> Tally {
    let mut tally = Tally::new();
    for batch in batches {
        read_journeys(batch, &mut tally);
        for row in &batch.journey_steps {
            let line = |what: &str| format!("step {} {} {} {what}", row.step, row.platform, row.window_start);
            add(&mut tally, line("attempts"), row.attempts);
            add(&mut tally, line("success"), row.success);
            row.latency.iter().for_each(|(ms, count)| add(&mut tally, line(&format!("{ms} ms")), *count));
        }
        for row in batch.objective_minutes.iter().filter(|row| row.journey == "watch") {
            let line = |what: &str| {
                format!("objective {} {} {} {what}", row.objective, row.platform, row.window_start)
            };
            add(&mut tally, line("valid"), row.valid);
            add(&mut tally, line("observed"), row.observed);
            add(&mut tally, line("bad"), row.bad);
        }
        add(&mut tally, "seen".to_owned(), batch.seen_events.iter().map(|row| row.seen).sum());
        for row in &batch.quality {
            add(&mut tally, "late".to_owned(), row.late);
        }
        let row = &batch.row;
        add(&mut tally, "records counted".to_owned(), row.counted);
        row.reasons.iter().for_each(|(reason, count)| add(&mut tally, format!("records {reason}"), *count));
        add(&mut tally, "events".to_owned(), row.events);
        row.event_reasons
            .iter()
            .for_each(|(reason, count)| add(&mut tally, format!("events {reason}"), *count));
    }
    tally
}

fn read_journeys(batch: &Batch, tally: &mut Tally) {
    for row in &batch.journey_minutes {
        let place = format!("{}{} {}", row.journey, row.route, row.platform);
        let mut count =
            |what: &str, count: u64| add(tally, format!("minute {place} {} {what}", row.window_start), count);
        let counters = &row.counters;
        count("attempts", counters.attempts);
        outcomes(counters).into_iter().for_each(|(outcome, attempts)| count(outcome, attempts));
        count("valid", counters.valid);
        count("arrived late", counters.arrived_late);
        count("latency", counters.latency_sum);
        counters.reasons.iter().for_each(|(reason, n)| count(&format!("because {reason}"), *n));
        counters.latency.iter().for_each(|(ms, n)| count(&format!("{ms} ms"), *n));
        counters.abandoned_wait.iter().for_each(|(ms, n)| count(&format!("waited {ms} ms"), *n));
        add(tally, format!("sessions {}", row.journey), counters.sessions);
        add(tally, format!("sessions hurt {}", row.journey), counters.sessions_hurt);
    }
    for row in &batch.journey_hours {
        let place = format!("{}{} {} {}", row.journey, row.route, row.platform, row.window_start);
        add(tally, format!("hour {place} attempts"), row.counters.attempts);
        for (outcome, attempts) in outcomes(&row.counters) {
            add(tally, format!("hour {place} {outcome}"), attempts);
        }
    }
}

fn outcomes(counters: &Counters) -> [(&'static str, u64); 7] {
    [
        ("success", counters.success),
        ("failure", counters.failure),
        ("timeout", counters.timeout),
        ("interrupted", counters.interrupted),
        ("abandoned", counters.abandoned),
        ("cancelled", counters.cancelled),
        ("unknown", counters.unknown),
    ]
}

/// The lines that differ.
pub fn check(wanted: &Tally, found: &Tally) -> Vec<Violation> {
    differences(wanted, found)
        .take(TOLD_MAX)
        .map(|(line, want, got)| Violation {
            law: Law::Truth,
            detail: format!("{line}: want {want}, got {got}"),
        })
        .collect()
}
