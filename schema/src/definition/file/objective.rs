//! Objectives as journey files write them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml_ng::Value as Yaml;

use super::matching::Found;
use super::quantity::{comparison, duration, target_ppm, window};
use super::text::check_text;
use crate::definition::{Objective, Rule, Window};
use crate::value::Value;

/// Window of objectives unless the file says another.
const WINDOW: Window = Window::Rolling { days: 28 };

/// One entry of `objectives`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectiveFile {
    /// Name, unique in its journey.
    pub(super) name: String,
    /// Good attempts succeed within this, such as `2s`, or by platform, such as `{web: 2s, ios: 1.5s}`.
    #[schemars(with = "Option<WithinSchema>")]
    within: Option<Yaml>,
    /// The clock of `within` starts at this step.
    from: Option<String>,
    /// For a journey of one event: the comparison that its value must satisfy, such as `"<=2500"`.
    value: Option<String>,
    /// Share of the valid attempts that must be good, such as `99.5%`.
    target: Option<String>,
    /// Window: the last days, such as `28d`, or the `week`, `month` or `quarter` of the calendar (UTC).
    pub(super) window: Option<String>,
    /// Where the threshold comes from: who published it, or that it was chosen, and why.
    source: Option<String>,
}

/// What `within` may be.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum WithinSchema {
    Everywhere(String),
    ByPlatform(BTreeMap<String, String>),
}

impl ObjectiveFile {
    /// The objective of a journey that has the named steps.
    pub(super) fn resolve(
        &self,
        steps: &BTreeSet<&str>,
        target_required: bool,
    ) -> Result<Objective, Vec<Found>> {
        let mut found = Vec::new();
        let mut problem = |message: String| {
            found.push((self.name.clone(), format!("objective `{}`: {message}", self.name)));
        };
        let rule = self.rule().unwrap_or_else(|message| {
            problem(message);
            Rule::Works
        });
        if let Some(from) = &self.from
            && !steps.contains(from.as_str())
        {
            problem(format!("`from` names step `{from}`, which the journey does not have"));
        }
        let target = match &self.target {
            Some(text) => target_ppm(text).map(Some),
            None if target_required => Err("`target` is missing, such as 99.5%".to_owned()),
            None => Ok(None),
        };
        let target = target.unwrap_or_else(|message| {
            problem(message);
            None
        });
        let window = self.window.as_deref().map_or(Ok(WINDOW), window).unwrap_or_else(|message| {
            problem(message);
            WINDOW
        });
        if let Some(Err(message)) = self.source.as_deref().map(|source| check_text("source", source)) {
            problem(message);
        }
        if found.is_empty() {
            let source = self.source.clone().unwrap_or_default();
            Ok(Objective::over(window, self.name.clone(), rule, target).with_source(source))
        } else {
            Err(found)
        }
    }

    fn rule(&self) -> Result<Rule, String> {
        match (&self.within, &self.value, &self.from) {
            (None, None, None) => Ok(Rule::Works),
            (Some(within), None, from) => within_rule(within, from.clone()),
            (None, Some(value), None) => {
                let (comparison, limit) = comparison(value).ok_or_else(|| {
                    format!("`value` is `{value}`, but must be a comparison such as \"<=2500\"")
                })??;
                let limit =
                    Value::from_f64(limit).map_err(|error| format!("`value`: the limit is {error}"))?;
                Ok(Rule::Value { comparison, limit })
            }
            (Some(_), Some(_), _) => Err("give `within` or `value`, not both".to_owned()),
            (None, _, Some(_)) => Err("`from` needs `within`".to_owned()),
        }
    }
}

fn within_rule(within: &Yaml, from: Option<String>) -> Result<Rule, String> {
    let expected =
        "`within` must be a duration such as 2s, or durations by platform such as {web: 2s, ios: 1.5s}";
    let limit = |text: &str| match duration(text) {
        Ok(limit) if limit.scaled() == 0 => Err("`within` must be longer than 0".to_owned()),
        other => other,
    };
    match within {
        Yaml::Mapping(platforms) if platforms.is_empty() => Err(expected.to_owned()),
        Yaml::String(text) => {
            Ok(Rule::Within { default: Some(limit(text)?), by_platform: Default::default(), from })
        }
        Yaml::Mapping(platforms) => {
            let mut by_platform = std::collections::BTreeMap::new();
            for (platform, text) in platforms {
                let (Some(platform), Some(text)) = (platform.as_str(), text.as_str()) else {
                    return Err(expected.to_owned());
                };
                by_platform.insert(platform.to_owned(), limit(text)?);
            }
            let default = by_platform.remove("default");
            Ok(Rule::Within { default, by_platform, from })
        }
        Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::Sequence(_) | Yaml::Tagged(_) => {
            Err(expected.to_owned())
        }
    }
}

/// Objectives of sessions: a session has no latency and no value.
pub(super) fn check_session_objectives(objectives: &[Objective], found: &mut Vec<Found>) {
    for objective in objectives.iter().filter(|objective| objective.rule != Rule::Works) {
        let message = format!(
            "objective `{}`: a session has no latency and no value; leave out `within` and `value`",
            objective.name
        );
        found.push((objective.name.clone(), message));
    }
}

/// The largest limit of the objectives that have one, in ms.
pub(super) fn largest_within(objectives: &[Objective]) -> Option<u64> {
    let limits = objectives.iter().flat_map(|objective| match &objective.rule {
        Rule::Within { default, by_platform, .. } => by_platform.values().chain(default).copied().collect(),
        Rule::Works | Rule::Value { .. } => Vec::new(),
    });
    limits.max().map(Value::units)
}
