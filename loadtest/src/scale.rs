//! What growing does to the cost of a beacon: more partitions, more ingests, more aggregators, each on a stack of its own.
//!
//! Every size gets the same traffic at the same rate, so that only the size differs. All processes share this machine's cores, so more of them
//! cannot be faster here; what of a beacon's cost stays the same is what scales when they are put on machines of their own.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capacity::step::{Limits, Step, measure, traffic};
use crate::cost::{Cpu, Meter};
use crate::fleet::{Fleet, KINDS, Size, by_kind};
use crate::report::machine::{self, Machine};

pub mod report;

use report::{Report, VERSION};

/// How long processes are watched while nothing is asked of them: twice as long as between two times that ClickHouse
/// computes what objectives counted.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// How long a new stack gets traffic before its cost is measured.
const WARM_UP: Duration = Duration::from_secs(30);
/// How long the tables may take to hold what was sent.
const PATIENCE: Duration = Duration::from_secs(240);

/// What is measured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Beacons a second.
    pub rate: f64,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// Partitions, each with one ingest and one aggregator.
    pub partitions: Vec<i32>,
    /// Numbers of ingests and of aggregators, each with [`Settings::shared_partitions`].
    pub processes: Vec<usize>,
    /// Partitions where there are several processes.
    pub shared_partitions: i32,
    /// Seed of the traffic.
    pub seed: u64,
    /// Folder for data and logs; a temporary one if there is none.
    pub dir: Option<PathBuf>,
}

/// One size and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Partitions of the log.
    pub partitions: i32,
    /// Ingests, and as many aggregators.
    pub processes: usize,
    /// CPU while nothing was asked.
    pub idle: Cpu,
    /// The traffic.
    pub step: Step,
}

/// Measures every size.
///
/// # Errors
/// When a stack does not start or a process ends.
pub async fn run(settings: &Settings) -> anyhow::Result<Report> {
    let ones = settings.partitions.iter().map(|partitions| (*partitions, 1));
    let several = settings.processes.iter().map(|processes| (settings.shared_partitions, *processes));
    let machine = Machine::this();
    let mut points = Vec::new();
    for (partitions, processes) in ones.chain(several) {
        eprintln!("measuring {partitions} partitions, {processes} of each process");
        points.push(point(settings, partitions, processes).await?);
    }
    Ok(Report {
        version: VERSION,
        command: machine::command(),
        machine,
        program: machine::program(),
        rate: settings.rate,
        seconds: settings.seconds,
        points,
    })
}

async fn point(settings: &Settings, partitions: i32, processes: usize) -> anyhow::Result<Point> {
    let ledgers = tempfile::tempdir()?;
    let ledger = ledgers.path().join("scale");
    let dir = settings.dir.as_ref().map(|dir| dir.join(format!("{partitions}-{processes}")));
    let fleet = Fleet::start(&Size { partitions, ingests: processes, aggregators: processes, dir }).await?;
    // Nothing is looked for here, so nothing breaks a limit but beacons that are not accepted.
    let limits = Limits { p99_ms: f64::MAX, freshness_ms: u64::MAX };
    let sent = traffic(settings.rate, settings.seconds + WARM_UP.as_secs(), settings.seed);
    let step = measure(&fleet, &sent, WARM_UP, &ledger, &limits).await?;
    // Not before the traffic: a stack that has just started is not idle, nor is one whose attempts have not settled.
    fleet.at_rest(PATIENCE).await?;
    let idle = by_kind(&Meter::over(fleet.processes(&KINDS), IDLE_FOR).await?);
    fleet.stop().await;
    Ok(Point { partitions, processes, idle, step })
}
