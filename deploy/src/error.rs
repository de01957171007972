//! Why the stack can't be brought up, in sentences that name the cause and a way out.
//!
//! What a part itself says stays in its log file; an error carries the log's path and its last lines.

use std::path::{Path, PathBuf};

/// Why something of the stack did not work.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A program that the stack calls is not installed.
    #[error("{tool}, {purpose}, was not found: {way_out}")]
    ToolMissing {
        /// Program's name.
        tool: String,
        /// What it is needed for.
        purpose: &'static str,
        /// What to do.
        way_out: &'static str,
    },
    /// A program that the stack called ended with an error.
    #[error("{what} failed ({status}); {way_out}\n{output}")]
    ToolFailed {
        /// What it should have done.
        what: String,
        /// How it ended.
        status: String,
        /// What to do.
        way_out: String,
        /// Last lines of its output.
        output: String,
    },
    /// A port that was asked for is taken.
    #[error("port {port} for {part} is in use by {holder}: stop that, or give another port by {flag}")]
    PortInUse {
        /// The port.
        port: u16,
        /// Part that should have had it.
        part: &'static str,
        /// Flag that chooses it.
        flag: &'static str,
        /// Process that has it.
        holder: String,
    },
    /// No port is free in the range that is searched.
    #[error(
        "no free port between {first} and {last}: give ports by --kafka-port, --clickhouse-port and --ingest-port"
    )]
    NoFreePort {
        /// First port that was tried.
        first: u16,
        /// Last port that was tried.
        last: u16,
    },
    /// The file system has too little room.
    #[error("{path} has {free_mib} MiB free and {purpose} needs {needed_mib} MiB: free some space, or choose another place by {flag}", path = path.display())]
    DiskFull {
        /// Where room is needed.
        path: PathBuf,
        /// What it is needed for.
        purpose: String,
        /// Free space.
        free_mib: u64,
        /// Needed space.
        needed_mib: u64,
        /// Setting that chooses the place.
        flag: &'static str,
    },
    /// What was downloaded isn't what was expected.
    #[error("{part} is broken: {detail}; {way_out}")]
    BrokenDownload {
        /// The part.
        part: String,
        /// What differs.
        detail: String,
        /// What to do.
        way_out: String,
    },
    /// A part can't run on this machine.
    #[error("{part} is not available for {platform}: {way_out}")]
    Unsupported {
        /// The part.
        part: &'static str,
        /// Operating system and architecture.
        platform: String,
        /// What to do.
        way_out: &'static str,
    },
    /// A part ended while it should have started.
    #[error("{part} ended while starting ({status}); its log is {log}\n{tail}", log = log.display())]
    PartEnded {
        /// The part.
        part: &'static str,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// A part did not answer in time.
    #[error("{part} did not answer within {seconds} s ({detail}); its log is {log}\n{tail}", log = log.display())]
    PartSilent {
        /// The part.
        part: &'static str,
        /// How long it was given.
        seconds: u64,
        /// What the last attempt said.
        detail: String,
        /// Its log file.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// A server that the stack was pointed at does not answer.
    #[error("{what} at {address} does not answer: {detail}")]
    Unreachable {
        /// Kind of server.
        what: &'static str,
        /// Its address.
        address: String,
        /// What the attempt said.
        detail: String,
    },
    /// ClickHouse refused a statement.
    #[error("ClickHouse at {url} refused ({status}): {message}")]
    ClickHouse {
        /// Base URL of the server.
        url: String,
        /// HTTP status.
        status: u16,
        /// What it answered.
        message: String,
    },
    /// Kafka refused an administrative request.
    #[error("kafka at {brokers} refused to {action}: {detail}")]
    Kafka {
        /// Bootstrap servers.
        brokers: String,
        /// What was asked.
        action: String,
        /// What it answered.
        detail: String,
    },
    /// A migration that was applied reads differently now.
    #[error(
        "migration {version} ({name}) was applied with checksum {applied} and now has {current}: \
         it changes no more once it is released, and a database that an unreleased program made is made anew"
    )]
    MigrationChanged {
        /// The migration's version.
        version: u32,
        /// Its name.
        name: String,
        /// Checksum when it was applied.
        applied: String,
        /// Checksum now.
        current: String,
    },
    /// The database has a migration that this program does not know.
    #[error(
        "database {database} is at migration {version} and this program knows {known}: use the newer program"
    )]
    MigrationUnknown {
        /// The database.
        database: String,
        /// Its greatest version.
        version: u32,
        /// Greatest version of this program.
        known: u32,
    },
    /// The list of migrations itself is wrong.
    #[error("migration {version} ({name}) stands where {expected} is due: versions go from 1 without gaps")]
    MigrationOrder {
        /// Its version.
        version: u32,
        /// Its name.
        name: &'static str,
        /// Version that is due.
        expected: u32,
    },
    /// The definition files are not valid.
    #[error("definitions in {dir} are not valid: {detail}", dir = dir.display())]
    Definitions {
        /// Their folder.
        dir: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Settings(String),
    /// The stack has no such part.
    #[error("the stack has no part {0} of its own")]
    NoSuchPart(String),
    /// The operating system refused something.
    #[error("could not {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl StackError {
    /// An operating system's answer with what was tried on which path; a full disk gets its own sentence.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| {
            if source.kind() == std::io::ErrorKind::StorageFull {
                return Self::DiskFull {
                    path: path.to_owned(),
                    purpose: format!("to {action} it"),
                    free_mib: 0,
                    needed_mib: 1,
                    flag: "--dir or SLI_CACHE_DIR",
                };
            }
            Self::Io { action, path: path.to_owned(), source }
        }
    }
}
