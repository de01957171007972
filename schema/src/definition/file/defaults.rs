//! Defaults that journeys inherit: those of their product's file, then those of the folder's one `defaults:` file.
//!
//! A journey's own file comes first. What is wrong with a default is told where it stands, once, and not inherited.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::journey::timeout_ms;
use super::matching::Found;
use super::quantity::{duration, window};
use super::{Names, Problem, Sourced, is_name, name_rule};

/// What journeys inherit whose files do not say it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "keys with values, such as {owner: TEAM, timeout: 30s}")]
pub(super) struct DefaultsFile {
    /// Team or role that owns them.
    pub(super) owner: Option<String>,
    /// Error-budget policy.
    pub(super) policy: Option<String>,
    /// Apps that they are defined for.
    pub(super) apps: Option<Vec<String>>,
    /// Platforms that they are measured on.
    pub(super) platforms: Option<Vec<String>>,
    /// Deadline of an attempt from a start to an end, such as `30s`; at most 4h.
    pub(super) timeout: Option<String>,
    /// A user who leaves after this long had waited too long.
    pub(super) patience: Option<String>,
    /// Window of objectives, such as `28d` or `month`.
    pub(super) window: Option<String>,
}

/// A `defaults:` file: what journeys of the folder inherit where neither their file nor their product says it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FolderFile {
    /// What journeys of the folder inherit.
    pub(super) defaults: DefaultsFile,
}

/// A `product:` file.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductFile {
    /// Name, as journeys refer to it.
    pub(super) product: String,
    /// Title for people.
    #[serde(default, rename = "title")]
    _title: String,
    /// What journeys of the product inherit.
    #[serde(default)]
    pub(super) defaults: DefaultsFile,
}

/// Where a journey has the value of a key from that its own file does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inherited {
    /// The key, as a journey's file has it.
    pub key: &'static str,
    /// Path of the file that says it, relative to the folder.
    pub path: String,
    /// Line in that file, from 1.
    pub line: usize,
}

/// The checked defaults of a folder.
#[derive(Debug, Default)]
pub(super) struct Defaults<'t> {
    products: BTreeMap<String, Sourced<'t, DefaultsFile>>,
    folder: Option<Sourced<'t, DefaultsFile>>,
}

impl<'t> Defaults<'t> {
    /// The defaults of these files, and what is wrong with them.
    pub(super) fn new(
        products: &[Sourced<'t, ProductFile>],
        folder: &[Sourced<'t, FolderFile>],
        names: &Names<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut defaults = Self::default();
        for file in products {
            let name = &file.content.product;
            if !is_name(name) {
                problems.push(file.problem(name, format!("product {}", name_rule(name))));
            }
            let own = file.with(file.content.defaults.clone());
            if let Some(other) = defaults.products.get(name) {
                let message = format!("product `{name}` is in {} as well; names are unique", other.path);
                problems.push(file.problem(name, message));
            } else {
                defaults.products.insert(name.clone(), own.checked(names, problems));
            }
        }
        for file in folder {
            if let Some(other) = &defaults.folder {
                let message = format!("{} has `defaults` as well; a folder has one such file", other.path);
                problems.push(file.problem("defaults", message));
            } else {
                defaults.folder = Some(file.with(file.content.defaults.clone()).checked(names, problems));
            }
        }
        defaults
    }

    /// The first default of a journey of `product` that says `key`, and where it stands.
    pub(super) fn inherit<T: Clone>(
        &self,
        product: Option<&str>,
        key: &'static str,
        value: impl Fn(&DefaultsFile) -> &Option<T>,
    ) -> Option<(T, Inherited)> {
        let of_product = product.and_then(|product| self.products.get(product));
        of_product.into_iter().chain(&self.folder).find_map(|file| {
            let found = value(&file.content).clone()?;
            let (line, _) = super::error::place(file.text, key).unwrap_or((1, 1));
            Some((found, Inherited { key, path: file.path.to_owned(), line }))
        })
    }
}

impl Sourced<'_, DefaultsFile> {
    /// The same without what is wrong with it.
    fn checked(mut self, names: &Names<'_>, problems: &mut Vec<Problem>) -> Self {
        let found = self.content.check(names);
        for (key, (needle, message)) in found {
            problems.push(self.problem(&needle, message));
            self.content.forget(key);
        }
        self
    }
}

impl DefaultsFile {
    /// What is wrong, by key.
    fn check(&self, names: &Names<'_>) -> Vec<(&'static str, Found)> {
        let mut found = Vec::new();
        if self.owner.as_ref().is_some_and(String::is_empty) {
            found.push(("owner", ("owner".to_owned(), "`owner` is empty; name a team or role".to_owned())));
        }
        if let Some(Err(problem)) = self.policy.as_ref().map(|policy| names.policy(policy)) {
            found.push(("policy", problem));
        }
        for problem in self.apps.iter().flatten().filter_map(|app| names.app(app).err()) {
            found.push(("apps", problem));
        }
        for (key, list) in [("apps", &self.apps), ("platforms", &self.platforms)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                let message = format!("`{key}` lists nothing; leave it out for every one");
                found.push((key, (key.to_owned(), message)));
            }
        }
        let mut seen = BTreeSet::new();
        for platform in self.platforms.iter().flatten() {
            if !is_name(platform) {
                found.push(("platforms", (platform.clone(), format!("platform {}", name_rule(platform)))));
            }
            if !seen.insert(platform) {
                let message = format!("platform `{platform}` is there twice; names are unique");
                found.push(("platforms", (platform.clone(), message)));
            }
        }
        let timeout = self.timeout.as_deref().map(timeout_ms);
        let patience = self.patience.as_deref().map(|text| duration(text).map(|value| value.units()));
        for (key, ms) in [("timeout", &timeout), ("patience", &patience)] {
            if let Some(Err(message)) = ms {
                found.push((key, (key.to_owned(), format!("`{key}`: {message}"))));
            }
        }
        if let (Some(Ok(timeout)), Some(Ok(patience))) = (timeout, patience)
            && patience > timeout
        {
            let message = format!("`patience` is {patience} ms, longer than the timeout of {timeout} ms");
            found.push(("patience", ("patience".to_owned(), message)));
        }
        if let Some(Err(message)) = self.window.as_deref().map(window) {
            found.push(("window", ("window".to_owned(), format!("`window`: {message}"))));
        }
        found
    }

    fn forget(&mut self, key: &str) {
        match key {
            "owner" => self.owner = None,
            "policy" => self.policy = None,
            "apps" => self.apps = None,
            "platforms" => self.platforms = None,
            "timeout" => self.timeout = None,
            "patience" => self.patience = None,
            "window" => self.window = None,
            other => unreachable!("{other} is no default"),
        }
    }
}
