//! Objectives: what makes a valid attempt good, how many of them must be, over which window.
//!
//! How files write them is [`super::file`]'s; counting is the aggregator's, judging that of the views.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Unit, Window, content_hash};
use crate::value::Value;

/// Good ÷ valid attempts against a target over a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Name, unique in its journey.
    pub name: String,
    /// Hash of rule, target and window, 8 hex digits: a changed objective is a new version.
    pub version: String,
    /// What makes a valid attempt good.
    pub rule: Rule,
    /// Target in millionths (99.5 % is 995,000); `None`: an indicator that nobody has adopted.
    pub target_ppm: Option<u32>,
    /// Over which time attempts are summed.
    #[serde(flatten)]
    pub window: Window,
    /// Where the rule's threshold comes from, for people: who published it, or that it was chosen, and why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

impl Objective {
    /// Makes an objective over the last days, without a source, and derives its version.
    pub fn new(name: String, rule: Rule, target_ppm: Option<u32>, days: u16) -> Self {
        Self::over(Window::Rolling { days }, name, rule, target_ppm)
    }

    /// The same over any window.
    pub fn over(window: Window, name: String, rule: Rule, target_ppm: Option<u32>) -> Self {
        let hash = match window {
            Window::Rolling { days } => content_hash(&(&rule, target_ppm, days)),
            Window::Calendar(calendar) => content_hash(&(&rule, target_ppm, calendar)),
        };
        let version = format!("{:08x}", hash as u32);
        Self { name, version, rule, target_ppm, window, source: String::new() }
    }

    /// The same objective, whose threshold comes from there; the version stays, since nothing is counted otherwise.
    pub fn with_source(self, source: String) -> Self {
        Self { source, ..self }
    }
}

/// What makes a valid attempt good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It succeeded.
    Works,
    /// It succeeded and took at most this long, by platform; a platform that is not listed takes `default`,
    /// and without a default its attempts are not valid for this objective.
    Within {
        /// Limit of the platforms that are not listed, in the journey's unit.
        default: Option<Value>,
        /// Limits by platform.
        by_platform: BTreeMap<String, Value>,
        /// Step whose reaching starts the clock; the attempt's start where none is named.
        from: Option<String>,
    },
    /// Its value satisfies the comparison. Attempts without a value are not valid for it.
    Value {
        /// The comparison.
        comparison: Comparison,
        /// What it is compared with, in the journey's unit.
        limit: Value,
    },
}

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// Less.
    #[serde(rename = "<")]
    Less,
    /// Less or equal.
    #[serde(rename = "<=")]
    LessOrEqual,
    /// Greater or equal.
    #[serde(rename = ">=")]
    GreaterOrEqual,
    /// Greater.
    #[serde(rename = ">")]
    Greater,
}

impl Comparison {
    /// Its sign, for people.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "≤",
            Self::GreaterOrEqual => "≥",
            Self::Greater => ">",
        }
    }

    /// Whether `left` stands in this relation to `right`.
    pub fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::GreaterOrEqual => left >= right,
            Self::Greater => left > right,
        }
    }
}

impl Rule {
    /// What a success may take on `platform`, in the journey's unit; `None` where the rule has no such limit.
    pub fn limit_on(&self, platform: &str) -> Option<f64> {
        match self {
            Self::Within { default, by_platform, .. } => {
                let limit = by_platform.get(platform).or(default.as_ref());
                limit.map(|limit| limit.scaled() as f64 / crate::value::SCALE as f64)
            }
            Self::Works | Self::Value { .. } => None,
        }
    }

    /// What makes a valid attempt good, for people.
    pub fn description(&self, unit: Unit) -> String {
        let unit = match unit {
            Unit::Ms => " ms",
            Unit::Score => "",
        };
        match self {
            Rule::Works => "success".to_owned(),
            Rule::Within { default, by_platform, from } => {
                let others = if by_platform.is_empty() { "" } else { " elsewhere" };
                let limits: Vec<String> = by_platform
                    .iter()
                    .map(|(platform, limit)| format!("{limit}{unit} on {platform}"))
                    .chain(default.iter().map(|limit| format!("{limit}{unit}{others}")))
                    .collect();
                let from = from.as_ref().map(|step| format!(", from step {step}")).unwrap_or_default();
                format!("success within {}{from}", limits.join(", "))
            }
            Rule::Value { comparison, limit } => {
                format!("value {} {limit}{unit}", comparison.sign())
            }
        }
    }
}
