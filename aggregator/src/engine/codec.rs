//! Numbers as bytes, small ones in few: what a session at rest, and a snapshot, are written with.
//!
//! What the bytes mean is left to [`super::rest`] and [`super::snapshot`].

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes end too early or hold what was never written, {left} bytes before their end")]
pub struct Damaged {
    /// Bytes that were left.
    pub left: usize,
}

/// Appends to a buffer.
pub(super) trait Put {
    /// Seven bits a byte, the lowest first (LEB128).
    fn put(&mut self, number: u64);
    /// The same for numbers of both signs, small ones in few bytes (zigzag).
    fn put_signed(&mut self, number: i64);
    /// Eight bytes, for hashes.
    fn put_hash(&mut self, hash: u64);
    /// Length and bytes.
    fn put_bytes(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    #[inline]
    fn put(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    #[inline]
    fn put_signed(&mut self, number: i64) {
        self.put(((number << 1) ^ (number >> 63)) as u64);
    }

    #[inline]
    fn put_hash(&mut self, hash: u64) {
        self.extend_from_slice(&hash.to_le_bytes());
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }
}

/// Reads what [`Put`] wrote. Once bytes are damaged it gives zeros to its end, which [`Reader::check`] tells: one
/// question at the end is cheaper than one a number.
#[derive(Debug, Clone)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    damaged: Option<Damaged>,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, damaged: None }
    }

    /// Whether everything so far was what [`Put`] wrote.
    pub(super) fn check(&self) -> Result<(), Damaged> {
        self.damaged.map_or(Ok(()), Err)
    }

    /// The same, and nothing is left.
    pub(super) fn finish(mut self) -> Result<(), Damaged> {
        if !self.bytes.is_empty() {
            self.fail();
        }
        self.check()
    }

    /// Says that what was read cannot have been written.
    #[cold]
    pub(super) fn fail(&mut self) {
        self.damaged.get_or_insert(Damaged { left: self.bytes.len() });
        self.bytes = &[];
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((taken, rest)) = self.bytes.split_first_chunk() else {
            self.fail();
            return [0; N];
        };
        self.bytes = rest;
        *taken
    }

    #[inline]
    pub(super) fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    #[inline(always)]
    pub(super) fn number(&mut self) -> u64 {
        if let [byte @ 0..0x80, rest @ ..] = self.bytes {
            self.bytes = rest;
            return u64::from(*byte);
        }
        self.wide_number()
    }

    /// Most of those that take more than one byte take two to four: eight are looked at together.
    fn wide_number(&mut self) -> u64 {
        if let Some((word, _)) = self.bytes.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let last_bits = !word & 0x8080_8080;
            if last_bits != 0 {
                let bytes = last_bits.trailing_zeros() / 8 + 1;
                let word = word & (u64::MAX >> (64 - 8 * bytes));
                self.bytes = &self.bytes[bytes as usize..];
                return word & 0x7f
                    | (word & 0x7f00) >> 1
                    | (word & 0x007f_0000) >> 2
                    | (word & 0x7f00_0000) >> 3;
            }
        }
        self.long_number()
    }

    #[cold]
    fn long_number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
        }
        self.fail();
        0
    }

    /// A number that fits `T`.
    #[inline]
    pub(super) fn small<T: TryFrom<u64> + Default>(&mut self) -> T {
        let number = self.number();
        T::try_from(number).unwrap_or_else(|_| {
            self.fail();
            T::default()
        })
    }

    /// How many items follow, each of one byte at least.
    #[inline]
    pub(super) fn count(&mut self) -> usize {
        let count = self.small();
        if count <= self.bytes.len() {
            return count;
        }
        self.fail();
        0
    }

    #[inline]
    pub(super) fn signed(&mut self) -> i64 {
        let number = self.number();
        (number >> 1) as i64 ^ -((number & 1) as i64)
    }

    #[inline]
    pub(super) fn hash(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    #[inline]
    pub(super) fn half_hash(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> &'b [u8] {
        let length = self.small();
        let Some((bytes, rest)) = self.bytes.split_at_checked(length) else {
            self.fail();
            return &[];
        };
        self.bytes = rest;
        bytes
    }

    pub(super) fn text(&mut self) -> &'b str {
        std::str::from_utf8(self.bytes()).unwrap_or_else(|_| {
            self.fail();
            ""
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read() {
        let numbers =
            [0, 1, 127, 128, 16_383, 16_384, (1 << 21) - 1, 1 << 21, (1 << 28) - 1, 1 << 28, u64::MAX];
        let signed = [0, -1, 1, -64, 64, i64::MIN, i64::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| bytes.put(*number));
        signed.iter().for_each(|number| bytes.put_signed(*number));
        bytes.put_hash(u64::MAX - 1);
        bytes.put_bytes("text".as_bytes());
        let mut reader = Reader::new(&bytes);
        assert_eq!(numbers.map(|_| reader.number()), numbers);
        assert_eq!(signed.map(|_| reader.signed()), signed);
        assert_eq!(reader.hash(), u64::MAX - 1);
        assert_eq!(reader.text(), "text");
        assert_eq!(reader.clone().finish(), Ok(()));
        assert_eq!(reader.byte(), 0);
        assert_eq!(reader.check(), Err(Damaged { left: 0 }));
    }

    #[test]
    fn a_length_beyond_the_end_is_damage() {
        let mut bytes = Vec::new();
        bytes.put(5);
        bytes.extend_from_slice(b"four");
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.bytes(), b"");
        assert_eq!(reader.check(), Err(Damaged { left: 4 }));
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.count(), 0);
        assert_eq!(reader.check(), Err(Damaged { left: 4 }));
        let mut reader = Reader::new(&[0xff; 11]);
        assert_eq!(reader.number(), 0);
        assert_eq!(reader.finish(), Err(Damaged { left: 1 }));
    }

    #[test]
    fn what_is_left_over_is_damage() {
        assert_eq!(Reader::new(&[1, 2]).finish(), Err(Damaged { left: 2 }));
    }
}
