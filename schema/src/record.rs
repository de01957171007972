//! The encoding of what is on the log: one record is one beacon, a tick, or a definition set.
//!
//! A record's first byte is the version of the encoding, its second the kind, the rest the content:
//!
//! | kind | content |
//! |---|---|
//! | 1 beacon | [`Beacon`], [postcard](https://postcard.jamesmunns.com/wire-format) |
//! | 2 tick | empty: a tick only carries its append time |
//! | 3 definition set | [`DefinitionSet`] as JSON, so that it can be read and grows by optional fields |
//!
//! A beacon's record is keyed by its session; where there is none, by an id that all beacons repeat which
//! belong together (a metric's id), or by the beacon's own.
//!
//! A change of [`Beacon`] is a new version; readers keep the older ones.
//!
//! Postcard was chosen by measurement (`cargo bench -p schema`: a beacon of five events, one core of a machine
//! that others used as well, so read the ratios): it is the smallest, and the fastest in both directions, since
//! text borrows from the record and numbers are varints without tags.
//!
//! | encoding | bytes | decode | encode |
//! |---|---|---|---|
//! | postcard, borrowed text | 495 | 1.2 µs | 0.3 µs |
//! | MessagePack, borrowed text | 564 | 2.0 µs | 1.5 µs |
//! | protobuf (prost), owned text | 556 | 3.1 µs | 0.8 µs |
//! | JSON, borrowed text | 1302 | 4.1 µs | 1.3 µs |

use crate::beacon::Beacon;
use crate::definition::DefinitionSet;

/// Version of the encoding that this build writes.
pub const VERSION: u8 = 1;

const KIND_BEACON: u8 = 1;
const KIND_TICK: u8 = 2;
const KIND_DEFINITIONS: u8 = 3;

/// What one record on the log holds.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every record is a beacon, which a box would only slow down"
)]
pub enum Record<'a> {
    /// A beacon after admission.
    Beacon(Beacon<'a>),
    /// Lets time pass in a quiet partition.
    Tick,
    /// The definition set that is active from this record on.
    Definitions(Box<DefinitionSet>),
}

/// Why a record could not be decoded. The reason names are stable: they stand in `sli.batches` and on the
/// rejects topic.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than the two of the header.
    #[error("record has {0} bytes, fewer than its header of 2")]
    TooShort(usize),
    /// A version that this build cannot read.
    #[error("record version {0} is not known, this build reads up to {VERSION}")]
    Version(u8),
    /// A kind that this version does not have.
    #[error("record kind {0} is not known")]
    Kind(u8),
    /// The content does not decode.
    #[error("beacon does not decode: {0}")]
    Beacon(#[from] postcard::Error),
    /// The definition set does not decode.
    #[error("definition set does not decode: {0}")]
    Definitions(#[from] serde_json::Error),
}

/// Encodes a beacon, reusing `buffer`'s memory. The encoding cannot fail: memory grows as needed.
pub fn encode_beacon(beacon: &Beacon<'_>, mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.extend_from_slice(&[VERSION, KIND_BEACON]);
    match postcard::to_extend(beacon, buffer) {
        Ok(buffer) => buffer,
        Err(error) => unreachable!("a beacon has only types that postcard encodes: {error}"),
    }
}

/// Encodes a tick.
pub fn encode_tick() -> [u8; 2] {
    [VERSION, KIND_TICK]
}

/// Encodes the activation of a definition set.
pub fn encode_definitions(set: &DefinitionSet) -> Vec<u8> {
    let mut buffer = vec![VERSION, KIND_DEFINITIONS];
    if let Err(error) = serde_json::to_writer(&mut buffer, set) {
        unreachable!("a definition set has only types that JSON encodes: {error}");
    }
    buffer
}

impl<'a> Record<'a> {
    /// Decodes one record; text borrows from `bytes`.
    ///
    /// # Errors
    /// When the version or kind is not known, or the content is damaged.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let [version, kind, content @ ..] = bytes else { return Err(RecordError::TooShort(bytes.len())) };
        if *version != VERSION {
            return Err(RecordError::Version(*version));
        }
        match *kind {
            KIND_BEACON => Ok(Self::Beacon(postcard::from_bytes(content)?)),
            KIND_TICK => Ok(Self::Tick),
            KIND_DEFINITIONS => Ok(Self::Definitions(serde_json::from_slice(content)?)),
            other => Err(RecordError::Kind(other)),
        }
    }
}
