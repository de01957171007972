//! What a page measured of itself, as `play.mjs` prints it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One learner's visit with one SDK.
#[derive(Debug, Deserialize)]
pub(super) struct Visit {
    /// Pages in order.
    pub(super) pages: Vec<Page>,
    /// What was played on them.
    pub(super) played: Vec<Played>,
    /// Names of the errors that nobody caught.
    pub(super) errors: Vec<String>,
    /// Calls as the SDK told of them, where it measures them itself.
    told: Vec<Call>,
}

/// What a page saw when it was left.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    path: String,
    /// By name, in ms; a score for CLS.
    pub(super) vitals: BTreeMap<String, f64>,
    calls: Vec<Call>,
    pub(super) load: Load,
}

/// An HTTP call, by the browser's resource entry.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    path: String,
    status: u16,
    ms: f64,
}

/// The browser's navigation entry, ms since the navigation.
#[derive(Debug, Deserialize)]
pub(super) struct Load {
    pub(super) dom_complete: f64,
    pub(super) fetch_start: f64,
    /// To the end of the load event.
    pub(super) duration: f64,
}

/// A journey that was played.
#[derive(Debug, Deserialize)]
pub(super) struct Played {
    journey: String,
    ms: Option<f64>,
}

impl Visit {
    /// How long the attempts of a journey took, ms.
    pub(super) fn latencies(&self, journey: &str) -> Vec<f64> {
        self.played.iter().filter(|played| played.journey == journey).filter_map(|played| played.ms).collect()
    }

    /// Calls that were answered well, by the browser: their durations with their routes.
    pub(super) fn calls(&self) -> BTreeMap<String, Vec<f64>> {
        by_route(self.pages.iter().flat_map(|page| &page.calls))
    }

    /// Calls that were answered well, by the SDK.
    pub(super) fn told_calls(&self) -> BTreeMap<String, Vec<f64>> {
        by_route(&self.told)
    }
}

impl Page {
    pub(super) fn route(&self) -> String {
        route(&self.path)
    }
}

fn by_route<'a>(calls: impl IntoIterator<Item = &'a Call>) -> BTreeMap<String, Vec<f64>> {
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    // A failed call has no latency.
    for call in calls.into_iter().filter(|call| call.status == 200) {
        found.entry(route(&call.path)).or_default().push(call.ms);
    }
    found
}

/// The last segment of a path that goes deeper than its collection is a name.
fn route(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((parent, _)) if !parent.is_empty() && parent != "/api" => format!("{parent}/:id"),
        Some(_) | None => path.to_owned(),
    }
}
