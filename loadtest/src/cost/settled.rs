//! Waiting until the tables hold what was appended, without asking them: a question would be CPU of what is measured.

use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

use crate::observe::metrics::Metrics;
use crate::observe::now_ms;
use crate::scenario::{PLANNED_MS_MAX, TIMEOUT_MS};

const POLL: Duration = Duration::from_millis(250);
/// Wall clock less the log time of what a partition has written, s; there is none of a partition that wrote nothing yet.
const FRESHNESS: &str = "aggregator_freshness_seconds";
/// An admin server that takes longer is asked again.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// After the last beacon, with a grace period of `grace_ms`, nothing that it belongs to can change any more.
pub fn settling_ms(grace_ms: i64) -> i64 {
    TIMEOUT_MS as i64 + PLANNED_MS_MAX as i64 + grace_ms
}

/// The aggregators of a log.
#[derive(Debug, Clone)]
pub struct Aggregators {
    /// Base URLs of their admin servers.
    pub urls: Vec<String>,
    /// Partitions of the log.
    pub partitions: usize,
}

impl Aggregators {
    /// Returns when they have written everything that was appended before `until_ms`.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn written(&self, until_ms: i64, patience: Duration) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?;
        let begun = Instant::now();
        loop {
            let written_ms = self.written_until_ms(&client).await;
            if written_ms.is_some_and(|written_ms| written_ms >= until_ms) {
                return Ok(());
            }
            if begun.elapsed() >= patience {
                let behind = written_ms.map_or("not every partition has written".to_owned(), |written_ms| {
                    format!("the tables are {:.1} s from it", (until_ms - written_ms) as f64 / 1_000.0)
                });
                bail!("not everything that was sent was written within {} s: {behind}", patience.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Log time up to which the slowest partition is written; `None` while one is not known.
    async fn written_until_ms(&self, client: &reqwest::Client) -> Option<i64> {
        let mut answers = Vec::new();
        for url in &self.urls {
            let answer = client.get(format!("{}/metrics", url.trim_end_matches('/'))).send().await.ok()?;
            answers.push(Metrics::parse(&answer.error_for_status().ok()?.text().await.ok()?));
        }
        let behind_ms = slowest_ms(&answers, self.partitions)?;
        Some(now_ms() - behind_ms)
    }
}

/// How far the slowest of all partitions is behind.
fn slowest_ms(answers: &[Metrics], partitions: usize) -> Option<i64> {
    // While partitions change their owner two may tell of one, and nobody of another.
    if answers.iter().map(|metrics| metrics.count(FRESHNESS)).sum::<usize>() != partitions {
        return None;
    }
    let slowest_s = answers.iter().filter_map(|metrics| metrics.max(FRESHNESS)).reduce(f64::max)?;
    Some((slowest_s * 1_000.0).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_nobody_tells_of_is_not_written() {
        let answer = |text: &str| Metrics::parse(text);
        let one = answer(
            "aggregator_freshness_seconds{partition=\"0\"} 2.5\naggregator_freshness_seconds{partition=\"3\"} 1",
        );
        let other = answer("aggregator_freshness_seconds{partition=\"1\"} 0.25");
        assert_eq!(slowest_ms(&[one.clone(), other.clone()], 3), Some(2_500));
        assert_eq!(slowest_ms(&[one.clone(), other], 4), None);
        assert_eq!(slowest_ms(&[one], 3), None);
        assert_eq!(slowest_ms(&[], 0), None);
    }
}
