//! What a seed means: the sizes and settings of a world, and what happens to it.
//!
//! Who visits is in [`crate::visitors`]; how the parts then behave, in [`crate::world`].

use std::fmt;
use std::sync::Arc;

use schema::definition::{DefinitionSet, EngineSettings};

use crate::broken::Broken;
use crate::definitions::{self, GRACE_MS, HORIZON_MS, LATE_RETENTION_MS};
use crate::dice::Dice;

/// When every world begins: a Monday, 00:02 UTC, so that what lies before it is in other parts of the tables.
pub const T0: i64 = 1_795_392_000_000 - 1_795_392_000_000 % 604_800_000 + 4 * 86_400_000 + 120_000;

/// Leaves parts of a world out, so that a failure is seen in a small one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Only these visitors.
    pub visitors: Option<Vec<usize>>,
    /// Only these incidents.
    pub incidents: Option<Vec<usize>>,
    /// So many aggregators.
    pub aggregators: Option<usize>,
    /// So many partitions.
    pub partitions: Option<usize>,
}

/// A world, before it runs.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// What is broken, if anything.
    pub broken: Option<Broken>,
    /// How long visitors come, ms.
    pub span_ms: i64,
    /// How many visitors there are.
    pub visitors: usize,
    /// The visitors that stay, by number; all of them where it is not set.
    pub kept_visitors: Option<Vec<usize>>,
    /// Partitions of the log.
    pub partitions: usize,
    /// Aggregators.
    pub aggregators: usize,
    /// Definition sets; the first is active from the beginning.
    pub sets: Vec<Arc<DefinitionSet>>,
    /// Period of ingest's ticks, ms.
    pub tick_ms: i64,
    /// Whether records are deleted that are needed, so that only balance, loudness and progress can be judged.
    pub is_lossy: bool,
    /// The database and the periods of the edges.
    pub timing: Timing,
    /// What happens, with its number.
    pub incidents: Vec<(usize, Incident)>,
}

/// Periods of the edges, ms, and what the tables remember.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Whether the tables remember only what the lease needs, instead of everything that can happen.
    pub is_tight: bool,
    /// Parts that a table remembers.
    pub window: usize,
    /// Rows of one block at most; the database splits what is larger.
    pub block_rows: usize,
    /// How long the consumer may be silent.
    pub lease_ms: i64,
    /// After this the group gives a silent member's partitions away.
    pub session_timeout_ms: i64,
    /// A member hears of a rebalance within this.
    pub notice_ms: i64,
    /// An answer is waited for this long.
    pub request_timeout_ms: i64,
    /// How long the database takes for an insert, least and most.
    pub insert_ms: [i64; 2],
    /// A partition without a record for this long gets a tick by its owner.
    pub quiet_ms: i64,
    /// How long a clean stop may take.
    pub stop_ms: i64,
}

/// Something that happens to a world at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// When, ms after the beginning.
    pub at_ms: i64,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An aggregator dies and is started again.
    Crash {
        /// Which.
        aggregator: usize,
        /// How long it is away.
        down_ms: i64,
    },
    /// An aggregator stands still and then goes on with what it had.
    Pause {
        /// Which.
        aggregator: usize,
        /// How long.
        paused_ms: i64,
    },
    /// An aggregator is stopped cleanly and started again.
    Stop {
        /// Which.
        aggregator: usize,
        /// How long it is away.
        down_ms: i64,
    },
    /// The group distributes its partitions anew.
    Rebalance,
    /// The database is killed: what is under way is written in part, or not at all.
    KillDatabase {
        /// How long it is away.
        down_ms: i64,
    },
    /// Answers of the database get lost: the insert is done, and nobody hears of it.
    LoseAnswers {
        /// How long.
        for_ms: i64,
        /// How many of a hundred.
        percent: u64,
    },
    /// The database takes ten times as long.
    SlowDatabase {
        /// How long.
        for_ms: i64,
    },
    /// A definition set becomes active, on one partition after the other.
    Definitions {
        /// Which.
        set: usize,
    },
    /// Offsets of a partition are left out.
    OffsetGap {
        /// Which partition.
        partition: usize,
        /// How many.
        offsets: i64,
    },
    /// The log deletes records that no owner needs any more.
    Retention,
    /// The log deletes records, needed or not.
    DeleteNeeded {
        /// Of which partition.
        partition: usize,
        /// How many of a hundred.
        percent: i64,
    },
    /// The last records of a partition are gone, as when a replica that lacks them becomes the leader.
    Truncate {
        /// Which partition.
        partition: usize,
        /// How many records at most.
        records: usize,
    },
    /// A partition begins anew at offset 0, as when its topic is deleted and made again.
    Recreate {
        /// Which partition.
        partition: usize,
    },
    /// Ingest sends no ticks.
    NoTicks {
        /// How long.
        for_ms: i64,
    },
}

impl Scenario {
    /// The world of `seed`, less what `overrides` leave out.
    pub fn new(seed: u64, broken: Option<Broken>, overrides: &Overrides) -> Self {
        let mut dice = Dice::new(seed, "scenario", 0);
        let is_tight = dice.chance(25);
        let is_lossy = !is_tight && Dice::new(seed, "lossy", 0).chance(10);
        let span_ms = dice.pick(&[20_000, 40_000, 60_000, 120_000]);
        let partitions = overrides.partitions.unwrap_or(if is_tight { 1 } else { 1 + dice.below(3) });
        let aggregators = overrides.aggregators.unwrap_or(1 + dice.below(3));
        let horizons = if broken == Some(Broken::NoHorizon) { [0, 0] } else { HORIZON_MS };
        let sets = (0..definitions::SETS).map(|number| set(seed, number, horizons, is_tight)).collect();
        let mut timing = timing(&mut dice, is_tight);
        if broken == Some(Broken::NarrowWindow) {
            timing.window = 2;
        }
        let mut incidents = incidents(seed, span_ms, is_tight, aggregators, partitions);
        if is_lossy {
            incidents.extend(losses(seed, span_ms, partitions));
        }
        let is_kept = |number: &usize| overrides.incidents.as_ref().is_none_or(|kept| kept.contains(number));
        Self {
            seed,
            broken,
            span_ms,
            visitors: 1 + dice.below(dice.clone().pick(&[4, 8, 16])),
            kept_visitors: overrides.visitors.clone(),
            partitions,
            aggregators,
            sets,
            is_lossy,
            tick_ms: dice.pick(&[1_000, 2_000, 5_000]),
            timing,
            incidents: incidents.into_iter().enumerate().filter(|(number, _)| is_kept(number)).collect(),
        }
    }

    /// Whether visitor `number` comes.
    pub fn has_visitor(&self, number: usize) -> bool {
        self.kept_visitors.as_ref().is_none_or(|kept| kept.contains(&number))
    }
}

fn set(seed: u64, number: usize, horizons: [i64; 2], is_tight: bool) -> Arc<DefinitionSet> {
    let mut dice = Dice::new(seed, "settings", number);
    let settings = EngineSettings {
        flush_interval_ms: if is_tight { 1_000 } else { dice.pick(&[1_000, 2_000, 5_000]) },
        idle_flush_intervals: dice.within(2..=6),
        grace_ms: dice.pick(&GRACE_MS),
        late_retention_ms: LATE_RETENTION_MS,
        duplicate_horizon_web_ms: horizons[0],
        duplicate_horizon_native_ms: horizons[1],
        batch_records_max: dice.pick(&[5, 40, 200_000]),
        releases_max: dice.pick(&[1, 2, 20]),
        ..EngineSettings::default()
    };
    definitions::set(settings, number)
}

fn timing(dice: &mut Dice, is_tight: bool) -> Timing {
    if is_tight {
        // One partition, one part an insert, and a batch takes at least two inserts, one after the other: a former
        // owner can be behind by what its successor writes within the lease, the notice and one insert.
        let (lease_ms, notice_ms, insert_ms) = (2_000, 1_500, [400, 700]);
        let window = ((lease_ms + notice_ms + 2 * insert_ms[1]) / (2 * insert_ms[0]) + 4) as usize;
        return Timing {
            is_tight,
            window,
            block_rows: usize::MAX,
            lease_ms,
            session_timeout_ms: 3_000,
            notice_ms,
            request_timeout_ms: 1_500,
            insert_ms,
            quiet_ms: 3_000,
            stop_ms: 5_000,
        };
    }
    Timing {
        is_tight,
        window: 10_000,
        block_rows: dice.pick(&[1, 3, usize::MAX]),
        lease_ms: 30_000,
        session_timeout_ms: dice.pick(&[6_000, 45_000]),
        notice_ms: dice.pick(&[50, 1_000, 10_000]),
        request_timeout_ms: dice.pick(&[2_000, 10_000]),
        insert_ms: dice.pick(&[[1, 20], [5, 400], [50, 3_000]]),
        quiet_ms: 3_000,
        stop_ms: 20_000,
    }
}

fn incidents(
    seed: u64,
    span_ms: i64,
    is_tight: bool,
    aggregators: usize,
    partitions: usize,
) -> Vec<Incident> {
    let mut dice = Dice::new(seed, "incidents", 0);
    let count = dice.below(dice.clone().pick(&[3, 8, 16]) + 1);
    (0..count)
        .map(|number| {
            let mut dice = Dice::new(seed, "incident", number);
            let at_ms = dice.within(0..=span_ms + 20_000);
            let what = incident(&mut dice, span_ms, is_tight, aggregators, partitions);
            Incident { at_ms, what }
        })
        .collect()
}

/// What only a lossy world has.
fn losses(seed: u64, span_ms: i64, partitions: usize) -> Vec<Incident> {
    let mut dice = Dice::new(seed, "losses", 0);
    let mut loss = || {
        let (at_ms, partition) = (dice.within(5_000..=span_ms + 5_000), dice.below(partitions));
        let percent = dice.within(1..=100);
        let what = match dice.below(4) {
            0 | 1 => What::DeleteNeeded { partition, percent },
            2 => What::Truncate { partition, records: dice.within(1..=60) as usize },
            _ => What::Recreate { partition },
        };
        Incident { at_ms, what }
    };
    vec![loss(), loss()]
}

fn incident(dice: &mut Dice, span_ms: i64, is_tight: bool, aggregators: usize, partitions: usize) -> What {
    let aggregator = dice.below(aggregators);
    let partition = dice.below(partitions);
    let down_ms = dice.clone().pick(&[50, 2_000, 10_000, span_ms]);
    let down_ms = dice.within(10..=down_ms);
    match dice.below(if is_tight { 9 } else { 17 }) {
        0 | 1 => What::Pause { aggregator, paused_ms: dice.within(500..=span_ms) },
        2 | 3 => What::Crash { aggregator, down_ms },
        4 => What::Rebalance,
        5 => What::Definitions { set: dice.below(definitions::SETS) },
        6 => What::Retention,
        7 => What::NoTicks { for_ms: dice.within(1_000..=20_000) },
        8 => What::Stop { aggregator, down_ms },
        9 | 10 => What::KillDatabase { down_ms },
        11 | 12 => {
            What::LoseAnswers { for_ms: dice.within(500..=20_000), percent: dice.pick(&[10, 50, 100]) }
        }
        13 => What::SlowDatabase { for_ms: dice.within(500..=20_000) },
        14 => What::OffsetGap { partition, offsets: dice.within(1..=5) },
        15 => What::Crash { aggregator, down_ms: dice.within(10..=300) },
        _ => What::KillDatabase { down_ms: dice.within(10..=1_000) },
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { aggregator, down_ms } => {
                write!(f, "aggregator {aggregator} dies, comes back after {down_ms} ms")
            }
            Self::Pause { aggregator, paused_ms } => {
                write!(f, "aggregator {aggregator} stands still for {paused_ms} ms")
            }
            Self::Stop { aggregator, down_ms } => {
                write!(f, "aggregator {aggregator} is stopped cleanly, comes back {down_ms} ms later")
            }
            Self::Rebalance => f.write_str("the group distributes its partitions anew"),
            Self::KillDatabase { down_ms } => write!(f, "the database is killed, and away for {down_ms} ms"),
            Self::LoseAnswers { for_ms, percent } => {
                write!(f, "{percent} % of the database's answers get lost for {for_ms} ms")
            }
            Self::SlowDatabase { for_ms } => write!(f, "the database is slow for {for_ms} ms"),
            Self::Definitions { set } => write!(f, "definition set {set} becomes active"),
            Self::OffsetGap { partition, offsets } => {
                write!(f, "{offsets} offsets of partition {partition} are left out")
            }
            Self::Retention => f.write_str("the log deletes what nobody needs"),
            Self::DeleteNeeded { partition, percent } => {
                write!(f, "{percent} % of partition {partition} are deleted, needed or not")
            }
            Self::Truncate { partition, records } => {
                write!(f, "the last {records} records of partition {partition} are gone")
            }
            Self::Recreate { partition } => write!(f, "partition {partition} begins anew at offset 0"),
            Self::NoTicks { for_ms } => write!(f, "ingest sends no ticks for {for_ms} ms"),
        }
    }
}
