//! The two servers, each a process of its own, and what the system says of their CPU time and memory.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::Context;
use clap::{Args, ValueEnum};
use ingest::config::{Config, KafkaConfig};
use ingest::log::producer_config;
use ingest::startup::Ingest;
use rdkafka::producer::{FutureProducer, FutureRecord};

/// Clock ticks a second of `/proc/PID/stat`; fixed on Linux.
const TICKS_PER_S: u64 = 100;
/// Header by which the bound spreads its records over partitions: the session. Ingest knows nothing of it.
pub(crate) const KEY_HEADER: &str = "x-bench-session";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The body as one record.
    Bound,
    /// The real one.
    Ingest,
}

impl Kind {
    /// The bound comes first.
    pub(crate) const ALL: [Self; 2] = [Self::Bound, Self::Ingest];

    /// Name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Ingest => "ingest",
        }
    }
}

/// What a server process is told.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[arg(long)]
    kind: Kind,
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    linger: String,
}

/// A server process.
pub(crate) struct Server {
    process: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one and waits until it listens.
    pub(crate) async fn start(kind: Kind, brokers: &str, linger: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = if Command::new("taskset").arg("-V").output().is_ok() {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(["serve", "--kind", kind.name(), "--brokers", brokers, "--linger", linger]);
        let mut process = command.stdout(Stdio::piped()).spawn().context("start a server")?;
        let stdout = process.stdout.take().context("no output")?;
        let line = tokio::task::spawn_blocking(move || BufReader::new(stdout).lines().next()).await?;
        let address = line.context("the server has ended")??.parse()?;
        Ok(Self { process, address })
    }

    /// CPU time so far, of all threads.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let after_name = stat.rsplit_once(')').context("no name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).context("too short").and_then(|text| Ok(text.parse::<u64>()?));
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1_000 / TICKS_PER_S))
    }

    /// Resident memory.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0)
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a server for ever; prints its address.
pub(crate) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let mut kafka = KafkaConfig { brokers: args.brokers, ..KafkaConfig::default() };
    kafka.properties.insert("linger.ms".into(), args.linger);
    match args.kind {
        Kind::Bound => serve_bound(&kafka).await,
        Kind::Ingest => {
            let apps = tempfile::tempdir()?;
            write_app(apps.path())?;
            let mut config = Config { apps_dir: apps.path().into(), workers: 1, kafka, ..Config::default() };
            config.listen.set_port(0);
            config.admin_listen.set_port(0);
            let ingest = Ingest::start(config).await?;
            println!("{}", ingest.address());
            std::future::pending().await
        }
    }
}

fn write_app(dir: &Path) -> anyhow::Result<()> {
    let file = "app: bench\nkeys: [bench-key]\norigins: [\"https://app.example\"]\nsegment: grade\n\
                routes: [\"/lectures/:id\", \"/lectures/:id/play\", \"/api/lectures/:id\"]\n";
    Ok(std::fs::write(dir.join("bench.yaml"), file)?)
}

async fn serve_bound(kafka: &KafkaConfig) -> anyhow::Result<()> {
    let producer: FutureProducer = producer_config(kafka).create()?;
    let topic = Data::new(kafka.topic.clone());
    let producer = Data::new(producer);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::clone(&producer))
            .app_data(Data::clone(&topic))
            .default_service(web::post().to(keep))
    })
    .workers(1)
    .bind(("127.0.0.1", 0))?;
    println!("{}", server.addrs().first().context("no address")?);
    Ok(server.run().await?)
}

async fn keep(
    request: HttpRequest,
    body: Bytes,
    producer: Data<FutureProducer>,
    topic: Data<String>,
) -> HttpResponse {
    let key = request.headers().get(KEY_HEADER).map_or(&[][..], |session| session.as_bytes());
    let record = FutureRecord::to(&topic).key(key).payload(body.as_ref());
    let Ok(delivery) = producer.send_result(record) else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    match delivery.await {
        Ok(Ok(_)) => HttpResponse::Accepted().body("{\"accepted\":5,\"rejected\":[]}"),
        Ok(Err(_)) | Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}
