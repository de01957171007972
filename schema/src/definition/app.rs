//! App files: what `ingest` must know of an app to admit its beacons. The engine gets only [`super::App`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use crate::route::Template;

/// An `app:` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    /// Name of the app; beacons get it from their write key, never from their content.
    pub app: String,
    /// Write keys; several while one is rotated out.
    pub keys: Vec<String>,
    /// Origins that browsers may send from, `*` for any (each is answered with its own name).
    #[serde(default)]
    pub origins: Vec<String>,
    /// Environments whose beacons enter journeys.
    #[serde(default = "production")]
    pub environments: Vec<String>,
    /// Platform of beacons that do not say theirs.
    #[serde(default = "web")]
    pub platform: String,
    /// Templates that turn paths into routes, first match wins.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub routes: Vec<Template>,
    /// The one attribute kept as the dimension `segment`.
    #[serde(default)]
    pub segment: Option<String>,
    /// What happens to bots.
    #[serde(default)]
    pub bots: Bots,
    /// Which of the signals that tell of the same HTTP call is kept; the other is counted. By default what each
    /// format tells most completely: resource entries from Faro, spans from OTLP.
    #[serde(default)]
    pub http_source: Option<Source>,
    /// Which of the signals that tell of the same page load is kept; the other is counted.
    #[serde(default = "entries")]
    pub page_load_source: Source,
    /// The only attributes of events that are kept, beside those of the glossary of events and the segment. Without
    /// a list every attribute is kept that does not identify a user; with one, `message` only where it is listed.
    #[serde(default)]
    pub attributes: Option<Vec<String>>,
    /// What happens to beacons of browsers that send `DNT: 1` (Do Not Track).
    #[serde(default)]
    pub do_not_track: Objection,
    /// What happens to beacons of browsers that send `Sec-GPC: 1` (Global Privacy Control).
    #[serde(default)]
    pub global_privacy_control: Objection,
}

/// What follows when a user objects by a setting of the browser. No record says who a user is in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objection {
    /// Nothing.
    #[default]
    Ignore,
    /// The beacon counts without its session, segment and country: nothing ties it to another one.
    Anonymous,
    /// Nothing of the beacon is kept but how many events it had.
    Drop,
}

/// A signal in which the browser tells of something that comes in another one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The browser's own performance entries, of resources and of the navigation.
    Entries,
    /// Spans of tracing.
    Spans,
}

/// What happens to the beacons of bots and headless browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bots {
    /// Counted in `quality` only.
    #[default]
    Exclude,
    /// They enter journeys as everyone.
    Count,
}

impl AppFile {
    /// The engine's part of the file.
    pub fn app(&self) -> App {
        App {
            name: self.app.clone(),
            environments: self.environments.clone(),
            count_bots: self.bots == Bots::Count,
        }
    }
}

fn production() -> Vec<String> {
    vec!["production".to_owned()]
}

fn entries() -> Source {
    Source::Entries
}

fn web() -> String {
    "web".to_owned()
}
