//! What a question costs at read time: rows and bytes that ClickHouse reads for it, CPU of its process, and time.

use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Meter;
use crate::observe::Process;
use crate::observe::targets::Server;

/// Header by which ClickHouse says what an answer took.
const SUMMARY: &str = "x-clickhouse-summary";

/// What a question took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Rows read of tables.
    pub rows: u64,
    /// Bytes read of tables, uncompressed.
    pub bytes: u64,
    /// CPU time of ClickHouse's process an answer, on average, ms.
    pub cpu_ms: f64,
    /// Median time until the whole answer is there, ms.
    pub median_ms: f64,
    /// Times that it was asked.
    pub repeats: u64,
}

/// Asks `sql` (a SELECT without FORMAT) over and over for `length`, once at least, after one answer that is not counted.
///
/// # Errors
/// When ClickHouse does not answer, refuses, or its process ends.
pub async fn ask(server: &Server, process: Process, sql: &str, length: Duration) -> anyhow::Result<Asked> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async || -> anyhow::Result<(u64, u64, Duration)> {
        let started = Instant::now();
        let answer = client
            .post(&server.url)
            .query(&[("wait_end_of_query", "1")])
            .header("X-ClickHouse-User", &server.user)
            .header("X-ClickHouse-Key", &server.password)
            .body(format!("{sql} FORMAT Null"))
            .send()
            .await
            .context("asking ClickHouse")?;
        let status = answer.status();
        let summary = answer.headers().get(SUMMARY).cloned();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "ClickHouse answered {status}: {}", text.trim());
        let took = started.elapsed();
        let summary = summary.context("ClickHouse did not say what it read")?;
        let (rows, bytes) = read(summary.to_str()?)?;
        Ok((rows, bytes, took))
    };
    ask().await?;
    let name = process.name.clone();
    let meter = Meter::start(vec![process])?;
    let begun = Instant::now();
    let mut times = Vec::new();
    let (rows, bytes) = loop {
        let (rows, bytes, took) = ask().await?;
        times.push(took);
        if begun.elapsed() >= length {
            break (rows, bytes);
        }
    };
    times.sort_unstable();
    Ok(Asked {
        rows,
        bytes,
        cpu_ms: meter.read()?.seconds(&name) * 1_000.0 / times.len() as f64,
        median_ms: times[times.len() / 2].as_secs_f64() * 1_000.0,
        repeats: times.len() as u64,
    })
}

/// Rows and bytes of a summary, whose numbers are texts.
fn read(summary: &str) -> anyhow::Result<(u64, u64)> {
    let summary: serde_json::Value = serde_json::from_str(summary).context("what ClickHouse read")?;
    let number = |name: &str| summary[name].as_str().and_then(|text| text.parse().ok());
    number("read_rows").zip(number("read_bytes")).with_context(|| format!("no rows and bytes in {summary}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_rows_and_bytes() {
        assert_eq!(read(r#"{"read_rows":"12","read_bytes":"345","elapsed_ns":"1"}"#).unwrap(), (12, 345));
        assert!(read(r#"{"read_rows":"12"}"#).is_err());
        assert!(read("no").is_err());
    }
}
