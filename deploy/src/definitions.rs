//! Deploying definitions: reads the files, resolves them by `schema`, and posts the set to `aggregator`.
//!
//! What files may say is decided by `schema`; what happens with a set by `aggregator`.

use std::path::Path;
use std::time::Duration;

use schema::definition::{DefinitionError, DefinitionSet, EngineSettings, LoadedFolder};

use crate::clickhouse::with_sources;
use crate::error::StackError;

/// Longest wait for the aggregator's answer: it writes to every partition first.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Endings of definition files.
const ENDINGS: [&str; 2] = ["yaml", "yml"];

/// Reads the definitions folder.
///
/// # Errors
/// When a file can't be read or is not valid.
pub fn load(dir: &Path, settings: EngineSettings) -> Result<DefinitionSet, StackError> {
    resolve(dir, &read(dir)?, settings)
}

/// Reads the definitions folder, with where journeys have what they inherit from.
///
/// # Errors
/// When a file can't be read or is not valid.
pub fn load_folder(dir: &Path, settings: EngineSettings) -> Result<LoadedFolder, StackError> {
    schema::definition::load_folder(&read(dir)?, settings).map_err(refused(dir))
}

/// The texts of a folder's definition files, each with its path in the folder.
///
/// # Errors
/// When a file can't be read.
pub fn read(dir: &Path) -> Result<Vec<(String, String)>, StackError> {
    let mut files = Vec::new();
    read_below(dir, dir, &mut files)?;
    files.sort();
    Ok(files)
}

/// The set of these files of `dir`.
///
/// # Errors
/// When a file is not valid.
pub fn resolve(
    dir: &Path,
    files: &[(String, String)],
    settings: EngineSettings,
) -> Result<DefinitionSet, StackError> {
    schema::definition::load(files, settings).map_err(refused(dir))
}

fn refused(dir: &Path) -> impl Fn(DefinitionError) -> StackError {
    |error| StackError::Definitions { dir: dir.to_owned(), detail: error.to_string() }
}

fn read_below(root: &Path, dir: &Path, files: &mut Vec<(String, String)>) -> Result<(), StackError> {
    for entry in std::fs::read_dir(dir).map_err(StackError::io("read", dir))? {
        let path = entry.map_err(StackError::io("read", dir))?.path();
        if path.is_dir() {
            read_below(root, &path, files)?;
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
            let text = std::fs::read_to_string(&path).map_err(StackError::io("read", &path))?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push((name, text));
        }
    }
    Ok(())
}

/// Activates a set.
///
/// # Errors
/// When the aggregator does not answer or refuses.
pub async fn post(aggregator_url: &str, token: &str, set: &DefinitionSet) -> Result<(), StackError> {
    let unreachable = |detail| StackError::Unreachable {
        what: "the aggregator",
        address: aggregator_url.to_owned(),
        detail,
    };
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()
        .map_err(|error| StackError::Settings(format!("no HTTP client: {error}")))?;
    let answer = client
        .post(format!("{}/definitions", aggregator_url.trim_end_matches('/')))
        .bearer_auth(token)
        .json(set)
        .send()
        .await
        .map_err(|error| unreachable(with_sources(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = answer.text().await.unwrap_or_default();
    Err(StackError::Settings(format!("the aggregator refused the definitions ({status}): {}", body.trim())))
}
