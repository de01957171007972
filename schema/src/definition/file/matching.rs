//! Matchers as files write them: one or a list, with a `where` of scalars, lists and comparisons.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml_ng::Value as Yaml;

use super::quantity::comparison;
use crate::definition::{Condition, FailureMatcher, Matcher, Test};
use crate::route::Template;

/// What is wrong, with a text of the file that tells the line.
pub(super) type Found = (String, String);

/// One mapping or a list of them.
#[derive(Debug)]
pub(super) struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a matcher such as {event: NAME, where: {…}}, or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMany)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// What begins an attempt: matchers, the word `declared` when only the app itself says so, or the word `session`
/// when the session is the attempt.
#[derive(Debug)]
pub(super) enum StartFile {
    Word(String),
    Matchers(OneOrMany<MatcherFile>),
}

impl StartFile {
    /// Whether the session is the attempt.
    pub(super) fn is_session(&self) -> bool {
        matches!(self, Self::Word(word) if word == "session")
    }
}

impl<'de> Deserialize<'de> for StartFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Start;
        impl<'de> Visitor<'de> for Start {
            type Value = StartFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a matcher such as {event: NAME, where: {…}}, a list of them, or the word declared or session",
                )
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<StartFile, E> {
                Ok(StartFile::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StartFile, A::Error> {
                OneOrMany::deserialize(MapAccessDeserializer::new(map)).map(StartFile::Matchers)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<StartFile, A::Error> {
                OneOrMany::deserialize(SeqAccessDeserializer::new(seq)).map(StartFile::Matchers)
            }
        }
        deserializer.deserialize_any(Start)
    }
}

/// A matcher as a file writes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MatcherFile {
    /// Name of the event.
    event: String,
    /// What its attributes must be, all of: a text, a number, a comparison such as ">=500", or a list of these.
    #[serde(default, rename = "where")]
    #[schemars(with = "BTreeMap<String, WantedSchema>")]
    conditions: BTreeMap<String, Yaml>,
    /// In `failure`: counts only when no success follows in time.
    #[serde(default)]
    pub(super) recoverable: bool,
}

/// What an attribute may have to be.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum WantedSchema {
    One(ScalarSchema),
    AnyOf(Vec<ScalarSchema>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum ScalarSchema {
    Text(String),
    Number(f64),
    Flag(bool),
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, many) = (generator.subschema_for::<T>(), generator.subschema_for::<Vec<T>>());
        json_schema!({ "anyOf": [one, many] })
    }
}

impl JsonSchema for StartFile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let matchers = generator.subschema_for::<OneOrMany<MatcherFile>>();
        json_schema!({ "anyOf": [{ "enum": ["declared", "session"] }, matchers] })
    }
}

/// Matchers of `start`, `success` and `done`, which have nothing recoverable.
pub(super) fn matchers(files: &OneOrMany<MatcherFile>, place: &str) -> Result<Vec<Matcher>, Vec<Found>> {
    let mut found = Vec::new();
    let mut matchers = Vec::new();
    for file in &files.0 {
        if file.recoverable {
            found.push((
                "recoverable".to_owned(),
                format!("`recoverable` is for `failure` only, not for `{place}`"),
            ));
        }
        collect(file.resolve(), &mut matchers, &mut found);
    }
    if found.is_empty() { Ok(matchers) } else { Err(found) }
}

/// Matchers of `failure`.
pub(super) fn failures(files: &OneOrMany<MatcherFile>) -> Result<Vec<FailureMatcher>, Vec<Found>> {
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for file in &files.0 {
        let failure = file.resolve().map(|matcher| FailureMatcher { matcher, recoverable: file.recoverable });
        collect(failure, &mut failures, &mut found);
    }
    if found.is_empty() { Ok(failures) } else { Err(found) }
}

fn collect<T>(result: Result<T, Vec<Found>>, good: &mut Vec<T>, found: &mut Vec<Found>) {
    match result {
        Ok(content) => good.push(content),
        Err(problems) => found.extend(problems),
    }
}

impl MatcherFile {
    fn resolve(&self) -> Result<Matcher, Vec<Found>> {
        let mut found = Vec::new();
        let mut conditions = Vec::new();
        for (attribute, wanted) in &self.conditions {
            let wanted = match wanted {
                Yaml::Sequence(list) => list.iter().collect(),
                one => vec![one],
            };
            let mut any_of = Vec::new();
            if wanted.is_empty() {
                found.push((attribute.clone(), format!("`{attribute}` lists nothing, so it never matches")));
            }
            for one in wanted {
                match test(attribute, one) {
                    Ok(test) => any_of.push(test),
                    Err(message) => found.push((attribute.clone(), message)),
                }
            }
            conditions.push(Condition { attribute: attribute.clone(), any_of });
        }
        if self.event.is_empty() {
            found.push(("event".to_owned(), "`event` is empty".to_owned()));
        }
        if found.is_empty() { Ok(Matcher { event: self.event.clone(), conditions }) } else { Err(found) }
    }
}

fn test(attribute: &str, wanted: &Yaml) -> Result<Test, String> {
    match wanted {
        Yaml::Bool(bool) => Ok(Test::Equals(bool.to_string())),
        Yaml::Number(number) => Ok(Test::Equals(number.to_string())),
        Yaml::String(text) if attribute == "route" => {
            Template::try_from(text.clone()).map(Test::Route).map_err(|error| error.to_string())
        }
        Yaml::String(text) => match comparison(text) {
            Some(comparison) => comparison.map(|(operator, limit)| Test::Compares(operator, limit)),
            None => Ok(Test::Equals(text.clone())),
        },
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => Err(format!(
            "`{attribute}` must be a text, a number, true or false, a comparison such as \">=500\", or a list of these"
        )),
    }
}
