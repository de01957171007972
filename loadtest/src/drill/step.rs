//! What is done to whom, and in which order it is done and undone.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Something that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartName {
    /// The server that clients send to.
    Ingest,
    /// The first of the aggregators.
    Aggregator,
    /// The broker.
    Kafka,
    /// The database.
    Clickhouse,
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingest => "ingest",
            Self::Aggregator => "aggregator 1",
            Self::Kafka => "Kafka",
            Self::Clickhouse => "ClickHouse",
        })
    }
}

/// Connections that go through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkName {
    /// From clients to ingest.
    ClientsIngest,
    /// From ingest to Kafka.
    IngestKafka,
    /// From every aggregator to Kafka.
    AggregatorKafka,
    /// From every aggregator to ClickHouse.
    AggregatorClickhouse,
}

impl LinkName {
    /// As files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientsIngest => "clients-ingest",
            Self::IngestKafka => "ingest-kafka",
            Self::AggregatorKafka => "aggregator-kafka",
            Self::AggregatorClickhouse => "aggregator-clickhouse",
        }
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientsIngest => "clients to ingest",
            Self::IngestKafka => "ingest to Kafka",
            Self::AggregatorKafka => "aggregators to Kafka",
            Self::AggregatorClickhouse => "aggregators to ClickHouse",
        })
    }
}

/// A disk of its own, small enough to be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskName {
    /// ClickHouse's data.
    Clickhouse,
    /// The spool of ingest.
    Spool,
}

impl fmt::Display for DiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clickhouse => "the disk of ClickHouse",
            Self::Spool => "the disk of ingest's spool",
        })
    }
}

/// A process whose clock can be another than the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockName {
    /// That of ingest.
    Ingest,
    /// That of the first aggregator.
    Aggregator,
}

impl ClockName {
    /// The part that goes by it.
    pub fn part(self) -> PartName {
        match self {
            Self::Ingest => PartName::Ingest,
            Self::Aggregator => PartName::Aggregator,
        }
    }
}

/// What of the definitions becomes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redefined {
    /// The titles of journeys.
    Titles,
    /// The targets of objectives.
    Targets,
}

/// What happens to what passes a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toxic {
    /// Everything comes later.
    Slow {
        /// By so much, ms.
        latency_ms: u64,
        /// And as much more or less at random, ms.
        jitter_ms: u64,
    },
    /// Only so much comes through.
    Narrow {
        /// Kilobytes a second of each connection.
        kb_per_s: u64,
    },
    /// It comes in small pieces.
    Slice {
        /// Bytes of a piece, on average.
        bytes: u64,
        /// Between two pieces, µs.
        delay_us: u64,
    },
    /// Nothing comes through, and connections stay open.
    Hang,
    /// Connections are reset as soon as something is sent.
    Reset,
    /// Connections are closed, and none is taken.
    Cut,
}

impl Toxic {
    /// Whether nothing comes through.
    pub fn stops(self) -> bool {
        match self {
            Self::Hang | Self::Reset | Self::Cut => true,
            Self::Slow { .. } | Self::Narrow { .. } | Self::Slice { .. } => false,
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL; what runs it starts it again.
    Kill(PartName),
    /// A clean stop and a start.
    Restart(PartName),
    /// A clean stop, and a start later.
    Stop(PartName),
    /// SIGSTOP, and SIGCONT later.
    Pause(PartName),
    /// Connections become bad.
    Spoil(LinkName, Toxic),
    /// A disk is filled, and freed later.
    Fill(DiskName),
    /// A clock goes wrong by so much, ms, and right again later.
    Shift(ClockName, i64),
    /// The tables of ClickHouse take nothing, for a while.
    ReadOnly,
    /// The log gets so many partitions: everything of the documented procedure but stopping and starting ingest.
    Partitions(u32),
    /// A definition set that changes no count is activated.
    Define(Redefined),
}

/// A fault at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When, after the beginning of the traffic.
    pub at: Duration,
    /// How long until it is undone; `None` where nothing is to be undone.
    pub lasts: Option<Duration>,
    /// What is done.
    pub action: Action,
}

impl Step {
    /// When it is over, after the beginning of the traffic.
    pub fn ends(&self) -> Duration {
        self.at + self.lasts.unwrap_or_default()
    }
}

/// Something that is due: a step begins or is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When, after the beginning of the traffic.
    pub at: Duration,
    /// Place of the step in its drill.
    pub step: usize,
    /// Whether it is undone.
    pub undoes: bool,
}

/// Every moment of the steps in its turn. Of those at one time what is undone comes first, then the order of the file.
pub fn moments(steps: &[Step]) -> Vec<Moment> {
    let mut moments: Vec<Moment> = Vec::with_capacity(2 * steps.len());
    for (place, step) in steps.iter().enumerate() {
        moments.push(Moment { at: step.at, step: place, undoes: false });
        if step.lasts.is_some() {
            moments.push(Moment { at: step.ends(), step: place, undoes: true });
        }
    }
    moments.sort_by_key(|moment| (moment.at, !moment.undoes, moment.step));
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(at_s: u64, lasts_s: Option<u64>, action: Action) -> Step {
        Step { at: Duration::from_secs(at_s), lasts: lasts_s.map(Duration::from_secs), action }
    }

    #[test]
    fn what_is_undone_comes_between_what_begins() {
        let steps = [
            step(10, Some(20), Action::Stop(PartName::Kafka)),
            step(20, None, Action::Kill(PartName::Ingest)),
            step(30, Some(5), Action::Pause(PartName::Aggregator)),
        ];
        let found: Vec<(u64, usize, bool)> = moments(&steps)
            .into_iter()
            .map(|moment| (moment.at.as_secs(), moment.step, moment.undoes))
            .collect();
        let expect = [(10, 0, false), (20, 1, false), (30, 0, true), (30, 2, false), (35, 2, true)];
        assert_eq!(found, expect);
    }
}
