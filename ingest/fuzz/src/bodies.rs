//! What holds of every body that is decompressed: it is as large as is allowed at most, by itself and for what was sent.

use ingest::body::decompress::{Bounds, Encoding, RATIO_FREE_BYTES, decompress};

/// Small, so that they are reached.
const BOUNDS: Bounds = Bounds { bytes_max: 128 << 10, ratio_max: 20 };

/// Decompresses what follows the first byte, which chooses the encoding.
pub(crate) fn check(input: &[u8]) {
    let [encoding, sent @ ..] = input else { return };
    let encodings = Encoding::COMPRESSED;
    let encoding = encodings[usize::from(*encoding) % encodings.len()];
    let Ok(body) = decompress(encoding, sent, BOUNDS) else { return };
    assert!(body.len() <= BOUNDS.bytes_max, "{encoding:?} gave {} bytes", body.len());
    let ratio_bytes_max = (sent.len() * BOUNDS.ratio_max).max(RATIO_FREE_BYTES);
    assert!(body.len() <= ratio_bytes_max, "{encoding:?} gave {} bytes of {}", body.len(), sent.len());
}
