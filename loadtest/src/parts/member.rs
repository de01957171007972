//! One process of this project: started, started again whenever it ends where it is watched, and struck.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use deploy::launch::Launcher;
use deploy::part::{OnChange, Part, PartCommand};
use deploy::progress::Progress;
use deploy::stack::Signal;
use hyper::header::DATE;
use jiff::Timestamp;

use crate::observe::metrics::Metrics;

/// How often it is looked whether the process still runs.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);
/// Time that a clean stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer of the admin server may take: a stopped process never gives one.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub struct Member {
    part: Part,
    admin_url: String,
    client: reqwest::Client,
    wanted: AtomicBool,
    /// Deaths that somebody here brought about and that were not seen yet.
    struck: AtomicU32,
    /// Deaths of its own.
    failures: AtomicU32,
}

impl Member {
    /// Prepares one; nothing runs yet.
    ///
    /// # Errors
    /// When its watching thread or its HTTP client cannot be made.
    pub fn new(
        name: &'static str,
        command: PartCommand,
        launcher: Launcher,
        admin_url: String,
    ) -> anyhow::Result<Arc<Self>> {
        let part = Part::new(name, command, launcher, Progress::Quiet, OnChange(Arc::new(|| {})))?;
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?;
        Ok(Arc::new(Self {
            part,
            admin_url,
            client,
            wanted: AtomicBool::new(false),
            struck: AtomicU32::new(0),
            failures: AtomicU32::new(0),
        }))
    }

    /// Base URL of its admin server.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// That it has not ended by itself, where nobody watches it.
    ///
    /// # Errors
    /// When it has, with the end of its log.
    pub fn check_running(&self) -> anyhow::Result<()> {
        Ok(self.part.check_running()?)
    }

    /// Id of the process that runs now.
    pub fn pid(&self) -> Option<u32> {
        self.part.pid()
    }

    /// File that takes its output.
    pub fn log(&self) -> PathBuf {
        self.part.log().to_owned()
    }

    /// How often it ended without being struck or stopped.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Starts it; where it is watched, it is from then on started again whenever it ends.
    ///
    /// # Errors
    /// When there is no process at all.
    pub fn start(&self) -> anyhow::Result<()> {
        self.part.start().with_context(|| format!("starting {}", self.part.name()))?;
        // Only now: until there is a process it would be taken for one that has ended.
        self.wanted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Starts it again whenever it ends, as long as it is wanted.
    pub async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            if !self.wanted.load(Ordering::Relaxed) || self.part.pid().is_some() {
                continue;
            }
            let was_struck =
                self.struck.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
            if was_struck.is_err() {
                self.failures.fetch_add(1, Ordering::Relaxed);
                eprintln!("{:>9} {} ended by itself: see {}", "", self.part.name(), self.log().display());
            }
            if let Err(error) = self.part.start() {
                eprintln!("{:>9} {} does not start: {error}", "", self.part.name());
            }
        }
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.struck.fetch_add(1, Ordering::Relaxed);
        self.part.signal(Signal::SIGKILL);
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.part.signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.part.signal(Signal::SIGCONT);
    }

    /// Stops it cleanly and leaves it stopped.
    pub async fn stop(self: &Arc<Self>) {
        self.wanted.store(false, Ordering::Relaxed);
        let member = Arc::clone(self);
        // The thread only waits; that it panics is not possible.
        let _ = tokio::task::spawn_blocking(move || member.part.stop(STOP_PATIENCE)).await;
    }

    /// Whether it says that it does its work.
    pub async fn is_ready(&self) -> bool {
        self.answers("readyz").await
    }

    /// Whether its admin server answers `path` with success.
    pub async fn answers(&self, path: &str) -> bool {
        self.get(path).await.is_some_and(|answer| answer.status().is_success())
    }

    /// What it says of itself; `None` when it does not answer.
    pub async fn metrics(&self) -> Option<Metrics> {
        let text = self.get("metrics").await?.error_for_status().ok()?.text().await.ok()?;
        Some(Metrics::parse(&text))
    }

    /// The time by its own clock, to the second, as its answers say it; `None` when it does not answer.
    pub async fn clock(&self) -> Option<Timestamp> {
        let answer = self.get("healthz").await?;
        let date = answer.headers().get(DATE)?.to_str().ok()?;
        Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
    }

    async fn get(&self, path: &str) -> Option<reqwest::Response> {
        self.client.get(format!("{}/{path}", self.admin_url)).send().await.ok()
    }
}
