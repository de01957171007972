//! Sends a schedule's beacons when they are due, whatever is answered, and records every answer.
//!
//! A beacon that is not taken is tried again with the same id, as an SDK would, until it is answered or the time
//! for draining is over. Clocks, connections and tasks are here; what is sent is [`crate::schedule`]'s.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::client::{Answer, Client, NoAnswer};
use crate::ledger::{AnswerLine, End, Fate, Run, SessionLine, VERSION, Writer};
use crate::schedule::{Schedule, Sending, Traffic};
use crate::summary::Summary;

mod record;
pub mod seconds;

use record::{Ended, Report, record};

/// Beacons that may wait for an answer at once: a server that is away must not take the machine with it.
const OUTSTANDING_MAX: u64 = 200_000;
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(4);
/// The limit of open files is raised to this at once, where it must be raised.
const OPEN_FILES_MAX: u64 = 1 << 16;
/// Open files beside the connections.
const OTHER_FILES: usize = 256;
const NS_PER_MS: u64 = 1_000_000;
/// The first sending waits this long for the run to be set up.
const LEAD: Duration = Duration::from_millis(100);

/// What a run needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base URL of ingest's public address.
    pub ingest: String,
    /// What is played.
    pub traffic: Traffic,
    /// File of the ledger.
    pub ledger: PathBuf,
    /// Connections at most.
    pub connections: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long after the last sending beacons are still tried again.
    pub drain: Duration,
}

/// What every sending shares.
struct Driver {
    client: Client,
    started: Instant,
    started_ms: i64,
    /// ms after the run's beginning after which nothing is tried again; the last sending moves it.
    give_up_ms: AtomicU64,
    outstanding: AtomicU64,
    /// No session is to begin any more.
    ended: AtomicBool,
    /// Nothing more is to be sent.
    interrupted: AtomicBool,
}

/// Plays a run to its end.
///
/// # Errors
/// When the ingest URL or the ledger cannot be used, or more than a bounded number of beacons wait for answers.
/// Beacons that are refused or not answered are no error: the summary counts them.
pub async fn run(settings: Settings) -> anyhow::Result<Summary> {
    let arrivals = Schedule::new(settings.traffic.clone()).arrivals_max();
    play_until(settings, std::future::pending(), Some(arrivals)).await
}

/// Plays a run in which no session begins any more once `end` has come; what is still due is sent all the same.
///
/// # Errors
/// As [`run`].
pub async fn run_until(
    settings: Settings,
    end: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Summary> {
    play_until(settings, end, None).await
}

async fn play_until(
    settings: Settings,
    end: impl Future<Output = ()> + Send + 'static,
    expected: Option<u64>,
) -> anyhow::Result<Summary> {
    allow_connections(settings.connections)?;
    let client = Client::new(&settings.ingest, settings.connections, settings.timeout).await?;
    let (started, started_ms) = now();
    let driver = Arc::new(Driver {
        client,
        started: started + LEAD,
        started_ms: started_ms + LEAD.as_millis() as i64,
        give_up_ms: AtomicU64::new(u64::MAX),
        outstanding: AtomicU64::new(0),
        ended: AtomicBool::new(false),
        interrupted: AtomicBool::new(false),
    });
    let ledger = Writer::create(
        &settings.ledger,
        Run {
            version: VERSION,
            traffic: settings.traffic.clone(),
            started_ms: driver.started_ms,
            ingest: settings.ingest.clone(),
        },
    )?;
    let schedule = Schedule::new(settings.traffic.clone());
    let (reports, incoming) = channel();
    let recorder = std::thread::Builder::new()
        .name("recorder".into())
        .spawn(move || record(&incoming, ledger, expected))
        .context("starting the recorder")?;

    let cpu_before = own_cpu();
    let interruption = tokio::spawn({
        let driver = Arc::clone(&driver);
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                driver.interrupted.store(true, Ordering::Relaxed);
            }
        }
    });
    let ending = tokio::spawn({
        let driver = Arc::clone(&driver);
        async move {
            end.await;
            driver.ended.store(true, Ordering::Relaxed);
        }
    });
    let (player, runtime, rate) = (Arc::clone(&driver), Handle::current(), settings.traffic.rate);
    let played =
        tokio::task::spawn_blocking(move || play(&player, schedule, &settings, &reports, &runtime)).await?;
    let recorded = tokio::task::spawn_blocking(move || recorder.join())
        .await?
        .map_err(|_| anyhow!("recorder panicked"))?;
    interruption.abort();
    ending.abort();
    let measured = recorded?;
    let end = played?;
    let elapsed = Instant::now().duration_since(driver.started);
    let cpu = own_cpu().saturating_sub(cpu_before);
    let mut summary = Summary::new(measured, end.fingerprint, rate, end.sessions, elapsed, cpu);
    summary.timeline.started_ms = driver.started_ms;
    Ok(summary)
}

/// Hands every sending over in its time; the recorder ends when the last of them has. Runs on a thread of its
/// own: the runtime's timers are as coarse as a millisecond, which would be counted as latency.
fn play(
    driver: &Arc<Driver>,
    mut schedule: Schedule,
    settings: &Settings,
    reports: &Sender<Report>,
    runtime: &Handle,
) -> anyhow::Result<End> {
    let mut end = End { sessions: 0, sendings: 0, fingerprint: String::new() };
    loop {
        if driver.ended.load(Ordering::Relaxed) {
            schedule.end_arrivals();
        }
        let Some(sending) = schedule.next() else { break };
        let due = driver.started + Duration::from_nanos(sending.at_ns);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if driver.interrupted.load(Ordering::Relaxed) {
            break;
        }
        if driver.outstanding.fetch_add(1, Ordering::Relaxed) >= OUTSTANDING_MAX {
            driver.give_up_ms.store(0, Ordering::Relaxed);
            bail!(
                "{OUTSTANDING_MAX} beacons wait for answers: {} is too slow for this rate",
                settings.ingest
            );
        }
        if sending.begins_session {
            let begins_ms = sending.session_at_ns / NS_PER_MS;
            for line in SessionLine::of(&sending.session, begins_ms) {
                end.sessions += 1;
                let _ = reports.send(Report::Session(line));
            }
        }
        end.sendings += 1;
        runtime.spawn(deliver(Arc::clone(driver), sending, due, reports.clone()));
    }
    end.fingerprint = schedule.fingerprint();
    let give_up = driver.started.elapsed() + settings.drain;
    driver.give_up_ms.store(give_up.as_millis() as u64, Ordering::Relaxed);
    let _ = reports.send(Report::AllSent(end.clone()));
    Ok(end)
}

/// Sends one beacon until it is answered, or the time for draining is over.
async fn deliver(driver: Arc<Driver>, sending: Sending, due: Instant, reports: Sender<Report>) {
    // What the generator itself was late until here; waiting for a connection is the server's doing.
    let slip = Instant::now().saturating_duration_since(due);
    let request = sending.request(driver.started_ms);
    let mut written = Instant::now();
    let mut first_try_ms = driver.elapsed_ms();
    let (mut tries, mut may_be_taken, mut backoff) = (0, false, BACKOFF_FIRST);
    let (fate, status) = loop {
        tries += 1;
        let body = || {
            let written_ms = driver.elapsed_ms();
            if !may_be_taken {
                first_try_ms = written_ms;
            }
            let body = request.body_at(driver.started_ms + written_ms as i64);
            written = Instant::now();
            body
        };
        let result = driver.client.send(&request.method, &request.target, &request.headers, body).await;
        let _ = reports.send(Report::Try(result));
        let verdict = judge(result);
        match verdict {
            Verdict::Accepted(status) => break (Fate::Accepted, Some(status)),
            Verdict::Refused(status) if may_be_taken => break (Fate::Unanswered, Some(status)),
            Verdict::Refused(status) => break (Fate::Refused, Some(status)),
            Verdict::TryAgain { taken, .. } => may_be_taken |= taken,
        }
        let wait = match result {
            Ok(Answer { retry_after_s: Some(seconds), .. }) => Duration::from_secs(seconds),
            Ok(Answer { retry_after_s: None, .. }) | Err(_) => backoff,
        };
        backoff = (backoff * 2).min(BACKOFF_MAX);
        if driver.elapsed_ms() + wait.as_millis() as u64 > driver.give_up_ms.load(Ordering::Relaxed) {
            let fate = if may_be_taken { Fate::Unanswered } else { Fate::Refused };
            break (fate, result.ok().map(|answer| answer.status));
        }
        tokio::time::sleep(wait).await;
    };
    let now = Instant::now();
    driver.outstanding.fetch_sub(1, Ordering::Relaxed);
    let beacon = &sending.session.beacons[sending.beacon];
    let line = AnswerLine {
        session: sending.session.number,
        sequence: beacon.sequence,
        format: beacon.format,
        fate,
        status,
        tries,
        records: beacon.records,
        due_ms: sending.session_at_ns / NS_PER_MS + beacon.due_ms,
        first_try_ms,
        ended_ms: driver.elapsed_ms(),
    };
    let _ = reports.send(Report::Ended(Ended {
        line,
        due_ns: sending.at_ns,
        latency: now.saturating_duration_since(due),
        service: now.saturating_duration_since(written),
        slip,
    }));
}

/// What a try says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accepted(u16),
    Refused(u16),
    /// `taken`: the server may have the beacon nevertheless.
    TryAgain {
        taken: bool,
    },
}

fn judge(result: Result<Answer, NoAnswer>) -> Verdict {
    match result {
        Ok(Answer { status, .. }) => match status {
            200..300 => Verdict::Accepted(status),
            425 | 429 => Verdict::TryAgain { taken: false },
            408 | 500.. => Verdict::TryAgain { taken: true },
            _ => Verdict::Refused(status),
        },
        Err(NoAnswer::NotConnected) => Verdict::TryAgain { taken: false },
        Err(NoAnswer::Broken | NoAnswer::TimedOut) => Verdict::TryAgain { taken: true },
    }
}

impl Driver {
    /// ms since the run's beginning.
    fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// This instant, and the same in ms since the epoch.
#[expect(clippy::disallowed_methods, reason = "the run's beginning, from which every other time is derived")]
fn now() -> (Instant, i64) {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    (Instant::now(), since_epoch.map_or(0, |since| since.as_millis() as i64))
}

/// Raises the limit of open files so that there is room for the connections.
fn allow_connections(connections: usize) -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let needed = (connections + OTHER_FILES) as u64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of open files")?;
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        bail!("{connections} connections need {needed} open files, {hard} are allowed: raise `ulimit -Hn`");
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(OPEN_FILES_MAX).max(needed), hard)
        .context("raising the limit of open files")
}

/// CPU time of this process so far.
fn own_cpu() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Duration::from_micros(micros.unsigned_abs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, expect: Verdict) {
        assert_eq!(judge(Ok(Answer { status, retry_after_s: None })), expect, "{status}");
    }

    #[test]
    fn only_2xx_is_accepted_and_only_clear_refusals_are_refused() {
        check(200, Verdict::Accepted(200));
        check(202, Verdict::Accepted(202));
        check(301, Verdict::Refused(301));
        check(400, Verdict::Refused(400));
        check(403, Verdict::Refused(403));
        check(429, Verdict::TryAgain { taken: false });
        check(500, Verdict::TryAgain { taken: true });
        check(503, Verdict::TryAgain { taken: true });
        assert_eq!(judge(Err(NoAnswer::NotConnected)), Verdict::TryAgain { taken: false });
        assert_eq!(judge(Err(NoAnswer::TimedOut)), Verdict::TryAgain { taken: true });
    }
}
