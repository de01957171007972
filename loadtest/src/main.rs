//! `loadtest`: sends traffic whose truth is known, and verifies that ClickHouse holds it.
#![expect(clippy::print_stdout, reason = "a command-line tool prints its result")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod command;

use command::{capacity, drill, faults, hostile, peers, report, run, scale, soak, verify};

#[derive(Debug, Parser)]
#[command(version, about = "Open-loop traffic with known truth, and its verification against ClickHouse")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends seeded traffic of the study app and writes a ledger of every answer and of what is true.
    ///
    /// Ends with 0 when every beacon was accepted, with 1 when one was refused or not answered.
    #[command(after_help = run::EXAMPLES)]
    Run(run::Arguments),
    /// Compares a run's ledger with what ClickHouse holds, and waits until it is there.
    ///
    /// A database that holds nothing but this run is assumed; with --since only windows from that time on are
    /// looked at, and the run must still be the only one in them. Ends with 0 when everything is equal, with 1
    /// when anything differs.
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Arguments),
    /// Kills, stops and restarts real processes under load, and compares what was counted with the ledger.
    ///
    /// Brings up Kafka, ClickHouse, ingest and several aggregators on free ports, and ends all of it. Ends with 0
    /// when every count is equal and the audit is empty, with 1 when anything differs or does not come back.
    #[command(after_help = faults::EXAMPLES)]
    Faults(faults::Arguments),
    /// Carries out drills: files that say what dies, when and for how long, each under load and judged.
    ///
    /// Brings up a stack of its own for each, plays traffic with known truth, does what the file says, waits for recovery
    /// and compares. Ends with 0 when every fault was seen to strike, every count is equal and the audit is empty in each
    /// of them; with 1 when anything differs, does not come back, or could not be tried here.
    #[command(after_help = drill::EXAMPLES)]
    Drill(drill::Arguments),
    /// Attacks ingest with every hostile request of a table, while honest traffic goes on beside.
    ///
    /// Brings up Kafka and ingest on free ports, and ends both. Prints for each attack its answer, time and the
    /// server's memory. Ends with 0 when every answer is what it must be, the server's memory stays below 200 MB,
    /// every honest beacon is accepted, and the p99 of honest traffic is less than twice its normal value.
    Hostile(hostile::Arguments),
    /// Sends traffic for an hour, observes every part from outside, compares the counts, and judges.
    ///
    /// Ends with 0 when every beacon was accepted and counted exactly once, the tables were less than 15 s behind
    /// for 99 % of the time, no part ended, and no memory grew by 5 % an hour; with 1 and the reason otherwise.
    #[command(after_help = soak::EXAMPLES)]
    Soak(soak::Arguments),
    /// Compares this pipeline with what teams use instead, on the same traffic: CPU an event, bytes, questions.
    ///
    /// Brings up Kafka, two ClickHouse, ingest, aggregator and a collector on free ports, and ends all of it. A peer that
    /// cannot be built or fails is left out with the reason. Ends with 0 when our own part was measured and its counts
    /// are those of the truth, with 1 otherwise.
    #[command(after_help = peers::EXAMPLES)]
    Peers(peers::Arguments),
    /// Finds the rates at which limits break, what a beacon costs, and what a traffic needs in cores, partitions and disk.
    ///
    /// Brings up a stack of its own on free ports, twice, and ends it. Ends with 0 when there are figures and the counts of
    /// the last measurement are those of the truth, with 1 otherwise.
    #[command(after_help = capacity::EXAMPLES)]
    Capacity(capacity::Arguments),
    /// Measures what a beacon costs with more partitions, ingests and aggregators.
    ///
    /// Brings up a stack for each size on free ports, and ends it. Ends with 0 when every size has figures.
    #[command(after_help = scale::EXAMPLES)]
    Scale(scale::Arguments),
    /// Makes the page of a run from its JSON file again.
    Report(report::Arguments),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Faults(arguments) => faults::run(arguments).await,
        Command::Drill(arguments) => drill::run(arguments).await,
        Command::Hostile(arguments) => hostile::run(arguments).await,
        Command::Soak(arguments) => soak::run(arguments).await,
        Command::Peers(arguments) => peers::run(arguments).await,
        Command::Capacity(arguments) => capacity::run(arguments).await,
        Command::Scale(arguments) => scale::run(arguments).await,
        Command::Report(arguments) => report::run(&arguments),
    }
}
