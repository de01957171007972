//! How a record stands in a segment, and reading segments that are torn or damaged. Pure.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | [`MARKER`], by which reading finds its way again behind damage |
//! | 4 | length of the body, little-endian |
//! | 4 | CRC-32 of length and body |
//! | 8 | ms since the epoch of the receipt |
//! | 4 | length of the key, then the key |
//! | rest | content |

/// First bytes of every frame.
pub const MARKER: [u8; 4] = [0xc5, b'S', b'L', 0x9d];
/// Bytes before the body.
const HEAD_BYTES: usize = 12;
/// Bytes of a body before its key.
const BODY_BYTES_MIN: usize = 12;
/// Longest body; a longer one is damage. Larger than any record that Kafka takes by its defaults, or a body may be.
pub const BODY_BYTES_MAX: usize = 80 << 20;

/// A record in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolRecord<'a> {
    /// When its beacon was received, ms since the epoch.
    pub received_at_ms: i64,
    /// Key on the log.
    pub key: &'a str,
    /// Content on the log.
    pub content: &'a [u8],
}

/// What stands next in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record, and where the next frame begins.
    Record(SpoolRecord<'a>, usize),
    /// Bytes up to there cannot be read, and a readable frame follows: damage, since what follows was written later.
    Damaged(usize),
    /// Bytes up to the end cannot be read: a write that was not completed, or damage to the last frames.
    Torn(usize),
}

/// Appends a record's frame.
pub fn write(frames: &mut Vec<u8>, record: SpoolRecord<'_>) {
    let SpoolRecord { received_at_ms, key, content } = record;
    let length = (BODY_BYTES_MIN + key.len() + content.len()) as u32;
    let at = frames.len();
    frames.extend_from_slice(&MARKER);
    frames.extend_from_slice(&length.to_le_bytes());
    frames.extend_from_slice(&[0; 4]);
    frames.extend_from_slice(&received_at_ms.to_le_bytes());
    frames.extend_from_slice(&(key.len() as u32).to_le_bytes());
    frames.extend_from_slice(key.as_bytes());
    frames.extend_from_slice(content);
    let checksum = checksum(&frames[at + 4..at + 8], &frames[at + HEAD_BYTES..]);
    frames[at + 8..at + HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// What stands at `at`; `None` at the end.
pub fn next(bytes: &[u8], at: usize) -> Option<Found<'_>> {
    if at >= bytes.len() {
        return None;
    }
    if let Some((record, end)) = read(bytes, at) {
        return Some(Found::Record(record, end));
    }
    let mut behind = at + 1;
    while let Some(found) = position(&bytes[behind..]) {
        if read(bytes, behind + found).is_some() {
            return Some(Found::Damaged(behind + found));
        }
        behind += found + 1;
    }
    Some(Found::Torn(bytes.len()))
}

fn position(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MARKER.len()).position(|window| window == MARKER)
}

fn read(bytes: &[u8], at: usize) -> Option<(SpoolRecord<'_>, usize)> {
    let head = bytes.get(at..at + HEAD_BYTES)?;
    if head[..4] != MARKER {
        return None;
    }
    let length = u32_at(head, 4)? as usize;
    if !(BODY_BYTES_MIN..=BODY_BYTES_MAX).contains(&length) {
        return None;
    }
    let end = at + HEAD_BYTES + length;
    let body = bytes.get(at + HEAD_BYTES..end)?;
    if checksum(&head[4..8], body) != u32_at(head, 8)? {
        return None;
    }
    let received_at_ms = i64::from_le_bytes(body.get(..8)?.try_into().ok()?);
    let key_end = BODY_BYTES_MIN.checked_add(u32_at(body, 8)? as usize)?;
    let key = std::str::from_utf8(body.get(BODY_BYTES_MIN..key_end)?).ok()?;
    Some((SpoolRecord { received_at_ms, key, content: body.get(key_end..)? }, end))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(contents: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for (number, content) in contents.iter().enumerate() {
            starts.push(bytes.len());
            write(&mut bytes, SpoolRecord { received_at_ms: number as i64, key: "session", content });
        }
        (bytes, starts)
    }

    /// Numbers of the records that are read, the damaged stretches, and whether the end is torn.
    fn read_all(bytes: &[u8]) -> (Vec<i64>, usize, bool) {
        let (mut at, mut numbers, mut damaged, mut torn) = (0, Vec::new(), 0, false);
        while let Some(found) = next(bytes, at) {
            at = match found {
                Found::Record(record, end) => {
                    numbers.push(record.received_at_ms);
                    end
                }
                Found::Damaged(end) => {
                    damaged += 1;
                    end
                }
                Found::Torn(end) => {
                    torn = true;
                    end
                }
            };
        }
        (numbers, damaged, torn)
    }

    #[test]
    fn what_was_written_is_read() {
        let (bytes, _) = frames(&[b"one".to_vec(), Vec::new(), vec![7; 70_000]]);
        assert_eq!(read_all(&bytes), (vec![0, 1, 2], 0, false));
        let Some(Found::Record(record, _)) = next(&bytes, 0) else { panic!("a record") };
        assert_eq!(record, SpoolRecord { received_at_ms: 0, key: "session", content: b"one" });
    }

    proptest! {
        #[test]
        fn a_torn_end_costs_only_the_record_that_it_tears(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..8),
            cut in any::<prop::sample::Index>(),
            zeros in 0usize..40,
        ) {
            let (mut bytes, starts) = frames(&contents);
            bytes.truncate(cut.index(bytes.len()));
            let ends: Vec<usize> = starts.iter().copied().skip(1).collect();
            let whole = ends.iter().filter(|end| **end <= bytes.len()).count();
            let clean = bytes.len() == starts[whole];
            bytes.resize(bytes.len() + zeros, 0);
            let (numbers, damaged, torn) = read_all(&bytes);
            // Zeros may happen to be what was cut off.
            prop_assert!(numbers.len() >= whole && numbers.len() <= whole + 1);
            prop_assert_eq!(damaged, 0);
            prop_assert!(torn || clean || numbers.len() > whole || bytes.is_empty());
        }

        #[test]
        fn a_flipped_bit_costs_one_record(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 2..8),
            place in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let (mut bytes, starts) = frames(&contents);
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let hit = starts.iter().filter(|start| **start <= at).count() as i64 - 1;
            let (numbers, damaged, torn) = read_all(&bytes);
            let expect: Vec<i64> = (0..contents.len() as i64).filter(|number| *number != hit).collect();
            prop_assert_eq!(numbers, expect);
            prop_assert_eq!(damaged + usize::from(torn), 1);
        }
    }
}
