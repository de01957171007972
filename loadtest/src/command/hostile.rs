//! `loadtest hostile`: attacks on ingest beside honest traffic.

use std::process::ExitCode;
use std::time::Duration;

use loadtest::hostile;

/// How the attack is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of honest traffic alone, before the attacks.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    alone: u64,
}

/// Attacks; ends with 1 when anything is not as it must be.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = hostile::Settings { alone: Duration::from_secs(arguments.alone) };
    let report = hostile::run(settings).await?;
    println!("{}", report.table());
    for line in report.lines() {
        println!("{line}");
    }
    let failures = report.failures();
    for failure in &failures {
        println!("FAILED {failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
