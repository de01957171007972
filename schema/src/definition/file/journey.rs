//! Journey files and how they resolve: defaults, adoption of standard journeys, and checks.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults::Inherited;
use super::matching::{Found, MatcherFile, OneOrMany, StartFile, failures, matchers};
use super::objective::{ObjectiveFile, check_session_objectives, largest_within};
use super::quantity::duration;
use super::{is_name, name_rule};
use crate::definition::{AttemptKind, Condition, Journey, Matcher, Objective, Restart, Step, Test, Unit};

mod adopt;
mod inherit;

/// Deadline of an attempt unless the file says another.
const TIMEOUT_MS: u64 = 30_000;
/// Longest deadline: what a session must be remembered for.
const TIMEOUT_MS_MAX: u64 = 4 * 3_600_000;
/// Error-budget policy unless the file names another.
const POLICY: &str = "default";

/// A `journey:` file: what a user sets out to do, when it is good, and what is promised of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JourneyFile {
    /// Name, unique; that of a standard journey adopts it.
    pub(super) journey: String,
    /// Title for people.
    title: Option<String>,
    /// Product that it belongs to.
    product: Option<String>,
    /// Team or role that owns it.
    owner: Option<String>,
    /// What users are promised, in their words.
    promise: Option<String>,
    /// Apps that it is defined for; every app without it.
    apps: Option<Vec<String>>,
    /// Platforms that it is measured on; every platform without it.
    platforms: Option<Vec<String>>,
    /// What begins an attempt; `declared` when only the app's own journey.* events tell, `session` when the session
    /// is the attempt.
    start: Option<StartFile>,
    /// Named stages in their order.
    #[serde(default)]
    steps: Vec<StepFile>,
    /// What ends an attempt well, any of; without `start`, what an attempt is.
    #[serde(default)]
    success: OneOrMany<MatcherFile>,
    /// What ends an attempt badly, any of.
    #[serde(default)]
    failure: OneOrMany<MatcherFile>,
    /// What says that the user cancelled, any of.
    #[serde(default)]
    cancel: OneOrMany<MatcherFile>,
    /// Deadline of an attempt, such as `30s`; at most 4h.
    timeout: Option<String>,
    /// A user who leaves after this long had waited too long; the largest `within` without it.
    patience: Option<String>,
    /// What a second start does to an open attempt.
    restart: Option<Restart>,
    /// Unit of its latency or value.
    unit: Option<Unit>,
    /// For a journey of one event: the attribute whose last value revises the former ones.
    revised_by: Option<String>,
    /// What is promised of its attempts.
    #[serde(default)]
    objectives: Vec<ObjectiveFile>,
    /// Error-budget policy.
    policy: Option<String>,
    /// What it inherited.
    #[serde(skip)]
    inherited: Vec<Inherited>,
}

/// A named stage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepFile {
    /// Name, unique in its journey.
    name: String,
    /// What reaches it, any of.
    done: OneOrMany<MatcherFile>,
}

impl JourneyFile {
    /// The journey of a team's own file.
    pub(super) fn resolve(&self) -> Result<Journey, Vec<Found>> {
        let mut found = Vec::new();
        for (key, value, remedy) in [
            (
                "owner",
                &self.owner,
                "name a team or role here, or as a default of its product or of the folder",
            ),
            ("promise", &self.promise, "say what users are promised, in their words"),
        ] {
            if value.as_deref().is_none_or(str::is_empty) {
                found.push((self.journey.clone(), format!("`{key}` is missing: {remedy}")));
            }
        }
        if self.objectives.is_empty() {
            found.push((
                self.journey.clone(),
                "`objectives` is missing; the simplest is [{name: works, target: 99%}]".to_owned(),
            ));
        }
        match self.journey(true) {
            Ok(journey) if found.is_empty() => Ok(journey),
            Ok(_) => Err(found),
            Err(more) => {
                found.extend(more);
                Err(found)
            }
        }
    }

    /// A standard journey, whose objectives need no target yet.
    pub(in crate::definition) fn resolve_standard(&self) -> Result<Journey, Vec<Found>> {
        self.journey(false).map(|journey| Journey { standard: true, ..journey })
    }

    fn journey(&self, target_required: bool) -> Result<Journey, Vec<Found>> {
        let mut found = self.check_names();
        let start = self.start(&mut found);
        let steps = collect(self.steps.iter().map(StepFile::resolve), &mut found);
        let success =
            matchers(&self.success, "success").unwrap_or_else(|problems| push(&mut found, problems));
        let failure = failures(&self.failure).unwrap_or_else(|problems| push(&mut found, problems));
        let cancel = matchers(&self.cancel, "cancel").unwrap_or_else(|problems| push(&mut found, problems));
        let step_names: BTreeSet<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        let objectives = collect(
            self.objectives.iter().map(|objective| objective.resolve(&step_names, target_required)),
            &mut found,
        );
        let timeout_ms = match self.timeout.as_deref().map_or(Ok(TIMEOUT_MS), timeout_ms) {
            Ok(timeout_ms) => timeout_ms,
            Err(message) => {
                found.push(("timeout".to_owned(), format!("`timeout`: {message}")));
                TIMEOUT_MS
            }
        };
        let patience_ms = self
            .duration_ms("patience", &self.patience, &mut found)
            .unwrap_or_else(|| largest_within(&objectives).unwrap_or(timeout_ms));
        self.check_waits(timeout_ms, patience_ms, &objectives, &mut found);
        let attempt = self.attempt();
        if attempt == AttemptKind::Session {
            self.check_session(&objectives, &mut found);
        }
        if attempt == AttemptKind::Event && self.success.0.is_empty() && self.failure.0.is_empty() {
            found.push((
                self.journey.clone(),
                "nothing begins an attempt: give `start` (`start: declared` when only the app's own journey.* events tell, `start: session` when the session is the attempt), or `success` alone when one event is the whole attempt".to_owned(),
            ));
        }
        if attempt == AttemptKind::Event && !(self.steps.is_empty() && self.cancel.0.is_empty()) {
            found.push((self.journey.clone(), "`steps` and `cancel` need a `start`".to_owned()));
        }
        if attempt == AttemptKind::Journey && self.revised_by.is_some() {
            let message = "`revised_by` is for a journey of one event, which has no `start`";
            found.push(("revised_by".to_owned(), message.to_owned()));
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok(Journey {
            name: self.journey.clone(),
            title: self.title.clone().unwrap_or_else(|| title_of(&self.journey)),
            product: self.product.clone().unwrap_or_default(),
            owner: self.owner.clone().unwrap_or_default(),
            promise: self.promise.clone().unwrap_or_default(),
            apps: self.apps.clone().unwrap_or_default(),
            platforms: self.platforms.clone().unwrap_or_default(),
            standard: false,
            attempt,
            start,
            steps,
            success,
            failure,
            cancel,
            timeout_ms,
            patience_ms,
            restart: self.restart.unwrap_or_default(),
            unit: self.unit.unwrap_or_default(),
            revised_by: self.revised_by.clone(),
            objectives,
            policy: self.policy.clone().unwrap_or_else(|| POLICY.to_owned()),
        })
    }

    /// What lies beyond the deadline can never happen: such a limit is a mistake.
    fn check_waits(
        &self,
        timeout_ms: u64,
        patience_ms: u64,
        objectives: &[Objective],
        found: &mut Vec<Found>,
    ) {
        if self.patience.is_some() && patience_ms > timeout_ms {
            let message = format!(
                "`patience` is {patience_ms} ms{}, longer than the timeout of {timeout_ms} ms{}",
                self.from("patience"),
                self.from("timeout")
            );
            found.push(("patience".to_owned(), message));
        }
        for objective in objectives {
            let limit_ms = largest_within(std::slice::from_ref(objective));
            if let Some(limit_ms) = limit_ms.filter(|limit_ms| *limit_ms > timeout_ms) {
                let message = format!(
                    "objective `{}`: `within` is {limit_ms} ms, longer than the timeout of {timeout_ms} ms{}",
                    objective.name,
                    self.from("timeout")
                );
                found.push((objective.name.clone(), message));
            }
        }
    }

    fn check_names(&self) -> Vec<Found> {
        let mut found = Vec::new();
        if self.platforms.as_ref().is_some_and(Vec::is_empty) {
            let message = "`platforms` lists nothing; leave it out for every platform";
            found.push(("platforms".to_owned(), message.to_owned()));
        }
        let mut seen = BTreeSet::new();
        let steps = self.steps.iter().map(|step| ("step", step.name.as_str()));
        let objectives = self.objectives.iter().map(|objective| ("objective", objective.name.as_str()));
        let platforms = self.platforms.iter().flatten().map(|platform| ("platform", platform.as_str()));
        let journey = std::iter::once(("journey", self.journey.as_str()));
        for (what, name) in journey.chain(platforms).chain(steps).chain(objectives) {
            if !is_name(name) {
                found.push((name.to_owned(), format!("{what} {}", name_rule(name))));
            }
            if !seen.insert((what, name)) {
                found.push((name.to_owned(), format!("{what} `{name}` is there twice; names are unique")));
            }
        }
        found
    }

    fn attempt(&self) -> AttemptKind {
        match &self.start {
            None => AttemptKind::Event,
            Some(start) if start.is_session() => AttemptKind::Session,
            Some(StartFile::Word(_) | StartFile::Matchers(_)) => AttemptKind::Journey,
        }
    }

    /// A session has neither an end of its own nor a latency: what tells of them has no meaning.
    fn check_session(&self, objectives: &[Objective], found: &mut Vec<Found>) {
        let meaningless = [
            ("steps", !self.steps.is_empty()),
            ("success", !self.success.0.is_empty()),
            ("cancel", !self.cancel.0.is_empty()),
            ("timeout", self.timeout.is_some()),
            ("patience", self.patience.is_some()),
            ("restart", self.restart.is_some()),
            ("unit", self.unit.is_some()),
            ("revised_by", self.revised_by.is_some()),
        ];
        for (key, _) in meaningless.into_iter().filter(|(_, given)| *given) {
            let message = format!(
                "`{key}` has no meaning with `start: session`: a session is good until a `failure` event of it arrives"
            );
            found.push((key.to_owned(), message));
        }
        if self.failure.0.is_empty() {
            let message = "`start: session` needs a `failure`: the event that makes a session bad";
            found.push(("session".to_owned(), message.to_owned()));
        }
        if self.failure.0.iter().any(|file| file.recoverable) {
            let message = "`recoverable` has no meaning with `start: session`, since no success follows";
            found.push(("recoverable".to_owned(), message.to_owned()));
        }
        check_session_objectives(objectives, found);
    }

    fn start(&self, found: &mut Vec<Found>) -> Vec<Matcher> {
        match &self.start {
            None => Vec::new(),
            Some(start) if start.is_session() => Vec::new(),
            Some(StartFile::Word(word)) if word == "declared" => vec![Matcher {
                event: "journey.start".to_owned(),
                conditions: vec![Condition {
                    attribute: "journey".to_owned(),
                    any_of: vec![Test::Equals(self.journey.clone())],
                }],
            }],
            Some(StartFile::Word(word)) => {
                found.push((
                    "start".to_owned(),
                    format!(
                        "`start` is `{word}`, but must be a matcher, a list of them, `declared` or `session`"
                    ),
                ));
                Vec::new()
            }
            Some(StartFile::Matchers(files)) => {
                matchers(files, "start").unwrap_or_else(|problems| push(found, problems))
            }
        }
    }

    fn duration_ms(&self, key: &str, text: &Option<String>, found: &mut Vec<Found>) -> Option<u64> {
        match duration(text.as_deref()?) {
            Ok(value) => Some(value.units()),
            Err(message) => {
                found.push((key.to_owned(), format!("`{key}`: {message}")));
                None
            }
        }
    }
}

impl StepFile {
    fn resolve(&self) -> Result<Step, Vec<Found>> {
        Ok(Step { name: self.name.clone(), done: matchers(&self.done, "done")? })
    }
}

/// A deadline, ms: longer than nothing, and within what a session is remembered for.
pub(super) fn timeout_ms(text: &str) -> Result<u64, String> {
    let ms = duration(text)?.units();
    if ms == 0 || ms > TIMEOUT_MS_MAX {
        return Err(format!("`{text}` must be longer than 0 and at most 4h"));
    }
    Ok(ms)
}

/// `watch-lecture` as `Watch lecture`.
fn title_of(name: &str) -> String {
    let words = name.replace(['-', '_', '.'], " ");
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn collect<T>(results: impl Iterator<Item = Result<T, Vec<Found>>>, found: &mut Vec<Found>) -> Vec<T> {
    results.filter_map(|result| result.map_err(|problems| found.extend(problems)).ok()).collect()
}

fn push<T>(found: &mut Vec<Found>, problems: Vec<Found>) -> Vec<T> {
    found.extend(problems);
    Vec::new()
}
