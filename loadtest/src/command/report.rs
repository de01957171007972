//! `loadtest report`: the page of a run, made again from its JSON file.

use std::path::PathBuf;
use std::process::ExitCode;

use loadtest::report::RunReport;

/// What is made of what.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// JSON file that `run`, `soak` or another command has written.
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Page that is written.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes it, and prints the verdict; ends with 1 when a claim does not hold.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = RunReport::read(&arguments.json)?;
    report.write_page(&arguments.out)?;
    println!("{}", report.sentence());
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
