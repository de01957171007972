//! What `run` and `soak` have in common: whom they look at meanwhile, and where the report goes.

use std::path::PathBuf;

use anyhow::Context;
use loadtest::observe::targets::Server;
use loadtest::observe::{Observer, Process, Targets};
use loadtest::report::{RunReport, judge};
use loadtest::schedule::Traffic;
use loadtest::summary::Summary;

/// Whom to look at once a second, from outside.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Observing")]
pub(crate) struct Observing {
    /// File processes.json of `deploy up`: the processes whose CPU and memory are observed.
    #[arg(long, value_name = "FILE")]
    processes: Option<PathBuf>,
    /// One more process of this machine, such as ingest=4711; may be repeated.
    #[arg(long, value_name = "NAME=PID", value_parser = Process::parse)]
    process: Vec<Process>,
    /// Base URL of ingest's admin server, such as http://127.0.0.1:8081; may be repeated.
    #[arg(long, value_name = "URL")]
    ingest_admin: Vec<String>,
    /// Base URL of an aggregator's admin server, such as http://127.0.0.1:8082; may be repeated.
    #[arg(long, value_name = "URL")]
    aggregator_admin: Vec<String>,
    /// Base URL of ClickHouse's HTTP interface, such as http://127.0.0.1:8123: where freshness is read.
    #[arg(long, value_name = "URL")]
    clickhouse: Option<String>,
    /// User of ClickHouse who reads.
    #[arg(long, default_value = "sli_reader")]
    user: String,
    /// Password of the user.
    #[arg(long, default_value = "local", env = "CLICKHOUSE_PASSWORD", hide_env_values = true)]
    password: String,
}

impl Observing {
    /// ClickHouse, where it was given.
    pub(crate) fn clickhouse(&self) -> Option<Server> {
        let Self { clickhouse, user, password, .. } = self;
        clickhouse.clone().map(|url| Server { url, user: user.clone(), password: password.clone() })
    }

    /// Everyone who was named, and this process.
    ///
    /// # Errors
    /// When the file cannot be read, or two have one name.
    pub(crate) fn targets(&self) -> anyhow::Result<Targets> {
        let mut targets = Targets {
            processes: vec![Process::own()],
            ingests: self.ingest_admin.clone(),
            aggregators: self.aggregator_admin.clone(),
            clickhouse: self.clickhouse(),
        };
        if let Some(path) = &self.processes {
            targets.add_file(path)?;
        }
        targets.processes.extend(self.process.iter().cloned());
        targets.check()?;
        Ok(targets)
    }
}

/// Where the report goes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Report")]
pub(crate) struct Output {
    /// Page for people: one file of HTML that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The same for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Output {
    /// Whether anything is to be written.
    pub(crate) fn is_wanted(&self) -> bool {
        self.report.is_some() || self.json.is_some()
    }

    /// That the files can be written, before an hour is spent.
    ///
    /// # Errors
    /// When one cannot.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for path in [&self.report, &self.json].into_iter().flatten() {
            let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
            opened.with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(())
    }

    /// Writes what is wanted, and says where it is.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(&self, report: &RunReport) -> anyhow::Result<()> {
        if let Some(path) = &self.json {
            report.write_json(path)?;
            eprintln!("numbers in {}", path.display());
        }
        if let Some(path) = &self.report {
            report.write_page(path)?;
            eprintln!("report in {}", path.display());
        }
        Ok(())
    }

    /// Writes the report of a run that was not compared with anything.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) async fn write_run(
        &self,
        traffic: &Traffic,
        summary: &Summary,
        observer: Option<Observer>,
    ) -> anyhow::Result<()> {
        let Some(observer) = observer else { return Ok(()) };
        let title = format!("Run of {} s at {} beacons/s", traffic.seconds, traffic.rate);
        let mut report = RunReport::new(&title, traffic, summary);
        report.samples = observer.finish().await?.samples;
        report.claims = judge::traffic(&report);
        self.write(&report)
    }
}
