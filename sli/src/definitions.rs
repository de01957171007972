//! Definition sets: the one of a folder, and the one that is active.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use deploy::clickhouse::ClickHouse;
use deploy::error::StackError;
use schema::definition::{DefinitionSet, EngineSettings, Journey, LoadedFolder};
use serde::Deserialize;

/// The folder that a command reads.
#[derive(Debug, Clone, Args)]
pub(crate) struct FolderArgs {
    /// Folder of the definition files.
    #[arg(default_value = "definitions", value_name = "DIR")]
    pub(crate) definitions: PathBuf,
}

impl FolderArgs {
    /// The set of the folder.
    pub(crate) fn load(&self, settings: EngineSettings) -> Result<DefinitionSet, StackError> {
        deploy::definitions::load(&self.definitions, settings)
    }

    /// The set of the folder, with where journeys have what they inherit from.
    pub(crate) fn load_folder(&self, settings: EngineSettings) -> Result<LoadedFolder, StackError> {
        deploy::definitions::load_folder(&self.definitions, settings)
    }
}

/// The journey of `file`, in the set of `dir` where that file takes the place of the one that defines the same journey.
pub(crate) fn with_file(dir: &Path, file: &Path) -> anyhow::Result<(DefinitionSet, Journey)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let path = file.display().to_string();
    let Some(name) = journey_name(&text) else {
        bail!("{path} has no `journey:`; give the file of a journey");
    };
    let mut files = deploy::definitions::read(dir)?;
    files.retain(|(_, other)| journey_name(other).as_deref() != Some(&name));
    files.push((path, text));
    let set = deploy::definitions::resolve(dir, &files, EngineSettings::default())?;
    let journey = set.journeys.iter().find(|journey| journey.name == name).cloned();
    let journey = journey.with_context(|| format!("{name} is not in the set that its file is part of"))?;
    Ok((set, journey))
}

/// The name of the journey that a file defines, if it does.
fn journey_name(text: &str) -> Option<String> {
    let mapping: serde_yaml_ng::Mapping = serde_yaml_ng::from_str(text).ok()?;
    Some(mapping.get("journey")?.as_str()?.to_owned())
}

/// The set that was activated last, if any was.
pub(crate) async fn active(clickhouse: &ClickHouse) -> anyhow::Result<Option<DefinitionSet>> {
    #[derive(Deserialize)]
    struct Row {
        content: String,
    }
    let sql = "SELECT content FROM sli.definitions ORDER BY activated_at DESC, set_id DESC LIMIT 1";
    let row = clickhouse.query_as::<Row>(sql, &[]).await?.pop();
    Ok(row.map(|row| serde_json::from_str(&row.content)).transpose()?)
}
