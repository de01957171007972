//! Recorded beacons: those that are on the log now, or those of a file that was saved from it.
//!
//! A file has one beacon a line, as JSON, with what the log says of it: `partition`, `append_ms` and `key`. What is on the
//! log was cleaned by `ingest`, so a file holds no more of a person than the log does; it is still the beacons of people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use schema::beacon::Beacon;
use schema::record::{Record, encode_beacon};
use serde::{Deserialize, Serialize};

mod log;

use log::LogArgs;

/// Where the beacons come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct RecordingArgs {
    /// Read recorded beacons of this file, instead of those on the log.
    #[arg(long, value_name = "FILE")]
    beacons: Option<PathBuf>,
    /// Write the beacons to this file, to read them again.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

/// One beacon as the log has it.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) partition: i32,
    /// When it was appended, ms since the epoch.
    pub(crate) append_ms: i64,
    pub(crate) key: Vec<u8>,
    /// The encoded record.
    pub(crate) payload: Vec<u8>,
}

/// Beacons in the order of their partitions, and within each in the order of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recording(Vec<Recorded>);

/// A line of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    partition: i32,
    append_ms: i64,
    key: String,
    #[serde(borrow)]
    beacon: Beacon<'a>,
}

impl RecordingArgs {
    /// The beacons of `apps`; of all apps where none is named.
    pub(crate) async fn read(&self, apps: &[String]) -> anyhow::Result<Recording> {
        let mut recording = match &self.beacons {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                Recording::parse(&text).with_context(|| format!("{} is no recording", file.display()))?
            }
            None => self.log.read().await?,
        };
        recording.0.retain(|recorded| {
            recorded
                .beacon()
                .is_some_and(|beacon| apps.is_empty() || apps.iter().any(|app| *app == beacon.app))
        });
        recording.0.sort_by_key(|recorded| recorded.partition);
        if let Some(file) = &self.save {
            recording.save(file)?;
        }
        Ok(recording)
    }

    /// Whether a file is read, and not the log.
    pub(crate) fn is_file(&self) -> bool {
        self.beacons.is_some()
    }

    /// Where they came from, for people.
    pub(crate) fn source(&self) -> String {
        match &self.beacons {
            Some(file) => file.display().to_string(),
            None => self.log.source(),
        }
    }
}

impl Recorded {
    /// What it holds, if it is a beacon.
    pub(crate) fn beacon(&self) -> Option<Beacon<'_>> {
        match Record::decode(&self.payload) {
            Ok(Record::Beacon(beacon)) => Some(beacon),
            Ok(Record::Tick | Record::Definitions(_)) | Err(_) => None,
        }
    }
}

impl Recording {
    /// Every record, partition by partition.
    pub(crate) fn records(&self) -> &[Recorded] {
        &self.0
    }

    /// Every beacon, partition by partition.
    pub(crate) fn beacons(&self) -> impl Iterator<Item = Beacon<'_>> {
        self.0.iter().filter_map(Recorded::beacon)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let recorded = lines.map(|(number, text)| {
            let line: Line<'_> =
                serde_json::from_str(text).with_context(|| format!("line {}", number + 1))?;
            Ok(Recorded {
                partition: line.partition,
                append_ms: line.append_ms,
                key: line.key.into_bytes(),
                payload: encode_beacon(&line.beacon, Vec::new()),
            })
        });
        recorded.collect::<anyhow::Result<_>>().map(Self)
    }

    fn save(&self, file: &Path) -> anyhow::Result<()> {
        let mut text = String::new();
        for recorded in &self.0 {
            if let Some(beacon) = recorded.beacon() {
                let line = Line {
                    partition: recorded.partition,
                    append_ms: recorded.append_ms,
                    key: String::from_utf8_lossy(&recorded.key).into_owned(),
                    beacon,
                };
                writeln!(text, "{}", serde_json::to_string(&line)?)?;
            }
        }
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

impl From<Vec<Recorded>> for Recording {
    fn from(records: Vec<Recorded>) -> Self {
        Self(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_as_it_was() {
        let line = r#"{"partition":3,"append_ms":1795402800000,"key":"s","beacon":{"id":"b1","app":"web","environment":"production","session":"s","sequence":1,"release":"1","platform":"web","os":"","browser":"","device_class":"","country":"","connection":"","segment":"","received_at_ms":1795402800000,"sent_at_ms":null,"bot":false,"weight":1,"events":[{"name":"user.action","time_ms":1795402799000,"time_method":"AsSent","time_correction_ms":0,"value":null,"attributes":[["name","say \"open\""]]}],"rejected":[]}}"#;
        let recording = Recording::parse(&format!("{line}\n\n{line}\n")).unwrap();
        assert_eq!(recording.records().len(), 2);
        let file = tempfile::NamedTempFile::new().unwrap();
        recording.save(file.path()).unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), format!("{line}\n{line}\n"));

        let wrong = Recording::parse("\n{\"partition\":3}").unwrap_err();
        assert_eq!(wrong.to_string(), "line 2");
    }
}
