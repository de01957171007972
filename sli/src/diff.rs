//! `sli diff` and `sli apply`: what a folder would change, and changing it through the log.

use clap::Args;
use schema::definition::{DefinitionSet, EngineSettings};

use crate::Outcome;
use crate::clickhouse::ClickHouseArgs;
use crate::definitions::{FolderArgs, active};
use crate::difference::{Change, difference};
use crate::output::{Format, table};

/// Flags of `sli diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    clickhouse: ClickHouseArgs,
    /// How the answer is written.
    #[arg(long, default_value = "table")]
    format: Format,
}

/// Flags of `sli apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    diff: DiffArgs,
    /// Admin interface of the aggregator, which writes the set to the log.
    #[arg(long, env = "SLI_AGGREGATOR_URL", default_value = "http://127.0.0.1:8082", value_name = "URL")]
    aggregator_url: String,
    /// Token of the aggregator's `POST /definitions`.
    #[arg(long, env = "SLI_DEFINITIONS_TOKEN", default_value = deploy::stack::DEFINITIONS_TOKEN, hide_env_values = true, value_name = "TEXT")]
    definitions_token: String,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) const DIFF_EXAMPLES: &str = "Examples:
  sli diff
  sli diff team/definitions --format json

Ends with 0 when nothing would change, with 1 when something would.";

pub(crate) const APPLY_EXAMPLES: &str = "Examples:
  sli apply
  sli apply team/definitions --dry-run
  SLI_DEFINITIONS_TOKEN=… sli apply --aggregator-url http://aggregator:8082

A folder with a mistake changes nothing, and ends with 1. The set becomes active where the log has come to it, on every partition;
attempts that are open then settle by the new one.";

/// Says what is different.
pub(crate) async fn diff(args: &DiffArgs) -> anyhow::Result<Outcome> {
    let (_, changes) = compare(args).await?;
    print(&changes, args.format)?;
    Ok(if changes.is_empty() { Outcome::Right } else { Outcome::Wrong })
}

/// Says what is different, and activates it.
pub(crate) async fn apply(args: &ApplyArgs) -> anyhow::Result<Outcome> {
    let (set, changes) = compare(&args.diff).await?;
    print(&changes, args.diff.format)?;
    if !changes.is_empty() && !args.dry_run {
        deploy::definitions::post(&args.aggregator_url, &args.definitions_token, &set).await?;
        eprintln!("set {} is in the log", set.id);
    }
    Ok(Outcome::Right)
}

/// The folder's set with the settings that are active, and what it changes.
async fn compare(args: &DiffArgs) -> anyhow::Result<(DefinitionSet, Vec<Change>)> {
    // A mistake in the folder is said before anything is asked of a server.
    args.folder.load(EngineSettings::default())?;
    let active = active(&args.clickhouse.client()?).await?;
    let settings = active.as_ref().map_or_else(EngineSettings::default, |set| set.settings.clone());
    let set = args.folder.load(settings)?;
    let changes = difference(active.as_ref(), &set);
    Ok((set, changes))
}

fn print(changes: &[Change], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(changes)?),
        Format::Table if changes.is_empty() => println!("nothing changes"),
        Format::Table => {
            let rows = changes
                .iter()
                .map(|change| [change.kind.to_owned(), change.what.clone(), change.meaning.clone()]);
            println!("{}", table(["", "what", "meaning"], rows));
        }
    }
    Ok(())
}
