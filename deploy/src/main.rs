//! The command line of the local stack.
//!
//! Standard output has results only: the `ready` line and the demo's table. Everything else goes to standard
//! error.

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use deploy::cache::{CLICKHOUSE, Cache, KAFKA};
use deploy::clickhouse::ClickHouse;
use deploy::demo::{self, Demo};
use deploy::error::StackError;
use deploy::progress::Progress;
use deploy::stack::{ExistingClickHouse, Stack, StackOptions};
use deploy::{launch, migration, prepare};
use tokio::signal::unix::{SignalKind, signal};

mod cli;

use cli::{Cli, Command, PrepareArgs};

/// Exit code of a program that a signal ended: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Launch { parent, command } => match command.split_first() {
            Some((program, args)) => {
                launch::launch(parent, Path::new(program), args).map(|()| ExitCode::SUCCESS)
            }
            None => Err(anyhow::anyhow!("nothing to run")),
        },
        Command::ClickhouseLocal { library, args } => match launch::clickhouse_local(&library, args) {
            // Not by returning: the library's threads may still use what a return from `main` tears down.
            Ok(code) => std::process::exit(code),
            Err(error) => Err(error),
        },
        Command::Up { stack } => run(up(stack.options())),
        Command::Demo { stack, exit, seconds, rate } => run(show(stack.options(), exit, seconds, rate)),
        Command::Prepare(args) => run(prepare_servers(args)),
        Command::Migrate { clickhouse } => run(async {
            match clickhouse.existing() {
                Some(server) => migrate(&server).await,
                None => Err(anyhow::anyhow!("--clickhouse-url says which ClickHouse to migrate")),
            }
        }),
        Command::Fetch { verify } => fetch(verify).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("deploy: {error:#}");
        ExitCode::FAILURE
    })
}

/// Runs a command until it ends.
fn run(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let result = runtime.block_on(command);
    // A download that was interrupted blocks a thread: the end of this process ends it.
    runtime.shutdown_background();
    result
}

/// Ends with SIGINT or SIGTERM.
async fn interrupted() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Stops the stack cleanly; a second signal stops it at once.
async fn stop(stack: Stack, progress: Progress) -> anyhow::Result<()> {
    let step = progress.step("stopping everything");
    tokio::select! {
        () = stack.stop() => {}
        result = interrupted() => {
            result?;
            // The kernel kills what was bound to this process.
            std::process::exit(INTERRUPTED.into());
        }
    }
    step.done("nothing is left");
    Ok(())
}

/// What ends a wait.
enum Ended {
    Interrupted,
    Failed(String),
}

/// Starts a stack, unless a signal comes first.
async fn start(options: StackOptions) -> anyhow::Result<Option<Stack>> {
    tokio::select! {
        stack = Stack::start(options) => Ok(Some(stack?)),
        result = interrupted() => result.map(|()| None),
    }
}

async fn wait_for_end(stack: &Stack) -> anyhow::Result<Ended> {
    tokio::select! {
        result = interrupted() => result.map(|()| Ended::Interrupted),
        reason = stack.failed() => Ok(Ended::Failed(reason)),
    }
}

async fn up(options: StackOptions) -> anyhow::Result<ExitCode> {
    let progress = options.progress;
    let Some(stack) = start(options).await? else { return Ok(ExitCode::from(INTERRUPTED)) };
    progress.note(format_args!(
        "logs and processes.json are in {}; Ctrl-C stops everything",
        stack.dir().display()
    ));
    print(&stack.ready_line())?;
    let ended = wait_for_end(&stack).await?;
    stop(stack, progress).await?;
    match ended {
        Ended::Interrupted => Ok(ExitCode::SUCCESS),
        Ended::Failed(reason) => Err(anyhow::anyhow!(reason)),
    }
}

async fn show(options: StackOptions, exit: bool, seconds: u32, rate: u32) -> anyhow::Result<ExitCode> {
    let progress = options.progress;
    let demo = Demo { seconds, rate };
    let programs = tokio::select! {
        programs = demo::programs(progress) => programs?,
        result = interrupted() => return result.map(|()| ExitCode::from(INTERRUPTED)),
    };
    let Some(stack) = start(options).await? else { return Ok(ExitCode::from(INTERRUPTED)) };
    let shown = tokio::select! {
        shown = demo.run(&stack, &programs, progress) => shown.map_err(anyhow::Error::from),
        ended = wait_for_end(&stack) => match ended? {
            Ended::Interrupted => {
                stop(stack, progress).await?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
            Ended::Failed(reason) => Err(anyhow::anyhow!(reason)),
        },
    };
    let shown = match shown {
        Ok(shown) => shown,
        Err(error) => {
            stop(stack, progress).await?;
            return Err(error);
        }
    };
    print(&shown)?;
    if !exit {
        print(&stack.ready_line())?;
        progress.say("Ctrl-C stops everything");
        wait_for_end(&stack).await?;
    }
    stop(stack, progress).await?;
    Ok(ExitCode::SUCCESS)
}

async fn prepare_servers(args: PrepareArgs) -> anyhow::Result<ExitCode> {
    let progress = Progress::detect();
    let clickhouse = args.clickhouse.existing();
    if args.kafka.kafka_brokers.is_none() && clickhouse.is_none() && args.aggregator_url.is_none() {
        anyhow::bail!("nothing to prepare: give --kafka-brokers, --clickhouse-url or --aggregator-url");
    }
    if let Some(kafka) = args.kafka.existing() {
        prepare::topics(&kafka, args.partitions, progress).await?;
    }
    if let Some(server) = clickhouse {
        let clickhouse = ClickHouse::new(&server.url, &server.user, &server.password)?;
        prepare::tables(&clickhouse, progress).await?;
    }
    if let (Some(url), Some(dir)) = (&args.aggregator_url, &args.definitions.definitions) {
        let settings = demo::settings(args.definitions.grace_ms, args.definitions.flush_interval_ms);
        prepare::definitions(url, &args.definitions_token, dir, settings, progress).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn migrate(server: &ExistingClickHouse) -> anyhow::Result<ExitCode> {
    let clickhouse = ClickHouse::new(&server.url, &server.user, &server.password)?;
    let applied = migration::migrate(&clickhouse).await?;
    match applied.as_slice() {
        [] => eprintln!("database {} is up to date", migration::DATABASE),
        versions => eprintln!("applied migrations {versions:?} to database {}", migration::DATABASE),
    }
    Ok(ExitCode::SUCCESS)
}

fn fetch(verify: bool) -> anyhow::Result<()> {
    let cache = Cache::of_user()?;
    for part in [KAFKA, CLICKHOUSE] {
        let dir = cache.part(&part, Progress::detect())?;
        if verify {
            cache.verify(&part)?;
        }
        eprintln!("{} is in {}", part.title, dir.display());
    }
    Ok(())
}

/// Writes a result to standard output; that nobody reads it is no error.
fn print(text: &str) -> Result<(), StackError> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(StackError::io("write to", Path::new("standard output"))(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
