//! Environment variables as a layer of a configuration: `PREFIX_SECTION__KEY` is `section.key`.

use figment::value::{Dict, Value};

use crate::kafka;

/// Name of the section that holds properties of librdkafka.
const PROPERTIES: &str = "properties";
/// Properties whose own names end like those of a variable that names a file.
const PROPERTIES_THAT_NAME_FILES: [&str; 3] = kafka::PROPERTIES_THAT_NAME_FILES;

/// Names and values of variables.
#[derive(Clone, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Those whose names begin with `prefix`, as a tree of texts.
    pub(crate) fn tree(&self, prefix: &str) -> Dict {
        let mut dict = Dict::new();
        for (name, value) in &self.0 {
            if let Some(name) = name.strip_prefix(prefix) {
                insert(&mut dict, &name.to_lowercase(), value);
            }
        }
        dict
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

fn insert(dict: &mut Dict, name: &str, value: &str) {
    match name.split_once("__") {
        Some((PROPERTIES, property)) => {
            drop(sub(dict, PROPERTIES).insert(property_name(property), Value::from(value)));
        }
        Some((section, rest)) => insert(sub(dict, section), rest, value),
        None => drop(dict.insert(name.into(), Value::from(value))),
    }
}

/// Names of librdkafka's properties have dots, which variables cannot have, and no underscores.
fn property_name(variable: &str) -> String {
    let dotted = variable.replace('_', ".");
    match variable.strip_suffix("_file") {
        Some(stem) if !PROPERTIES_THAT_NAME_FILES.contains(&dotted.as_str()) => {
            format!("{}_file", stem.replace('_', "."))
        }
        Some(_) | None => dotted,
    }
}

/// The dictionary at `key`, made if there is none.
fn sub<'a>(dict: &'a mut Dict, key: &str) -> &'a mut Dict {
    let entry = dict.entry(key.into()).or_insert_with(|| Value::from(Dict::new()));
    if !matches!(entry, Value::Dict(..)) {
        *entry = Value::from(Dict::new());
    }
    match entry {
        Value::Dict(_, inner) => inner,
        Value::String(..)
        | Value::Char(..)
        | Value::Bool(..)
        | Value::Num(..)
        | Value::Empty(..)
        | Value::Array(..) => unreachable!("made a dictionary above"),
    }
}
