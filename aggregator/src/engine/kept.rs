//! A list of a session to which most beacons only add: what stood there before stays bytes until somebody asks.
//!
//! Reading and writing every item of a session at every beacon would be half of the engine's work.

use super::codec::{Damaged, Put, Reader};

/// An item that can rest as bytes, with times as distances from `base_ms`.
pub(super) trait Rests {
    /// Appends its bytes.
    fn write(&self, base_ms: i64, to: &mut Vec<u8>);
    /// Reads what [`Rests::write`] wrote.
    fn read(from: &mut Reader<'_>, base_ms: i64) -> Self;
}

/// The older items as bytes, the newer ones at work.
#[derive(Debug, PartialEq)]
pub(super) struct Kept<T> {
    base_ms: i64,
    bytes: Vec<u8>,
    resting: usize,
    awake: Vec<T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { base_ms: 0, bytes: Vec::new(), resting: 0, awake: Vec::new() }
    }
}

impl<T: Rests> Kept<T> {
    pub(super) fn len(&self) -> usize {
        self.resting + self.awake.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, item: T) {
        self.awake.push(item);
    }

    /// Those at work: all after [`Kept::wake`], else those that were pushed since the session woke.
    pub(super) fn awake(&self) -> &[T] {
        &self.awake
    }

    /// The bytes of those at rest.
    pub(super) fn resting(&self) -> &[u8] {
        &self.bytes
    }

    /// Every item, at work.
    pub(super) fn wake(&mut self) -> &mut Vec<T> {
        if self.resting > 0 {
            let newer = self.awake.len();
            let mut from = Reader::new(&self.bytes);
            for _ in 0..self.resting {
                self.awake.push(T::read(&mut from, self.base_ms));
            }
            debug_assert_eq!(from.finish(), Ok(()), "an item was laid to rest and cannot be read");
            self.awake.rotate_left(newer);
            self.bytes.clear();
            self.resting = 0;
        }
        &mut self.awake
    }

    /// Lays every item to rest and appends all of them.
    pub(super) fn write(&mut self, base_ms: i64, to: &mut Vec<u8>) {
        self.awake.iter().for_each(|item| item.write(base_ms, &mut self.bytes));
        self.resting += self.awake.len();
        self.awake.clear();
        to.put(self.resting as u64);
        to.put_bytes(&self.bytes);
    }

    /// Takes up what [`Kept::write`] appended, at rest.
    pub(super) fn read(&mut self, from: &mut Reader<'_>, base_ms: i64) {
        self.base_ms = base_ms;
        self.resting = from.small();
        self.bytes.extend_from_slice(from.bytes());
    }

    /// Reads every item once, to see whether the bytes are sound.
    pub(super) fn check(&self) -> Result<(), Damaged> {
        let mut from = Reader::new(&self.bytes);
        for _ in 0..self.resting {
            drop(T::read(&mut from, self.base_ms));
            from.check()?;
        }
        from.finish()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.resting = 0;
        self.awake.clear();
    }
}
