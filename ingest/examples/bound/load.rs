//! A load: each connection sends the next beacon when the last one is answered 2xx, or when its time has come.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ingest::adapter::Format;
use ingest::config::Paths;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bodies;
use crate::server::{KEY_HEADER, Server};

/// Different requests that a connection sends by turns.
const REQUESTS: usize = 64;
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 4_096;
const USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

/// A load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// In which format.
    pub(crate) format: Format,
    /// Connections that are kept alive.
    pub(crate) connections: usize,
    /// How long.
    pub(crate) duration: Duration,
    /// Requests a second of all connections together, each timed from when it was to be sent; as many as are answered
    /// where it is none.
    pub(crate) rate: Option<f64>,
}

/// What a run gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// CPU time of the server a request.
    pub(crate) cpu_us: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Median latency.
    pub(crate) p50_ms: f64,
    /// 99th percentile of latency.
    pub(crate) p99_ms: f64,
    /// Resident memory of the server at the end.
    pub(crate) rss_mb: f64,
}

impl Load {
    /// Runs, and measures `server` meanwhile.
    pub(crate) async fn run(self, server: Option<&Server>) -> anyhow::Result<Measured> {
        let cpu_before = server.map(Server::cpu).transpose()?;
        let started = now();
        let connections: Vec<_> =
            (0..self.connections).map(|number| tokio::spawn(drive(self, number, started))).collect();
        let mut latencies_us = Vec::new();
        for connection in connections {
            latencies_us.append(&mut connection.await??);
        }
        let elapsed = now() - started;
        let cpu = match (server, cpu_before) {
            (Some(server), Some(before)) => server.cpu()?.saturating_sub(before),
            _ => Duration::ZERO,
        };
        latencies_us.sort_unstable();
        let at = |share: f64| {
            let index = (latencies_us.len() as f64 * share) as usize;
            latencies_us.get(index).map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
        };
        Ok(Measured {
            cpu_us: cpu.as_secs_f64() * 1e6 / latencies_us.len() as f64,
            rate: latencies_us.len() as f64 / elapsed.as_secs_f64(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            rss_mb: server.map(Server::rss_mb).transpose()?.unwrap_or_default(),
        })
    }
}

impl Measured {
    /// The median of each number.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| {
            let mut values: Vec<_> = runs.iter().map(part).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            cpu_us: of(|run| run.cpu_us),
            rate: of(|run| run.rate),
            p50_ms: of(|run| run.p50_ms),
            p99_ms: of(|run| run.p99_ms),
            rss_mb: of(|run| run.rss_mb),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_us, rate, p50_ms, p99_ms, rss_mb } = self;
        write!(f, "{cpu_us:>12.1} {rate:>9.0} {p50_ms:>8.2} {p99_ms:>8.2} {rss_mb:>8.0}")
    }
}

async fn drive(load: Load, connection: usize, started: Instant) -> anyhow::Result<Vec<u32>> {
    let Load { address, duration, format, .. } = load;
    let paths = Paths::default();
    let path = paths.of(format);
    // As a page sends a native beacon, which asks no other origin first.
    let content_type = if format == Format::Native { "text/plain;charset=UTF-8" } else { "application/json" };
    let requests: Vec<Vec<u8>> = (0..REQUESTS)
        .map(|number| {
            let number = connection * REQUESTS + number;
            let (body, session) = (bodies::body(format, number), bodies::session(number));
            format!(
                "POST {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: {USER_AGENT}\r\naccept: */*\r\norigin: https://app.example\r\n\
                 x-api-key: bench-key\r\n{KEY_HEADER}: {session}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        })
        .collect();
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut latencies_us = Vec::with_capacity(1 << 14);
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    for (number, request) in requests.iter().cycle().enumerate() {
        let due = match load.rate {
            Some(rate) => {
                let place = number * load.connections + connection;
                let due = started + Duration::from_secs_f64(place as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                due
            }
            None => now(),
        };
        if due >= started + duration {
            break;
        }
        stream.write_all(request).await?;
        read_answer(&mut stream, &mut answer).await?;
        latencies_us.push((now() - due).as_micros() as u32);
    }
    Ok(latencies_us)
}

async fn read_answer(stream: &mut TcpStream, answer: &mut [u8]) -> anyhow::Result<()> {
    let mut length = 0;
    loop {
        let read = stream.read(&mut answer[length..]).await?;
        ensure!(read > 0, "the server closed the connection");
        length += read;
        let text = std::str::from_utf8(&answer[..length])?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        ensure!(head.starts_with("HTTP/1.1 20"), "answered {text}");
        let wanted: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .context("no content-length")?
            .parse()?;
        if body.len() >= wanted {
            return Ok(());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}
