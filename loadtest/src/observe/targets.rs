//! Whom an observer looks at, and how it finds them again after a restart.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use deploy::stack::{AGGREGATOR, CLICKHOUSE, INGEST, KAFKA, PASSWORD, READER, Stack};

use super::GENERATOR;

/// What is observed; whatever is left out is not.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Processes on this machine.
    pub processes: Vec<Process>,
    /// Base URLs of the admin servers of ingest.
    pub ingests: Vec<String>,
    /// Base URLs of the admin servers of the aggregators.
    pub aggregators: Vec<String>,
    /// Where freshness is read.
    pub clickhouse: Option<Server>,
}

/// ClickHouse, and who reads.
#[derive(Clone)]
pub struct Server {
    /// Base URL of the HTTP interface.
    pub url: String,
    /// User.
    pub user: String,
    /// Password of the user.
    pub password: String,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A process of this machine.
#[derive(Debug, Clone)]
pub struct Process {
    /// Name of the part.
    pub name: String,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Pid(u32),
    /// A `processes.json` of `deploy up`, which changes when a part is started again.
    File(PathBuf),
    Asked(Arc<dyn Fn() -> Option<u32> + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "{pid}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Asked(_) => write!(f, "asked"),
        }
    }
}

impl Process {
    /// The process `pid`.
    pub fn with_pid(name: &str, pid: u32) -> Self {
        Self { name: name.to_owned(), source: Source::Pid(pid) }
    }

    /// The process whose id `pid` knows at any time.
    pub fn asked(name: &str, pid: impl Fn() -> Option<u32> + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), source: Source::Asked(Arc::new(pid)) }
    }

    /// This process.
    pub fn own() -> Self {
        Self::with_pid(GENERATOR, std::process::id())
    }

    /// From `NAME=PID`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = || format!("{text} is not NAME=PID, such as ingest=4711");
        let (name, pid) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(shape)?;
        Ok(Self::with_pid(name, pid.parse().map_err(|_| shape())?))
    }

    /// Its id now; `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        match &self.source {
            Source::Pid(pid) => Some(*pid),
            Source::File(path) => listed(path).ok()?.get(&self.name).copied(),
            Source::Asked(pid) => pid(),
        }
    }
}

impl Targets {
    /// Every part of a whole stack of this process, and the generator.
    pub fn of_stack(stack: &Arc<Stack>) -> Self {
        let mut targets = Self { processes: vec![Process::own()], ..Self::default() };
        for name in [KAFKA, CLICKHOUSE, INGEST, AGGREGATOR] {
            let stack = Arc::downgrade(stack);
            targets.processes.push(Process::asked(name, move || stack.upgrade()?.pid(name)));
        }
        targets.ingests = some(stack.ingest_admin_url());
        targets.aggregators = some(stack.aggregator_url());
        targets.clickhouse = some(stack.clickhouse_url()).pop().map(Server::local);
        targets
    }

    /// Adds the processes that a `processes.json` of `deploy up` lists.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let names = listed(path)?.into_keys();
        self.processes.extend(names.map(|name| Process { name, source: Source::File(path.to_owned()) }));
        Ok(())
    }

    /// That every name is told from the others, as a report needs it.
    ///
    /// # Errors
    /// When two processes have one name.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut seen = std::collections::BTreeSet::new();
        for process in &self.processes {
            if !seen.insert(&process.name) {
                bail!("two processes are named {}: give each a name of its own", process.name);
            }
        }
        Ok(())
    }
}

impl Server {
    /// ClickHouse of a local stack.
    pub fn local(url: String) -> Self {
        Self { url, user: READER.to_owned(), password: PASSWORD.to_owned() }
    }
}

fn some(url: &str) -> Vec<String> {
    if url.is_empty() { Vec::new() } else { vec![url.to_owned()] }
}

fn listed(path: &Path) -> anyhow::Result<BTreeMap<String, u32>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a processes.json", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_its_id() {
        assert_eq!(Process::parse("ingest=12").map(|process| process.pid()), Ok(Some(12)));
        for wrong in ["ingest", "=12", "ingest=", "ingest=-1", "ingest=x"] {
            assert_eq!(
                Process::parse(wrong).unwrap_err(),
                format!("{wrong} is not NAME=PID, such as ingest=4711")
            );
        }
    }

    #[test]
    fn a_restart_is_found_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("processes.json");
        std::fs::write(&path, r#"{"ingest": 1, "kafka": 2}"#).unwrap();
        let mut targets = Targets::default();
        targets.add_file(&path).unwrap();
        let pids = || targets.processes.iter().map(Process::pid).collect::<Vec<_>>();
        assert_eq!(pids(), [Some(1), Some(2)]);
        std::fs::write(&path, r#"{"kafka": 3}"#).unwrap();
        assert_eq!(pids(), [None, Some(3)]);
    }

    #[test]
    fn two_of_one_name_are_refused() {
        let of = |names: &[&str]| Targets {
            processes: names.iter().map(|name| Process::with_pid(name, 1)).collect(),
            ..Targets::default()
        };
        assert!(of(&["a", "b"]).check().is_ok());
        assert!(of(&["a", "a"]).check().unwrap_err().to_string().contains("named a"));
    }
}
