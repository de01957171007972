//! Definition sets: the one of a folder, and the one that is active.

use std::path::PathBuf;

use clap::Args;
use deploy::clickhouse::ClickHouse;
use deploy::error::StackError;
use schema::definition::{DefinitionSet, EngineSettings};
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
