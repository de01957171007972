//! Files that adopt a standard journey: what they may say otherwise, and what stays.

use std::collections::BTreeSet;

use super::{JourneyFile, check_session_objectives, collect};
use crate::definition::file::matching::Found;
use crate::definition::{AttemptKind, Journey, Objective};

impl JourneyFile {
    /// A standard journey with what this file says otherwise.
    pub(in crate::definition::file) fn adopt(&self, standard: &Journey) -> Result<Journey, Vec<Found>> {
        let mut found = self.check_names();
        let fixed = [
            ("start", self.start.is_some()),
            ("steps", !self.steps.is_empty()),
            ("success", !self.success.0.is_empty()),
            ("failure", !self.failure.0.is_empty()),
            ("cancel", !self.cancel.0.is_empty()),
            ("timeout", self.timeout.is_some()),
            ("patience", self.patience.is_some()),
            ("restart", self.restart.is_some()),
            ("unit", self.unit.is_some()),
            ("revised_by", self.revised_by.is_some()),
        ];
        for (key, _) in fixed.into_iter().filter(|(_, given)| *given) {
            found.push((
                key.to_owned(),
                format!("`{}` is a standard journey: a file adopts it with `title`, `product`, `owner`, `promise`, `apps`, `platforms`, `objectives` or `policy`, and `{key}` is fixed; choose another name for a journey of your own", self.journey),
            ));
        }
        let objectives = collect(
            self.objectives.iter().map(|objective| objective.resolve(&BTreeSet::new(), true)),
            &mut found,
        );
        let objectives: Vec<_> =
            objectives.into_iter().map(|objective| with_source_of(standard, objective)).collect();
        if standard.attempt == AttemptKind::Session {
            check_session_objectives(&objectives, &mut found);
        }
        if !found.is_empty() {
            return Err(found);
        }
        let or = |own: &Option<String>, standard: &String| own.clone().unwrap_or_else(|| standard.clone());
        Ok(Journey {
            title: or(&self.title, &standard.title),
            product: or(&self.product, &standard.product),
            owner: or(&self.owner, &standard.owner),
            promise: or(&self.promise, &standard.promise),
            policy: or(&self.policy, &standard.policy),
            apps: self.apps.clone().unwrap_or_else(|| standard.apps.clone()),
            platforms: self.platforms.clone().unwrap_or_else(|| standard.platforms.clone()),
            objectives: if objectives.is_empty() { standard.objectives.clone() } else { objectives },
            ..standard.clone()
        })
    }
}

/// An objective that keeps the threshold of a standard one keeps its source, unless it gives another.
fn with_source_of(standard: &Journey, objective: Objective) -> Objective {
    let same = standard.objectives.iter().find(|known| known.rule == objective.rule);
    match same.filter(|_| objective.source.is_empty()) {
        Some(known) => objective.with_source(known.source.clone()),
        None => objective,
    }
}
