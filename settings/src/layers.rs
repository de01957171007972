//! Defaults, file and environment, one over the other.
//!
//! The defaults say which keys there are and of which type: the environment and secret files hold only text, and a
//! password of digits must not become a number.

use std::io::Read as _;
use std::path::Path;

use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Num, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Environment, SettingsError};

/// Bytes of a secret file at most: more is no password, key or chain of certificates.
pub const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Ending of a key that names a file with the value.
const FILE: &str = "_file";

/// Puts a configuration together: `T`'s defaults, then `file`, then what in `environment` begins with `prefix`
/// (`__` separates the parts of a key). Validating is the caller's.
///
/// # Errors
/// Names the file or variables, the key and what is wrong.
pub fn read<T: Default + Serialize + DeserializeOwned>(
    prefix: &str,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<T, SettingsError> {
    let defaults = Serialized::defaults(T::default());
    let known = defaults.data().map_err(|error| shape("defaults", error))?;
    let known = known.into_values().next().unwrap_or_default();
    let mut figment = Figment::from(defaults);
    let place = file.map_or_else(|| "configuration".into(), |path| path.display().to_string());
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.into(), source })?;
        let tree = Toml::string(&text).data().map_err(|error| shape(&place, error))?;
        let tree = tree.into_values().next().unwrap_or_default();
        figment =
            figment.merge(Layer::new(&place, Walk { place: &place, texts: false }.dict("", tree, &known)?));
    }
    let variables = format!("environment ({prefix}…)");
    let tree = Walk { place: &variables, texts: true }.dict("", environment.tree(prefix), &known)?;
    figment = figment.merge(Layer::new(&variables, tree));
    figment.extract().map_err(|error| {
        let place = error.metadata.as_ref().map_or(place.clone(), |source| source.name.to_string());
        shape(&place, error)
    })
}

/// What one source says, with secret files read.
struct Layer {
    place: String,
    tree: Dict,
}

impl Layer {
    fn new(place: &str, tree: Dict) -> Self {
        Self { place: place.into(), tree }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.tree.clone()))
    }
}

/// Reads secret files, and gives texts the type of the default.
struct Walk<'a> {
    place: &'a str,
    /// Whether every value of the source is text, whatever it means.
    texts: bool,
}

impl Walk<'_> {
    fn dict(&self, above: &str, tree: Dict, known: &Dict) -> Result<Dict, SettingsError> {
        let mut result = Dict::new();
        for (key, value) in tree {
            let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
            let (key, value) = match (key.strip_suffix(FILE), value) {
                (Some(stem), Value::String(_, file)) if !known.contains_key(&key) => {
                    let text = self.secret(&path, Path::new(&file))?;
                    (stem.to_owned(), typed(text, known.get(stem)))
                }
                (_, Value::Dict(_, inner)) => {
                    let nothing = Dict::new();
                    let known = known.get(&key).and_then(Value::as_dict).unwrap_or(&nothing);
                    let inner = self.dict(&path, inner, known)?;
                    (key, Value::from(inner))
                }
                (_, Value::String(_, text)) if self.texts => {
                    let value = typed(text, known.get(&key));
                    (key, value)
                }
                (_, value) => (key, value),
            };
            if result.contains_key(&key) {
                return Err(SettingsError::Shape {
                    place: self.place.into(),
                    key: path,
                    detail: "is given twice, as a value and by a file".into(),
                });
            }
            result.insert(key, value);
        }
        Ok(result)
    }

    fn secret(&self, key: &str, path: &Path) -> Result<String, SettingsError> {
        let unreadable = |source| SettingsError::Secret {
            place: self.place.into(),
            key: key.into(),
            path: path.into(),
            source,
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > SECRET_BYTES_MAX {
            return Err(SettingsError::Shape {
                place: self.place.into(),
                key: key.into(),
                detail: format!("{} has more than {SECRET_BYTES_MAX} bytes", path.display()),
            });
        }
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Ok(text)
    }
}

/// Text as a value of the default's type; text that does not read as one is left to the check of shapes.
fn typed(text: String, default: Option<&Value>) -> Value {
    match default {
        Some(Value::Num(_, Num::F32(_) | Num::F64(_))) => {
            text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from)
        }
        Some(Value::Num(..)) => match (text.parse::<u64>(), text.parse::<i64>()) {
            (Ok(number), _) => Value::from(number),
            (Err(_), Ok(number)) => Value::from(number),
            (Err(_), Err(_)) => Value::from(text),
        },
        Some(Value::Bool(..)) => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
        Some(Value::Array(..)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(Value::from).collect::<Vec<_>>())
        }
        Some(Value::String(..) | Value::Char(..) | Value::Dict(..) | Value::Empty(..)) | None => {
            Value::from(text)
        }
    }
}

fn shape(place: &str, error: figment::Error) -> SettingsError {
    let detail = error.kind.to_string();
    // The parser of TOML quotes the line, which may hold a password.
    let detail: Vec<_> = detail.lines().filter(|line| !line.contains('|')).map(str::trim_end).collect();
    SettingsError::Shape { place: place.into(), key: error.path.join("."), detail: detail.join(": ") }
}
