//! `sli`: the command of teams.
#![expect(clippy::print_stdout, reason = "a command-line tool prints its result")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod clickhouse;
mod export;
mod numbers;
mod serve;

/// Service levels measured where the user is: definitions as files, numbers for everyone.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  sli export sloth definitions -o rules   objectives as specifications for Sloth
  sli serve                               numbers for Prometheus and others on port 8090";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the numbers to evaluators: Prometheus, an HTTP API, webhooks of burn alerts.
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Write the objectives in the formats of evaluators.
    #[command(after_help = export::EXAMPLES)]
    Export(export::ExportArgs),
}

#[actix_web::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args).await,
        Command::Export(args) => export::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
