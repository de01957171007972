//! Waiting until the tables hold what was appended, without asking them: a question would be CPU of what is measured.

use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::observe::metrics::Metrics;
use crate::observe::sample::AggregatorSample;
use crate::scenario::{PLANNED_MS_MAX, TIMEOUT_MS};

const POLL: Duration = Duration::from_millis(250);
/// An admin server that takes longer is asked again.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// After the last beacon, with a grace period of `grace_ms`, nothing that it belongs to can change any more.
pub fn settling_ms(grace_ms: i64) -> i64 {
    TIMEOUT_MS as i64 + PLANNED_MS_MAX as i64 + grace_ms
}

/// Now, ms since the epoch.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Returns when the aggregators at `urls` (their admin servers) have written everything that was appended before
/// `until_ms`, and says how long that took from now.
///
/// # Errors
/// When that takes longer than `patience`.
pub async fn written(urls: &[String], until_ms: i64, patience: Duration) -> anyhow::Result<Duration> {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?;
    let begun = Instant::now();
    loop {
        let written_ms = written_until_ms(&client, urls).await;
        if written_ms.is_some_and(|written_ms| written_ms >= until_ms) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() >= patience {
            let behind = written_ms.map_or("nothing is known of what is written".to_owned(), |written_ms| {
                format!("the tables are {:.1} s from it", (until_ms - written_ms) as f64 / 1_000.0)
            });
            bail!("not everything that was sent was written within {} s: {behind}", patience.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Log time up to which the slowest partition is written; `None` while an aggregator does not answer.
async fn written_until_ms(client: &reqwest::Client, urls: &[String]) -> Option<i64> {
    let mut sum = AggregatorSample::default();
    for url in urls {
        let answer = client.get(format!("{}/metrics", url.trim_end_matches('/'))).send().await.ok()?;
        sum.add(&Metrics::parse(&answer.error_for_status().ok()?.text().await.ok()?));
    }
    // Before the first batch there is no freshness, and a zero of all would be better than true.
    (sum.written_freshness_ms > 0).then(|| now_ms() - sum.written_freshness_ms as i64)
}
