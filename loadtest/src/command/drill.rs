//! `loadtest drill`: scenarios of faults from files.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use loadtest::drill::file::Drill;
use loadtest::drill::outcome::{Outcome, Verdict};
use loadtest::drill::run::{self, Drilled, Settings, describe};
use loadtest::drill::{shipped, table};
use loadtest::parts::Programs;

/// What `--help` ends with.
pub(crate) const EXAMPLES: &str = "Examples:
  What there is:
    loadtest drill --list
  One of them, and two:
    loadtest drill kill-ingest
    loadtest drill kill-kafka full-disk-clickhouse
  All of them, with the table of the documentation and everything for machines:
    loadtest drill --table docs/faults.md --json drills.json
  One of your own, with all logs and data kept, and a page with its faults in every plot:
    loadtest drill ./my-drill.yaml --dir /tmp/drills --report my-drill.html";

/// Which drills, and where their results go.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names of shipped drills, or files; every shipped one if none is given.
    #[arg(value_name = "NAME|FILE")]
    drills: Vec<String>,
    /// Says what the drills do, and does nothing.
    #[arg(long)]
    list: bool,
    /// Seed of the traffic.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder that keeps logs, data and the ledger of each drill; by default they are removed at its end.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Markdown file whose table gets a row for each drill as soon as it has ended.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// File that gets everything about each drill as JSON as soon as it has ended.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Page of one drill, with what was observed and its faults in every plot.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Carries them out; ends with 1 when one does not hold.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let folder = Programs::drills_folder()?;
    let files = match arguments.drills.is_empty() {
        true => shipped::files(&folder)?,
        false => {
            arguments.drills.iter().map(|asked| shipped::find(&folder, asked)).collect::<Result<_, _>>()?
        }
    };
    // All of them are read before the first begins.
    let drills =
        files.iter().map(|file| Drill::read(file, arguments.seed)).collect::<anyhow::Result<Vec<Drill>>>()?;
    if arguments.list {
        list(&drills);
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.report.is_some() && drills.len() != 1 {
        bail!("--report is the page of one drill, and {} are asked for", drills.len());
    }
    if let Some(path) = &arguments.table {
        table::write(path, &[])?;
    }
    let settings = Settings {
        programs: Programs::find().await?,
        dir: arguments.dir,
        observed: arguments.report.is_some(),
    };
    let mut outcomes = Vec::with_capacity(drills.len());
    for (number, drill) in drills.iter().enumerate() {
        eprintln!("{} of {}: {}: {}", number + 1, drills.len(), drill.name, drill.what);
        let ended = tokio::select! {
            drilled = run::run(drill, &settings) => drilled,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("waiting for an interruption")?;
                bail!("interrupted")
            }
        };
        let Drilled { outcome, report } = ended;
        say(&outcome);
        outcomes.push(outcome);
        if let Some(path) = &arguments.table {
            table::write(path, &outcomes)?;
        }
        if let Some(path) = &arguments.json {
            write_json(path, &outcomes)?;
        }
        if let (Some(path), Some(report)) = (&arguments.report, report) {
            report.write_page(path)?;
            eprintln!("report in {}", path.display());
        }
    }
    println!("{}", summary(&outcomes));
    let holds = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Holds).count();
    println!("{holds} of {} drills hold", outcomes.len());
    Ok(if holds == outcomes.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(drills: &[Drill]) {
    for drill in drills {
        println!("{}: {}", drill.name, drill.what);
        for step in &drill.steps {
            println!("  {:>5.0} s  {}", step.at.as_secs_f64(), describe(step));
        }
    }
}

/// What came of a drill, as soon as it has ended.
fn say(outcome: &Outcome) {
    println!("{}: {} after {:.0} s", outcome.drill, outcome.verdict.as_str(), outcome.took_s);
    for why in &outcome.why {
        println!("  {why}");
    }
    for difference in outcome.compared.iter().flat_map(|compared| &compared.differences) {
        println!("  {difference}");
    }
}

/// One line a drill.
fn summary(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let header = [
        "drill",
        "beacons",
        "accepted",
        "tried again",
        "inserts repeated",
        "checks equal",
        "recovered",
        "verdict",
    ];
    table.set_header(header);
    for outcome in outcomes {
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let equal = outcome.compared.as_ref();
        table.add_row([
            outcome.drill.clone(),
            number(outcome.sent.map(|sent| sent.beacons)),
            number(outcome.sent.map(|sent| sent.accepted)),
            number(outcome.sent.map(|sent| sent.retries)),
            number(outcome.inserted.map(|inserted| inserted.repeated)),
            equal.map_or_else(String::new, |found| format!("{} of {}", found.equal, found.checks)),
            outcome.recovered_s.map_or_else(String::new, |recovered_s| format!("{recovered_s:.1} s")),
            outcome.verdict.as_str().to_owned(),
        ]);
    }
    if !std::io::stdout().is_terminal() {
        table.load_style(presets::ASCII_MARKDOWN);
    }
    table
}

fn write_json(path: &Path, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(outcomes).context("writing the outcomes as JSON")?;
    std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}
