//! `loadtest verify`: a ledger against ClickHouse.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use loadtest::observe::targets::Server;

use super::Format;

/// Examples of the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  Against the local stack, waiting until everything has settled:
    loadtest verify --ledger run.jsonl --clickhouse http://127.0.0.1:8123

  A second run into the same database, from its beginning on:
    loadtest verify --ledger second.jsonl --clickhouse http://127.0.0.1:8123 --since 2026-11-23T06:00:00Z

  What differs, with the sessions and beacons that it may come from:
    loadtest verify --ledger run.jsonl --clickhouse http://127.0.0.1:8123 --format json | jq '.checks[] | select(.equal | not)'";

/// Which ledger is compared with which ClickHouse.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Ledger of the run.
    #[arg(long)]
    ledger: PathBuf,
    /// Base URL of ClickHouse's HTTP interface, such as http://127.0.0.1:8123.
    #[arg(long)]
    clickhouse: String,
    /// User that reads.
    #[arg(long, default_value = "sli_reader")]
    user: String,
    /// Password of the user.
    #[arg(long, default_value = "local", env = "CLICKHOUSE_PASSWORD", hide_env_values = true)]
    password: String,
    /// Seconds to wait at most for what is not there yet.
    #[arg(long, default_value_t = 180)]
    wait: u64,
    /// Only windows from this time on, such as 2026-11-23T06:00:00Z. Everything by default.
    #[arg(long, value_parser = since)]
    since: Option<u32>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Compares; ends with 1 when anything differs.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { ledger, clickhouse, user, password, wait, since, format } = arguments;
    let settings = loadtest::verify::Settings {
        ledger,
        server: Server { url: clickhouse, user, password },
        wait: Duration::from_secs(wait),
        since_s: since,
    };
    let report = loadtest::verify::verify(&settings).await?;
    match format {
        Format::Text => {
            println!("{}", report.table());
            for difference in report.differences() {
                println!("{difference}");
            }
            println!("{}", report.sentence());
        }
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(if report.equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn since(text: &str) -> Result<u32, String> {
    let time: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    u32::try_from(time.as_second()).map_err(|_| format!("{text} is not between 1970 and 2106"))
}
