//! Two definitions over the same beacons: which attempts they judge differently.

use std::collections::BTreeMap;

use schema::definition::Journey;
use schema::rows::AttemptSample;
use serde::Serialize;
use serde_json::Value;

use crate::output::table;

/// Keys of a journey that are for people, or for evaluators.
const IN_WORDS: [&str; 7] = ["name", "title", "product", "owner", "promise", "policy", "objectives"];

/// What two definitions say of the same attempts.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// Attempts with the same outcome, reason and latency.
    equal: usize,
    /// Attempts with another, by what changed.
    different: Vec<Difference>,
    /// What the files say otherwise of attempts, which is why.
    files: Vec<String>,
}

/// Attempts that changed in the same way.
#[derive(Debug, Serialize)]
struct Difference {
    before: String,
    after: String,
    attempts: usize,
    /// One of them: its session and start, ms since the epoch.
    example: (String, i64),
}

/// An attempt: app, session, start, and which of those that are equal in these.
type Key<'a> = (&'a str, &'a str, i64, usize);

/// Compares two definitions, and the attempts that each finds by session and start.
pub(super) fn compare(
    (old, before): (&Journey, &[&AttemptSample]),
    (new, after): (&Journey, &[&AttemptSample]),
) -> Comparison {
    let (before, after) = (keyed(before), keyed(after));
    let keys: std::collections::BTreeSet<&Key<'_>> = before.keys().chain(after.keys()).collect();
    let mut equal = 0;
    let mut different: BTreeMap<(String, String), (usize, (String, i64))> = BTreeMap::new();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old.zip(new).is_some_and(|(old, new)| judged(old) == judged(new)) {
            equal += 1;
            continue;
        }
        let changed = (words(old.copied(), new.copied()), words(new.copied(), old.copied()));
        different.entry(changed).or_insert_with(|| (0, (key.1.to_owned(), key.2))).0 += 1;
    }
    let mut different: Vec<_> = different
        .into_iter()
        .map(|((before, after), (attempts, example))| Difference { before, after, attempts, example })
        .collect();
    different.sort_by_key(|difference| std::cmp::Reverse(difference.attempts));
    Comparison { equal, different, files: files(old, new) }
}

/// Every key that decides on attempts and differs, with what each says.
fn files(old: &Journey, new: &Journey) -> Vec<String> {
    let keys = |journey: &Journey| match serde_json::to_value(journey) {
        Ok(Value::Object(keys)) => keys,
        other => unreachable!("a journey is an object: {other:?}"),
    };
    let (old, new) = (keys(old), keys(new));
    let differ = new.into_iter().filter(|(key, _)| !IN_WORDS.contains(&key.as_str()));
    let differ = differ.filter(|(key, value)| old.get(key) != Some(value));
    differ
        .map(|(key, value)| match &old[&key] {
            Value::Array(_) => format!("{key} are others"),
            was => format!("{key}: {was} there, {value} here"),
        })
        .collect()
}

fn keyed<'a>(attempts: &[&'a AttemptSample]) -> BTreeMap<Key<'a>, &'a AttemptSample> {
    let mut keyed = BTreeMap::new();
    for attempt in attempts {
        let key = |number| (attempt.app.as_str(), attempt.session.as_str(), attempt.start_ms, number);
        let mut number = 0;
        while keyed.contains_key(&key(number)) {
            number += 1;
        }
        keyed.insert(key(number), *attempt);
    }
    keyed
}

/// What the definitions must agree in.
fn judged(attempt: &AttemptSample) -> (&str, bool, &str, &Option<String>) {
    (&attempt.outcome, attempt.valid, &attempt.reason, &attempt.latency)
}

/// The attempt as one of them judges it; its latency only where that is what differs.
fn words(attempt: Option<&AttemptSample>, other: Option<&AttemptSample>) -> String {
    let Some(attempt) = attempt else { return "no attempt".to_owned() };
    let reason = if attempt.reason.is_empty() || attempt.reason == attempt.outcome {
        String::new()
    } else {
        format!(" because {}", attempt.reason)
    };
    let same_otherwise = other.is_some_and(|other| {
        (&other.outcome, other.valid, &other.reason) == (&attempt.outcome, attempt.valid, &attempt.reason)
    });
    let latency = if same_otherwise { " with another latency" } else { "" };
    let valid = if attempt.valid { "" } else { ", not valid" };
    format!("{}{reason}{latency}{valid}", attempt.outcome)
}

impl Comparison {
    /// Whether every attempt is judged the same.
    pub(super) fn is_equal(&self) -> bool {
        self.different.is_empty()
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        if self.is_equal() {
            return format!("Against the other file: all {} attempts the same.", self.equal);
        }
        let rows = self.different.iter().map(|difference| {
            [
                difference.before.clone(),
                difference.after.clone(),
                difference.attempts.to_string(),
                difference.example.0.clone(),
            ]
        });
        format!(
            "Against the other file: {} attempts the same, and different are\n{}\nThe files differ in\n  {}",
            self.equal,
            table(["there", "here", "attempts", "for example session"], rows),
            self.files.join("\n  ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(session: &str, start_ms: i64, outcome: &str, reason: &str) -> AttemptSample {
        let text = String::new;
        AttemptSample {
            app: "web".to_owned(),
            journey: "j".to_owned(),
            start_ms,
            session: session.to_owned(),
            outcome: outcome.to_owned(),
            valid: true,
            reason: reason.to_owned(),
            route: text(),
            latency: None,
            steps: BTreeMap::new(),
            weight: 1,
            platform: "web".to_owned(),
            release: text(),
            os: text(),
            browser: text(),
            device_class: text(),
            country: text(),
            connection: text(),
            segment: text(),
        }
    }

    #[test]
    fn attempts_are_compared_by_session_and_start() {
        let before =
            [attempt("a", 1, "success", ""), attempt("a", 2, "timeout", ""), attempt("b", 1, "success", "")];
        let after = [
            attempt("a", 1, "success", ""),
            attempt("a", 2, "failure", "http 503 /api"),
            attempt("c", 1, "success", ""),
        ];
        let old = schema::definition::standard::journeys().remove(0);
        let new = Journey { timeout_ms: 10_000, title: "Another".to_owned(), ..old.clone() };
        let found =
            compare((&old, &before.iter().collect::<Vec<_>>()), (&new, &after.iter().collect::<Vec<_>>()));
        assert_eq!(found.files, ["timeout_ms: 30000 there, 10000 here"]);
        assert_eq!(found.equal, 1);
        let changes: Vec<_> =
            found.different.iter().map(|change| (change.before.as_str(), change.after.as_str())).collect();
        assert_eq!(
            changes,
            [
                ("no attempt", "success"),
                ("success", "no attempt"),
                ("timeout", "failure because http 503 /api"),
            ]
        );
    }
}
