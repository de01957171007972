//! The JSON Schema of definition files says what the parser says, as far as a schema can.

use std::path::Path;

use jsonschema::Validator;
use schema::definition::json_schema;
use serde_json::{Value, json};

use crate::definitions::{files_below, shipped};

fn folder(name: &str) -> Vec<(String, String)> {
    files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

fn accepts(validator: &Validator, text: &str) -> bool {
    serde_yaml_ng::from_str::<Value>(text).is_ok_and(|file| validator.is_valid(&file))
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../definitions/schema.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(committed == json_schema(), "sli schema > definitions/schema.json writes it anew");
}

#[test]
fn every_file_that_loads_is_accepted() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let files =
        [shipped(), folder("src/definition/standard"), folder("../aggregator/tests/semantics/definitions")];
    for (path, text) in files.concat() {
        assert!(accepts(&validator, &text), "{path}");
    }
}

#[test]
fn what_has_no_such_key_value_or_kind_is_refused() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let check = |file: Value| assert!(!validator.is_valid(&file), "{file}");
    check(json!({ "jorney": "x" }));
    check(json!({ "journey": "x", "succes": { "event": "y" } }));
    check(json!({ "journey": "x", "start": "decared" }));
    check(json!({ "journey": "x", "start": { "evnt": "y" } }));
    check(json!({ "journey": "x", "restart": "never" }));
    check(json!({ "journey": "x", "steps": [{ "name": "page" }] }));
    check(json!({ "journey": "x", "objectives": [{ "name": "fast", "within": 3 }] }));
    check(json!({ "app": "x" }));
    check(json!({ "app": "x", "keys": ["k"], "bots": "love" }));
    check(json!({ "policy": "x", "actions": [{ "budget_left": "25%" }] }));
    check(json!({ "owner": "x", "actions": [] }));
    check(json!({ "product": "x", "defaults": { "target": "99%" } }));
    check(json!({ "defaults": { "objectives": [] } }));
    check(json!({ "defaults": {}, "title": "x" }));
}

/// Durations and the names of other files only the parser knows; keys, kinds and words the schema tells as well.
#[test]
fn bad_keys_kinds_and_words_are_refused_by_both() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let bad = folder("tests/bad");
    for name in [
        "app-unknown-key",
        "defaults-of-an-owner",
        "defaults-unknown-key",
        "defaults-without-mapping",
        "matcher-text",
        "no-kind",
        "policy-burn-word",
        "policy-exception-without-end",
        "policy-unknown-key",
        "policy-without-role",
        "restart-word",
        "source-misspelt",
        "start-word",
        "unknown-key",
        "unknown-kind",
        "where-mapping",
        "within-number",
    ] {
        let (_, text) = bad.iter().find(|(path, _)| *path == format!("{name}.yaml")).unwrap();
        assert!(!accepts(&validator, text), "{name}");
    }
}
