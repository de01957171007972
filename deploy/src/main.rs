//! The command line of the local stack.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};
use deploy::launch;
use deploy::progress::Progress;
use deploy::stack::{Parts, Ports, Stack, StackOptions};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the stack until Ctrl-C.
    Up {
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    #[command(name = launch::LAUNCH, hide = true)]
    Launch {
        #[arg(long)]
        parent: u32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    #[command(name = launch::CLICKHOUSE_LOCAL, hide = true)]
    ClickhouseLocal {
        #[arg(long)]
        library: PathBuf,
        #[arg(last = true)]
        args: Vec<OsString>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Launch { parent, mut command } => {
            let args = command.split_off(1);
            launch::launch(parent, &PathBuf::from(command.remove(0)), &args)
        }
        Command::ClickhouseLocal { library, args } => {
            std::process::exit(launch::clickhouse_local(&library, args)?);
        }
        Command::Up { dir } => {
            let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
            runtime.block_on(up(StackOptions {
                parts: Parts::Stores,
                dir,
                ports: Ports::DEFAULT,
                progress: Progress::detect(),
                ..StackOptions::default()
            }))
        }
    }
}

async fn up(options: StackOptions) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let stack = Stack::start(options).await?;
    eprintln!("{}", stack.dir().display());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stack.stop().await;
    Ok(())
}
