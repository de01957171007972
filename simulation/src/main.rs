//! The simulation's command line.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use simulation::campaign::run_seeds;
use simulation::shrink::shrink;
use simulation::{Broken, Overrides, Report, Scenario, Stats, run};

/// Plays seeded worlds in which everything goes wrong, and checks that no number is wrong.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    /// Number of worlds.
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    seeds: u64,
    /// Seed of the first.
    #[arg(long, default_value_t = 0, value_name = "N")]
    first: u64,
    /// Plays only this world, and tells its story.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Breaks something on purpose, which must be caught.
    #[arg(long, value_enum)]
    broken: Option<Broken>,
    /// With --seed: only these visitors come.
    #[arg(long, value_delimiter = ',', value_name = "N,…", requires = "seed")]
    visitors: Option<Vec<String>>,
    /// With --seed: only these incidents happen.
    #[arg(long, value_delimiter = ',', value_name = "N,…", requires = "seed")]
    incidents: Option<Vec<String>>,
    /// With --seed: so many aggregators.
    #[arg(long, value_name = "N", requires = "seed")]
    aggregators: Option<usize>,
    /// With --seed: so many partitions.
    #[arg(long, value_name = "N", requires = "seed")]
    partitions: Option<usize>,
    /// A failing world is not made smaller.
    #[arg(long)]
    no_shrink: bool,
    /// Threads; as many as there are cores by default.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

const EXAMPLES: &str = "Examples:
  simulate                                      20,000 worlds, a few minutes
  simulate --seeds 500 --first 20000            other ones
  simulate --seed 4711                          one world, with its story
  simulate --broken no-token                    shows how a broken edge is caught, and the smallest world that shows it
  simulate --seed 7 --visitors 3 --incidents 1  a part of a world, as shrinking prints it

A seed replays exactly. The exit code is 1 when the law does not hold.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let holds = match cli.seed {
        Some(seed) => tell_one(&cli, seed),
        None => tell_many(&cli),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell_one(cli: &Cli, seed: u64) -> bool {
    let overrides = Overrides {
        visitors: numbers(cli.visitors.as_deref()),
        incidents: numbers(cli.incidents.as_deref()),
        aggregators: cli.aggregators,
        partitions: cli.partitions,
    };
    let report = run(&Scenario::new(seed, cli.broken, &overrides), true);
    report.story.iter().for_each(|line| println!("{line}"));
    tell_violations(&report);
    report.violations.is_empty()
}

/// Numbers of a list; an empty text stands for none.
fn numbers(list: Option<&[String]>) -> Option<Vec<usize>> {
    list.map(|list| list.iter().filter_map(|number| number.parse().ok()).collect())
}

fn tell_many(cli: &Cli) -> bool {
    let threads = cli.threads.unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get));
    let bar = ProgressBar::new(cli.seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} worlds, {eta} left") {
        bar.set_style(style);
    }
    let summary = run_seeds(
        (cli.first, cli.seeds),
        cli.broken,
        threads,
        |report| !report.violations.is_empty(),
        |_| bar.inc(1),
    );
    let seconds = bar.elapsed().as_secs_f64();
    bar.finish_and_clear();
    println!("{}", sentence(&summary.stats, seconds));
    let Some((seed, report)) = &summary.failed else { return true };
    println!("\nseed {seed} does not hold the law:");
    tell_violations(report);
    println!("replay: {}", command(*seed, cli.broken, &Overrides::default()));
    if !cli.no_shrink {
        let (overrides, report) = shrink(*seed, cli.broken, report);
        println!("\nthe smallest world found that does not hold it either:");
        report.story.iter().for_each(|line| println!("{line}"));
        tell_violations(&report);
        println!("replay: {}", command(*seed, cli.broken, &overrides));
    }
    false
}

fn tell_violations(report: &Report) {
    report.violations.iter().for_each(|violation| println!("  {violation}"));
}

fn sentence(stats: &Stats, seconds: f64) -> String {
    format!(
        "{} seeds, {} records, {} batches, {} crashes, {} zombies, {} rebalances, {} lost answers, \
         {} partial writes, {} replays, {} snapshots used, {} repeated parts dropped, {seconds:.1} s",
        stats.seeds,
        stats.records,
        stats.batches,
        stats.crashes,
        stats.zombies,
        stats.rebalances,
        stats.lost_answers,
        stats.partial_writes,
        stats.replays,
        stats.restored,
        stats.dropped,
    )
}

/// The command that plays this world.
fn command(seed: u64, broken: Option<Broken>, overrides: &Overrides) -> String {
    use clap::ValueEnum;
    let mut command = format!("cargo run --release -p simulation -- --seed {seed}");
    let mut add = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            command.push_str(&format!(" --{flag} {value}"));
        }
    };
    let list = |numbers: &Option<Vec<usize>>| {
        numbers.as_ref().map(|numbers| {
            if numbers.is_empty() {
                return "''".to_owned();
            }
            numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
        })
    };
    add(
        "broken",
        broken.and_then(|broken| broken.to_possible_value()).map(|value| value.get_name().to_owned()),
    );
    add("visitors", list(&overrides.visitors));
    add("incidents", list(&overrides.incidents));
    add("aggregators", overrides.aggregators.map(|number| number.to_string()));
    add("partitions", overrides.partitions.map(|number| number.to_string()));
    command
}
