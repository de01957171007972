//! What one machine takes, and what a traffic needs beyond it.
//!
//! First the knee of the whole pipeline is looked for, by answers and freshness ([`search`]). Two rates below it are measured to
//! make a [`model`]. Then comes the knee of ingest alone while nobody reads the log, and how fast the aggregator catches up with
//! what that left. A third rate, higher than the two, on a new stack checks the model: its CPU is predicted before, and its counts
//! are compared with the truth. Everything runs on the machine that sends, so knees are lower than a server's own; CPU for a
//! beacon is hardly changed by that, and is what the rest is computed from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::stack::{AGGREGATOR, CLICKHOUSE, KAFKA, PARTITIONS};
use deploy::topic::BEACONS;

use crate::cost::{Cpu, Meter, disk};
use crate::fleet::{Fleet, KINDS, Size, by_kind};
use crate::observe::now_ms;
use crate::observe::targets::Server;
use crate::report::Verified;
use crate::report::machine::{self, Machine};
use crate::verify;

pub mod model;
pub mod report;
pub mod search;
pub mod step;

use model::{Assumptions, Model};
use report::{Checked, Drained, Found, Report, VERSION};
use search::{Search, Verdict};
use step::{Limits, Step, measure, request_bytes, traffic};

/// How long a backlog may take.
const PATIENCE: Duration = Duration::from_secs(240);
/// The rate that a search begins at, beacons/s.
const FIRST_RATE: f64 = 500.0;
/// Steps of a search at most, and how closely it looks.
const STEPS_MAX: u32 = 7;
const RESOLUTION: f64 = 0.15;
/// Shares of the knee at which the model is made, and the one at which it is checked.
const MODEL_SHARES: [f64; 2] = [0.3, 0.6];
const CHECK_SHARE: f64 = 0.9;
/// Seconds of each of these measurements, in steps.
const MODEL_STEPS: u64 = 2;
/// How long traffic flows before CPU is measured, on a stack that has had some and on a new one.
const WARM_UP: Duration = Duration::from_secs(5);
const WARM_UP_NEW: Duration = Duration::from_secs(45);

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Seconds of a step.
    pub step_s: u64,
    /// What a step must keep.
    pub limits: Limits,
    /// Seed of the traffic.
    pub seed: u64,
    /// Users a day and events of each that needs are computed for, beside those of a million beacons a second.
    pub users: Option<(f64, f64)>,
    /// Folder for data, logs and ledgers; a temporary one if there is none.
    pub dir: Option<PathBuf>,
}

/// Measures.
///
/// # Errors
/// When a stack does not start or a process ends.
pub async fn run(settings: &Settings) -> anyhow::Result<Report> {
    let ledgers = tempfile::tempdir()?;
    let size = |name: &str| Size {
        partitions: PARTITIONS,
        ingests: 1,
        aggregators: 1,
        dir: settings.dir.as_ref().map(|dir| dir.join(name)),
    };
    let fleet = Fleet::start(&size("search")).await?;
    let mut looking =
        Looking { fleet: &fleet, settings, ledger: ledgers.path().join("step"), seed: settings.seed };
    eprintln!("warming up");
    looking.step(FIRST_RATE, WARM_UP_NEW.as_secs(), Duration::ZERO).await?;
    let whole = looking.knee("the whole pipeline", FIRST_RATE).await?;
    let rate = |share: f64| (whole.knee.holds.max(FIRST_RATE / 4.0) * share).round();
    let seconds = settings.step_s * MODEL_STEPS;
    eprintln!("measuring two rates for the model");
    let [low, high] = MODEL_SHARES.map(rate);
    // What the search left behind is no cost of these rates.
    fleet.at_rest(PATIENCE).await?;
    let low = looking.step(low, seconds, WARM_UP).await?;
    let high = looking.step(high, seconds, WARM_UP).await?;
    fleet.stop_aggregators().await;
    let alone = looking.knee("ingest alone", (whole.knee.holds / 2.0).max(FIRST_RATE)).await?;
    let drained = drain(&fleet, alone.beacons()).await?;
    fleet.stop().await;
    let mut model = Model::line(&low, &high);

    let fleet = Fleet::start(&size("check")).await?;
    let checked =
        check(&fleet, settings, &model, rate(CHECK_SHARE), seconds, &ledgers.path().join("check")).await?;
    fleet.stop().await;
    model.events_per_beacon = checked.events as f64 / checked.step.accepted.max(1) as f64;
    model.http_bytes = request_bytes(&traffic(checked.step.rate, settings.step_s, settings.seed));
    model.kafka_bytes = checked.kafka_bytes as f64 / checked.step.accepted.max(1) as f64;
    model.clickhouse_bytes = checked.clickhouse_bytes as f64 / checked.step.accepted.max(1) as f64;
    model.drained_per_core = drained.beacons as f64 / drained.cpu.seconds(AGGREGATOR).max(1e-3);
    let assumed = Assumptions::default();
    Ok(Report {
        version: VERSION,
        command: machine::command(),
        machine: Machine::this(),
        program: machine::program(),
        limits: settings.limits,
        step_s: settings.step_s,
        whole,
        alone,
        drained,
        low,
        high,
        checked,
        assumed,
        million: model.need_of_peak(1e6, &assumed),
        users: settings
            .users
            .map(|(users, events)| (users, events, model.need_of_users(users, events, &assumed))),
        model,
    })
}

/// Looks for knees on one stack.
struct Looking<'a> {
    fleet: &'a Fleet,
    settings: &'a Settings,
    ledger: PathBuf,
    seed: u64,
}

impl Looking<'_> {
    async fn knee(&mut self, what: &str, first: f64) -> anyhow::Result<Found> {
        eprintln!("looking for the knee of {what}");
        let mut search = Search::new(first, STEPS_MAX, RESOLUTION);
        let mut steps = Vec::new();
        while let Some(rate) = search.next_rate() {
            let step = self.step(rate, self.settings.step_s, Duration::ZERO).await?;
            search.tell(step.verdict);
            steps.push(step);
        }
        Ok(Found { what: what.to_owned(), knee: search.knee(), steps })
    }

    /// One rate, and the time until the tables hold it.
    async fn step(&mut self, rate: f64, seconds: u64, warm_up: Duration) -> anyhow::Result<Step> {
        self.seed += 1;
        let traffic = traffic(rate, seconds + warm_up.as_secs(), self.seed);
        let step = measure(self.fleet, &traffic, warm_up, &self.ledger, &self.settings.limits).await?;
        let said = match step.verdict {
            Verdict::Holds => "held",
            Verdict::Breaks => step.why.as_str(),
            Verdict::Unknown => "the generator was too slow",
        };
        eprintln!("{rate:.0} beacons/s: {said}");
        if !self.fleet.processes(&[AGGREGATOR]).is_empty() {
            self.fleet.aggregators().written(now_ms(), PATIENCE).await?;
        }
        Ok(step)
    }
}

/// Starts the aggregators behind a backlog of `beacons`, and waits until they have caught up.
///
/// # Errors
/// When they do not start, or take too long.
async fn drain(fleet: &Fleet, beacons: u64) -> anyhow::Result<Drained> {
    eprintln!("catching up with {beacons} beacons");
    let until_ms = now_ms();
    // Not when they are ready: they read from then on, and before.
    fleet.launch_aggregators()?;
    let meter = Meter::start(fleet.processes(&[AGGREGATOR, KAFKA, CLICKHOUSE]))?;
    fleet.aggregators_ready().await?;
    fleet.aggregators().written(until_ms, PATIENCE).await?;
    Ok(Drained { beacons, cpu: by_kind(&meter.read()?) })
}

/// Predicts a rate, measures it on a stack that holds nothing else, and compares what was counted with the truth.
async fn check(
    fleet: &Fleet,
    settings: &Settings,
    model: &Model,
    rate: f64,
    seconds: u64,
    ledger: &Path,
) -> anyhow::Result<Checked> {
    let predicted = model.predict(rate);
    eprintln!("measuring {rate} beacons/s to check the model");
    let traffic = traffic(rate, seconds + WARM_UP_NEW.as_secs(), settings.seed);
    let step = measure(fleet, &traffic, WARM_UP_NEW, ledger, &settings.limits).await?;
    fleet.at_rest(PATIENCE).await?;
    let stack = fleet.stack();
    let verified = verify::verify(&verify::Settings {
        ledger: ledger.with_extension("0.jsonl"),
        server: Server::local(stack.clickhouse_url().to_owned()),
        wait: PATIENCE,
        since_s: None,
    })
    .await?;
    verified.differences().for_each(|difference| eprintln!("{difference}"));
    let rows = stack.query("SELECT sum(events) AS events FROM sli.batches").await?;
    let events = rows.first().and_then(|row| row["events"].as_u64()).unwrap_or_default();
    Ok(Checked {
        predicted,
        events,
        kafka_bytes: disk::topic_bytes(stack.dir(), BEACONS)?,
        clickhouse_bytes: disk::sum(&disk::tables(stack.clickhouse()?, "sli").await?),
        verified: Verified::from(&verified),
        step,
    })
}

/// Cores of the parts in the way of a beacon, together.
pub fn sum_cores(cpu: &Cpu) -> f64 {
    KINDS.iter().map(|part| cpu.cores(part)).sum()
}
