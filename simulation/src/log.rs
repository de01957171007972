//! The partitioned log: what Kafka is to the pipeline. Append times are the broker's; offsets may have gaps;
//! the oldest records can be gone.

use aggregator::engine::LogRecord;
use schema::definition::DefinitionSet;
use schema::record::{encode_definitions, encode_tick};

/// What the generator knows of a record, for the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A tick or a definition set.
    Control,
    /// Not a record that can be decoded.
    Undecodable,
    /// A beacon before the first definition set.
    TooEarly,
    /// A beacon that counts.
    Counted {
        /// Its events.
        events: u64,
        /// Those that are too old.
        too_old: u64,
    },
    /// A beacon that is known by its id.
    Duplicate,
    /// A beacon of a bot.
    Bot,
    /// A beacon of an environment that is not listed.
    Environment,
}

/// A record on the log.
#[derive(Debug)]
pub struct Entry {
    /// Offset in its partition.
    pub offset: i64,
    /// When the broker had it, ms since the epoch.
    pub append_ms: i64,
    /// Key.
    pub key: Vec<u8>,
    /// The encoded record.
    pub payload: Vec<u8>,
    /// What it is.
    pub origin: Origin,
    /// What it is, for people.
    pub text: String,
}

impl Entry {
    /// As the engine takes it.
    pub fn record(&self) -> LogRecord<'_> {
        LogRecord { offset: self.offset, append_ms: self.append_ms, key: &self.key, payload: &self.payload }
    }
}

/// One partition.
#[derive(Debug, Default)]
pub struct PartitionLog {
    /// Every record that ever was on it.
    pub entries: Vec<Entry>,
    /// First offset that it still holds.
    pub low: i64,
    /// Offset that the next record gets.
    pub high: i64,
    /// How often it was begun anew.
    pub generation: u64,
    /// Records of former generations.
    pub former: u64,
}

impl PartitionLog {
    /// Appends a record at `now_ms`.
    pub fn append(&mut self, now_ms: i64, key: &[u8], payload: Vec<u8>, origin: Origin, text: String) {
        let (offset, key) = (self.high, key.to_vec());
        self.entries.push(Entry { offset, append_ms: now_ms, key, payload, origin, text });
        self.high += 1;
    }

    /// Appends a tick.
    pub fn tick(&mut self, now_ms: i64) {
        self.append(now_ms, &[], encode_tick().to_vec(), Origin::Control, "tick".to_owned());
    }

    /// Appends a definition set.
    pub fn definitions(&mut self, now_ms: i64, set: &DefinitionSet) {
        let text = format!("definition set {}", set.id);
        self.append(now_ms, &[], encode_definitions(set), Origin::Control, text);
    }

    /// Deletes everything, and begins at offset 0.
    pub fn recreate(&mut self) {
        self.former += self.entries.len() as u64;
        self.entries.clear();
        (self.low, self.high) = (0, 0);
        self.generation += 1;
    }

    /// Loses its last records, `records` at most.
    pub fn truncate(&mut self, records: usize) {
        let kept = self.entries.len().saturating_sub(records);
        let lost = self.entries.split_off(kept);
        self.former += lost.len() as u64;
        if let Some(first) = lost.first() {
            self.high = first.offset;
            self.low = self.low.min(self.high);
            self.generation += 1;
        }
    }

    /// The records from `offset` on, or nothing when `offset` is no longer held.
    pub fn from(&self, offset: i64) -> Option<&[Entry]> {
        let at = self.entries.partition_point(|entry| entry.offset < offset);
        (self.low..=self.high).contains(&offset).then(|| &self.entries[at..])
    }
}
