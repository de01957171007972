//! Which faults come in which order: a pure function of the seed.

use super::point::Point;
use crate::sample::Sampler;

/// Stream of draws for the faults; those of traffic are far from it.
const STREAM: u64 = u64::MAX - 1;
/// Of the kills beyond one at each named point, one in so many comes at any moment.
const RANDOM_EVERY: u32 = 3;
/// Of the faults, so many in a thousand wait until everything has recovered before the next one comes.
const CALM_PER_MILLE: u32 = 500;
/// Longest wait before a fault at any moment, ms.
const RANDOM_WAIT_MS_MAX: u64 = 3_000;
/// Longest time from a start lookup to the kill in its replay, ms.
const REPLAY_MS_MAX: u64 = 250;
/// Longest time from the sending of an insert to the kill of the server that works on it, ms.
const INSERT_MS_MAX: u64 = 8;
/// Longest time that a process stays stopped after another has taken over, ms.
const ZOMBIE_MS_MAX: u64 = 2_500;
/// Changes of the group in one storm.
const STORM_CHANGES: u64 = 5;
/// Longest pause between two of them, ms.
const STORM_GAP_MS_MAX: u64 = 1_500;

/// How often each kind of fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// `kill -9` of an aggregator.
    pub kills: u32,
    /// Stopping an aggregator until another has taken over, and going on with it.
    pub zombies: u32,
    /// `kill -9` of ClickHouse.
    pub clickhouse_restarts: u32,
    /// Restarts of Kafka, every other one by `kill -9`.
    pub kafka_restarts: u32,
    /// Storms of changes in the consumer group.
    pub rebalances: u32,
    /// Times that Kafka is stopped and stays so for a while.
    pub kafka_outages: u32,
    /// How long, ms.
    pub kafka_outage_ms: u64,
    /// `kill -9` of ingest in each of these outages.
    pub ingest_kills: u32,
}

impl Counts {
    /// No fault at all.
    pub const NONE: Self = Self {
        kills: 0,
        zombies: 0,
        clickhouse_restarts: 0,
        kafka_restarts: 0,
        rebalances: 0,
        kafka_outages: 0,
        kafka_outage_ms: 0,
        ingest_kills: 0,
    };
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is done.
    pub kind: Kind,
    /// Whether everything recovers before the next fault.
    pub calm: bool,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Kills an aggregator, `delay_ms` after the point was reached.
    Kill {
        /// Where.
        point: Point,
        /// ms after it.
        delay_ms: u64,
        /// Picks one where any will do.
        pick: u64,
    },
    /// Stops an aggregator, and continues it `extra_ms` after another took over.
    Zombie {
        /// Where.
        point: Point,
        /// ms before it, where any moment will do.
        delay_ms: u64,
        /// ms beyond the takeover.
        extra_ms: u64,
        /// Picks one where any will do.
        pick: u64,
    },
    /// Kills ClickHouse, `delay_ms` after the point was reached.
    ClickHouse {
        /// Where.
        point: Point,
        /// ms after it.
        delay_ms: u64,
    },
    /// Restarts Kafka.
    Kafka {
        /// By `kill -9`, or cleanly.
        killed: bool,
    },
    /// Stops Kafka, kills ingest meanwhile, and starts Kafka again.
    Outage {
        /// How long Kafka is away, ms.
        away_ms: u64,
        /// `kill -9` of ingest, evenly spread over that time.
        ingest_kills: u32,
    },
    /// Changes the group again and again.
    Storm(Vec<Change>),
}

/// One change of the consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Picks the aggregator.
    pub pick: u64,
    /// Whether it is killed rather than stopped cleanly; either way it comes back at once.
    pub killed: bool,
    /// ms until the next change.
    pub gap_ms: u64,
}

/// The faults of `seed` in their order.
pub fn plan(seed: u64, counts: Counts) -> Vec<Fault> {
    let mut sampler = Sampler::new(seed, STREAM);
    let mut kinds = Vec::new();
    let named = Point::OF_AGGREGATOR.len() as u32;
    // Random ones do not use up a turn of the named ones, so that these come equally often.
    let mut turn = 0;
    for number in 0..counts.kills {
        let random = number >= named && (number - named) % RANDOM_EVERY == RANDOM_EVERY - 1;
        let point = if random {
            Point::Random
        } else {
            turn += 1;
            Point::OF_AGGREGATOR[(turn - 1) % Point::OF_AGGREGATOR.len()]
        };
        let delay_ms = match point {
            Point::Random => sampler.between(0, RANDOM_WAIT_MS_MAX),
            Point::Replay => sampler.between(0, REPLAY_MS_MAX),
            _ => 0,
        };
        kinds.push(Kind::Kill { point, delay_ms, pick: sampler.between(0, u64::MAX) });
    }
    for point in Point::OF_ZOMBIE.into_iter().cycle().take(counts.zombies as usize) {
        let delay_ms = if point == Point::Random { sampler.between(0, RANDOM_WAIT_MS_MAX) } else { 0 };
        let extra_ms = sampler.between(0, ZOMBIE_MS_MAX);
        kinds.push(Kind::Zombie { point, delay_ms, extra_ms, pick: sampler.between(0, u64::MAX) });
    }
    for point in Point::OF_SERVER.into_iter().cycle().take(counts.clickhouse_restarts as usize) {
        let during = point == Point::ServerDuringInsert;
        let delay_ms = if during { sampler.between(0, INSERT_MS_MAX) } else { 0 };
        kinds.push(Kind::ClickHouse { point, delay_ms });
    }
    kinds.extend((0..counts.kafka_restarts).map(|number| Kind::Kafka { killed: number % 2 == 0 }));
    kinds.extend(
        (0..counts.kafka_outages)
            .map(|_| Kind::Outage { away_ms: counts.kafka_outage_ms, ingest_kills: counts.ingest_kills }),
    );
    for _ in 0..counts.rebalances {
        let changes = (0..STORM_CHANGES).map(|_| Change {
            pick: sampler.between(0, u64::MAX),
            killed: sampler.chance(300),
            gap_ms: sampler.between(0, STORM_GAP_MS_MAX),
        });
        kinds.push(Kind::Storm(changes.collect()));
    }
    for place in (1..kinds.len()).rev() {
        kinds.swap(place, sampler.between(0, place as u64) as usize);
    }
    kinds.into_iter().map(|kind| Fault { kind, calm: sampler.chance(CALM_PER_MILLE) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        kills: 50,
        zombies: 10,
        clickhouse_restarts: 3,
        kafka_restarts: 2,
        rebalances: 10,
        ..Counts::NONE
    };

    fn kills(plan: &[Fault], wanted: Point) -> usize {
        plan.iter().filter(|fault| matches!(fault.kind, Kind::Kill { point, .. } if point == wanted)).count()
    }

    #[test]
    fn every_named_point_comes_and_a_seed_repeats_the_order() {
        let first = plan(7, COUNTS);
        assert_eq!(first, plan(7, COUNTS));
        assert_ne!(first, plan(8, COUNTS));
        assert_eq!(first.len(), 75);
        for point in Point::OF_AGGREGATOR {
            assert!(kills(&first, point) >= 5, "{point}");
        }
        assert_eq!(kills(&first, Point::Random), 14);
        for point in Point::OF_SERVER {
            let server =
                |fault: &Fault| matches!(fault.kind, Kind::ClickHouse { point: at, .. } if at == point);
            assert_eq!(first.iter().filter(|fault| server(fault)).count(), 1, "{point}");
        }
    }

    #[test]
    fn a_short_plan_has_each_named_point_once() {
        let plan = plan(1, Counts { kills: 7, ..Counts::NONE });
        for point in Point::OF_AGGREGATOR {
            assert_eq!(kills(&plan, point), 1, "{point}");
        }
    }
}
