//! Looks at the parts of a stack from outside, once a second, while a run goes on.
//!
//! A [`Sample`] has what each process uses, what ingest and the aggregators say of themselves, and how old the
//! newest moment is up to which ClickHouse holds everything. A part that does not answer leaves a gap that names it;
//! the next sample is taken all the same, so the run itself notices nothing. What the numbers mean for a verdict is
//! [`crate::report`]'s.
//!
//! ```no_run
//! # async fn example(stack: std::sync::Arc<deploy::stack::Stack>) -> anyhow::Result<()> {
//! use loadtest::observe::{Observer, Targets};
//!
//! let observer = Observer::start(Targets::of_stack(&stack))?;
//! // … the run …
//! let observation = observer.finish().await?;
//! println!("{:?} cores", observation.cpu_cores("ingest"));
//! # Ok(()) }
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::verify::clickhouse::ClickHouse;

pub mod metrics;
pub mod process;
pub mod sample;
pub mod series;
pub mod targets;

pub use sample::{AggregatorSample, IngestSample, Observation, ProcessSample, Sample};
pub use targets::{Process, Targets};

use metrics::Metrics;
use series::Series;

/// Name of the generator's own process among those observed.
pub const GENERATOR: &str = "loadtest";
/// Name of ClickHouse among the parts that did not answer.
pub const CLICKHOUSE: &str = "clickhouse";

/// From one sample to the next.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// A part that takes longer to answer has a gap in that sample: the next one is due.
const ANSWER_PATIENCE: Duration = Duration::from_millis(900);

/// Up to when the tables hold everything that was appended: what the slowest partition has written.
const PROGRESS: &str = "SELECT log_time_ms FROM sli.progress";

#[derive(Debug, serde::Deserialize)]
struct Progress {
    log_time_ms: Option<i64>,
}

/// Now, ms since the epoch.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Takes samples until it is told to finish. Dropping it ends it as well.
#[derive(Debug)]
pub struct Observer {
    samples: Arc<Mutex<Series<Sample>>>,
    task: JoinHandle<()>,
    // Closed when this is dropped, which ends the task between two samples.
    _running: oneshot::Sender<()>,
}

impl Observer {
    /// Begins with the first sample at once; needs a tokio runtime.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn start(targets: Targets) -> anyhow::Result<Self> {
        let eyes = Eyes::new(targets)?;
        let samples = Arc::new(Mutex::new(Series::new()));
        let (running, mut ended) = oneshot::channel::<()>();
        let task = tokio::spawn({
            let samples = Arc::clone(&samples);
            async move {
                let mut ticks = interval(SAMPLE_EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                loop {
                    tokio::select! {
                        _ = &mut ended => return,
                        _ = ticks.tick() => {}
                    }
                    let sample = eyes.look().await;
                    samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                }
            }
        });
        Ok(Self { samples, task, _running: running })
    }

    /// What was seen by now.
    pub fn so_far(&self) -> Observation {
        Observation { samples: self.samples.lock().unwrap_or_else(PoisonError::into_inner).items().to_vec() }
    }

    /// Takes no more samples, and gives what was seen.
    ///
    /// # Errors
    /// When the observing task panicked.
    pub async fn finish(self) -> anyhow::Result<Observation> {
        let Self { samples, task, _running } = self;
        drop(_running);
        task.await.context("observing")?;
        let samples = samples.lock().unwrap_or_else(PoisonError::into_inner).items().to_vec();
        Ok(Observation { samples })
    }
}

/// The connections that are asked through.
struct Eyes {
    targets: Targets,
    client: reqwest::Client,
    clickhouse: Option<ClickHouse>,
}

impl Eyes {
    fn new(targets: Targets) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?;
        let clickhouse = match &targets.clickhouse {
            Some(server) => Some(ClickHouse::new(&server.url, &server.user, &server.password)?),
            None => None,
        };
        Ok(Self { targets, client, clickhouse })
    }

    async fn look(&self) -> Sample {
        let mut sample = Sample { at_ms: now_ms(), ..Sample::default() };
        for process in &self.targets.processes {
            match process.pid().and_then(process::read) {
                Some(read) => drop(sample.processes.insert(process.name.clone(), read)),
                None => sample.silent.push(process.name.clone()),
            }
        }
        let (ingests, aggregators, freshness) = tokio::join!(
            self.metrics(&self.targets.ingests),
            self.metrics(&self.targets.aggregators),
            self.freshness_ms()
        );
        for (url, metrics) in ingests {
            match metrics {
                Some(metrics) => sample.ingest.get_or_insert_default().add(&metrics),
                None => sample.silent.push(url),
            }
        }
        for (url, metrics) in aggregators {
            match metrics {
                Some(metrics) => sample.aggregator.get_or_insert_default().add(&metrics),
                None => sample.silent.push(url),
            }
        }
        match freshness {
            Some(freshness) => sample.freshness_ms = freshness,
            None => sample.silent.push(CLICKHOUSE.to_owned()),
        }
        sample
    }

    async fn metrics(&self, urls: &[String]) -> Vec<(String, Option<Metrics>)> {
        futures::future::join_all(urls.iter().map(async |url| {
            let answer = async {
                let response =
                    self.client.get(format!("{}/metrics", url.trim_end_matches('/'))).send().await?;
                response.error_for_status()?.text().await
            };
            (url.clone(), answer.await.ok().map(|text| Metrics::parse(&text)))
        }))
        .await
    }

    /// `Some(None)` where ClickHouse answers but nothing was written yet, or where none is observed.
    async fn freshness_ms(&self) -> Option<Option<i64>> {
        let Some(clickhouse) = &self.clickhouse else { return Some(None) };
        let rows = tokio::time::timeout(ANSWER_PATIENCE, clickhouse.rows::<Progress>(PROGRESS)).await;
        let progress = rows.ok()?.ok()?.into_iter().next()?;
        let written_ms = progress.log_time_ms.filter(|written_ms| *written_ms > 0);
        // Clocks of two hosts may differ by more than the tables are behind.
        Some(written_ms.map(|written_ms| (now_ms() - written_ms).max(0)))
    }
}
