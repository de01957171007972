//! The engine's state at a cut as bytes, so that a replay can begin there instead of where the oldest session began.
//!
//! A snapshot only saves time: a replay without it reaches the same state. Where snapshots are kept, and which one
//! is read, is left to the edges of this crate.

use std::sync::Arc;

use schema::definition::DefinitionSet;
use xxhash_rust::xxh3::xxh3_64;

use super::codec::{Damaged, Put, Reader};
use super::context::Pools;
use super::plan::Plan;
use super::pool::TextId;
use super::rest;
use super::session::Session;
use super::sessions::{Birth, Resident};
use super::{ENGINE_VERSION, Engine, Resume};

/// Version of the layout below; bytes of another are not read.
const LAYOUT_VERSION: u64 = 3;

/// The place of a cut in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// How often the log had gone back before.
    pub generation: u32,
    /// First offset after it.
    pub next_offset: i64,
    /// Log time, ms since the epoch.
    pub log_time_ms: i64,
}

/// The state at a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The cut.
    pub cut: Cut,
    /// The state, with a checksum.
    pub bytes: Vec<u8>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Another version of the engine wrote it.
    #[error(
        "snapshot of engine {engine} with layout {layout}, this is engine {ENGINE_VERSION} with layout {LAYOUT_VERSION}"
    )]
    Version {
        /// The writer's [`ENGINE_VERSION`].
        engine: u64,
        /// Its layout.
        layout: u64,
    },
    /// The bytes are not those that were written.
    #[error("snapshot is damaged: {0}")]
    Damaged(#[from] Damaged),
    /// The definition set in it cannot be read.
    #[error("snapshot's definition set: {0}")]
    Definitions(String),
    /// It is ahead of the batches.
    #[error("snapshot ends at offset {snapshot}, after the last batch, which ends at {batches}")]
    Ahead {
        /// Its next offset.
        snapshot: i64,
        /// Next offset of the last batch.
        batches: i64,
    },
}

impl Engine {
    /// The state at the cut that has just been made.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let cut =
            Cut { generation: self.generation, next_offset: self.position, log_time_ms: self.log_time_ms };
        // Room for a little more than the last one: grown by doubling, a large one would be copied over and over.
        let mut bytes = Vec::with_capacity(self.snapshot_bytes + self.snapshot_bytes / 8);
        bytes.extend_from_slice(&[0; 8]);
        bytes.put(u64::from(ENGINE_VERSION));
        bytes.put(LAYOUT_VERSION);
        bytes.put(u64::from(cut.generation));
        bytes.put_signed(cut.next_offset);
        bytes.put_signed(cut.log_time_ms);
        let definitions = self.plan.as_ref().and_then(|plan| serde_json::to_vec(&*plan.set).ok());
        bytes.put_bytes(&definitions.unwrap_or_default());
        self.pools.write(self.log_time_ms, &mut bytes);
        bytes.put(self.sessions.len() as u64);
        for Resident { key, birth, expires_ms, timer_ms, bytes: session, .. } in self.sessions.by_birth() {
            key.iter().for_each(|part| bytes.put_hash(*part));
            bytes.put_signed(birth.offset);
            bytes.put_signed(birth.log_time_ms);
            bytes.put_signed(birth.log_time_before_ms);
            bytes.put_bytes(birth.definition_set.as_bytes());
            bytes.put_signed(*expires_ms);
            bytes.put_signed(*timer_ms);
            bytes.put_bytes(session);
        }
        let checksum = xxh3_64(&bytes[8..]);
        bytes[..8].copy_from_slice(&checksum.to_le_bytes());
        self.snapshot_bytes = bytes.len();
        Snapshot { cut, bytes }
    }

    /// The engine as it was at the snapshot's cut. It expects the records from there on, and writes batches from
    /// `next_offset` on, which is where the last batch ended.
    ///
    /// # Errors
    /// When the snapshot is damaged, of another version, or ahead of the batches.
    pub fn restore(
        topic: String,
        partition: i32,
        snapshot: &Snapshot,
        next_offset: i64,
    ) -> Result<Self, SnapshotError> {
        let cut = snapshot.cut;
        if cut.next_offset > next_offset {
            return Err(SnapshotError::Ahead { snapshot: cut.next_offset, batches: next_offset });
        }
        let mut from = Reader::new(&snapshot.bytes);
        let checksum = from.hash();
        if checksum != xxh3_64(&snapshot.bytes[8..]) {
            from.fail();
        }
        from.check()?;
        let (engine, layout) = (from.number(), from.number());
        if (engine, layout) != (u64::from(ENGINE_VERSION), LAYOUT_VERSION) {
            return Err(SnapshotError::Version { engine, layout });
        }
        let (generation, at_offset, log_time_ms) = (from.number(), from.signed(), from.signed());
        let titled = (u64::from(cut.generation), cut.next_offset, cut.log_time_ms);
        if (generation, at_offset, log_time_ms) != titled {
            from.fail();
        }
        from.check()?;
        let definitions = match from.bytes() {
            [] => None,
            json => {
                let set: DefinitionSet = serde_json::from_slice(json)
                    .map_err(|error| SnapshotError::Definitions(error.to_string()))?;
                Some(Arc::new(set))
            }
        };
        let resume = Resume {
            generation: cut.generation,
            replay_from: at_offset,
            replay_log_time_ms: log_time_ms,
            next_offset,
            ..Resume::default()
        };
        let mut engine = Self::new(topic, partition, resume);
        engine.snapshot_bytes = snapshot.bytes.len();
        engine.pools = Pools::read(&mut from);
        from.check()?;
        engine.plan = definitions.map(|set| Plan::new(set, &mut engine.pools.texts));
        engine.read_sessions(from)?;
        Ok(engine)
    }

    fn read_sessions(&mut self, mut from: Reader<'_>) -> Result<(), Damaged> {
        let mut definition_set: Arc<str> = Arc::from("");
        let mut session = Session::default();
        for _ in 0..from.count() {
            let key = [from.hash(), from.hash()];
            let (offset, log_time_ms, log_time_before_ms) = (from.signed(), from.signed(), from.signed());
            let set = from.text();
            if *set != *definition_set {
                definition_set = Arc::from(set);
            }
            let birth = Birth {
                offset,
                log_time_ms,
                log_time_before_ms,
                definition_set: Arc::clone(&definition_set),
            };
            let (expires_ms, timer_ms) = (from.signed(), from.signed());
            let bytes = from.bytes();
            from.check()?;
            session.clear();
            rest::read(&mut session, log_time_ms, bytes)?;
            session.check()?;
            let open_attempts = session.open_attempts();
            self.sessions
                .restore(Resident::new(key, birth, expires_ms, timer_ms, Box::from(bytes)), open_attempts);
        }
        if !self.pools.texts.holds(TextId::EMPTY) {
            from.fail();
        }
        from.finish()
    }
}
