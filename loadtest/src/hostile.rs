//! Hostile requests against the real server: what each is answered, how long that takes, and what memory it costs,
//! while honest traffic goes on beside.
//!
//! [`table`] has the attacks as data, each with the answers that it must get. Whether what is accepted is counted
//! right is [`crate::verify`]'s.

use std::time::Duration;

use anyhow::Context;
use deploy::executable::Executables;
use deploy::progress::Progress;
use deploy::stack::{INGEST, Parts, Stack, StackOptions};
use futures::StreamExt;

pub mod attack;
pub mod case;
pub mod honest;
pub mod report;
mod request;
mod server;
pub mod table;

use case::Case;
use honest::{Honest, RATE, now};
use report::{Report, Row};
use server::Server;

/// Attacks that run at the same time when nothing is measured.
const SIDE_BY_SIDE: usize = 24;
/// What no line of the server's log may hold: addresses, sessions and texts of hostile requests.
const PLANTED: [&str; 7] = ["192.0.2.", "203.0.113.", "198.18.", "evil", "jndi", "hostile-", "honest-"];

/// How to run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long honest traffic runs alone, to know its normal latency; zero: none is sent, attacks run side by side
    /// and the memory of each is not told apart.
    pub alone: Duration,
}

/// Brings up Kafka and the server, plays every case, and ends both.
///
/// # Errors
/// When something does not start, or the server does not live to the end.
pub async fn run(settings: Settings) -> anyhow::Result<Report> {
    let progress = Progress::detect();
    let program = tokio::task::spawn_blocking(move || Executables::locate()?.get(&[INGEST], progress))
        .await?
        .context("find ingest")?
        .pop()
        .context("no ingest")?;
    let stack = Stack::start(StackOptions { progress, ..StackOptions::of(Parts::Kafka) }).await?;
    let server = Server::start(&program, stack.kafka_brokers()).await?;
    let measured = !settings.alone.is_zero();
    let (rows, honest) = if measured {
        let (rows, seen) = measure(&server, settings.alone).await?;
        (rows, Some(seen))
    } else {
        (side_by_side(&server).await?, None)
    };
    let of_end = server.peak_bytes()?;
    let peak_bytes = rows.iter().filter_map(|row| row.peak_bytes).fold(of_end, u64::max);
    let log = server.stop().await?;
    stack.stop().await;
    let leaks = log.lines().filter(|line| PLANTED.iter().any(|planted| line.contains(planted)));
    Ok(Report { rows, peak_bytes, honest, leaks: leaks.map(str::to_owned).collect() })
}

/// One case after the other, beside honest traffic.
async fn measure(
    server: &Server,
    alone: Duration,
) -> anyhow::Result<(Vec<Row>, (honest::Seen, honest::Seen))> {
    let cases = table::cases();
    let honest = Honest::start(&format!("http://{}", server.address)).await?;
    // The first requests make connections and warm caches.
    honest.wait_for(RATE as usize).await;
    let started = now();
    honest.wait_for((alone.as_secs_f64() * f64::from(RATE)) as usize).await;
    let attacked = now();
    let mut rows = Vec::with_capacity(cases.len());
    for case in cases {
        server.forget_peak()?;
        let row = play(case, server).await?;
        rows.push(Row { peak_bytes: Some(server.peak_bytes()?), ..row });
    }
    let ended = now();
    Ok((rows, (honest.seen(started, attacked), honest.seen(attacked, ended))))
}

/// All that are single at the same time, then each flood.
async fn side_by_side(server: &Server) -> anyhow::Result<Vec<Row>> {
    let (single, floods): (Vec<_>, Vec<_>) =
        table::cases().into_iter().partition(|case| case.connections == 1);
    let mut rows: Vec<_> =
        futures::stream::iter(single).map(|case| play(case, server)).buffered(SIDE_BY_SIDE).collect().await;
    for case in floods {
        rows.push(play(case, server).await);
    }
    rows.into_iter().collect()
}

async fn play(case: Case, server: &Server) -> anyhow::Result<Row> {
    let started = now();
    let answers = attack::play(&case, server.address).await.with_context(|| case.name.clone())?;
    Ok(Row { case, answers, duration: now().saturating_duration_since(started), peak_bytes: None })
}
