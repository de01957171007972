//! From what one machine measured to what a traffic needs: a straight line for each part, and said assumptions.
//!
//! A part's CPU is something that it uses at any rate plus so much for each beacon: the line through two measurements. That it
//! goes on straight is checked by a third at a higher rate ([`Model::predict`]). What is not measured here is an [`Assumptions`],
//! with the number in the open.

use std::collections::BTreeMap;

use deploy::stack::{CLICKHOUSE, KAFKA, PARTITIONS};
use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::fleet::KINDS;
use crate::schedule::Arrivals;

const SECONDS_A_DAY: f64 = 86_400.0;
/// Looks at a day to find its busiest moment.
const LOOKS_A_DAY: u32 = 24 * 60;

/// What a beacon costs, as measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Cores that the processes of a kind use at any rate: timers, inserts by the clock, which are more with more partitions, and
    /// in ClickHouse what is computed every ten seconds.
    pub fixed_cores: BTreeMap<String, f64>,
    /// CPU for a beacon beyond that, µs, by kind.
    pub us_per_beacon: BTreeMap<String, f64>,
    /// Events of a beacon.
    pub events_per_beacon: f64,
    /// Bytes of a beacon's request, heads and bodies as they are sent.
    pub http_bytes: f64,
    /// Bytes of a beacon in Kafka's log, compressed, one replica.
    pub kafka_bytes: f64,
    /// Bytes of a beacon in ClickHouse's tables, one replica: cells grow with their number, so this falls with the rate.
    pub clickhouse_bytes: f64,
    /// Beacons a second that one aggregator takes from the log with one core, catching up.
    pub drained_per_core: f64,
}

/// What is assumed rather than measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Assumptions {
    /// Share of its cores that a part may use at the busiest moment of a day.
    pub utilisation: f64,
    /// Copies of Kafka's log.
    pub kafka_replicas: f64,
    /// Days that Kafka keeps records.
    pub kafka_days: f64,
    /// Copies of ClickHouse's tables.
    pub clickhouse_replicas: f64,
    /// Days of ClickHouse's tables that are counted.
    pub clickhouse_days: f64,
    /// How many times faster than the traffic a backlog is to be read.
    pub catching_up: f64,
    /// Cores of a machine.
    pub machine_cores: f64,
    /// Network of a machine, bits a second in each direction.
    pub machine_network_bits: f64,
    /// What a machine's disks write, bytes a second.
    pub machine_disk_bytes: f64,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            utilisation: 0.6,
            kafka_replicas: 3.0,
            kafka_days: 7.0,
            clickhouse_replicas: 2.0,
            clickhouse_days: 90.0,
            catching_up: 2.0,
            machine_cores: 16.0,
            machine_network_bits: 10e9,
            machine_disk_bytes: 500e6,
        }
    }
}

/// What a traffic needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// Beacons a second at the busiest moment.
    pub beacons_per_s: f64,
    /// Beacons a day.
    pub beacons_per_day: f64,
    /// Cores by kind, with room.
    pub cores: BTreeMap<String, f64>,
    /// Partitions of the log, each read by one core of an aggregator.
    pub partitions: u64,
    /// Bytes of Kafka's log on all disks.
    pub kafka_disk_bytes: f64,
    /// Bytes of ClickHouse's tables on all disks: no more than this.
    pub clickhouse_disk_bytes: f64,
    /// Bytes a second that ingest receives.
    pub http_bytes_per_s: f64,
    /// Bytes a second that go to Kafka's brokers, replicas included.
    pub kafka_bytes_per_s: f64,
    /// Machines that each resource would take if it were the only one, most first: the first saturates first.
    pub machines: Vec<(String, f64)>,
}

impl Model {
    /// The line through what was used at two rates. Where noise makes it fall with the rate, or begin below nothing, it is
    /// flat, or begins at nothing.
    pub fn line(low: &Step, high: &Step) -> Self {
        let mut model = Self::default();
        for part in high.cpu.parts.keys() {
            let (at_low, at_high) = (low.cpu.cores(part), high.cpu.cores(part));
            let slope = ((at_high - at_low) / (high.rate - low.rate).max(1e-9)).max(0.0);
            // From the higher rate, which says more of a beacon.
            let slope = slope.min(at_high / high.rate.max(1e-9));
            model.us_per_beacon.insert(part.clone(), slope * 1e6);
            model.fixed_cores.insert(part.clone(), at_high - slope * high.rate);
        }
        model
    }

    /// Cores by kind at `rate` beacons a second on as many processes as were measured.
    pub fn predict(&self, rate: f64) -> BTreeMap<String, f64> {
        self.us_per_beacon
            .iter()
            .map(|(part, us)| {
                (part.clone(), self.fixed_cores.get(part).copied().unwrap_or_default() + us * rate / 1e6)
            })
            .collect()
    }

    /// What `beacons_per_s` at the busiest moment and `beacons_per_day` need.
    pub fn need(&self, beacons_per_s: f64, beacons_per_day: f64, assumed: &Assumptions) -> Need {
        let drained = self.drained_per_core.max(1.0);
        let partitions = (beacons_per_s * assumed.catching_up / drained).ceil().max(1.0);
        let used = |part: &str| {
            let of = |map: &BTreeMap<String, f64>| map.get(part).copied().unwrap_or_default();
            let fixed = of(&self.fixed_cores) * (partitions / f64::from(PARTITIONS)).max(1.0);
            // Followers copy what the leader wrote; that they take as much CPU as it is more than they do.
            let copies = match part {
                KAFKA => assumed.kafka_replicas,
                CLICKHOUSE => assumed.clickhouse_replicas,
                _ => 1.0,
            };
            (of(&self.us_per_beacon) * beacons_per_s / 1e6 + fixed) * copies
        };
        let cores: BTreeMap<_, _> =
            KINDS.into_iter().map(|part| (part.to_owned(), used(part) / assumed.utilisation)).collect();
        let http_bytes_per_s = self.http_bytes * beacons_per_s;
        let kafka_bytes_per_s = self.kafka_bytes * beacons_per_s * assumed.kafka_replicas;
        // What comes in from clients and what replicas take from leaders, beside what aggregators read once.
        let network_bits = (http_bytes_per_s + kafka_bytes_per_s + self.kafka_bytes * beacons_per_s) * 8.0;
        let disk_bytes =
            kafka_bytes_per_s + self.clickhouse_bytes * beacons_per_s * assumed.clickhouse_replicas;
        let mut machines: Vec<_> = cores
            .iter()
            .map(|(part, cores)| (format!("CPU of {part}"), cores / assumed.machine_cores))
            .chain([
                ("network".to_owned(), network_bits / assumed.machine_network_bits / assumed.utilisation),
                ("disk writes".to_owned(), disk_bytes / assumed.machine_disk_bytes / assumed.utilisation),
            ])
            .collect();
        machines.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Need {
            beacons_per_s,
            beacons_per_day,
            partitions: partitions as u64,
            kafka_disk_bytes: self.kafka_bytes
                * beacons_per_day
                * assumed.kafka_days
                * assumed.kafka_replicas,
            clickhouse_disk_bytes: self.clickhouse_bytes
                * beacons_per_day
                * assumed.clickhouse_days
                * assumed.clickhouse_replicas,
            http_bytes_per_s,
            kafka_bytes_per_s,
            cores,
            machines,
        }
    }

    /// What `users` a day with `events_per_user` each need; the day's curve says how much busier its busiest moment is.
    pub fn need_of_users(&self, users: f64, events_per_user: f64, assumed: &Assumptions) -> Need {
        let beacons_per_day = users * events_per_user / self.events_per_beacon.max(1e-9);
        self.need(beacons_per_day / SECONDS_A_DAY * busiest(), beacons_per_day, assumed)
    }

    /// What `beacons_per_s` at the busiest moment need, on a day of the same curve.
    pub fn need_of_peak(&self, beacons_per_s: f64, assumed: &Assumptions) -> Need {
        self.need(beacons_per_s, beacons_per_s / busiest() * SECONDS_A_DAY, assumed)
    }
}

/// How many times the mean arrives at the busiest moment of a day, by the curve that `--arrivals day` plays.
pub fn busiest() -> f64 {
    (0..LOOKS_A_DAY)
        .map(|look| Arrivals::Day.rate_at(1.0, f64::from(look), f64::from(LOOKS_A_DAY)))
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use deploy::stack::INGEST;

    use super::super::search::Verdict;
    use super::*;
    use crate::cost::Cpu;

    fn step(rate: f64, ingest_cores: f64) -> Step {
        Step {
            rate,
            accepted: 0,
            sent: 0,
            p99_ms: None,
            freshness_ms: None,
            generator_cores: 0.0,
            cpu: Cpu { wall_s: 10.0, parts: BTreeMap::from([(INGEST.to_owned(), ingest_cores * 10.0)]) },
            verdict: Verdict::Holds,
            why: String::new(),
        }
    }

    fn model() -> Model {
        Model {
            events_per_beacon: 5.0,
            http_bytes: 1_000.0,
            kafka_bytes: 200.0,
            clickhouse_bytes: 20.0,
            drained_per_core: 100_000.0,
            ..Model::line(&step(500.0, 0.02), &step(1_500.0, 0.04))
        }
    }

    #[test]
    fn a_line_goes_through_what_was_measured() {
        let model = model();
        assert!((model.us_per_beacon[INGEST] - 20.0).abs() < 1e-9, "{model:?}");
        // 0.01 cores at any rate, and 20 µs for each of 1,000 beacons a second.
        assert!((model.predict(1_000.0)[INGEST] - 0.03).abs() < 1e-9);
        assert!((model.predict(0.0)[INGEST] - 0.01).abs() < 1e-9);
    }

    #[test]
    fn noise_gives_no_negative_cost() {
        let falling = Model::line(&step(500.0, 0.05), &step(1_500.0, 0.04));
        assert_eq!((falling.us_per_beacon[INGEST], falling.fixed_cores[INGEST]), (0.0, 0.04));
        let steep = Model::line(&step(500.0, 0.001), &step(1_500.0, 0.03));
        assert!((steep.us_per_beacon[INGEST] - 20.0).abs() < 1e-9, "{steep:?}");
        assert!(steep.fixed_cores[INGEST].abs() < 1e-9, "{steep:?}");
    }

    #[test]
    fn a_million_beacons_a_second_are_added_up() {
        let assumed = Assumptions::default();
        let need = model().need(1e6, 1e9, &assumed);
        // 20 of beacons, and 0.01 for each 4 of 20 partitions.
        assert!((need.cores[INGEST] - 20.05 / 0.6).abs() < 1e-6, "{need:?}");
        assert_eq!(need.partitions, 20);
        assert_eq!((need.http_bytes_per_s, need.kafka_bytes_per_s), (1e9, 6e8));
        assert_eq!(need.kafka_disk_bytes, 200.0 * 1e9 * 7.0 * 3.0);
        assert_eq!(need.clickhouse_disk_bytes, 20.0 * 1e9 * 90.0 * 2.0);
        // 14.4 Gbit/s of 10 at 60 %.
        let (first, machines) = &need.machines[0];
        assert!(first == "network" && (machines - 2.4).abs() < 1e-9, "{need:?}");
    }

    #[test]
    fn users_become_beacons_of_the_busiest_moment() {
        let busiest = busiest();
        assert!((2.0..2.5).contains(&busiest), "{busiest}");
        let need = model().need_of_users(1e6, 86.4, &Assumptions::default());
        assert!((need.beacons_per_day - 1_000_000.0 * 86.4 / 5.0).abs() < 1e-3, "{need:?}");
        assert!((need.beacons_per_s - 200.0 * busiest).abs() < 1e-6, "{need:?}");
        let same = model().need_of_peak(need.beacons_per_s, &Assumptions::default());
        assert!((same.beacons_per_day - need.beacons_per_day).abs() < 1.0);
    }

    #[test]
    fn little_traffic_needs_one_partition() {
        assert_eq!(model().need(1.0, 1.0, &Assumptions::default()).partitions, 1);
    }
}
