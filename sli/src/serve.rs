//! `sli serve`: the numbers for evaluators and pages, over HTTP: Prometheus' exposition, status, burn and series as JSON,
//! and burn alerts to webhooks.
//!
//! It keeps nothing: every answer is read from ClickHouse, so any number of them may run, and a restart loses
//! nothing. Of webhooks it remembers what it has sent; after a restart alerts that still burn are sent again.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use anyhow::Context;
use clap::Args;

use crate::clickhouse::ClickHouseArgs;
use crate::numbers::Numbers;

mod agreed;
mod alerts;
mod api;
mod exposition;
mod openapi;

/// Threads that answer: they wait for ClickHouse more than they calculate.
const WORKERS: usize = 2;

/// Flags of `sli serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "SLI_SERVE_LISTEN", default_value = "127.0.0.1:8090", value_name = "HOST:PORT")]
    listen: SocketAddr,
    #[command(flatten)]
    clickhouse: ClickHouseArgs,
    /// Send burn alerts here, in the format of Alertmanager's webhooks; may be repeated. None by default, so
    /// that nobody is paged twice.
    #[arg(long, env = "SLI_SERVE_WEBHOOK", value_name = "URL", value_delimiter = ',')]
    webhook: Vec<reqwest::Url>,
    /// How often alerts are looked for, s.
    #[arg(long, env = "SLI_SERVE_ALERT_INTERVAL_S", default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    alert_interval_s: u64,
    /// After how long an alert that still burns is sent again, s.
    #[arg(long, env = "SLI_SERVE_ALERT_REPEAT_S", default_value_t = 4 * 3600, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    alert_repeat_s: u64,
}

pub(crate) const EXAMPLES: &str = "Examples:
  sli serve
  sli serve --listen 0.0.0.0:8090 --clickhouse-url https://db:8443 --clickhouse-user sli_reader
  sli serve --webhook http://127.0.0.1:9095/hook

Paths:
  /metrics                                       counters for Prometheus, see `sli export sloth`
  /api/v1/slos?app=&owner=&product=&state=       status of every objective
  /api/v1/slos/APP/JOURNEY/OBJECTIVE             the same of one, with burn and hours
  /api/v1/slos/APP/JOURNEY/OBJECTIVE/counts?window_s=3600
  /openapi.json  /healthz  /readyz";

/// Serves until it is told to stop.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let numbers = Numbers::new(args.clickhouse.client()?);
    let listener =
        TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    if !args.webhook.is_empty() {
        let pace = alerts::Pace {
            interval: Duration::from_secs(args.alert_interval_s),
            repeat: Duration::from_secs(args.alert_repeat_s),
        };
        tokio::spawn(alerts::run(numbers.clone(), args.webhook, pace));
    }
    let server =
        HttpServer::new(move || App::new().app_data(web::Data::new(numbers.clone())).configure(api::routes))
            .workers(WORKERS)
            .listen(listener)?
            .run();
    eprintln!("serving http://{address}");
    server.await?;
    Ok(())
}
