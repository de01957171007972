//! The JSON Schema of definition files, generated from the types that read them.

use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::defaults::{FolderFile, ProductFile};
use super::journey::JourneyFile;
use super::policy::PolicyFile;
use super::{KINDS, OwnerFile};
use crate::definition::AppFile;

/// The JSON Schema of definition files, for editors: a file is of the kind that its leading key names.
pub fn json_schema() -> Value {
    let mut generator = SchemaGenerator::default();
    // In the order of the kinds.
    let mut kinds = [
        generator.root_schema_for::<JourneyFile>(),
        generator.root_schema_for::<AppFile>(),
        generator.root_schema_for::<PolicyFile>(),
        generator.root_schema_for::<ProductFile>(),
        generator.root_schema_for::<OwnerFile>(),
        generator.root_schema_for::<FolderFile>(),
    ]
    .map(Value::from);
    let mut shared = serde_json::Map::new();
    for kind in kinds.iter_mut().filter_map(Value::as_object_mut) {
        kind.remove("$schema");
        if let Some(Value::Object(types)) = kind.remove("$defs") {
            shared.extend(types);
        }
    }
    // A journey names its product, owner and policy as well, and a product has defaults: the first of the keys that is there
    // decides the kind, so that an editor tells what is wrong with a file of that kind alone.
    let cases = KINDS.iter().enumerate().zip(&kinds).map(|((at, key), kind)| {
        let former: Vec<_> = KINDS[..at].iter().map(|key| json!({ "required": [key] })).collect();
        let is_kind = if former.is_empty() {
            json!({ "required": [key] })
        } else {
            json!({ "required": [key], "not": { "anyOf": former } })
        };
        json!({ "if": is_kind, "then": kind })
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A definition file",
        "type": "object",
        "anyOf": KINDS.map(|key| json!({ "required": [key] })),
        "allOf": cases.collect::<Vec<_>>(),
        "$defs": shared,
    })
}
