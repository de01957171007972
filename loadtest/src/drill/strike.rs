//! Does and undoes one step, and sees to it that it really happened: a drill whose fault did not strike proves nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use deploy::stack::Signal;
use schema::definition::{DefinitionSet, Objective};
use tokio::time::{Instant, sleep};

use super::link::{self, Look};
use super::step::{Action, ClockName, DiskName, LinkName, PartName, Redefined, Toxic};
use super::world::World;
use crate::observe::now_ms;

/// How long a process may take to end or to come back, or another aggregator to take over.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the definitions may take to be in a batch of every partition.
const ACTIVATION_PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);
/// A toxic is looked at so long after it was put there.
const TOXIC_SETTLES: Duration = Duration::from_millis(300);
/// A clock is looked at so long after it was set: until the process has read it anew, and answers by it.
const CLOCK_SETTLES: Duration = Duration::from_secs(3);
/// How far a clock may be from where it was set, ms: it is known to the second.
const CLOCK_TOLERANCE_MS: i64 = 3_000;

/// What was seen of a fault, or why it is not believed to have happened.
pub type Seen = Result<String, String>;

/// What is under way, as far as undoing it and looking at it need it.
#[derive(Debug)]
pub enum Under {
    /// Nothing: it is over, with this to show.
    Over(Seen),
    /// A part is away.
    Away(PartName, Option<u32>),
    /// A part is stopped, and whether it was seen so.
    Paused(PartName, Option<u32>, Seen),
    /// A link is bad, and what was seen of it.
    Spoilt(LinkName, Toxic, Seen),
    /// A disk is full.
    Full(DiskName, u64, Refused),
    /// A clock is wrong by so much, ms, and what was seen of it.
    Wrong(ClockName, Seen),
    /// The tables take nothing.
    ReadOnly(Refused),
}

/// What was refused before a fault.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// Inserts that were not confirmed.
    inserts: u64,
    /// Writes of the spool that failed.
    spool_writes: f64,
}

/// Does a step.
///
/// # Errors
/// When it cannot be done.
pub async fn strike(world: &mut World, action: Action) -> anyhow::Result<Under> {
    Ok(match action {
        Action::Kill(part) => {
            let before = world.pid(part);
            world.signal(part, Signal::SIGKILL)?;
            Under::Over(is_another(world, part, before, "killed").await)
        }
        Action::Restart(part) => {
            let before = world.pid(part);
            world.stop_part(part).await?;
            world.start_part(part).await?;
            Under::Over(is_another(world, part, before, "stopped").await)
        }
        Action::Stop(part) => {
            let before = world.pid(part);
            world.stop_part(part).await?;
            Under::Away(part, before)
        }
        Action::Pause(part) => {
            let pid = world.pid(part);
            world.signal(part, Signal::SIGSTOP)?;
            let seen = is_stopped(pid).await;
            let seen = if part == PartName::Aggregator { taken_over(world, seen).await } else { seen };
            Under::Paused(part, pid, seen)
        }
        Action::Spoil(name, toxic) => {
            let (toxiproxy, link) = world.link(name)?;
            let before = link.look().await;
            toxiproxy.spoil(link, toxic).await?;
            sleep(TOXIC_SETTLES).await;
            let during: Look = link.look().await;
            Under::Spoilt(name, toxic, link::struck(toxic, &before, &during))
        }
        Action::Fill(name) => {
            let refused = Refused::by_now(world).await;
            Under::Full(name, world.disk(name)?.fill()?, refused)
        }
        Action::Shift(name, by_ms) => {
            let (clock, member) = world.clock(name)?;
            clock.shift(by_ms)?;
            sleep(CLOCK_SETTLES).await;
            Under::Wrong(name, is_wrong_by(member.clock().await, by_ms))
        }
        Action::ReadOnly => {
            let refused = Refused::by_now(world).await;
            alter_tables(world, "MODIFY SETTING table_readonly = 1").await?;
            Under::ReadOnly(refused)
        }
        Action::Partitions(partitions) => {
            let before = world.partitions();
            world.add_partitions(partitions as usize).await?;
            Under::Over(has_partitions(world, before).await)
        }
        Action::Define(redefined) => {
            let before = world.set().id.clone();
            let set = redefine(world.set(), redefined);
            world.activate(set).await?;
            Under::Over(both_are_used(world, &before).await)
        }
    })
}

/// Looks at what is under way for the last time, undoes it, and says what was seen.
///
/// # Errors
/// When it cannot be undone.
pub async fn undo(world: &mut World, under: Under) -> anyhow::Result<Seen> {
    Ok(match under {
        Under::Over(seen) => seen,
        Under::Away(part, before) => {
            let during = world.pid(part);
            world.start_part(part).await?;
            match during {
                None => is_another(world, part, before, "stopped").await,
                Some(pid) => Err(format!("{part} ran all the same, as process {pid}")),
            }
        }
        Under::Paused(part, pid, seen) => {
            let stopped = is_stopped(pid).await;
            world.signal(part, Signal::SIGCONT)?;
            match (seen, stopped) {
                (Ok(seen), Ok(_)) if world.pid(part) == pid => Ok(seen),
                (Ok(_), Ok(_)) => Err(format!("{part} is another process than the one that was stopped")),
                (Err(missed), _) | (_, Err(missed)) => Err(missed),
            }
        }
        Under::Spoilt(name, toxic, seen) => {
            let (toxiproxy, link) = world.link(name)?;
            toxiproxy.mend(link, toxic).await?;
            seen
        }
        Under::Full(name, filled, refused) => {
            let disk = world.disk(name)?;
            let left = disk.free_bytes();
            let seen = match refused.since(world).await {
                (inserts, _) if name == DiskName::Clickhouse && inserts > 0 => {
                    Ok(format!("{inserts} inserts were not confirmed"))
                }
                (_, writes) if name == DiskName::Spool && writes > 0.0 => {
                    Ok(format!("{writes} writes of the spool failed"))
                }
                _ => Err(format!("{name} was full and nobody was refused")),
            };
            world.disk(name)?.free()?;
            seen.map(|seen| {
                let left = left.map_or("an unknown number of".to_owned(), |left| left.to_string());
                format!("{} MiB filled, {left} bytes free at its end, {seen}", filled >> 20)
            })
        }
        Under::Wrong(name, seen) => {
            let (clock, member) = world.clock(name)?;
            clock.shift(0)?;
            sleep(CLOCK_SETTLES).await;
            match (seen, is_wrong_by(member.clock().await, 0)) {
                (Ok(seen), Ok(_)) => Ok(seen),
                (Err(missed), _) => Err(missed),
                (Ok(_), Err(still)) => Err(format!("afterwards {still}")),
            }
        }
        Under::ReadOnly(refused) => {
            let (inserts, _) = refused.since(world).await;
            alter_tables(world, "RESET SETTING table_readonly").await?;
            match inserts {
                0 => Err("the tables took nothing, and nobody was refused".to_owned()),
                inserts => Ok(format!("{inserts} inserts were refused")),
            }
        }
    })
}

impl Refused {
    async fn by_now(world: &World) -> Self {
        let metrics = world.ingest().metrics().await.unwrap_or_default();
        Self {
            inserts: world.gate().read(|journal| journal.unconfirmed),
            spool_writes: metrics.sum("ingest_spool_write_failures_total"),
        }
    }

    /// What was refused since.
    async fn since(self, world: &World) -> (u64, f64) {
        let now = Self::by_now(world).await;
        (now.inserts - self.inserts, now.spool_writes - self.spool_writes)
    }
}

/// Looks again and again until it is there to be seen, for so long at most; then what was seen last is why not.
async fn within(patience: Duration, look: impl AsyncFn() -> Seen) -> Seen {
    let begun = Instant::now();
    loop {
        let seen = look().await;
        if seen.is_ok() || begun.elapsed() >= patience {
            return seen;
        }
        sleep(POLL).await;
    }
}

/// Waits until a part is another process than before.
async fn is_another(world: &World, part: PartName, before: Option<u32>, how: &str) -> Seen {
    let Some(before) = before else { return Err(format!("{part} did not run before")) };
    within(PATIENCE, async || match world.pid(part).filter(|pid| *pid != before) {
        Some(pid) => Ok(format!("process {before} was {how}, {pid} went on")),
        None => Err(format!("no process followed {before} in {} s", PATIENCE.as_secs())),
    })
    .await
}

/// Waits until the kernel says that a process is stopped.
async fn is_stopped(pid: Option<u32>) -> Seen {
    let Some(pid) = pid else { return Err("it did not run".to_owned()) };
    within(PATIENCE, async || match state(pid) {
        Some('T') => Ok(format!("process {pid} was stopped (state T)")),
        state => Err(format!("process {pid} is in state {state:?}, not stopped")),
    })
    .await
}

/// A process's state by the kernel (`man 5 proc_pid_stat`): the letter behind its name in parentheses.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Waits until the other aggregators own every partition, so that those of the stopped one have two owners.
async fn taken_over(world: &World, stopped: Seen) -> Seen {
    let stopped = stopped?;
    let begun = Instant::now();
    within(PATIENCE, async || {
        let owned: usize = world.owned().await.into_iter().skip(1).flatten().sum();
        if owned == world.partitions() {
            let after_s = begun.elapsed().as_secs_f64();
            Ok(format!("{stopped}, after {after_s:.0} s others owned all {owned} partitions"))
        } else {
            Err(format!("nobody took over: others own {owned} of {} partitions", world.partitions()))
        }
    })
    .await
}

/// Whether a process's clock is off by as much as it was set.
fn is_wrong_by(clock: Option<jiff::Timestamp>, by_ms: i64) -> Seen {
    let Some(clock) = clock else { return Err("it did not say its time".to_owned()) };
    let off_ms = clock.as_millisecond() - now_ms();
    let shown = format!("its answers were dated {:+} s off", (off_ms as f64 / 1_000.0).round());
    if (off_ms - by_ms).abs() <= CLOCK_TOLERANCE_MS { Ok(shown) } else { Err(shown) }
}

/// Changes a setting of every table.
async fn alter_tables(world: &World, change: &str) -> anyhow::Result<()> {
    // One is replaced as a whole every ten seconds, by one whose name begins with a point.
    let tables = "SELECT name FROM system.tables WHERE database = 'sli' AND engine LIKE '%MergeTree' \
        AND name != 'objective_counts' AND name NOT LIKE '.%'";
    let rows = world.stack().query(tables).await?;
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    if names.is_empty() {
        bail!("database sli has no table");
    }
    for name in names {
        world.stack().clickhouse()?.execute(&format!("ALTER TABLE sli.{name} {change}")).await?;
    }
    Ok(())
}

/// Waits until the aggregators own all partitions that there are now.
async fn has_partitions(world: &World, before: usize) -> Seen {
    within(PATIENCE, async || {
        let owned: usize = world.owned().await.into_iter().flatten().sum();
        if owned == world.partitions() {
            Ok(format!("{before} partitions became {owned}"))
        } else {
            Err(format!("{} partitions were asked for, and {owned} are owned", world.partitions()))
        }
    })
    .await
}

/// A set that counts the same.
fn redefine(set: &DefinitionSet, redefined: Redefined) -> DefinitionSet {
    let mut journeys = set.journeys.clone();
    for journey in &mut journeys {
        match redefined {
            Redefined::Titles => journey.title.push_str(" (changed)"),
            Redefined::Targets => {
                for objective in &mut journey.objectives {
                    // A target that is still one: a tenth of a percent less. Another target is another version.
                    let target_ppm = objective.target_ppm.map(|ppm| ppm.saturating_sub(1_000).max(1));
                    let Objective { window, name, rule, source, .. } = objective.clone();
                    *objective = Objective { source, ..Objective::over(window, name, rule, target_ppm) };
                }
            }
        }
    }
    DefinitionSet::new(set.settings.clone(), set.apps.clone(), journeys).with_policies(set.policies.clone())
}

/// Waits until every partition has a batch under the new set, and says that there are batches under the old one too.
async fn both_are_used(world: &World, before: &str) -> Seen {
    let after = &world.set().id;
    if after == before {
        return Err("the set is the same as before".to_owned());
    }
    let partitions_under = |set: String| async move {
        let sql = format!(
            "SELECT uniqExact(partition) AS partitions FROM sli.batches WHERE definition_set = '{set}'"
        );
        world.numbers(&sql).await.and_then(|numbers| numbers.first().copied()).unwrap_or_default()
    };
    within(ACTIVATION_PATIENCE, async || {
        let (old, new) = (partitions_under(before.to_owned()).await, partitions_under(after.clone()).await);
        let all = world.partitions() as i64;
        if new == all && old == all {
            Ok(format!("batches of all {all} partitions under set {before}, later under {after}"))
        } else {
            Err(format!("of {all} partitions {old} have batches under set {before}, {new} under {after}"))
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_a_processs_state() {
        assert!(matches!(state(std::process::id()), Some('R' | 'S')));
    }

    #[test]
    fn a_clock_is_judged_by_what_it_was_set_to() {
        let now = jiff::Timestamp::now();
        let ahead = now.checked_add(jiff::SignedDuration::from_hours(2)).unwrap();
        assert!(is_wrong_by(Some(ahead), 7_200_000).is_ok());
        assert!(is_wrong_by(Some(now), 7_200_000).is_err());
        assert!(is_wrong_by(Some(now), 0).is_ok());
        assert!(is_wrong_by(None, 0).is_err());
    }
}
