//! Compares ingest with its bound: the same HTTP server and producer, with the body as one record and no logic.
//!
//! `cargo run --release -p ingest --example bound` starts Kafka, runs both servers as processes of their own under the
//! same load by turns, and prints for each format CPU time a request, throughput and latency, the latency at four fifths
//! of each one's capacity, then the idle latency by `linger.ms`.
//! With `taskset` the servers get one core and the load the others, as far as there are several.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use deploy::stack::{Parts, Stack, StackOptions};
use ingest::log::LINGER_MS;

#[path = "../bodies/mod.rs"]
mod bodies;
mod load;
mod server;

use bodies::FORMATS;
use load::{Load, Measured};
use server::{Kind, ServeArgs, Server};

/// Share of its capacity at which the latency of a server is compared.
const CAPACITY_SHARE: f64 = 0.8;

/// Measures ingest against its bound.
#[derive(Parser)]
struct Cli {
    /// Seconds of each measured run.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Runs of each server with each load; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// The `linger.ms` of the loaded servers.
    #[arg(long, default_value = LINGER_MS)]
    linger: String,
    /// Values of linger.ms that are measured idle.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,5")]
    lingers: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one of the servers; used by the measurement itself.
    #[command(hide = true)]
    Serve(ServeArgs),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match cli.command {
        Some(Command::Serve(args)) => runtime.block_on(server::serve(args)),
        None => runtime.block_on(measure(&cli)),
    }
}

async fn measure(cli: &Cli) -> anyhow::Result<()> {
    let stack = Stack::start(StackOptions::of(Parts::Kafka)).await.context("start Kafka")?;
    let duration = Duration::from_secs(cli.seconds);
    println!(
        "beacons of five events, {} connections, linger.ms {}, medians of {}; latency at {:.0} % of capacity is timed from \
         when a request was due",
        cli.connections,
        cli.linger,
        cli.rounds,
        CAPACITY_SHARE * 100.0
    );
    println!(
        "{:>9} {:>5} {:>8} {:>9} {:>12} {:>9} {:>8} {:>8} {:>8}",
        "format", "bytes", "server", "load", "CPU µs/req", "req/s", "p50 ms", "p99 ms", "RSS MB"
    );
    for format in FORMATS {
        let bytes = bodies::body(format, 0).len();
        let row = |name: &str, load: &str, rest: &dyn std::fmt::Display| {
            println!("{:>9} {bytes:>5} {name:>8} {load:>9} {rest}", format.name());
        };
        let full =
            Load { address: ([0; 4], 0).into(), format, connections: cli.connections, duration, rate: None };
        let medians = by_turns(cli, &stack, [full; 2]).await?;
        for (kind, median) in Kind::ALL.iter().zip(&medians) {
            row(kind.name(), "all", median);
        }
        row("ratio", "all", &format_args!("{:>12.2}", medians[1].cpu_us / medians[0].cpu_us));
        let shared = medians.map(|median| Load { rate: Some(median.rate * CAPACITY_SHARE), ..full });
        let medians = by_turns(cli, &stack, shared).await?;
        let load = format!("{:.0} %", CAPACITY_SHARE * 100.0);
        for (kind, median) in Kind::ALL.iter().zip(&medians) {
            row(kind.name(), &load, median);
        }
    }
    println!(
        "\nidle, one connection\n{:>9} {:>12} {:>8} {:>8}",
        "linger.ms", "CPU µs/req", "p50 ms", "p99 ms"
    );
    for linger in &cli.lingers {
        let server = Server::start(Kind::Ingest, stack.kafka_brokers(), linger).await?;
        let (address, format) = (server.address, FORMATS[0]);
        let load = Load { address, format, connections: 1, duration: duration / 2, rate: None };
        load.run(None).await?;
        let measured = load.run(Some(&server)).await?;
        println!("{linger:>9} {:>12.1} {:>8.2} {:>8.2}", measured.cpu_us, measured.p50_ms, measured.p99_ms);
        server.stop()?;
    }
    stack.stop().await;
    Ok(())
}

/// The medians of both servers, each under its load, one after the other so that both see the same machine.
async fn by_turns(cli: &Cli, stack: &Stack, loads: [Load; 2]) -> anyhow::Result<[Measured; 2]> {
    let mut results: [Vec<Measured>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..cli.rounds {
        for ((kind, load), results) in Kind::ALL.iter().zip(loads).zip(&mut results) {
            let server = Server::start(*kind, stack.kafka_brokers(), &cli.linger).await?;
            let load = Load { address: server.address, ..load };
            Load { duration: load.duration / 4, ..load }.run(None).await?;
            results.push(load.run(Some(&server)).await?);
            server.stop()?;
        }
    }
    Ok(results.map(|runs| Measured::median(&runs)))
}
