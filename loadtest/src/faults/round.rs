//! Carries out one fault: waits for its point, strikes, and sees to it that what was struck comes back.

use std::time::Duration;

use anyhow::{Context, bail};
use deploy::stack::PARTITIONS;
use tokio::time::{sleep, timeout};

use super::gate::{Aim, Blow, Hit};
use super::plan::{Change, Kind};
use super::point::Point;
use super::world::World;

/// How long a point may take to come before it is helped along.
const POINT_PATIENCE: Duration = Duration::from_secs(20);
/// How often that is done.
const TRIES_MAX: u32 = 6;
/// How long another aggregator may take to take over from a stopped one.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(120);

/// What was done, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Kind of fault.
    pub fault: &'static str,
    /// Where it struck, or how.
    pub point: &'static str,
    /// Whom and what it met.
    pub detail: String,
}

/// Carries out a fault.
///
/// # Errors
/// When its point does not come, or what was struck does not come back.
pub async fn carry_out(world: &World, kind: &Kind) -> anyhow::Result<Done> {
    match kind {
        Kind::Kill { point, delay_ms, pick } => kill(world, *point, ms(*delay_ms), *pick).await,
        Kind::Zombie { point, delay_ms, extra_ms, pick } => {
            zombie(world, *point, ms(*delay_ms), ms(*extra_ms), *pick).await
        }
        Kind::ClickHouse { point, delay_ms } => clickhouse(world, *point, ms(*delay_ms)).await,
        Kind::Kafka { killed } => {
            world.restart_kafka(*killed).await?;
            let point = if *killed { "kill -9" } else { "clean" };
            Ok(Done { fault: "restart of Kafka", point, detail: "it answers again".into() })
        }
        Kind::Outage { away_ms, ingest_kills } => outage(world, ms(*away_ms), *ingest_kills).await,
        Kind::Storm(changes) => storm(world, changes).await,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

async fn outage(world: &World, away: Duration, ingest_kills: u32) -> anyhow::Result<Done> {
    world.stop_kafka().await?;
    let stopped_at = tokio::time::Instant::now();
    let gap = away / (ingest_kills + 1);
    for _ in 0..ingest_kills {
        sleep(gap).await;
        world.kill_ingest().await?;
    }
    sleep(away.saturating_sub(stopped_at.elapsed())).await;
    let away = stopped_at.elapsed();
    world.start_kafka().await?;
    Ok(Done {
        fault: "outage of Kafka",
        point: "",
        detail: format!("away for {:.0} s, ingest killed {ingest_kills} times meanwhile", away.as_secs_f64()),
    })
}

async fn kill(world: &World, point: Point, delay: Duration, pick: u64) -> anyhow::Result<Done> {
    let done = |detail| Done { fault: "kill -9 of an aggregator", point: point.as_str(), detail };
    if point == Point::Random {
        sleep(delay).await;
        let member = world.pick(pick);
        world.gate().strike(Blow::KillMember, member);
        return Ok(done(format!("aggregator {}", member + 1)));
    }
    let hit = reach(world, Aim { point, blow: Blow::KillMember }, pick).await?;
    if point.is_beginning() {
        sleep(delay).await;
        world.gate().strike(Blow::KillMember, hit.member);
    }
    let after = if delay.is_zero() { String::new() } else { format!(", {} ms after", delay.as_millis()) };
    Ok(done(format!("aggregator {} at {}{after}", hit.member + 1, hit.at)))
}

async fn clickhouse(world: &World, point: Point, delay: Duration) -> anyhow::Result<Done> {
    let hit = reach(world, Aim { point, blow: Blow::KillServer }, 0).await?;
    if point.is_beginning() {
        sleep(delay).await;
        world.gate().strike(Blow::KillServer, hit.member);
    }
    world.clickhouse_is_back().await?;
    Ok(Done { fault: "kill -9 of ClickHouse", point: point.as_str(), detail: format!("at {}", hit.at) })
}

/// Waits until the aimed point is reached; a point that needs an assignment is brought about.
async fn reach(world: &World, aim: Aim, pick: u64) -> anyhow::Result<Hit> {
    for attempt in 0..TRIES_MAX {
        world.gate().aim(aim);
        let reached = timeout(POINT_PATIENCE, world.gate().hit());
        let nudge = async {
            if aim.point.needs_assignment() {
                let member = &world.members()[world.pick(pick.wrapping_add(u64::from(attempt)))];
                member.stop().await;
                return member.start();
            }
            Ok(())
        };
        // Both go on at once: the point may come while the process is still being stopped.
        let (reached, nudged) = tokio::join!(reached, nudge);
        nudged?;
        if let Ok(hit) = reached {
            return Ok(hit);
        }
    }
    world.gate().lower();
    bail!("{} was not reached in {TRIES_MAX} times {} s", aim.point, POINT_PATIENCE.as_secs())
}

async fn zombie(
    world: &World,
    point: Point,
    delay: Duration,
    extra: Duration,
    pick: u64,
) -> anyhow::Result<Done> {
    let member = if point == Point::Random {
        sleep(delay).await;
        let member = owner(world, pick).await?;
        world.gate().strike(Blow::StopMember, member);
        member
    } else {
        reach(world, Aim { point, blow: Blow::StopMember }, pick).await?.member
    };
    let stopped_at = tokio::time::Instant::now();
    let owned = world.gate().partitions_of(member);
    let by_others = |partition| world.gate().read(|written| written.batches(partition, Some(member)));
    let before: Vec<u64> = owned.iter().map(|partition| by_others(*partition)).collect();
    let taken_over = world.gate().written(|written| {
        let now = owned.iter().map(|partition| written.batches(*partition, Some(member)));
        now.zip(&before).any(|(now, before)| now > *before)
    });
    let taken_over = timeout(TAKEOVER_PATIENCE, taken_over).await;
    let took_over = taken_over.is_ok();
    sleep(extra).await;
    let stale_before = world.gate().read(|written| written.repeated_by_another);
    world.gate().release(member);
    world.members()[member].go_on();
    let paused = stopped_at.elapsed();
    if !took_over {
        bail!("nobody took over partitions {owned:?} in {} s", TAKEOVER_PATIENCE.as_secs());
    }
    // It has gone on, or left and come back, when it is ready again and all partitions get batches.
    world.recovered().await?;
    let stale = world.gate().read(|written| written.repeated_by_another) - stale_before;
    Ok(Done {
        fault: "zombie",
        point: point.as_str(),
        detail: format!(
            "aggregator {} stopped for {:.1} s with partitions {owned:?}, {stale} inserts were sent by two",
            member + 1,
            paused.as_secs_f64()
        ),
    })
}

/// An aggregator that owns partitions.
async fn owner(world: &World, pick: u64) -> anyhow::Result<usize> {
    let count = world.members().len();
    let first = world.pick(pick);
    (first..first + count)
        .map(|number| number % count)
        .find(|member| !world.gate().partitions_of(*member).is_empty())
        .with_context(|| format!("none of {PARTITIONS} partitions has got a batch yet"))
}

async fn storm(world: &World, changes: &[Change]) -> anyhow::Result<Done> {
    let mut kills = 0;
    for change in changes {
        let member = world.pick(change.pick);
        if change.killed {
            kills += 1;
            world.gate().strike(Blow::KillMember, member);
        } else {
            world.members()[member].stop().await;
            world.members()[member].start()?;
        }
        sleep(ms(change.gap_ms)).await;
    }
    let detail = format!("{} clean restarts and {kills} kills in a row", changes.len() - kills);
    Ok(Done { fault: "rebalance storm", point: "", detail })
}
