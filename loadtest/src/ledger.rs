//! The ledger of a run: what was promised to be true, and what was answered, one JSON object a line.
//!
//! A session's truth is written before its first beacon is sent, an answer before it counts in the run's
//! numbers. A ledger without its last line is one of a run that did not end.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::scenario::{Format, Session, wire};
use crate::schedule::Traffic;
use crate::truth::Truth;

/// Version of the lines' shape.
pub const VERSION: u32 = 2;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first line: the run.
    Run(Run),
    /// A session that begins.
    Session(SessionLine),
    /// A sending that has come to its end.
    Answer(AnswerLine),
    /// The last line.
    End(End),
}

/// The run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`VERSION`].
    pub version: u32,
    /// What was played.
    pub traffic: Traffic,
    /// Beginning, ms since the epoch; part of every id.
    pub started_ms: i64,
    /// Where it was sent.
    pub ingest: String,
}

/// A session and what must be counted of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionLine {
    /// Its number.
    pub number: u64,
    /// Its place among the sessions that one gateway sends; those after the first have its number and its beacons.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub place: u64,
    /// When its first beacon is due, ms after the run's beginning.
    pub begins_ms: u64,
    /// App.
    pub app: String,
    /// Release of the app.
    pub release: String,
    /// Environment, empty where it is not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// How many sessions it stands for.
    pub weight: u32,
    /// Whether its user agent is a bot's.
    pub bot: bool,
    /// What is added to the right time by its clock, ms.
    #[serde(default, skip_serializing_if = "is_right")]
    pub clock_error_ms: i64,
    /// Its beacons, those that are sent twice counted once.
    pub beacons: u64,
    /// What must be counted.
    pub truth: Truth,
}

impl SessionLine {
    /// The lines of a session that begins, ms after the run, and of those that are sent with it.
    pub fn of(session: &Session, begins_ms: u64) -> Vec<Self> {
        let beacons = session.beacons.len() as u64;
        let line = |session: &Session| Self {
            number: session.number,
            place: session.place,
            begins_ms,
            app: session.app.name().to_owned(),
            release: session.release.to_owned(),
            environment: session.environment.to_owned(),
            weight: session.weight,
            bot: session.device.bot,
            clock_error_ms: session.clock_error_ms,
            beacons,
            truth: session.truth.clone(),
        };
        std::iter::once(session).chain(&session.others).map(line).collect()
    }

    /// Its id in a run that began at `run_ms`.
    pub fn id(&self, run_ms: i64) -> String {
        wire::session_id(run_ms, self.number, self.place)
    }
}

/// What became of one sending of a beacon, after all its retries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// Its session's number.
    pub session: u64,
    /// The beacon's number in its session.
    pub sequence: u64,
    /// Its format.
    pub format: Format,
    /// What is known of it.
    pub fate: Fate,
    /// Status of the last answer; `None` when the last try was not answered.
    pub status: Option<u16>,
    /// How often it was tried. A try that was not answered may have been taken all the same.
    pub tries: u32,
    /// Records that one try becomes.
    pub records: u64,
    /// When its session meant to send it first, ms after the run's beginning.
    pub due_ms: u64,
    /// When the first try was written that may have been taken, ms after the run's beginning.
    pub first_try_ms: u64,
    /// When the last answer came or was given up, ms after the run's beginning.
    pub ended_ms: u64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Sessions that were begun.
    pub sessions: u64,
    /// Sendings, each with its retries counted once.
    pub sendings: u64,
    /// Hash of what was sent, as if at a fixed time.
    pub fingerprint: String,
}

/// What is known of a beacon after its last try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Answered with 2xx.
    Accepted,
    /// Answered with a refusal each time it was tried.
    Refused,
    /// Not accepted, and at least one try may have been taken without saying so.
    Unanswered,
}

/// Writes a ledger.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Writer {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, run: Run) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("creating ledger {}", path.display()))?;
        let mut writer = Self { file: BufWriter::with_capacity(1 << 16, file), path: path.to_owned() };
        writer.write(&Line::Run(run))?;
        Ok(writer)
    }

    /// Appends a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.file, line)
            .map_err(anyhow::Error::from)
            .and_then(|()| Ok(self.file.write_all(b"\n")?))
            .with_context(|| format!("writing ledger {}", self.path.display()))
    }

    /// Hands what was written to the operating system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| format!("writing ledger {}", self.path.display()))
    }
}

/// Reads a ledger line by line into `take`; returns the run and its end, where it has one.
///
/// # Errors
/// When the file cannot be read, or is not a ledger of this version.
pub fn read(path: &Path, mut take: impl FnMut(Line)) -> anyhow::Result<(Run, Option<End>)> {
    let file = File::open(path).with_context(|| format!("opening ledger {}", path.display()))?;
    let (mut run, mut end) = (None, None);
    for (number, text) in BufReader::new(file).lines().enumerate() {
        let at = || format!("ledger {} line {}", path.display(), number + 1);
        let text = text.with_context(at)?;
        match serde_json::from_str(&text).with_context(at)? {
            Line::Run(line) if line.version == VERSION => run = Some(line),
            Line::Run(line) => {
                bail!("{}: version {} is not known, this build reads {VERSION}", at(), line.version)
            }
            Line::End(line) => end = Some(line),
            line @ (Line::Session(_) | Line::Answer(_)) => take(line),
        }
    }
    let run = run.with_context(|| format!("ledger {} does not say its run", path.display()))?;
    Ok((run, end))
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_right(error_ms: &i64) -> bool {
    *error_ms == 0
}
