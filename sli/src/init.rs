//! `sli init`: journeys proposed from what an app sends, for people to correct.
//!
//! Which events there are is read from `sli.seen_events`; what follows what, from the beacons on the log ([`mod@sequences`]).
//! Pairs of events that belong together become proposals ([`mod@mine`]), and each proposal is played through the engine, so
//! that its targets are what is kept today ([`mod@proposal`]).

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use schema::definition::{DefinitionSet, EngineSettings};
use serde_json::json;

use crate::Outcome;
use crate::clickhouse::ClickHouseArgs;
use crate::output::{Format, share, table};
use crate::play::play;
use crate::recording::{Recording, RecordingArgs};

mod mine;
mod proposal;
mod seen;
mod sequences;

use proposal::Proposal;

/// Flags of `sli init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Apps to look at together.
    #[arg(required = true, value_name = "APP")]
    apps: Vec<String>,
    /// Folder of the definition files, which has at least those of the apps.
    #[arg(long, default_value = "definitions", value_name = "DIR")]
    definitions: PathBuf,
    /// Folder that the proposals are written to; files that are there already stay as they are.
    #[arg(short, long, default_value = "proposals", value_name = "DIR")]
    output: PathBuf,
    /// Owner that the proposals name.
    #[arg(long, default_value = "nobody-yet", value_name = "NAME")]
    owner: String,
    #[command(flatten)]
    recording: RecordingArgs,
    #[command(flatten)]
    clickhouse: ClickHouseArgs,
    /// How the answer is written.
    #[arg(long, default_value = "table")]
    format: Format,
}

pub(crate) const EXAMPLES: &str = "Examples:
  sli init studyapp-web                                 what the last hour of the log suggests, into proposals/
  sli init studyapp-web studyapp-ios --minutes 1440     one journey for several apps, from a day
  sli init studyapp-web --beacons beacons.jsonl         from beacons that `sli test --save` kept, without servers

Correct a proposal, look at it with `sli test proposals/NAME.yaml`, move it to definitions/journeys and `sli apply`.
Ends with 1 when nothing was found to propose.";

/// Proposes.
pub(crate) async fn run(args: &InitArgs) -> anyhow::Result<Outcome> {
    let set = deploy::definitions::load(&args.definitions, EngineSettings::default())?;
    if let Some(unknown) = args.apps.iter().find(|app| set.app(app).is_none()) {
        bail!("{} has no file for app `{unknown}`", args.definitions.display());
    }
    let recording = args.recording.read(&args.apps).await?;
    let seen = if args.recording.is_file() {
        seen::of_recording(&recording, &set)
    } else {
        seen::of_tables(&args.clickhouse.client()?, &args.apps).await?
    };
    let sessions = sequences::sessions(&recording, &set);
    let found = mine::proposals(&seen, &sessions, &set, &args.owner);
    let proposals: Vec<Proposal> = found
        .into_iter()
        .filter_map(|proposal| fit(args, &recording, proposal).transpose())
        .collect::<Result<_, _>>()?;
    let written = write(args, &proposals)?;
    match args.format {
        Format::Json => {
            println!("{}", serde_json::to_string_pretty(&json!({"proposals": proposals, "files": written}))?)
        }
        Format::Table => {
            println!("{}", summary(&proposals, &written, recording.records().len(), &args.recording.source()))
        }
    }
    Ok(if proposals.is_empty() { Outcome::Wrong } else { Outcome::Right })
}

/// The proposal with the targets that its attempts keep; none when it has no attempt.
fn fit(args: &InitArgs, recording: &Recording, mut proposal: Proposal) -> anyhow::Result<Option<Proposal>> {
    let set = with_proposal(args, &proposal)?;
    let played = play(recording, &set);
    let attempts: Vec<_> =
        played.attempts.iter().filter(|attempt| attempt.journey == proposal.journey).collect();
    Ok(proposal.fit(&attempts).then_some(proposal))
}

/// The folder's set with the proposal in it: a proposal that could not be loaded is never written.
fn with_proposal(args: &InitArgs, proposal: &Proposal) -> anyhow::Result<DefinitionSet> {
    let mut files = deploy::definitions::read(&args.definitions)?;
    files.push((format!("{}.yaml", proposal.journey), proposal.yaml()));
    Ok(deploy::definitions::resolve(&args.output, &files, EngineSettings::default())?)
}

/// Writes each proposal to a file of its own; returns what was done with each.
fn write(args: &InitArgs, proposals: &[Proposal]) -> anyhow::Result<Vec<String>> {
    let mut written = Vec::new();
    for proposal in proposals {
        with_proposal(args, proposal)?;
        let file = args.output.join(format!("{}.yaml", proposal.journey));
        let shown = file.display();
        if file.exists() {
            written.push(format!("{shown} is there already"));
            continue;
        }
        std::fs::create_dir_all(&args.output)
            .with_context(|| format!("cannot make {}", args.output.display()))?;
        std::fs::write(&file, proposal.yaml()).with_context(|| format!("cannot write {shown}"))?;
        written.push(shown.to_string());
    }
    Ok(written)
}

fn summary(proposals: &[Proposal], written: &[String], beacons: usize, source: &str) -> String {
    if proposals.is_empty() {
        return format!(
            "Nothing to propose from {beacons} beacons of {source}: no two events follow each other often enough, and no app \
             declares a journey. Standard SLIs are measured all the same: see `sli status`."
        );
    }
    let rows = proposals.iter().zip(written).map(|(proposal, file)| {
        [
            proposal.journey.clone(),
            proposal.how(),
            proposal.attempts.to_string(),
            share(proposal.works()),
            proposal.p95_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms")),
            file.clone(),
        ]
    });
    format!(
        "From {beacons} beacons of {source}\n{}",
        table(["journey", "from … to", "attempts", "works", "p95", "file"], rows)
    )
}
