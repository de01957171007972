//! The apps that may send beacons, by their write keys, from the app files. What an app file may say is
//! `schema`'s.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use schema::definition::AppFile;

use crate::refusal::{Refusal, quoted};

/// Endings of app files.
const ENDINGS: [&str; 2] = ["yaml", "yml"];
/// Bytes of a write key at most.
pub const KEY_BYTES_MAX: usize = 128;
/// Bytes of an origin at most: the longest name of a host has 253.
const ORIGIN_BYTES_MAX: usize = 300;

/// Every app, found by its write keys.
#[derive(Debug, Clone, Default)]
pub struct Apps {
    apps: Vec<AppFile>,
    by_key: HashMap<String, Place>,
}

/// Where a write key leads.
#[derive(Debug, Clone, Copy)]
struct Place {
    app: usize,
    slot: usize,
}

/// Why the app files are refused.
#[derive(Debug, thiserror::Error)]
pub enum AppsError {
    /// A file or the folder cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no app file.
    #[error("{path}: {source}", path = path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_yaml_ng::Error,
    },
    /// A value cannot be used.
    #[error("{path}: {key}: {detail}", path = path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Key in the file.
        key: &'static str,
        /// What is wrong and what is allowed.
        detail: String,
    },
    /// There is no app at all, so that nothing could ever be accepted.
    #[error("{path}: has no app file (*.yaml)", path = .0.display())]
    Empty(PathBuf),
}

impl Apps {
    /// Reads every app file of a folder.
    ///
    /// # Errors
    /// Names the file and the key; nothing is half-loaded.
    pub fn load(dir: &Path) -> Result<Self, AppsError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| AppsError::Unreadable { path, source }
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(unreadable(dir))? {
            let path = entry.map_err(unreadable(dir))?.path();
            if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            let file: AppFile = serde_yaml_ng::from_str(&text)
                .map_err(|source| AppsError::Shape { path: path.clone(), source })?;
            files.push((path, file));
        }
        if files.is_empty() {
            return Err(AppsError::Empty(dir.to_owned()));
        }
        Self::new(files)
    }

    /// Makes the apps of their files, whose paths are for errors.
    ///
    /// # Errors
    /// When a name or key is used twice, or a value cannot be used.
    pub fn new(files: Vec<(PathBuf, AppFile)>) -> Result<Self, AppsError> {
        let mut apps = Self::default();
        for (path, file) in files {
            let refuse = |key, detail| Err(AppsError::Value { path: path.clone(), key, detail });
            if file.app.is_empty() || apps.apps.iter().any(|app| app.app == file.app) {
                return refuse("app", format!("`{}` is empty or the name of another app", file.app));
            }
            if file.keys.is_empty() {
                return refuse("keys", "an app needs at least one write key".to_owned());
            }
            for key in &file.keys {
                if !is_key(key) {
                    return refuse(
                        "keys",
                        format!("`{key}`: want 1 to {KEY_BYTES_MAX} of letters, digits, '.', '_' and '-'"),
                    );
                }
                let place = Place { app: apps.apps.len(), slot: apps.by_key.len() };
                if let Some(other) = apps.by_key.insert(key.clone(), place) {
                    let owner = apps.apps.get(other.app).map_or(&file.app, |app| &app.app);
                    return refuse("keys", format!("`{key}` is already a key of app `{owner}`"));
                }
            }
            if let Some(origin) = file.origins.iter().find(|origin| !is_origin(origin)) {
                return refuse(
                    "origins",
                    format!("`{origin}`: want `*` or scheme://host[:port] without a path"),
                );
            }
            apps.apps.push(file);
        }
        Ok(apps)
    }

    /// The app of a write key, if a page of `origin` may send to it. Clients that are no browsers have no
    /// origin.
    ///
    /// # Errors
    /// When no app has the key, or the app does not list the origin.
    pub fn admit(&self, key: &str, origin: Option<&str>) -> Result<&AppFile, Refusal> {
        self.admit_at(key, origin).map(|(app, _)| app)
    }

    /// The same, with the key's slot for limits.
    ///
    /// # Errors
    /// As [`Apps::admit`].
    pub fn admit_at(&self, key: &str, origin: Option<&str>) -> Result<(&AppFile, usize), Refusal> {
        let place = self.by_key.get(key).ok_or(Refusal::WrongKey)?;
        let app = self.apps.get(place.app).ok_or(Refusal::WrongKey)?;
        match origin {
            Some(origin) if !allows(app, origin) => Err(Refusal::ForeignOrigin(quoted(origin))),
            Some(_) | None => Ok((app, place.slot)),
        }
    }

    /// Slots for limits: one for each write key, then one for each app, whose keys share it where they come in bodies.
    pub fn slots(&self) -> usize {
        self.by_key.len() + self.apps.len()
    }

    /// The slot of an app.
    pub fn slot_of_app(&self, name: &str) -> Option<usize> {
        self.apps.iter().position(|app| app.app == name).map(|at| self.by_key.len() + at)
    }

    /// Whether any app lists the origin: a preflight carries no key.
    pub fn any_allows(&self, origin: &str) -> bool {
        self.apps.iter().any(|app| allows(app, origin))
    }

    /// The app of this name.
    pub fn named(&self, name: &str) -> Option<&AppFile> {
        self.apps.iter().find(|app| app.app == name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.apps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }
}

fn allows(app: &AppFile, origin: &str) -> bool {
    app.origins.iter().any(|allowed| if allowed == "*" { is_sendable(origin) } else { allowed == origin })
}

/// Whether a browser may send this as an origin: it is answered by its own name, so it must be one.
fn is_sendable(origin: &str) -> bool {
    origin == "null" || (origin != "*" && origin.len() <= ORIGIN_BYTES_MAX && is_origin(origin))
}

fn is_key(key: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_origin(origin: &str) -> bool {
    origin == "*"
        || origin.split_once("://").is_some_and(|(scheme, host)| {
            let scheme_bytes = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-');
            let host_bytes = |byte: u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
            };
            !scheme.is_empty()
                && scheme.bytes().all(scheme_bytes)
                && !host.is_empty()
                && host.bytes().all(host_bytes)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Apps, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Apps::load(dir.path())
            .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "DIR"))
    }

    #[test]
    fn a_key_gives_its_app_and_origins_are_exact() {
        let apps = load(&[
            ("web.yaml", "app: web\nkeys: [w1, w2]\norigins: [\"https://a.example\"]\n"),
            ("any.yml", "app: any\nkeys: [x]\norigins: [\"*\"]\n"),
            ("ios.yaml", "app: ios\nkeys: [i]\n"),
            ("notes.txt", "not an app"),
        ])
        .unwrap();
        let long = format!("https://{}", "a".repeat(ORIGIN_BYTES_MAX));
        let check = |key, origin, expect: Result<&str, &str>| {
            let found = apps.admit(key, origin);
            assert_eq!(
                found.as_ref().map(|app| app.app.as_str()).map_err(Refusal::error),
                expect,
                "{key} {origin:?}"
            );
        };
        check("w1", None, Ok("web"));
        check("w2", Some("https://a.example"), Ok("web"));
        check("w2", Some("https://a.example:8443"), Err("foreign_origin"));
        check("w2", Some("https://a.example.evil"), Err("foreign_origin"));
        check("x", Some("null"), Ok("any"));
        check("x", Some("https://xn--bcher-kva.example:8443"), Ok("any"));
        check("x", Some("https://[::1]:8443"), Ok("any"));
        check("x", Some("*"), Err("foreign_origin"));
        check("x", Some("https://a.example/path"), Err("foreign_origin"));
        check("x", Some("https://a.example, https://b.example"), Err("foreign_origin"));
        check("x", Some(&long), Err("foreign_origin"));
        check("i", None, Ok("ios"));
        check("i", Some("https://a.example"), Err("foreign_origin"));
        check("", None, Err("wrong_key"));
        check("W1", None, Err("wrong_key"));
        assert!(apps.any_allows("https://whatever.example"));
    }

    #[test]
    fn a_bad_file_is_refused_with_a_sentence() {
        let check = |files: &[(&str, &str)], expect: &str| {
            let error = load(files).unwrap_err();
            assert!(error.contains(expect), "{error}\n  has not: {expect}");
        };
        check(&[], "DIR: has no app file");
        check(&[("a.yaml", "app: a\n")], "DIR/a.yaml: missing field `keys`");
        check(&[("a.yaml", "app: a\nkeys: []\n")], "DIR/a.yaml: keys: an app needs at least one write key");
        check(&[("a.yaml", "app: a\nkeys: [k]\nkey: b\n")], "DIR/a.yaml: unknown field `key`");
        check(&[("a.yaml", "app: a\nkeys: [\"k k\"]\n")], "DIR/a.yaml: keys: `k k`: want 1 to 128");
        check(&[("a.yaml", "app: a\nkeys: [k, k]\n")], "DIR/a.yaml: keys: `k` is already a key of app `a`");
        check(
            &[("a.yaml", "app: a\nkeys: [k]\n"), ("b.yaml", "app: b\nkeys: [k]\n")],
            "DIR/b.yaml: keys: `k` is already a key of app `a`",
        );
        check(
            &[("a.yaml", "app: a\nkeys: [k]\n"), ("b.yaml", "app: a\nkeys: [l]\n")],
            "DIR/b.yaml: app: `a` is empty or the name of another app",
        );
        check(
            &[("a.yaml", "app: a\nkeys: [k]\norigins: [a.example]\n")],
            "DIR/a.yaml: origins: `a.example`: want `*` or scheme://host[:port]",
        );
    }

    #[test]
    fn keys_that_are_rotated_are_valid_side_by_side_and_counted_apart() {
        let apps =
            load(&[("a.yaml", "app: a\nkeys: [new, old]\n"), ("b.yaml", "app: b\nkeys: [k]\n")]).unwrap();
        let slot = |key| apps.admit_at(key, None).map(|(app, slot)| (app.app.as_str(), slot)).unwrap();
        assert_eq!([slot("new"), slot("old"), slot("k")], [("a", 0), ("a", 1), ("b", 2)]);
        assert_eq!((apps.slot_of_app("a"), apps.slot_of_app("b"), apps.slots()), (Some(3), Some(4), 5));
        assert_eq!(apps.slot_of_app("c"), None);
    }

    #[test]
    fn the_longest_key_has_128_bytes() {
        assert!(is_key(&"k".repeat(KEY_BYTES_MAX)));
        assert!(!is_key(&"k".repeat(KEY_BYTES_MAX + 1)));
    }
}
