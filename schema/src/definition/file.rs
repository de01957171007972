//! Reading definition files: YAML texts become a [`DefinitionSet`], or a list of everything that is wrong.
//!
//! A file is of the kind that its leading key names: `journey`, `app`, `policy`, `product` or `owner`. Nothing
//! here touches a disk: callers read the folder and pass paths and texts.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml_ng::{Mapping, Value as Yaml};

use super::app::AppFile;
use super::{DefinitionSet, EngineSettings, Journey, Policy, standard};

mod error;
mod journey;
mod matching;
mod objective;
mod policy;
mod quantity;
mod spelling;
mod text;

pub use error::{DefinitionError, Problem};

use journey::JourneyFile;
use policy::PolicyFile;
use spelling::nearest;

/// The kinds of files, by their leading key.
const KINDS: [&str; 5] = ["journey", "app", "policy", "product", "owner"];

/// Characters of names, which become labels.
const NAME_CHARS_MAX: usize = 64;

/// A product or an owner: a name that journeys may refer to, with a title for people.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedFile {
    /// Name, as journeys refer to it.
    #[serde(alias = "owner")]
    product: String,
    /// Title for people.
    #[serde(default, rename = "title")]
    _title: String,
}

/// Whether a folder's file at `path` is a definition file.
pub fn is_definition_path(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

/// Resolves the texts of a definitions folder (path relative to it, content) into a set, together with the
/// standard journeys, which a file of the same name adopts.
///
/// # Errors
/// When any file is not valid: every problem with its file, line and what is allowed there. Nothing is
/// half-loaded.
pub fn load(files: &[(String, String)], settings: EngineSettings) -> Result<DefinitionSet, DefinitionError> {
    let mut files: Vec<&(String, String)> = files.iter().collect();
    files.sort();
    let mut folder = Folder::default();
    for (path, text) in files {
        folder.add(path, text);
    }
    let Resolved { apps, journeys, policies } = folder.resolve()?;
    let apps = apps.iter().map(AppFile::app).collect();
    Ok(DefinitionSet::new(settings, apps, journeys).with_policies(policies))
}

/// The JSON Schema of definition files, generated from the types that read them, for editors: a file is of the kind that its
/// leading key names.
pub fn json_schema() -> serde_json::Value {
    let mut generator = SchemaGenerator::default();
    let mut kinds = vec![
        generator.root_schema_for::<JourneyFile>(),
        generator.root_schema_for::<AppFile>(),
        generator.root_schema_for::<PolicyFile>(),
        generator.root_schema_for::<NamedFile>(),
    ]
    .into_iter()
    .map(serde_json::Value::from)
    .collect::<Vec<_>>();
    // An owner's file is a product's under another leading key.
    let owner = kinds[3].to_string().replace("\"product\"", "\"owner\"");
    kinds.push(serde_json::from_str(&owner).unwrap_or_default());
    let mut shared = serde_json::Map::new();
    for kind in kinds.iter_mut().filter_map(serde_json::Value::as_object_mut) {
        kind.remove("$schema");
        if let Some(serde_json::Value::Object(types)) = kind.remove("$defs") {
            shared.extend(types);
        }
    }
    // A journey names its product, owner and policy as well: the first of the keys that is there decides the kind, so that an
    // editor tells what is wrong with a file of that kind alone.
    let cases = KINDS.iter().enumerate().zip(&kinds).map(|((at, key), kind)| {
        let former = KINDS[..at].iter().map(|key| serde_json::json!({ "required": [key] }));
        let former: Vec<_> = former.collect();
        let is_kind = if former.is_empty() {
            serde_json::json!({ "required": [key] })
        } else {
            serde_json::json!({ "required": [key], "not": { "anyOf": former } })
        };
        serde_json::json!({ "if": is_kind, "then": kind })
    });
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A definition file",
        "type": "object",
        "anyOf": KINDS.map(|key| serde_json::json!({ "required": [key] })),
        "allOf": cases.collect::<Vec<_>>(),
        "$defs": shared,
    })
}

/// Reads one `app:` file.
///
/// # Errors
/// When it is not valid.
pub fn parse_app(path: &str, text: &str) -> Result<AppFile, DefinitionError> {
    parse::<AppFile>(path, text).map_err(|problem| DefinitionError { problems: vec![problem] })
}

/// A file's content with where it came from.
#[derive(Debug)]
struct Sourced<'t, T> {
    path: &'t str,
    text: &'t str,
    content: T,
}

/// What a folder without problems says.
struct Resolved {
    apps: Vec<AppFile>,
    journeys: Vec<Journey>,
    policies: Vec<Policy>,
}

#[derive(Debug, Default)]
struct Folder<'t> {
    apps: Vec<Sourced<'t, AppFile>>,
    journeys: Vec<Sourced<'t, JourneyFile>>,
    policies: Vec<Sourced<'t, PolicyFile>>,
    problems: Vec<Problem>,
}

impl<'t> Folder<'t> {
    fn add(&mut self, path: &'t str, text: &'t str) {
        if let Err(problem) = self.try_add(path, text) {
            self.problems.push(problem);
        }
    }

    fn try_add(&mut self, path: &'t str, text: &'t str) -> Result<(), Problem> {
        let mapping: Mapping = parse(path, text)?;
        if mapping.is_empty() {
            return Err(Problem::at(path, text, "", "the file is empty".to_owned()));
        }
        let keys: Vec<&str> = mapping.keys().filter_map(Yaml::as_str).collect();
        let kind = KINDS.into_iter().find(|kind| keys.first() == Some(kind));
        match kind {
            Some("journey") => self.journeys.push(Sourced { path, text, content: parse(path, text)? }),
            Some("app") => self.apps.push(Sourced { path, text, content: parse(path, text)? }),
            Some("policy") => self.policies.push(Sourced { path, text, content: parse(path, text)? }),
            Some(_) => {
                let named: NamedFile = parse(path, text)?;
                if named.product.is_empty() {
                    return Err(Problem::at(path, text, ":", "the name is empty".to_owned()));
                }
            }
            None => {
                let first = keys.first().copied().unwrap_or_default();
                let hint =
                    nearest(first, KINDS).map_or(String::new(), |kind| format!("; did you mean `{kind}`?"));
                let allowed = KINDS.map(|kind| format!("`{kind}`")).join(", ");
                return Err(Problem::at(
                    path,
                    text,
                    first,
                    format!(
                        "the file begins with `{first}`, but its first key must be one of {allowed}{hint}"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn resolve(mut self) -> Result<Resolved, DefinitionError> {
        self.check_apps();
        let resolved_policies = self.policies();
        let apps: BTreeSet<&str> = self.apps.iter().map(|app| app.content.app.as_str()).collect();
        let mut policies: BTreeSet<&str> =
            self.policies.iter().map(|file| file.content.policy.as_str()).collect();
        policies.insert("default");
        let standard = standard::journeys();
        let mut journeys: BTreeMap<String, Journey> = BTreeMap::new();
        for file in &self.journeys {
            let name = &file.content.journey;
            let adopted = standard.iter().find(|journey| journey.name == *name);
            let resolved = match adopted {
                Some(journey) => file.content.adopt(journey),
                None => file.content.resolve(),
            };
            let context = (file.path, file.text);
            match resolved {
                Ok(journey) => {
                    self.problems.extend(references(context, &journey, &apps, &policies));
                    if journeys.insert(name.clone(), journey).is_some() {
                        let message =
                            format!("journey `{name}` is defined in another file as well; names are unique");
                        self.problems.push(Problem::at(file.path, file.text, name, message));
                    }
                }
                Err(found) => self.problems.extend(
                    found
                        .into_iter()
                        .map(|(needle, message)| Problem::at(file.path, file.text, &needle, message)),
                ),
            }
        }
        if !self.problems.is_empty() {
            self.problems.sort();
            return Err(DefinitionError { problems: self.problems });
        }
        for journey in standard {
            journeys.entry(journey.name.clone()).or_insert(journey);
        }
        let apps = self.apps.into_iter().map(|app| app.content).collect();
        Ok(Resolved { apps, journeys: journeys.into_values().collect(), policies: resolved_policies })
    }

    /// Policies are named once, and each is right in itself.
    fn policies(&mut self) -> Vec<Policy> {
        let mut names = BTreeMap::new();
        let mut policies = Vec::new();
        for Sourced { path, text, content } in &self.policies {
            if let Some(other) = names.insert(content.policy.as_str(), *path) {
                let message = format!("policy `{}` is in {other} as well; names are unique", content.policy);
                self.problems.push(Problem::at(path, text, &content.policy, message));
            }
            match content.resolve() {
                Ok(policy) => policies.push(policy),
                Err(found) => self.problems.extend(
                    found.into_iter().map(|(needle, message)| Problem::at(path, text, &needle, message)),
                ),
            }
        }
        policies
    }

    /// App names and write keys must each belong to one app.
    fn check_apps(&mut self) {
        let mut names = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for Sourced { path, text, content } in &self.apps {
            if let Some(other) = names.insert(content.app.as_str(), *path) {
                let message = format!("app `{}` is in {other} as well; names are unique", content.app);
                self.problems.push(Problem::at(path, text, &content.app, message));
            }
            if !is_name(&content.app) {
                let message = format!("app {}", name_rule(&content.app));
                self.problems.push(Problem::at(path, text, &content.app, message));
            }
            for origin in content.origins.iter().filter(|origin| !is_origin(origin)) {
                let message = format!(
                    "origin `{origin}` must be `*`, or a scheme and host without a path such as https://app.example"
                );
                self.problems.push(Problem::at(path, text, origin, message));
            }
            if content.keys.is_empty() {
                let message = "`keys` must list at least one write key".to_owned();
                self.problems.push(Problem::at(path, text, "keys", message));
            }
            for key in &content.keys {
                if let Some(other) = keys.insert(key.as_str(), *path) {
                    // The key itself stays out of the message: messages end up in logs.
                    let message = format!(
                        "a write key of app `{}` is in {other} as well; keys are unique",
                        content.app
                    );
                    self.problems.push(Problem::at(path, text, "keys", message));
                }
            }
        }
    }
}

/// Whether `name` may be a label.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(allowed)
}

fn name_rule(name: &str) -> String {
    format!("name `{name}` must have 1 to {NAME_CHARS_MAX} of a-z, 0-9, `-`, `_` and `.`")
}

/// Whether `origin` is what a browser's `Origin` header can say, or `*`.
fn is_origin(origin: &str) -> bool {
    let host = origin.split_once("://").map(|(_, host)| host);
    origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ', '*']))
}

/// Problems of names that a journey refers to.
fn references(
    (path, text): (&str, &str),
    journey: &Journey,
    apps: &BTreeSet<&str>,
    policies: &BTreeSet<&str>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |what: &str, name: &str, known: &BTreeSet<&str>| {
        if !known.contains(name) {
            let hint = nearest(name, known.iter().copied())
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let message = format!("there is no {what} file for `{name}`{hint}");
            problems.push(Problem::at(path, text, name, message));
        }
    };
    for app in &journey.apps {
        check("app", app, apps);
    }
    check("policy", &journey.policy, policies);
    problems
}

fn parse<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, Problem> {
    serde_yaml_ng::from_str(text).map_err(|error| Problem::of_yaml(path, text, &error))
}

/// Reads one shipped file.
pub(super) fn parse_standard(path: &str, text: &str) -> Result<Journey, DefinitionError> {
    let file: JourneyFile =
        parse(path, text).map_err(|problem| DefinitionError { problems: vec![problem] })?;
    file.resolve_standard().map_err(|found| DefinitionError {
        problems: found
            .into_iter()
            .map(|(needle, message)| Problem::at(path, text, &needle, message))
            .collect(),
    })
}
