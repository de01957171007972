//! What is different between two definition sets, in the words of who reads it before it is activated.

use std::collections::BTreeMap;

use schema::definition::{DefinitionSet, Journey, Objective};
use serde::Serialize;

use crate::check::percent;

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// `added`, `changed` or `removed`.
    pub(crate) kind: &'static str,
    /// Journey, with its objective where only that is meant.
    pub(crate) what: String,
    /// What it means.
    pub(crate) meaning: String,
}

/// What `after` has otherwise than `before`, by journey.
pub(crate) fn difference(before: Option<&DefinitionSet>, after: &DefinitionSet) -> Vec<Change> {
    let by_name = |set: Option<&DefinitionSet>| -> BTreeMap<String, Journey> {
        let journeys = set.into_iter().flat_map(|set| &set.journeys);
        journeys.map(|journey| (journey.name.clone(), journey.clone())).collect()
    };
    let (old, new) = (by_name(before), by_name(Some(after)));
    let mut changes = Vec::new();
    for (name, journey) in &new {
        match old.get(name) {
            None => changes.push(change("added", name, "is counted from its activation on")),
            Some(former) if former != journey => compare(former, journey, &mut changes),
            Some(_) => {}
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.push(change("removed", name, "is not counted any more; its history stays"));
    }
    if before.is_some_and(|before| before.apps != after.apps) {
        changes.push(change("changed", "apps", "which environments and bots enter journeys"));
    }
    if before.is_some_and(|before| before.policies != after.policies) {
        changes.push(change("changed", "policies", "what is done when a budget is spent"));
    }
    if before.is_some_and(|before| before.settings != after.settings) {
        changes.push(change("changed", "settings", "periods and limits of the engine"));
    }
    changes
}

fn compare(old: &Journey, new: &Journey, changes: &mut Vec<Change>) {
    let of = |journey: &Journey, name: &str| {
        journey.objectives.iter().find(|objective| objective.name == name).cloned()
    };
    for objective in &new.objectives {
        let what = format!("{}: {}", new.name, objective.name);
        match of(old, &objective.name) {
            None => changes.push(change("added", &what, &promise(objective, new))),
            Some(former) if former.version != objective.version => {
                let meaning = format!(
                    "{}, was {}; begins version {} and counts anew, the history of {} stays",
                    promise(objective, new),
                    promise(&former, old),
                    objective.version,
                    former.version
                );
                changes.push(change("changed", &what, &meaning));
            }
            Some(former) if former.source != objective.source => {
                changes.push(change("changed", &what, "where its threshold comes from"));
            }
            Some(_) => {}
        }
    }
    for objective in old.objectives.iter().filter(|objective| of(new, &objective.name).is_none()) {
        let what = format!("{}: {}", new.name, objective.name);
        changes.push(change("removed", &what, "is not evaluated any more; its history stays"));
    }
    let without_objectives =
        |journey: &Journey| Journey { objectives: Vec::new(), policy: String::new(), ..journey.clone() };
    let with_words_of = |journey: Journey| Journey {
        title: new.title.clone(),
        promise: new.promise.clone(),
        owner: new.owner.clone(),
        product: new.product.clone(),
        ..journey
    };
    if with_words_of(without_objectives(old)) != without_objectives(new) {
        let meaning = "what an attempt is, or how it ends: numbers before and after do not compare";
        changes.push(change("changed", &new.name, meaning));
    } else if without_objectives(old) != without_objectives(new) || old.policy != new.policy {
        changes.push(change("changed", &new.name, "title, promise, owner, product or policy"));
    }
}

fn promise(objective: &Objective, journey: &Journey) -> String {
    let target = objective.target_ppm.map_or_else(|| "no target".to_owned(), percent);
    format!("{target} {} over {}", objective.rule.description(journey.unit), objective.window.description())
}

fn change(kind: &'static str, what: &str, meaning: &str) -> Change {
    Change { kind, what: what.to_owned(), meaning: meaning.to_owned() }
}

#[cfg(test)]
mod tests {
    use schema::definition::EngineSettings;

    use super::*;

    const WATCH: &str = "journey: watch\nowner: team\npromise: It plays.\napps: [web]\n\
        start: {event: open}\nsuccess: {event: frame}\nobjectives: [{name: works, target: 99%}]\n";

    fn set(watch: &[&str]) -> DefinitionSet {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let mut files = vec![
            file("app.yaml", "app: web\nkeys: [web-key]\norigins: [\"*\"]\n"),
            file("owner.yaml", "owner: team\n"),
        ];
        files.extend(watch.iter().enumerate().map(|(at, text)| file(&format!("{at}.yaml"), text)));
        schema::definition::load(&files, EngineSettings::default()).unwrap()
    }

    fn changes(before: &[&str], after: &[&str]) -> Vec<(&'static str, String)> {
        let changes = difference(Some(&set(before)), &set(after));
        changes.into_iter().map(|change| (change.kind, change.what)).collect()
    }

    #[test]
    fn each_kind_of_change_is_named() {
        let check = |before: &[&str], after: &[&str], expect: &[(&'static str, &str)]| {
            let expect: Vec<_> = expect.iter().map(|(kind, what)| (*kind, (*what).to_owned())).collect();
            assert_eq!(changes(before, after), expect);
        };
        let replaced = |from: &str, to: &str| WATCH.replace(from, to);
        check(&[WATCH], &[WATCH], &[]);
        check(&[], &[WATCH], &[("added", "watch")]);
        check(&[WATCH], &[], &[("removed", "watch")]);
        check(&[WATCH], &[&replaced("99%", "99.5%")], &[("changed", "watch: works")]);
        check(&[WATCH], &[&replaced("plays", "runs")], &[("changed", "watch")]);
        check(&[WATCH], &[&replaced("99%", "99%, source: A survey")], &[("changed", "watch: works")]);
        check(&[WATCH], &[&replaced("frame", "play")], &[("changed", "watch")]);
        let fast = replaced("99%}", "99%}, {name: fast, within: 2s, target: 90%}");
        check(&[WATCH], &[&fast], &[("added", "watch: fast"), ("changed", "watch")]);
        check(&[&fast], &[WATCH], &[("removed", "watch: fast"), ("changed", "watch")]);
    }

    #[test]
    fn a_new_version_says_what_it_was() {
        let found = difference(Some(&set(&[WATCH])), &set(&[&WATCH.replace("99%", "99.5%")]));
        assert!(
            found[0]
                .meaning
                .starts_with("99.5 % success over 28 days, was 99 % success over 28 days; begins version ")
        );
    }
}
