//! Real faults under load: processes are killed, stopped and restarted at named points while traffic with known
//! truth is on its way, and afterwards every count equals the ledger.
//!
//! [`plan`] says which faults come in which order, [`round`] carries them out in a [`world`] of real parts. Named
//! points need no code in the product: each aggregator speaks with ClickHouse through a [`proxy`], whose [`gate`]
//! strikes exactly between two requests. What must be true afterwards is [`crate::verify`]'s.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::observe::targets::Server;
use crate::scenario::Profile;
use crate::schedule::{Arrivals, Traffic};
use crate::{drive, verify};

pub mod gate;
pub mod journal;
pub mod plan;
pub mod point;
pub mod proxy;
pub mod report;
pub mod request;
pub mod round;
pub mod world;

use plan::Counts;
use report::{Report, Written};
use round::Done;
use world::{World, WorldSettings};

/// Sessions begin for so long at most; the faults end them before.
const SECONDS_MAX: u64 = 24 * 3_600;
/// How long an answer of ingest may take while Kafka is away.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long beacons are tried again after the last sending.
const DRAIN: Duration = Duration::from_secs(60);
/// How long the truth may take to arrive, beyond what settling needs.
const VERIFY_PATIENCE: Duration = Duration::from_secs(420);
/// Connections to ingest at most.
const CONNECTIONS: usize = 256;

/// What a run of faults needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often each fault comes.
    pub counts: Counts,
    /// Beacons a second.
    pub rate: f64,
    /// Seed of the faults and of the traffic.
    pub seed: u64,
    /// What is brought up.
    pub world: WorldSettings,
}

/// Brings everything up, carries out the faults under load, and compares what is counted with the ledger.
///
/// # Errors
/// When something does not come back after a fault, or nothing can be compared. Counts that differ are no error: the
/// report has them.
pub async fn run(settings: &Settings) -> anyhow::Result<Report> {
    tokio::select! {
        report = run_to_the_end(settings) => report,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("waiting for an interruption")?;
            bail!("interrupted")
        }
    }
}

async fn run_to_the_end(settings: &Settings) -> anyhow::Result<Report> {
    let world = World::start(&settings.world).await?;
    eprintln!("seed {}, logs and ledger in {}", settings.seed, world.dir().display());
    let ledger = world.dir().join("ledger.jsonl");
    let (end, ended) = oneshot::channel::<()>();
    let traffic = tokio::spawn(drive::run_until(
        drive::Settings {
            ingest: world.ingest_url().to_owned(),
            traffic: Traffic {
                rate: settings.rate,
                seconds: SECONDS_MAX,
                seed: settings.seed,
                profile: Profile::Mixed,
                arrivals: Arrivals::Constant,
            },
            ledger: ledger.clone(),
            connections: CONNECTIONS,
            timeout: ANSWER_TIMEOUT,
            drain: DRAIN,
        },
        // That the sender is gone is an end as well.
        async { drop(ended.await) },
    ));

    world.recovered().await.context("before the first fault")?;
    let begun = Instant::now();
    let disturbed = disturb(&world, settings, begun).await;
    drop(end);
    let summary = traffic.await.context("sending traffic")??;
    let (done, recoveries) = disturbed?;
    let duration = begun.elapsed();

    let verification = verify::Settings {
        ledger,
        server: Server::local(world.clickhouse_url().to_owned()),
        wait: VERIFY_PATIENCE + Duration::from_millis(settings.world.grace_ms.unsigned_abs()),
        since_s: None,
    };
    eprintln!("waiting until everything has settled");
    let mut verified = verify::verify(&verification).await?;
    if verified.equal {
        world.stop_members().await;
        verified = verify::verify_again(verification, &verified).await?;
    }
    let report = Report {
        seed: settings.seed,
        duration,
        done,
        recoveries,
        written: world.gate().read(Written::of),
        failures: world.members().iter().map(|member| member.failures()).sum(),
        traffic: summary,
        verified,
    };
    world.stop().await;
    Ok(report)
}

/// Carries out every fault in its turn; returns them, and how long it took to recover where that was waited for.
async fn disturb(
    world: &World,
    settings: &Settings,
    begun: Instant,
) -> anyhow::Result<(Vec<Done>, Vec<Duration>)> {
    let faults = plan::plan(settings.seed, settings.counts);
    let (mut done, mut recoveries) = (Vec::with_capacity(faults.len()), Vec::new());
    for (number, fault) in faults.iter().enumerate() {
        let step = round::carry_out(world, &fault.kind).await;
        let struck = Instant::now();
        let step =
            step.with_context(|| format!("fault {} of seed {}: {:?}", number + 1, settings.seed, fault))?;
        eprintln!(
            "{:>7.1} s {:>3} of {} {} {}: {}",
            begun.elapsed().as_secs_f64(),
            number + 1,
            faults.len(),
            step.fault,
            step.point,
            step.detail
        );
        done.push(step);
        if fault.calm {
            world.recovered().await.with_context(|| format!("after fault {}", number + 1))?;
            recoveries.push(struck.elapsed());
        }
    }
    world.recovered().await.context("after the last fault")?;
    Ok((done, recoveries))
}
