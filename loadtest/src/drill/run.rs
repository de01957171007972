//! Carries out one drill: traffic on real parts, the steps at their times, recovery, and the comparison.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use deploy::stack::{AGGREGATOR, CLICKHOUSE, INGEST, KAFKA};
use tokio::time::{Instant, sleep_until};

use super::file::{Compare, Drill};
use super::outcome::{Compared, Inserted, Outcome, Sent, Struck, Verdict};
use super::step::{Action, Step, Toxic, moments};
use super::strike::{self, Seen, Under};
use super::world::{NoWorld, World};
use crate::faults::report::Written;
use crate::observe::targets::Server;
use crate::observe::{Observer, Process, Targets, now_ms};
use crate::parts::{Member, Programs};
use crate::report::{Claim, FaultMark, RunReport, Verified};
use crate::summary::Summary;
use crate::{drive, verify};

/// How long an answer of ingest may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long beacons are tried again after the last sending.
const DRAIN: Duration = Duration::from_secs(60);
/// How long the truth may take to arrive, beyond what settling needs.
const VERIFY_PATIENCE: Duration = Duration::from_secs(180);
/// Connections to ingest at most.
const CONNECTIONS: usize = 256;

/// What a drill is carried out with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Programs of the parts.
    pub programs: Programs,
    /// Folder that keeps data, logs and the ledger, in a folder of each drill; a temporary one if there is none.
    pub dir: Option<PathBuf>,
    /// Whether the parts are observed for a page.
    pub observed: bool,
}

/// What came of a drill.
#[derive(Debug)]
pub struct Drilled {
    /// The outcome.
    pub outcome: Outcome,
    /// Everything for a page, where it was observed and came to its end.
    pub report: Option<RunReport>,
}

/// Carries out a drill. What goes wrong is in the outcome.
pub async fn run(drill: &Drill, settings: &Settings) -> Drilled {
    let begun = Instant::now();
    let mut outcome = Outcome::new(&drill.name, &drill.what);
    let mut report = None;
    match prepare(drill, settings).await {
        Err(NoWorld::Lacking(error)) => {
            outcome.verdict = Verdict::NotRun;
            outcome.why.push(format!("{error:#}"));
        }
        Err(NoWorld::Failed(error)) => {
            outcome.why.push(format!("{error:#}"));
            outcome.judge();
        }
        Ok((mut world, _temporary)) => {
            match carry_out(drill, &mut world, settings.observed, &mut outcome).await {
                Ok(observed) => report = observed,
                Err(error) => outcome.why.push(format!("{error:#}")),
            }
            outcome.inserted = Some(Inserted::of(&world.gate().read(Written::of)));
            outcome.failures = world.aggregators().iter().map(|member| member.failures()).sum::<u32>()
                + world.ingest().failures();
            outcome.judge();
            world.stop().await;
        }
    }
    outcome.took_s = begun.elapsed().as_secs_f64();
    if let Some(report) = &mut report {
        report.claims = claims(&outcome);
    }
    Drilled { outcome, report }
}

/// The world of a drill, and the folder that is removed after it.
async fn prepare(drill: &Drill, settings: &Settings) -> Result<(World, Option<tempfile::TempDir>), NoWorld> {
    let failed = |error: std::io::Error| NoWorld::Failed(error.into());
    let temporary = match settings.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("drill-").tempdir().map_err(failed)?),
    };
    let dir = match (&settings.dir, &temporary) {
        (Some(dir), _) => dir.join(&drill.name),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => std::env::temp_dir(),
    };
    // The parts have other working directories than this program.
    std::fs::create_dir_all(&dir).map_err(failed)?;
    let dir = std::fs::canonicalize(dir).map_err(failed)?;
    Ok((World::start(drill, &settings.programs, &dir).await?, temporary))
}

async fn carry_out(
    drill: &Drill,
    world: &mut World,
    observed: bool,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<RunReport>> {
    let ledger = world.dir().join("ledger.jsonl");
    let observer = match observed {
        true => Some(Observer::start(targets(world))?),
        false => None,
    };
    let traffic = tokio::spawn(drive::run(drive::Settings {
        ingest: world.ingest_url().to_owned(),
        traffic: drill.traffic.clone(),
        ledger: ledger.clone(),
        connections: CONNECTIONS,
        timeout: ANSWER_TIMEOUT,
        drain: DRAIN,
    }));
    let disturbed = disturb(drill, world, &mut outcome.steps).await;
    outcome.steps.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
    let recovered = match disturbed {
        Ok(()) => world.recovered().await,
        Err(error) => Err(error),
    };
    match recovered {
        Ok(took) => {
            say(None, &format!("everything has recovered after {:.1} s", took.as_secs_f64()));
            outcome.recovered_s = Some(took.as_secs_f64());
        }
        Err(error) => outcome.why.push(format!("{error:#}")),
    }
    let summary = traffic.await.context("sending traffic")??;
    let samples = match observer {
        Some(observer) => Some(observer.finish().await?.samples),
        None => None,
    };
    let verified = compare(drill, world, &ledger).await?;
    outcome.sent = Some(Sent::of(&summary, &verified));
    outcome.compared = Some(Compared::of(&verified, drill.compare));
    if !verified.run_ended {
        outcome.why.push("the ledger has no end".to_owned());
    }
    Ok(samples.map(|samples| RunReport {
        samples,
        marks: outcome.steps.iter().map(mark).collect(),
        verified: Some(Verified::from(&verified)),
        ..page(drill, &summary)
    }))
}

/// Does and undoes every step at its time.
async fn disturb(drill: &Drill, world: &mut World, done: &mut Vec<Struck>) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut under: Vec<Option<(i64, Under)>> = drill.steps.iter().map(|_| None).collect();
    for moment in moments(&drill.steps) {
        sleep_until(begun + moment.at).await;
        let step = &drill.steps[moment.step];
        let what = describe(step);
        if moment.undoes {
            let Some((from_ms, under)) = under[moment.step].take() else { continue };
            let seen = strike::undo(world, under).await.with_context(|| format!("undoing: {what}"))?;
            end(step, from_ms, what, seen, begun, done);
            continue;
        }
        let from_ms = now_ms();
        say(Some(begun.elapsed()), &what);
        match strike::strike(world, step.action).await.with_context(|| what.clone())? {
            Under::Over(seen) => end(step, from_ms, what, seen, begun, done),
            other => under[moment.step] = Some((from_ms, other)),
        }
    }
    Ok(())
}

fn end(step: &Step, from_ms: i64, what: String, seen: Seen, begun: Instant, done: &mut Vec<Struck>) {
    let said = match &seen {
        Ok(seen) => format!("over: {seen}"),
        Err(missed) => format!("over, and DID NOT STRIKE: {missed}"),
    };
    say(Some(begun.elapsed()), &format!("{what}: {said}"));
    done.push(Struck::new(step.at.as_secs_f64(), (from_ms, now_ms()), what, seen));
}

/// Compares what is counted with the ledger, once everything has settled and once more after a clean stop.
async fn compare(drill: &Drill, world: &World, ledger: &Path) -> anyhow::Result<verify::report::Report> {
    say(None, "waiting until everything has settled");
    let settings = verify::Settings {
        ledger: ledger.to_owned(),
        server: Server::local(world.stack().clickhouse_url().to_owned()),
        wait: VERIFY_PATIENCE + 2 * drill.grace,
        since_s: None,
    };
    let mut verified = verify::verify(&settings).await?;
    if verified.equal || drill.compare == Compare::Records {
        world.stop_aggregators().await;
        verified = verify::verify_again(settings, &verified).await?;
    }
    Ok(verified)
}

/// What a step does, for people.
pub fn describe(step: &Step) -> String {
    let lasts = step.lasts.map_or_else(String::new, |lasts| format!(" for {} s", lasts.as_secs_f64()));
    let what = match step.action {
        Action::Kill(part) => format!("kill -9 of {part}"),
        Action::Restart(part) => format!("restart of {part}"),
        Action::Stop(part) => format!("{part} stopped"),
        Action::Pause(part) => format!("{part} paused (SIGSTOP)"),
        Action::Spoil(link, toxic) => match toxic {
            Toxic::Slow { latency_ms, jitter_ms: 0 } => format!("{link}: {latency_ms} ms later each way"),
            Toxic::Slow { latency_ms, jitter_ms } => {
                format!("{link}: {latency_ms} ± {jitter_ms} ms later each way")
            }
            Toxic::Narrow { kb_per_s } => format!("{link}: {kb_per_s} kB/s a connection"),
            Toxic::Slice { bytes, .. } => format!("{link}: in pieces of {bytes} bytes"),
            Toxic::Hang => format!("{link}: nothing comes through"),
            Toxic::Reset => format!("{link}: every connection is reset"),
            Toxic::Cut => format!("{link}: connections are closed and refused"),
        },
        Action::Fill(disk) => format!("{disk} full"),
        Action::Shift(clock, by_ms) => format!("the clock of {} {:+} s off", clock.part(), by_ms / 1_000),
        Action::ReadOnly => "ClickHouse read-only".to_owned(),
        Action::Partitions(partitions) => format!("the log grows to {partitions} partitions"),
        Action::Define(_) => "other definitions".to_owned(),
    };
    format!("{what}{lasts}")
}

/// Everyone who is looked at for a page.
fn targets(world: &World) -> Targets {
    let mut targets = Targets { processes: vec![Process::own()], ..Targets::default() };
    for name in [KAFKA, CLICKHOUSE] {
        let stack = Arc::downgrade(world.stack());
        targets.processes.push(Process::asked(name, move || stack.upgrade()?.pid(name)));
    }
    let mut add = |name: &str, member: &Arc<Member>| {
        let member = Arc::downgrade(member);
        targets.processes.push(Process::asked(name, move || member.upgrade()?.pid()));
    };
    add(INGEST, world.ingest());
    for (member, number) in world.aggregators().iter().zip(1..) {
        add(&format!("{AGGREGATOR}-{number}"), member);
    }
    targets.ingests = vec![world.ingest().admin_url().to_owned()];
    targets.aggregators = world.aggregators().iter().map(|member| member.admin_url().to_owned()).collect();
    targets.clickhouse = Some(Server::local(world.stack().clickhouse_url().to_owned()));
    targets
}

fn page(drill: &Drill, summary: &Summary) -> RunReport {
    let title = format!("Drill {}: {}", drill.name, drill.what);
    RunReport::new(&title, &drill.traffic, summary)
}

fn mark(step: &Struck) -> FaultMark {
    FaultMark { at_ms: step.from_ms, until_ms: step.until_ms, what: step.what.clone() }
}

/// What a drill is to show.
fn claims(outcome: &Outcome) -> Vec<Claim> {
    let claim = |what: &str, limit: &str, found: String, holds: bool| Claim {
        what: what.to_owned(),
        limit: limit.to_owned(),
        found,
        holds: Some(holds),
    };
    let mut claims = Vec::new();
    for step in &outcome.steps {
        claims.push(claim(&format!("Struck: {}", step.what), "seen", step.seen.clone(), step.struck));
    }
    let found = outcome.recovered_s.map_or_else(|| "it did not".to_owned(), |s| format!("after {s:.1} s"));
    claims.push(claim("Everything recovers", "it does", found, outcome.recovered_s.is_some()));
    if let Some(compared) = &outcome.compared {
        let found = format!("{} of {} checks are equal", compared.equal, compared.checks);
        claims.push(claim(
            "Every count equals what was sent",
            "all",
            found,
            compared.equal == compared.checks,
        ));
        let found = format!("{} rows", compared.audit_rows);
        claims.push(claim("The audit lists no gap and no overlap", "empty", found, compared.audit_rows == 0));
    }
    claims
}

fn say(since: Option<Duration>, what: &str) {
    let at = since.map_or_else(String::new, |since| format!("{:.1} s", since.as_secs_f64()));
    eprintln!("{at:>9} {what}");
}
