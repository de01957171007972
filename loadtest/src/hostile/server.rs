//! The server that is attacked: the real `ingest` as a process of its own, with short times and small rates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::{Child, Command};

use super::request::{FLOOD_KEY, KEY, ORIGIN, OTHER_KEY};

/// Requests a second of one network.
const NETWORK_RATE: u32 = 100;
/// Requests of a network that may come at once.
pub(super) const NETWORK_BURST: u32 = 500;
/// Connections of a network that is no proxy.
const NETWORK_CONNECTIONS_MAX: usize = 100;
/// Requests a second with one key: honest traffic stays below it.
const KEY_RATE: u32 = 500;
/// Requests with a key that may come at once.
pub(super) const KEY_BURST: u32 = 4_000;
/// The one address that is a proxy.
const PROXY: &str = "127.0.0.1";
/// The key of honest traffic.
pub(super) const HONEST_KEY: &str = "honest-key";
/// Time to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running server, killed when it is dropped.
pub(super) struct Server {
    process: Child,
    id: u32,
    /// Where clients send to.
    pub(super) address: SocketAddr,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

impl Server {
    /// Starts `program` and waits until it listens.
    pub(super) async fn start(program: &Path, brokers: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let apps = dir.path().join("apps");
        std::fs::create_dir(&apps)?;
        for (name, keys) in [
            ("hostile", [KEY, FLOOD_KEY].join(", ")),
            ("other", OTHER_KEY.into()),
            ("honest", HONEST_KEY.into()),
        ] {
            let file = format!("app: {name}\nkeys: [{keys}]\norigins: [\"{ORIGIN}\"]\n");
            std::fs::write(apps.join(format!("{name}.yaml")), file)?;
        }
        let log = dir.path().join("log");
        let mut process = Command::new(program)
            .envs(settings(brokers))
            .env("INGEST_APPS_DIR", &apps)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let id = process.id().context("the server ended at once")?;
        let listens = async {
            loop {
                if let Some(address) = listening(&std::fs::read_to_string(&log)?) {
                    return Ok(address);
                }
                if let Some(status) = process.try_wait()? {
                    bail!("the server ended with {status}: {}", std::fs::read_to_string(&log)?);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let address =
            tokio::time::timeout(PATIENCE, listens).await.context("the server does not listen")??;
        Ok(Self { process, id, address, log, _dir: dir })
    }

    /// Bytes that the process has in memory at most since the last call of [`Server::forget_peak`].
    pub(super) fn peak_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    }

    /// Begins a new peak: <https://www.kernel.org/doc/html/latest/filesystems/proc.html>, `clear_refs`.
    pub(super) fn forget_peak(&self) -> anyhow::Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.id), "5").context("clear_refs")
    }

    /// Ends it as an operator does. What it has logged.
    pub(super) async fn stop(mut self) -> anyhow::Result<String> {
        kill(Pid::from_raw(i32::try_from(self.id)?), Signal::SIGTERM)?;
        let status =
            tokio::time::timeout(PATIENCE, self.process.wait()).await.context("it does not stop")??;
        let log = std::fs::read_to_string(&self.log)?;
        if status.success() { Ok(log) } else { bail!("the server ended with {status}: {log}") }
    }
}

/// Rates that a flood reaches within seconds, and times that slow clients run into.
fn settings(brokers: &str) -> Vec<(&'static str, String)> {
    vec![
        ("INGEST_LISTEN", "127.0.0.1:0".into()),
        ("INGEST_ADMIN_LISTEN", "127.0.0.1:0".into()),
        ("INGEST_WORKERS", "2".into()),
        ("INGEST_KAFKA__BROKERS", brokers.into()),
        ("INGEST_TRUSTED_PROXIES", PROXY.into()),
        ("INGEST_LIMITS__HEAD_TIMEOUT_S", "2".into()),
        ("INGEST_LIMITS__BODY_TIMEOUT_S", "3".into()),
        ("INGEST_LIMITS__KEEP_ALIVE_S", "3".into()),
        ("INGEST_LIMITS__NETWORK_CONNECTIONS_MAX", NETWORK_CONNECTIONS_MAX.to_string()),
        ("INGEST_RATES__NETWORK_REQUESTS_PER_S", NETWORK_RATE.to_string()),
        ("INGEST_RATES__NETWORK_BURST", NETWORK_BURST.to_string()),
        ("INGEST_RATES__KEY_REQUESTS_PER_S", KEY_RATE.to_string()),
        ("INGEST_RATES__KEY_BURST", KEY_BURST.to_string()),
        ("LOG_FORMAT", "json".into()),
    ]
}

/// The address that the log tells.
fn listening(log: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(log.lines().find(|line| line.contains("\"started\""))?).ok()?;
    line["fields"]["listen"].as_str()?.parse().ok()
}
