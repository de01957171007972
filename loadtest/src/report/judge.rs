//! What a run is to show, and whether it does.
//!
//! Each claim stands alone, with its limit and what was found. One that could not be judged says why, and is neither
//! held nor refuted: a short run says nothing about growth.

use std::collections::BTreeSet;

use deploy::stack::AGGREGATOR;
use serde::{Deserialize, Serialize};

use super::axis::number;
use super::trend::Trend;
use super::{RunReport, Verified};
use crate::observe::{GENERATOR, Observation, Sample};
use crate::summary::SLIP_P99_MS_MAX;

/// Freshness that 99 of 100 moments must keep, s.
pub const FRESHNESS_P99_S_MAX: f64 = 15.0;
/// Of all moments, those of which freshness must be known, percent.
const FRESHNESS_KNOWN_PERCENT_MIN: f64 = 95.0;
/// Seconds at both ends of a run together that may fall between two samples.
const ENDS_S: f64 = 2.0;
/// How much of its mean a part's memory may grow in an hour, percent.
pub const GROWTH_PERCENT_MAX: f64 = 5.0;
/// Less than this an hour is no growth, bytes: an allocator's steps in a small process.
pub const GROWTH_BYTES_MIN: f64 = 4.0 * MIB;
/// Of a shorter stretch no growth by the hour can be told, s.
pub const GROWTH_SECONDS_MIN: f64 = 1_200.0;
/// Bytes that a process of the aggregator grows by for each byte of state that it tells of: tables that are at least half
/// full, and an allocator. `cargo run --release -p aggregator --example memory` measures it.
pub const BYTES_PER_STATE_BYTE: f64 = 1.5;
/// Share of a run in which memory may still grow: caches fill, and ClickHouse comes to its number of remembered inserts.
pub const WARM_UP_SHARE: f64 = 1.0 / 2.0;
/// It is no shorter than this, s: a session ends after half an hour of silence, so that as many end as begin only then.
pub const WARM_UP_S_MIN: f64 = 1_800.0;
/// Of each stretch of so many seconds the least counts, which is what a part keeps: what a query, a merge or a batch
/// takes comes and goes.
const KEPT_S: f64 = 60.0;

const MIB: f64 = 1_048_576.0;

/// One thing that a run is to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What is claimed.
    pub what: String,
    /// What would still be right.
    pub limit: String,
    /// What was found.
    pub found: String,
    /// Whether it holds; `None` when that could not be judged.
    pub holds: Option<bool>,
}

impl Claim {
    fn new(
        what: impl Into<String>,
        limit: impl Into<String>,
        found: impl Into<String>,
        holds: impl Into<Option<bool>>,
    ) -> Self {
        Self { what: what.into(), limit: limit.into(), found: found.into(), holds: holds.into() }
    }
}

/// The verdict in a sentence.
pub fn sentence(claims: &[Claim]) -> String {
    let refuted: Vec<&Claim> = claims.iter().filter(|claim| claim.holds == Some(false)).collect();
    let unknown = claims.iter().filter(|claim| claim.holds.is_none()).count();
    let rest = match unknown {
        0 => String::new(),
        1 => ", and one could not be judged".to_owned(),
        more => format!(", and {more} could not be judged"),
    };
    let held = claims.len() - refuted.len() - unknown;
    match refuted.first() {
        _ if claims.is_empty() => "Nothing was claimed of this run".to_owned(),
        None if held == 0 => "Nothing could be judged of this run".to_owned(),
        None if unknown == 0 => format!("All {held} claims hold"),
        None => format!("{held} of {} claims hold{rest}", claims.len()),
        Some(first) if refuted.len() == 1 => {
            format!(
                "One of {} claims does not hold: {}, but {}{rest}",
                claims.len(),
                lower(&first.what),
                first.found
            )
        }
        Some(first) => {
            let (count, all) = (refuted.len(), claims.len());
            format!(
                "{count} of {all} claims do not hold, the first: {}, but {}{rest}",
                lower(&first.what),
                first.found
            )
        }
    }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    // A name at the beginning, such as ClickHouse, keeps its letter.
    let name = text.split(' ').next().is_some_and(|word| word.chars().skip(1).any(char::is_uppercase));
    match letters.next() {
        Some(first) if !name => first.to_lowercase().chain(letters).collect(),
        Some(_) | None => text.to_owned(),
    }
}

/// What every run is to show: its numbers are the server's, and everything was accepted and counted.
pub fn traffic(report: &RunReport) -> Vec<Claim> {
    let sent = &report.sent;
    let mut claims = vec![
        Claim::new(
            "Every beacon was accepted",
            "all",
            format!(
                "{} of {} were, {} after more than one try",
                number_of(sent.accepted),
                number_of(sent.beacons),
                number_of(sent.retries)
            ),
            sent.beacons > 0 && sent.accepted == sent.beacons,
        ),
        Claim::new(
            "The generator kept its schedule",
            format!("99 % of beacons less than {SLIP_P99_MS_MAX} ms late"),
            format!("99 % were at most {} ms late", number(sent.slip_ms.p99)),
            !sent.generator_was_the_bottleneck,
        ),
    ];
    if let Some(verified) = &report.verified {
        claims.extend(counts(verified));
    }
    claims
}

fn counts(verified: &Verified) -> [Claim; 2] {
    let Verified { equal, run_ended, checks, different, audit_rows, .. } = verified;
    let exact = Claim::new(
        "Every count equals what was sent",
        "no difference",
        match (different, run_ended) {
            (0, true) => format!("all {} checks are equal", number_of(*checks)),
            (0, false) => "the run did not come to its end".to_owned(),
            (different, _) => format!("{} of {} checks differ", number_of(*different), number_of(*checks)),
        },
        *equal && *run_ended,
    );
    let audit = Claim::new(
        "The audit lists no gap and no overlap",
        "no row",
        audit_rows.map_or("it was not read".to_owned(), |rows| match rows {
            0 => "it is empty".to_owned(),
            rows => format!("it has {} rows", number_of(rows)),
        }),
        audit_rows.map(|rows| rows == 0),
    );
    [exact, audit]
}

/// What a run over a long time is to show besides: numbers stay fresh, no part ends, and no memory grows.
pub fn soak(report: &RunReport) -> Vec<Claim> {
    let from_ms = report.timeline.started_ms;
    let played_s = report.timeline.seconds.last().map_or(0.0, |last| last.second as f64 + 1.0);
    let until_ms = from_ms + (played_s * 1_000.0) as i64;
    let all = Observation { samples: report.samples.clone() }.between(from_ms, until_ms);
    let warm_up_s = (played_s * WARM_UP_SHARE).max(WARM_UP_S_MIN);
    let settled = all.between(from_ms + (warm_up_s * 1_000.0) as i64, until_ms);
    let mut claims = vec![freshness(&all, played_s)];
    let parts: Vec<String> = all.processes().into_iter().filter(|name| name != GENERATOR).collect();
    claims.push(endurance(&all, &parts));
    claims.extend(parts.iter().map(|part| memory(&settled, part)));
    claims
}

fn freshness(all: &Observation, played_s: f64) -> Claim {
    let known = all.samples.iter().filter(|sample| sample.freshness_ms.is_some()).count();
    let known_percent = 100.0 * known as f64 / (played_s - ENDS_S).max(1.0);
    let what = "ClickHouse holds what was appended shortly before";
    let limit = format!("99 % of the time less than {FRESHNESS_P99_S_MAX} s behind");
    let Some(p99_ms) = all.freshness_ms(0.99) else {
        return Claim::new(what, limit, "its progress was never seen", false);
    };
    let p99_s = p99_ms as f64 / 1_000.0;
    let seldom = if known_percent < FRESHNESS_KNOWN_PERCENT_MIN {
        format!(", seen in only {known} of {played_s:.0} seconds")
    } else {
        String::new()
    };
    let found = format!("99 % of the time it was at most {} s behind{seldom}", number(p99_s));
    Claim::new(what, limit, found, seldom.is_empty() && p99_s < FRESHNESS_P99_S_MAX)
}

fn endurance(all: &Observation, parts: &[String]) -> Claim {
    let pids = |part: &String| {
        let seen = all.samples.iter().filter_map(|sample| Some(sample.processes.get(part)?.pid));
        seen.collect::<BTreeSet<u32>>().len()
    };
    let restarted: Vec<&str> = parts.iter().filter(|part| pids(part) > 1).map(String::as_str).collect();
    let gone: Vec<&str> = all
        .samples
        .last()
        .map(|last| {
            parts.iter().filter(|part| !last.processes.contains_key(*part)).map(String::as_str).collect()
        })
        .unwrap_or_default();
    let found = match (parts.is_empty(), restarted.is_empty(), gone.is_empty()) {
        (true, _, _) => "no process was observed".to_owned(),
        (false, true, true) => format!("{} ran throughout", parts.join(", ")),
        (false, false, _) => format!("{} ended and came back", restarted.join(", ")),
        (false, true, false) => format!("{} ended", gone.join(", ")),
    };
    let holds = (!parts.is_empty()).then_some(restarted.is_empty() && gone.is_empty());
    Claim::new("No part ended", "the same processes throughout", found, holds)
}

/// Memory of a part after the warm-up. What an aggregator remembers of sessions may grow, as long as they explain it.
fn memory(settled: &Observation, part: &str) -> Claim {
    let remembers = part == AGGREGATOR;
    let bytes = |sample: &Sample| Some(sample.processes.get(part)?.anon_bytes as f64);
    let state_bytes = |sample: &Sample| match remembers {
        true => Some(sample.aggregator?.state_bytes as f64 * BYTES_PER_STATE_BYTE),
        false => Some(0.0),
    };
    let unexplained = |sample: &Sample| Some((seconds(sample), bytes(sample)? - state_bytes(sample)?));
    let points: Vec<(f64, f64)> = settled.samples.iter().filter_map(unexplained).collect();
    let whole = |sample: &Sample| Some((seconds(sample), bytes(sample)?));
    let whole: Vec<(f64, f64)> = settled.samples.iter().filter_map(whole).collect();
    let what = format!("Memory of {part} does not grow");
    let limit = format!("less than {GROWTH_PERCENT_MAX} % or {} MiB an hour", GROWTH_BYTES_MIN / MIB);
    let (Some(trend), Some(whole)) = (Trend::of(&kept(&points)), Trend::of(&kept(&whole))) else {
        return Claim::new(what, limit, "it was not seen long enough", None);
    };
    let watched_s = points.last().map_or(0.0, |last| last.0) - points.first().map_or(0.0, |first| first.0);
    if watched_s < GROWTH_SECONDS_MIN {
        // The slope of a minute says nothing about an hour, and looks as if it did.
        let mib = number(whole.mean / MIB);
        let found = format!("{mib} MiB on average, over {watched_s:.0} s, too short for a verdict");
        return Claim::new(what, limit, found, None);
    }
    let percent = 100.0 * trend.per_hour / whole.mean.max(1.0);
    let state = if remembers {
        format!(", {:+.1} MiB with the sessions that it remembers", whole.per_hour / MIB)
    } else {
        String::new()
    };
    let found = format!(
        "{:+.1} MiB an hour ({percent:+.1} %) on {} MiB{state}",
        trend.per_hour / MIB,
        number(whole.mean / MIB)
    );
    let flat = percent < GROWTH_PERCENT_MAX || trend.per_hour < GROWTH_BYTES_MIN;
    Claim::new(what, limit, found, flat)
}

/// The lowest point of each [`KEPT_S`]; what is left at the end, and not as long, counts with the last of them.
fn kept(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let whole = ((last.0 - first.0) / KEPT_S).floor() - 1.0;
    let stretch = |point: &(f64, f64)| ((point.0 - first.0) / KEPT_S).floor().min(whole);
    let lowest =
        |points: &[(f64, f64)]| points.iter().copied().min_by(|one, other| one.1.total_cmp(&other.1));
    points.chunk_by(|one, next| stretch(one) == stretch(next)).filter_map(lowest).collect()
}

fn seconds(sample: &Sample) -> f64 {
    sample.at_ms as f64 / 1_000.0
}

fn number_of(count: u64) -> String {
    number(count as f64)
}
