//! A bounded choice of attempts to look at one by one: of each journey and kind those with the smallest hash,
//! so that the choice depends on the attempts alone and not on the order in which they settled.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schema::definition::{EngineSettings, SAMPLES_MAX};
use schema::rows::AttemptSample;
use schema::value::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cells::Attempt;
use super::context::Pools;

/// An odd number with well spread bits: 2⁶⁴ ÷ the golden ratio.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// Samples of one kind that are held before the settings' bound is applied.
const HELD_MAX: usize = SAMPLES_MAX;

/// The samples of the open batch.
#[derive(Debug, Default)]
pub(super) struct Samples {
    by_kind: FxHashMap<Kind, Chosen>,
}

/// App and journey by hash, and whether the attempts are valid and bad.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    app_platform: u64,
    journey: u64,
    bad: bool,
}

#[derive(Debug, Default)]
struct Chosen {
    offered: u64,
    /// By rank, smallest first.
    samples: BTreeMap<(u64, i64), AttemptSample>,
}

impl Samples {
    /// Counts an attempt, and keeps it while it is among those with the smallest hash.
    pub(super) fn offer(&mut self, attempt: &Attempt<'_>, pools: &Pools) {
        let bad = attempt.is_bad();
        let journey = pools.texts.hash(attempt.place.journey);
        let app_platform = pools.contexts.get(attempt.place.context).app_platform;
        let kind = Kind { app_platform, journey, bad };
        let chosen = self.by_kind.entry(kind).or_default();
        chosen.offered += u64::from(attempt.weight);
        let rank = (rank(attempt, journey, pools), attempt.place.start_ms);
        let is_full = chosen.samples.len() >= HELD_MAX;
        if is_full && chosen.samples.last_key_value().is_some_and(|(last, _)| *last <= rank) {
            return;
        }
        chosen.samples.entry(rank).or_insert_with(|| sample(attempt, pools));
        if chosen.samples.len() > HELD_MAX {
            chosen.samples.pop_last();
        }
    }

    /// The chosen samples within the settings' bounds, each with its share of the attempts that it stands for.
    pub(super) fn rows(&self, settings: &EngineSettings) -> Vec<AttemptSample> {
        let mut rows = Vec::new();
        for (kind, chosen) in &self.by_kind {
            let bound = if kind.bad { settings.samples_bad_max } else { settings.samples_good_max };
            let count = chosen.samples.len().min(bound).max(1) as u64;
            for (place, sample) in chosen.samples.values().take(bound).enumerate() {
                let remainder = u64::from((place as u64) < chosen.offered % count);
                rows.push(AttemptSample { weight: chosen.offered / count + remainder, ..sample.clone() });
            }
        }
        rows.sort_by(|a, b| {
            (&a.app, &a.journey, a.start_ms, &a.session, &a.outcome, &a.route, &a.latency)
                .cmp(&(&b.app, &b.journey, b.start_ms, &b.session, &b.outcome, &b.route, &b.latency))
        });
        rows
    }
}

/// A hash of everything that tells attempts of one journey apart.
fn rank(attempt: &Attempt<'_>, journey: u64, pools: &Pools) -> u64 {
    let latency = attempt.latency.map_or(u64::MAX, Value::scaled);
    let parts = [
        journey,
        pools.texts.hash(attempt.place.route),
        pools.texts.hash(attempt.reason),
        pools.contexts.hash(attempt.place.context),
        attempt.place.start_ms as u64,
        latency,
        attempt.outcome as u64,
    ];
    let seed = parts.into_iter().fold(0, |seed: u64, part| (seed ^ part).wrapping_mul(MIX).rotate_left(29));
    xxh3_64_with_seed(attempt.session.as_bytes(), seed)
}

fn sample(attempt: &Attempt<'_>, pools: &Pools) -> AttemptSample {
    let context = pools.contexts.get(attempt.place.context);
    let text = |id| pools.texts.get(id).to_owned();
    AttemptSample {
        app: context.app.to_string(),
        journey: text(attempt.place.journey),
        start_ms: attempt.place.start_ms,
        session: attempt.session.to_owned(),
        outcome: attempt.outcome.as_str().to_owned(),
        valid: attempt.valid,
        reason: text(attempt.reason),
        route: text(attempt.place.route),
        latency: attempt.latency.map(|latency| latency.to_string()),
        steps: attempt.steps.iter().map(|(name, elapsed_ms)| (text(*name), *elapsed_ms)).collect(),
        weight: 0,
        platform: context.platform.to_string(),
        release: context.release.to_string(),
        os: context.os.to_string(),
        browser: context.browser.to_string(),
        device_class: context.device_class.to_string(),
        country: context.country.to_string(),
        connection: context.connection.to_string(),
        segment: context.segment.to_string(),
    }
}
