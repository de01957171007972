//! A snapshot in pieces that fit into records, and back. What the bytes of a snapshot mean is the engine's.

use crate::engine::{Cut, ENGINE_VERSION, Snapshot};

/// Bytes of the snapshot in one record; with header and key it stays below Kafka's default of 1 MB a record.
pub const CHUNK_BYTES_MAX: usize = 900_000;
/// Chunks of one snapshot at most, 1 GiB of state: a larger one takes longer to read than a replay is worth.
pub const CHUNKS_MAX: u32 = 1_200;

/// Version of the header below.
const HEADER_VERSION: u8 = 2;
/// Version, engine, generation, next offset, log time, id, chunk, chunks.
const HEADER_BYTES: usize = 1 + 4 + 4 + 8 + 8 + 8 + 4 + 4;

/// Where a snapshot is written: two take turns, so that an unfinished one never destroys the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Slot {
    /// Chunks `0/…`.
    #[default]
    First,
    /// Chunks `1/…`.
    Second,
}

impl Slot {
    /// The one that is written next.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// The key of a chunk.
    pub fn key(self, chunk: u32) -> String {
        match self {
            Self::First => format!("0/{chunk}"),
            Self::Second => format!("1/{chunk}"),
        }
    }

    /// The slot of a chunk's key.
    pub fn of_key(key: &[u8]) -> Option<Self> {
        match key {
            [b'0', b'/', ..] => Some(Self::First),
            [b'1', b'/', ..] => Some(Self::Second),
            _ => None,
        }
    }
}

/// What every chunk of one snapshot says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Title {
    /// [`ENGINE_VERSION`] of the writer.
    pub engine_version: u32,
    /// The snapshot's cut.
    pub cut: Cut,
    /// The snapshot's own checksum, so that chunks of two writers do not mix.
    pub id: u64,
    /// Chunks that it has, 1 to [`CHUNKS_MAX`].
    pub chunks: u32,
}

/// A piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Of which snapshot.
    pub title: Title,
    /// Its number, below `title.chunks`.
    pub number: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Chunk {
    /// The payload of the chunk's record.
    pub fn encode(&self) -> Vec<u8> {
        let title = &self.title;
        let mut payload = Vec::with_capacity(HEADER_BYTES + self.bytes.len());
        payload.push(HEADER_VERSION);
        payload.extend(title.engine_version.to_le_bytes());
        payload.extend(title.cut.generation.to_le_bytes());
        payload.extend(title.cut.next_offset.to_le_bytes());
        payload.extend(title.cut.log_time_ms.to_le_bytes());
        payload.extend(title.id.to_le_bytes());
        payload.extend(self.number.to_le_bytes());
        payload.extend(title.chunks.to_le_bytes());
        payload.extend(&self.bytes);
        payload
    }

    /// Reads a record's payload; nothing when it is no chunk of this version.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (version, rest) = payload.split_first()?;
        let (engine_version, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (next_offset, rest) = rest.split_first_chunk()?;
        let (log_time_ms, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (chunks, bytes) = rest.split_first_chunk()?;
        let title = Title {
            engine_version: u32::from_le_bytes(*engine_version),
            cut: Cut {
                generation: u32::from_le_bytes(*generation),
                next_offset: i64::from_le_bytes(*next_offset),
                log_time_ms: i64::from_le_bytes(*log_time_ms),
            },
            id: u64::from_le_bytes(*id),
            chunks: u32::from_le_bytes(*chunks),
        };
        let number = u32::from_le_bytes(*number);
        let is_sound = *version == HEADER_VERSION && number < title.chunks && title.chunks <= CHUNKS_MAX;
        is_sound.then(|| Self { title, number, bytes: bytes.to_vec() })
    }
}

/// The chunks of `snapshot`, made one by one; nothing when it is larger than [`CHUNKS_MAX`] of them.
pub fn split(snapshot: &Snapshot) -> Option<impl Iterator<Item = Chunk>> {
    let chunks = u32::try_from(snapshot.bytes.len().div_ceil(CHUNK_BYTES_MAX)).ok()?;
    let id = snapshot.bytes.first_chunk().map(|id| u64::from_le_bytes(*id))?;
    let title = Title { engine_version: ENGINE_VERSION, cut: snapshot.cut, id, chunks };
    let pieces = snapshot.bytes.chunks(CHUNK_BYTES_MAX).zip(0..);
    (chunks <= CHUNKS_MAX)
        .then(|| pieces.map(move |(bytes, number)| Chunk { title, number, bytes: bytes.into() }))
}

/// A snapshot that is being put together.
#[derive(Debug)]
pub struct Assembly {
    title: Title,
    parts: Vec<Option<Vec<u8>>>,
    missing: u32,
}

impl Assembly {
    /// Nothing of the snapshot yet.
    pub fn new(title: Title) -> Self {
        Self { title, parts: vec![None; title.chunks as usize], missing: title.chunks }
    }

    /// Which snapshot.
    pub fn title(&self) -> Title {
        self.title
    }

    /// Takes a chunk of this snapshot.
    pub fn add(&mut self, chunk: Chunk) {
        if let Some(part @ None) = self.parts.get_mut(chunk.number as usize) {
            *part = Some(chunk.bytes);
            self.missing -= 1;
        }
    }

    /// Whether no chunk is missing.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The snapshot, once it is complete.
    pub fn into_snapshot(self) -> Snapshot {
        let bytes = self.parts.into_iter().flatten().flatten().collect();
        Snapshot { cut: self.title.cut, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(bytes: usize) -> Snapshot {
        let bytes = (0..bytes).map(|at| (at % 251) as u8).collect();
        Snapshot { cut: Cut { generation: 1, next_offset: 7, log_time_ms: 9 }, bytes }
    }

    #[test]
    fn chunks_in_any_order_are_the_snapshot() {
        let check = |bytes: usize, expect: usize| {
            let snapshot = snapshot(bytes);
            let chunks: Vec<_> = split(&snapshot).unwrap().collect();
            assert_eq!(chunks.len(), expect, "{bytes} bytes");
            let mut assembly = Assembly::new(chunks[0].title);
            for chunk in chunks.iter().rev().chain(&chunks) {
                assert_eq!(assembly.is_complete(), assembly.missing == 0);
                let decoded = Chunk::decode(&chunk.encode()).unwrap();
                assert_eq!(decoded, *chunk);
                assembly.add(decoded);
            }
            assert!(assembly.is_complete());
            assert_eq!(assembly.into_snapshot(), snapshot);
        };
        check(8, 1);
        check(CHUNK_BYTES_MAX, 1);
        check(CHUNK_BYTES_MAX + 1, 2);
        check(3 * CHUNK_BYTES_MAX, 3);
    }

    #[test]
    fn a_missing_chunk_leaves_it_incomplete() {
        let snapshot = snapshot(CHUNK_BYTES_MAX + 1);
        let mut assembly = None;
        for chunk in split(&snapshot).unwrap().take(1) {
            assembly.get_or_insert_with(|| Assembly::new(chunk.title)).add(chunk);
        }
        assert!(!assembly.unwrap().is_complete());
    }

    #[test]
    fn what_is_too_large_or_no_chunk_is_refused() {
        assert!(split(&snapshot(CHUNK_BYTES_MAX * CHUNKS_MAX as usize)).is_some());
        assert!(split(&snapshot(CHUNK_BYTES_MAX * CHUNKS_MAX as usize + 1)).is_none());
        let payload = split(&snapshot(100)).unwrap().next().unwrap().encode();
        assert!(Chunk::decode(&payload[..HEADER_BYTES - 1]).is_none());
        let with = |at: usize, byte: u8| {
            let mut changed = payload.clone();
            changed[at] = byte;
            Chunk::decode(&changed)
        };
        assert!(with(0, HEADER_VERSION + 1).is_none(), "another version");
        assert!(with(HEADER_BYTES - 8, 1).is_none(), "chunk 1 of 1");
        assert!(with(HEADER_BYTES - 1, 0xff).is_none(), "more chunks than there can be");
    }

    #[test]
    fn slots_take_turns() {
        assert_eq!(Slot::First.other(), Slot::Second);
        assert_eq!(Slot::Second.other(), Slot::First);
        for slot in [Slot::First, Slot::Second] {
            assert_eq!(Slot::of_key(slot.key(12).as_bytes()), Some(slot));
        }
        assert_eq!(Slot::of_key(b"2/0"), None);
    }
}
