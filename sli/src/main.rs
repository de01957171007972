//! `sli`: the command of teams.
#![expect(clippy::print_stdout, reason = "a command-line tool prints its result")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use deploy::error::StackError;

mod backtest;
mod check;
mod clickhouse;
mod definitions;
mod diff;
mod difference;
mod explain;
mod export;
mod init;
mod numbers;
mod output;
mod play;
mod policies;
mod recording;
mod serve;
mod status;
mod test;

/// Service levels measured where the user is: definitions as files, numbers for everyone.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  sli check                               are the files right, and what do they define
  sli explain watch-lecture               a journey in plain words
  sli init studyapp-web                   journeys proposed from what an app sends
  sli test journeys/sign-in.yaml          what a file makes of the last hour's beacons
  sli apply                               what changes, and activate it
  sli status                              how every promise stands
  sli backtest watch-lecture --app web    which target would have been kept
  sli serve                               numbers for Prometheus and others on port 8090
  sli export sloth definitions -o rules   objectives as specifications for Sloth

Ends with 0 when all is well, with 1 when what was asked about is not, with 2 when it cannot be told.";

const SCHEMA_EXAMPLES: &str = "Examples:
  sli schema > definitions/schema.json

Then give each file the line  # yaml-language-server: $schema=../schema.json  or tell your editor once for the folder.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the files of a folder.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Print the JSON Schema of definition files, by which editors complete and check them.
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Say what a folder would change.
    #[command(after_help = diff::DIFF_EXAMPLES)]
    Diff(diff::DiffArgs),
    /// Activate a folder through the log.
    #[command(after_help = diff::APPLY_EXAMPLES)]
    Apply(diff::ApplyArgs),
    /// Explain a journey in plain words.
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::ExplainArgs),
    /// Propose journeys from what apps send.
    #[command(after_help = init::EXAMPLES)]
    Init(init::InitArgs),
    /// Run a journey's file over recorded or recent beacons: attempts, outcomes and near misses.
    #[command(after_help = test::EXAMPLES)]
    Test(test::TestArgs),
    /// Say how every promise stands.
    #[command(after_help = status::EXAMPLES)]
    Status(status::StatusArgs),
    /// Say what an objective would have shown over stored history, and which target would have been kept.
    #[command(after_help = backtest::EXAMPLES)]
    Backtest(backtest::BacktestArgs),
    /// Serve the numbers to evaluators: Prometheus, an HTTP API, webhooks of burn alerts.
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Write the objectives in the formats of evaluators.
    #[command(after_help = export::EXAMPLES)]
    Export(export::ExportArgs),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is well.
    Right,
    /// What was asked about is not.
    Wrong,
}

#[actix_web::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Schema => print_schema(),
        Command::Diff(args) => diff::diff(&args).await,
        Command::Apply(args) => diff::apply(&args).await,
        Command::Explain(args) => explain::run(&args),
        Command::Init(args) => init::run(&args).await,
        Command::Test(args) => test::run(&args).await,
        Command::Status(args) => status::run(&args).await,
        Command::Backtest(args) => backtest::run(&args).await,
        Command::Serve(args) => serve::run(args).await.map(|()| Outcome::Right),
        Command::Export(args) => export::run(&args).map(|()| Outcome::Right),
    };
    match done {
        Ok(Outcome::Right) => ExitCode::SUCCESS,
        Ok(Outcome::Wrong) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            let is_of_files = matches!(error.downcast_ref(), Some(StackError::Definitions { .. }));
            ExitCode::from(if is_of_files { 1 } else { 2 })
        }
    }
}

fn print_schema() -> anyhow::Result<Outcome> {
    println!("{}", serde_json::to_string_pretty(&schema::definition::json_schema())?);
    Ok(Outcome::Right)
}
