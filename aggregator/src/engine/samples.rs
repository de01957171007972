//! A bounded choice of attempts to look at one by one: of each journey and kind those with the smallest hash,
//! so that the choice depends on the attempts alone and not on the order in which they settled.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schema::definition::EngineSettings;
use schema::rows::AttemptSample;
use schema::value::Value;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::cells::Attempt;

/// Samples of one kind held before the settings' bound is applied; the bound itself is at most this.
const HELD_MAX: usize = 32;

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
    pub(super) fn offer(&mut self, attempt: &Attempt<'_>) {
        let bad = attempt.is_bad();
        let journey = xxh3_64(attempt.place.journey.as_bytes());
        let kind = Kind { app_platform: attempt.place.context.app_platform, journey, bad };
        let chosen = self.by_kind.entry(kind).or_default();
        chosen.offered += u64::from(attempt.weight);
        let rank = (rank(attempt, journey), attempt.place.start_ms);
        let is_full = chosen.samples.len() >= HELD_MAX;
        if is_full && chosen.samples.last_key_value().is_some_and(|(last, _)| *last <= rank) {
            return;
        }
        chosen.samples.entry(rank).or_insert_with(|| sample(attempt));
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
fn rank(attempt: &Attempt<'_>, journey: u64) -> u64 {
    let latency = attempt.latency.map_or(u64::MAX, Value::scaled);
    let seed = xxh3_64_with_seed(attempt.place.route.as_bytes(), journey ^ attempt.place.start_ms as u64);
    let seed = xxh3_64_with_seed(attempt.reason.as_bytes(), seed ^ latency);
    xxh3_64_with_seed(attempt.session.as_bytes(), seed ^ attempt.outcome as u64)
}

fn sample(attempt: &Attempt<'_>) -> AttemptSample {
    let context = attempt.place.context;
    AttemptSample {
        app: context.app.to_string(),
        journey: attempt.place.journey.to_string(),
        start_ms: attempt.place.start_ms,
        session: attempt.session.to_owned(),
        outcome: attempt.outcome.as_str().to_owned(),
        valid: attempt.valid,
        reason: attempt.reason.to_owned(),
        route: attempt.place.route.to_owned(),
        latency: attempt.latency.map(|latency| latency.to_string()),
        steps: attempt.steps.iter().map(|(name, elapsed_ms)| (name.to_string(), *elapsed_ms)).collect(),
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
