//! Segments by name, what is found of them at a start, and the cursor.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{self, Found};

const SUFFIX: &str = "spool";
/// File that says up to where records were drained.
const CURSOR: &str = "cursor";

/// The file of a segment.
pub fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.{SUFFIX}"))
}

/// Where draining stands: everything before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes into it.
    pub offset: u64,
}

/// What a segment holds beyond a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// Records.
    pub records: u64,
    /// Receipt of the earliest one, ms since the epoch; `i64::MAX` without records.
    pub oldest_ms: i64,
}

/// Numbers of the segments in a folder, in order of arrival.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if path.extension().is_some_and(|extension| extension == SUFFIX)
            && let Some(number) = number
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Counts what a segment holds from `offset` on.
pub fn survey(bytes: &[u8], offset: usize) -> Survey {
    let (mut at, mut survey) = (offset, Survey { records: 0, oldest_ms: i64::MAX });
    while let Some(found) = frame::next(bytes, at) {
        at = match found {
            Found::Record(record, end) => {
                survey.records += 1;
                survey.oldest_ms = survey.oldest_ms.min(record.received_at_ms);
                end
            }
            Found::Damaged(end) | Found::Torn(end) => end,
        };
    }
    survey
}

/// The cursor, or the beginning of everything where it is missing or cannot be read: what is drained again has the
/// same ids.
pub fn read_cursor(dir: &Path) -> Position {
    let Ok(bytes) = fs::read(dir.join(CURSOR)) else { return Position::default() };
    match (bytes.get(..8).map(TryInto::try_into), bytes.get(8..16).map(TryInto::try_into), bytes.get(16..)) {
        (Some(Ok(segment)), Some(Ok(offset)), Some(sum))
            if sum == crc32fast::hash(&bytes[..16]).to_le_bytes() =>
        {
            Position { segment: u64::from_le_bytes(segment), offset: u64::from_le_bytes(offset) }
        }
        _ => Position::default(),
    }
}

/// Writes the cursor. Not synced: one that is lost with its host only lets more be sent twice.
///
/// # Errors
/// When it cannot be written.
pub fn write_cursor(dir: &Path, position: Position) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(20);
    bytes.extend_from_slice(&position.segment.to_le_bytes());
    bytes.extend_from_slice(&position.offset.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    let (new, path) = (dir.join("cursor.new"), dir.join(CURSOR));
    fs::write(&new, bytes)?;
    fs::rename(new, path)
}

/// Takes a segment away whose records are acknowledged; one that held damage is kept under another name, since
/// somebody may want to look at it.
///
/// # Errors
/// When the file cannot be removed.
pub fn retire(dir: &Path, number: u64, damaged: bool) -> io::Result<()> {
    let path = path_of(dir, number);
    if damaged { fs::rename(&path, path.with_extension("damaged")) } else { fs::remove_file(path) }
}
