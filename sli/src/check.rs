//! `sli check`: whether a folder is right, and what it defines.

use clap::Args;
use deploy::error::StackError;
use schema::definition::{DefinitionSet, EngineSettings, Journey, Objective};
use serde_json::json;

use crate::Outcome;
use crate::definitions::FolderArgs;
use crate::output::{Format, table};
use crate::policies::{today, warnings};

/// Flags of `sli check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// How the answer is written.
    #[arg(long, default_value = "table")]
    format: Format,
}

pub(crate) const EXAMPLES: &str = "Examples:
  sli check
  sli check team/definitions --format json

Ends with 0 when every file is right, with 1 when one is not: each problem has its file, line and column, what is
allowed there, and the nearest right spelling. What has expired of a policy is a warning.";

/// Checks the folder.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    match args.folder.load(EngineSettings::default()) {
        Ok(set) => {
            match args.format {
                Format::Table => println!("{}", summary(&set)),
                Format::Json => println!("{}", serde_json::to_string_pretty(&set)?),
            }
            for warning in warnings(&set.policies, today()) {
                eprintln!("warning: {warning}");
            }
            Ok(Outcome::Right)
        }
        Err(StackError::Definitions { detail, .. }) => {
            let problems: Vec<_> = detail.lines().collect();
            match args.format {
                Format::Table => eprintln!("{detail}\n{} problems", problems.len()),
                Format::Json => println!("{}", json!({ "problems": problems })),
            }
            Ok(Outcome::Wrong)
        }
        Err(error) => Err(error.into()),
    }
}

fn summary(set: &DefinitionSet) -> String {
    let own = set.journeys.iter().filter(|journey| !journey.objectives.iter().all(is_indicator));
    let rows = own.map(|journey| {
        [
            journey.title.clone(),
            apps(journey),
            journey.owner.clone(),
            objectives(journey),
            journey.policy.clone(),
        ]
    });
    let indicators =
        set.journeys.iter().filter(|journey| journey.objectives.iter().all(is_indicator)).count();
    format!(
        "{}\nset {}: {} journeys, and {indicators} indicators that nobody has adopted yet",
        table(["journey", "apps", "owner", "objectives", "policy"], rows),
        set.id,
        set.journeys.len() - indicators,
    )
}

fn is_indicator(objective: &Objective) -> bool {
    objective.target_ppm.is_none()
}

fn apps(journey: &Journey) -> String {
    if journey.apps.is_empty() { "every app".to_owned() } else { journey.apps.join(", ") }
}

fn objectives(journey: &Journey) -> String {
    let one = |objective: &Objective| match objective.target_ppm {
        Some(ppm) => format!("{} {}", objective.name, percent(ppm)),
        None => objective.name.clone(),
    };
    journey.objectives.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Millionths as a percentage, without digits that say nothing.
pub(crate) fn percent(ppm: u32) -> String {
    format!("{} %", f64::from(ppm) / 10_000.0)
}
