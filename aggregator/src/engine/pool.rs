//! Texts and contexts that many sessions share, each held once and named by a small number.
//!
//! An entry stays as long as a session that names it may live: whoever lays a session to rest says until when.
//! The numbers depend on the history of one process, so they decide no order and no count.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128;

use super::codec::{Put, Reader};

/// Entries below which unused ones are not looked for.
const SWEEP_MIN: usize = 4_096;

/// Values by number.
#[derive(Debug)]
pub(super) struct Pool<T> {
    entries: Vec<Option<Entry<T>>>,
    free: Vec<u32>,
    by_hash: HashTable<u32>,
    /// Number of entries at which unused ones are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    hash: u64,
    keep_until_ms: i64,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), by_hash: HashTable::new(), sweep_at: SWEEP_MIN }
    }
}

impl<T> Pool<T> {
    /// The number of the value with this hash that `is` recognises, which `make` makes when there is none.
    pub(super) fn intern(&mut self, hash: u64, is: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> u32 {
        let entries = &self.entries;
        let same = |id: &u32| {
            entries[*id as usize].as_ref().is_some_and(|entry| entry.hash == hash && is(&entry.value))
        };
        if let Some(id) = self.by_hash.find(hash, same) {
            return *id;
        }
        let id = self.free.pop().unwrap_or(self.entries.len() as u32);
        self.put(id, Entry { value: make(), hash, keep_until_ms: i64::MIN });
        id
    }

    fn put(&mut self, id: u32, entry: Entry<T>) {
        let hash = entry.hash;
        if self.entries.len() <= id as usize {
            self.entries.resize_with(id as usize + 1, || None);
        }
        self.entries[id as usize] = Some(entry);
        let entries = &self.entries;
        let hash_of = |id: &u32| entries[*id as usize].as_ref().map_or(0, |entry| entry.hash);
        self.by_hash.insert_unique(hash, id, hash_of);
    }

    fn entry(&self, id: u32) -> &Entry<T> {
        match self.entries.get(id as usize).and_then(Option::as_ref) {
            Some(entry) => entry,
            None => unreachable!("entry {id} is named by a session and was dropped"),
        }
    }

    pub(super) fn get(&self, id: u32) -> &T {
        &self.entry(id).value
    }

    pub(super) fn hash(&self, id: u32) -> u64 {
        self.entry(id).hash
    }

    /// Whether there is an entry of this number.
    pub(super) fn holds(&self, id: u32) -> bool {
        self.entries.get(id as usize).is_some_and(Option::is_some)
    }

    /// Keeps an entry until log time `until_ms` at least.
    #[inline]
    pub(super) fn keep(&mut self, id: u32, until_ms: i64) {
        if let Some(Some(entry)) = self.entries.get_mut(id as usize) {
            entry.keep_until_ms = entry.keep_until_ms.max(until_ms);
        }
    }

    /// Keeps everything that is still in use at `log_time_ms` until `until_ms` at least.
    pub(super) fn keep_used(&mut self, log_time_ms: i64, until_ms: i64) {
        for entry in self.entries.iter_mut().flatten().filter(|entry| entry.keep_until_ms > log_time_ms) {
            entry.keep_until_ms = entry.keep_until_ms.max(until_ms);
        }
    }

    /// Forgets what nothing names any more, when enough has come to look for it.
    pub(super) fn drop_unused(&mut self, log_time_ms: i64) {
        if self.by_hash.len() < self.sweep_at {
            return;
        }
        let (entries, free) = (&mut self.entries, &mut self.free);
        self.by_hash.retain(|id| {
            let entry = &mut entries[*id as usize];
            let used = entry.as_ref().is_some_and(|entry| entry.keep_until_ms > log_time_ms);
            if !used {
                *entry = None;
                free.push(*id);
            }
            used
        });
        self.sweep_at = (self.by_hash.len() * 2).max(SWEEP_MIN);
    }

    /// Writes every entry that is in use.
    pub(super) fn write(&self, log_time_ms: i64, to: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
        let used = || {
            self.entries.iter().enumerate().filter_map(|(id, entry)| {
                entry.as_ref().filter(|entry| entry.keep_until_ms > log_time_ms).map(|entry| (id, entry))
            })
        };
        to.put(used().count() as u64);
        for (id, entry) in used() {
            to.put(id as u64);
            to.put_signed(entry.keep_until_ms);
            to.put_hash(entry.hash);
            write(&entry.value, to);
        }
    }

    /// Reads what [`Pool::write`] wrote.
    pub(super) fn read<'b>(from: &mut Reader<'b>, mut read: impl FnMut(&mut Reader<'b>) -> T) -> Self {
        let mut pool = Self::default();
        for _ in 0..from.count() {
            let id: u32 = from.small();
            let (keep_until_ms, hash) = (from.signed(), from.hash());
            pool.put(id, Entry { value: read(from), hash, keep_until_ms });
        }
        pool.free = (0..pool.entries.len() as u32).filter(|id| !pool.holds(*id)).collect();
        pool.sweep_at = (pool.by_hash.len() * 2).max(SWEEP_MIN);
        pool
    }
}

/// Number of a text; 0 is the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct TextId(pub u32);

/// Names, routes, reasons.
#[derive(Debug)]
pub(super) struct Texts(Pool<Text>);

/// A text is known by 128 bits of hash, which no two of them share; that spares a look at the text itself.
#[derive(Debug)]
struct Text {
    high: u64,
    text: Box<str>,
}

impl Text {
    fn hash(text: &str) -> (u64, u64) {
        let hash = xxh3_128(text.as_bytes());
        (hash as u64, (hash >> 64) as u64)
    }
}

impl Default for Texts {
    fn default() -> Self {
        let mut texts = Self(Pool::default());
        let empty = texts.intern("");
        texts.keep(empty, i64::MAX);
        texts
    }
}

impl Texts {
    #[inline]
    pub(super) fn intern(&mut self, text: &str) -> TextId {
        let (hash, high) = Text::hash(text);
        TextId(self.0.intern(hash, |known| known.high == high, || Text { high, text: Box::from(text) }))
    }

    /// The number of a text that stays for good: what definitions name.
    pub(super) fn intern_for_good(&mut self, text: &str) -> TextId {
        let id = self.intern(text);
        self.keep(id, i64::MAX);
        id
    }

    pub(super) fn get(&self, id: TextId) -> &str {
        &self.0.get(id.0).text
    }

    /// A hash of the text itself, the same in every process.
    pub(super) fn hash(&self, id: TextId) -> u64 {
        self.0.hash(id.0)
    }

    #[inline]
    pub(super) fn keep(&mut self, id: TextId, until_ms: i64) {
        self.0.keep(id.0, until_ms);
    }

    pub(super) fn keep_used(&mut self, log_time_ms: i64, until_ms: i64) {
        self.0.keep_used(log_time_ms, until_ms);
    }

    pub(super) fn drop_unused(&mut self, log_time_ms: i64) {
        self.0.drop_unused(log_time_ms);
    }

    pub(super) fn holds(&self, id: TextId) -> bool {
        self.0.holds(id.0)
    }

    pub(super) fn write(&self, log_time_ms: i64, to: &mut Vec<u8>) {
        self.0.write(log_time_ms, to, |text, to| to.put_bytes(text.text.as_bytes()));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Self {
        Self(Pool::read(from, |from| {
            let text = from.text();
            Text { high: Text::hash(text).1, text: Box::from(text) }
        }))
    }
}

impl TextId {
    pub(super) const EMPTY: Self = Self(0);

    pub(super) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_held_once_and_as_long_as_it_is_kept() {
        let mut texts = Texts::default();
        let kept = texts.intern("kept");
        assert_eq!(texts.intern("kept"), kept);
        assert_ne!(texts.intern("other"), kept);
        texts.keep(kept, 100);
        for number in 0..SWEEP_MIN {
            texts.intern(&number.to_string());
        }
        texts.drop_unused(99);
        assert_eq!(texts.get(kept), "kept");
        assert_eq!((texts.0.by_hash.len(), texts.get(TextId::EMPTY)), (2, ""));
        let again = texts.intern("again");
        assert!(again.0 as usize <= SWEEP_MIN + 2, "a number that is free is used again");
    }

    #[test]
    fn what_is_used_survives_writing_and_reading() {
        let mut texts = Texts::default();
        let (used, unused) = (texts.intern("used"), texts.intern("unused"));
        texts.keep(used, 100);
        let mut bytes = Vec::new();
        texts.write(50, &mut bytes);
        let mut read = Texts::read(&mut Reader::new(&bytes));
        assert_eq!(read.get(used), "used");
        assert!(!read.holds(unused));
        assert_eq!(read.intern("used"), used);
    }
}
