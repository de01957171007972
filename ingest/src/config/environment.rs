//! Environment variables as a source of configuration.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

/// What errors call this source.
pub(super) const NAME: &str = "environment (INGEST_…)";

const PREFIX: &str = "INGEST_";

/// The variables that begin with `INGEST_`.
#[derive(Debug, Clone, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        std::env::vars().collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_lowercase(), value)))
                .collect(),
        )
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named(NAME)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for (name, value) in &self.0 {
            insert(&mut dict, name, value);
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn insert(dict: &mut Dict, name: &str, value: &str) {
    match name.split_once("__") {
        // Names of librdkafka's properties have dots, which variables cannot have, and no underscores. Their
        // values stay text, so that a password of digits is no number.
        Some(("properties", property)) => {
            drop(sub(dict, "properties").insert(property.replace('_', "."), Value::from(value)));
        }
        Some((section, rest)) => insert(sub(dict, section), rest, value),
        None => {
            let value = value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from);
            drop(dict.insert(name.into(), value));
        }
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
