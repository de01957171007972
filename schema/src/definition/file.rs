//! Reading definition files: YAML texts become a [`DefinitionSet`], or a list of everything that is wrong.
//!
//! A file is of the kind that its leading key names: `journey`, `app`, `policy`, `product`, `owner` or `defaults`.
//! Nothing here touches a disk: callers read the folder and pass paths and texts.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml_ng::{Mapping, Value as Yaml};

use super::app::AppFile;
use super::{DefinitionSet, EngineSettings, Journey, Policy, standard};

mod defaults;
mod error;
mod journey;
mod json_schema;
mod matching;
mod objective;
mod policy;
mod quantity;
mod spelling;
mod text;

pub use defaults::Inherited;
pub use error::{DefinitionError, Problem};
pub use json_schema::json_schema;
pub use spelling::nearest;

use defaults::{Defaults, FolderFile, ProductFile};
use journey::JourneyFile;
use matching::Found;
use policy::PolicyFile;

/// The kinds of files, by their leading key.
const KINDS: [&str; 6] = ["journey", "app", "policy", "product", "owner", "defaults"];

/// Characters of names, which become labels.
const NAME_CHARS_MAX: usize = 64;

/// An `owner:` file.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OwnerFile {
    /// Name, as journeys refer to it.
    owner: String,
    /// Title for people.
    #[serde(default, rename = "title")]
    _title: String,
}

/// Whether a folder's file at `path` is a definition file.
pub fn is_definition_path(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

/// A folder without problems.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedFolder {
    /// What it defines.
    pub set: DefinitionSet,
    /// By journey, what its file does not say and its product or the folder does.
    pub inherited: BTreeMap<String, Vec<Inherited>>,
}

/// Resolves the texts of a definitions folder (path relative to it, content) into a set, together with the
/// standard journeys, which a file of the same name adopts.
///
/// # Errors
/// When any file is not valid: every problem with its file, line and what is allowed there. Nothing is
/// half-loaded.
pub fn load(files: &[(String, String)], settings: EngineSettings) -> Result<DefinitionSet, DefinitionError> {
    load_folder(files, settings).map(|folder| folder.set)
}

/// The same as [`load`], with where journeys have what they inherit from.
///
/// # Errors
/// As those of [`load`].
pub fn load_folder(
    files: &[(String, String)],
    settings: EngineSettings,
) -> Result<LoadedFolder, DefinitionError> {
    let mut files: Vec<&(String, String)> = files.iter().collect();
    files.sort();
    let mut folder = Folder::default();
    for (path, text) in files {
        folder.add(path, text);
    }
    let Resolved { apps, journeys, policies, inherited } = folder.resolve()?;
    let apps = apps.iter().map(AppFile::app).collect();
    let set = DefinitionSet::new(settings, apps, journeys).with_policies(policies);
    Ok(LoadedFolder { set, inherited })
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

impl<'t, T> Sourced<'t, T> {
    /// A problem of this file, where `needle` stands in it.
    fn problem(&self, needle: &str, message: String) -> Problem {
        Problem::at(self.path, self.text, needle, message)
    }

    /// Other content of the same file.
    fn with<U>(&self, content: U) -> Sourced<'t, U> {
        Sourced { path: self.path, text: self.text, content }
    }
}

/// The names that files may refer to.
#[derive(Debug)]
struct Names<'n> {
    apps: BTreeSet<&'n str>,
    policies: BTreeSet<&'n str>,
    products: BTreeSet<&'n str>,
}

impl Names<'_> {
    fn app(&self, name: &str) -> Result<(), Found> {
        known("app", name, &self.apps)
    }

    fn policy(&self, name: &str) -> Result<(), Found> {
        known("policy", name, &self.policies)
    }

    fn product(&self, name: &str) -> Result<(), Found> {
        known("product", name, &self.products)
    }
}

/// What a folder without problems says.
struct Resolved {
    apps: Vec<AppFile>,
    journeys: Vec<Journey>,
    policies: Vec<Policy>,
    inherited: BTreeMap<String, Vec<Inherited>>,
}

#[derive(Debug, Default)]
struct Folder<'t> {
    apps: Vec<Sourced<'t, AppFile>>,
    journeys: Vec<Sourced<'t, JourneyFile>>,
    policies: Vec<Sourced<'t, PolicyFile>>,
    products: Vec<Sourced<'t, ProductFile>>,
    defaults: Vec<Sourced<'t, FolderFile>>,
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
            Some("product") => self.products.push(Sourced { path, text, content: parse(path, text)? }),
            Some("defaults") => self.defaults.push(Sourced { path, text, content: parse(path, text)? }),
            Some(_) => {
                let file: OwnerFile = parse(path, text)?;
                if file.owner.is_empty() {
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
        let policies = self.policies();
        let names = Names {
            apps: self.apps.iter().map(|file| file.content.app.as_str()).collect(),
            policies: std::iter::once("default")
                .chain(self.policies.iter().map(|file| file.content.policy.as_str()))
                .collect(),
            products: self.products.iter().map(|file| file.content.product.as_str()).collect(),
        };
        let defaults = Defaults::new(&self.products, &self.defaults, &names, &mut self.problems);
        let standard = standard::journeys();
        let mut journeys: BTreeMap<String, Journey> = BTreeMap::new();
        let mut inherited = BTreeMap::new();
        for file in &mut self.journeys {
            let name = file.content.journey.clone();
            let adopted = standard.iter().find(|journey| journey.name == name);
            self.problems.extend(
                file.content
                    .references(&names)
                    .into_iter()
                    .map(|(needle, message)| file.problem(&needle, message)),
            );
            inherited.insert(name.clone(), file.content.inherit(&defaults, adopted));
            let resolved = match adopted {
                Some(journey) => file.content.adopt(journey),
                None => file.content.resolve(),
            };
            match resolved {
                Ok(journey) => {
                    if journeys.insert(name.clone(), journey).is_some() {
                        let message =
                            format!("journey `{name}` is defined in another file as well; names are unique");
                        self.problems.push(file.problem(&name, message));
                    }
                }
                Err(found) => self
                    .problems
                    .extend(found.into_iter().map(|(needle, message)| file.problem(&needle, message))),
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
        Ok(Resolved { apps, journeys: journeys.into_values().collect(), policies, inherited })
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

/// Whether there is a file of this kind for `name`.
fn known(kind: &str, name: &str, names: &BTreeSet<&str>) -> Result<(), Found> {
    if names.contains(name) {
        return Ok(());
    }
    let hint = nearest(name, names.iter().copied())
        .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Err((name.to_owned(), format!("there is no {kind} file for `{name}`{hint}")))
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
