//! What a page measured of itself, as `play.mjs` prints it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What was played.
#[derive(Debug, Deserialize)]
pub(super) struct Played {
    /// By the name of the SDK.
    pub(super) visits: BTreeMap<String, Visit>,
    /// A visit of which only the browser told.
    pub(super) reported: Reported,
}

/// Requests by the app's server, and by the browser.
#[derive(Debug, Deserialize)]
pub(super) struct Reported {
    /// What the server was asked, also where the browser did so again by itself.
    pub(super) asked: Vec<Asked>,
    /// Reports, as they came together.
    pub(super) requests: Vec<Vec<Report>>,
}

/// What the server was asked.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    path: String,
    /// Status of its answer; none where the connection broke.
    pub(super) status: Option<u16>,
}

/// What the browser reported.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    path: String,
    /// `ok`, or how it failed.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// How long it took.
    pub(super) ms: f64,
}

/// One learner's visit with one SDK.
#[derive(Debug, Deserialize)]
pub(super) struct Visit {
    /// Pages in order.
    pub(super) pages: Vec<Page>,
    /// What was played on them.
    played: Vec<Journey>,
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

/// A journey that was played, and how long it took, ms.
#[derive(Debug, Deserialize)]
pub(super) struct Journey {
    journey: String,
    /// By the page's clock just within what the SDK was told.
    least: Option<f64>,
    /// By the page's clock around it.
    most: Option<f64>,
    /// As the SDK was told, for a journey that the page declares.
    exact: Option<f64>,
}

impl Visit {
    /// How long the attempts of a journey took at least and at most, ms.
    pub(super) fn latencies(&self, journey: &str) -> Vec<(f64, f64)> {
        self.of(journey).filter_map(|played| Some((played.least?, played.most?))).collect()
    }

    /// How long those of a declared journey took, ms.
    pub(super) fn exact_latencies(&self, journey: &str) -> Vec<f64> {
        self.of(journey).filter_map(|played| played.exact).collect()
    }

    fn of(&self, journey: &str) -> impl Iterator<Item = &Journey> {
        self.played.iter().filter(move |played| played.journey == journey)
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

impl Asked {
    pub(super) fn route(&self) -> String {
        route(&self.path)
    }
}

impl Report {
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

/// The last segment of a path that goes deeper than its collection is a name, unless it is a file's.
fn route(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((parent, name)) if !parent.is_empty() && parent != "/api" && !name.contains('.') => {
            format!("{parent}/:id")
        }
        Some(_) | None => path.to_owned(),
    }
}
