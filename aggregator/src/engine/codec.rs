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

/// Reads what [`Put`] wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn damaged(&self) -> Damaged {
        Damaged { left: self.0.len() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Damaged> {
        let (byte, rest) = self.0.split_first().ok_or(self.damaged())?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        // Most numbers take one to four bytes: eight are looked at together.
        if let Some((word, _)) = self.0.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let last_bits = !word & 0x8080_8080;
            if last_bits != 0 {
                let bytes = last_bits.trailing_zeros() / 8 + 1;
                let word = word & (u64::MAX >> (64 - 8 * bytes));
                self.0 = &self.0[bytes as usize..];
                return Ok(word & 0x7f
                    | (word & 0x7f00) >> 1
                    | (word & 0x007f_0000) >> 2
                    | (word & 0x7f00_0000) >> 3);
            }
        }
        self.long_number()
    }

    fn long_number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.damaged())
    }

    /// A number that fits `T`.
    #[inline]
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Damaged> {
        let number = self.number()?;
        T::try_from(number).map_err(|_| self.damaged())
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Result<i64, Damaged> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    #[inline]
    pub(super) fn hash(&mut self) -> Result<u64, Damaged> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(self.damaged())?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn half_hash(&mut self) -> Result<u32, Damaged> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(self.damaged())?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    pub(super) fn bytes(&mut self) -> Result<&'b [u8], Damaged> {
        let length = self.small()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(self.damaged())?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'b str, Damaged> {
        let damaged = self.damaged();
        std::str::from_utf8(self.bytes()?).map_err(|_| damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let signed = [0, -1, 1, -64, 64, i64::MIN, i64::MAX];
        let mut bytes = Vec::with_capacity(100);
        numbers.iter().for_each(|number| bytes.put(*number));
        signed.iter().for_each(|number| bytes.put_signed(*number));
        bytes.put_hash(u64::MAX - 1);
        bytes.put_bytes("text".as_bytes());
        let mut reader = Reader::new(&bytes);
        assert_eq!(numbers.map(|_| reader.number().unwrap()), numbers);
        assert_eq!(signed.map(|_| reader.signed().unwrap()), signed);
        assert_eq!(reader.hash(), Ok(u64::MAX - 1));
        assert_eq!(reader.text(), Ok("text"));
        assert!(reader.is_empty());
        assert_eq!(reader.byte(), Err(Damaged { left: 0 }));
    }

    #[test]
    fn a_length_beyond_the_end_is_damage() {
        let mut bytes = Vec::new();
        bytes.put(5);
        bytes.extend_from_slice(b"four");
        assert_eq!(Reader::new(&bytes).bytes(), Err(Damaged { left: 4 }));
        assert_eq!(Reader::new(&[0xff; 11]).number(), Err(Damaged { left: 1 }));
    }
}
