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
}

/// What a page saw when it was left.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    path: String,
    /// By name, in ms; a score for CLS.
    pub(super) vitals: BTreeMap<String, f64>,
    pub(super) calls: Vec<Call>,
    pub(super) load: Load,
}

/// An HTTP call, by the browser's resource entry.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    path: String,
    pub(super) status: u16,
    pub(super) ms: f64,
}

/// The browser's navigation entry, ms since the navigation.
#[derive(Debug, Deserialize)]
pub(super) struct Load {
    pub(super) dom_complete: f64,
    pub(super) fetch_start: f64,
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

    /// Calls with the routes that the app's templates give them.
    pub(super) fn calls(&self) -> impl Iterator<Item = (String, &Call)> {
        self.pages.iter().flat_map(|page| &page.calls).map(|call| (route(&call.path), call))
    }
}

impl Page {
    pub(super) fn route(&self) -> String {
        route(&self.path)
    }
}

/// The last segment of a path that goes deeper than its collection is a name.
fn route(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((parent, _)) if !parent.is_empty() && parent != "/api" => format!("{parent}/:id"),
        Some(_) | None => path.to_owned(),
    }
}
