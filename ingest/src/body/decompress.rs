//! Decompressing a body that was received whole: a pure function within bounds of size and ratio.
//!
//! A few hundred bytes can inflate to gigabytes, so output is made a piece at a time and checked after each. Memory of
//! a decoder lives only as long as one call, so there is one a worker thread and not one a request. Exactly one
//! member, stream or frame is read: what follows it would be read differently by others on the way.

use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::{GzDecoder, ZlibDecoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::refusal::Refusal;

/// Bytes that are made between two checks.
const PIECE_BYTES: usize = 16 << 10;
/// Output up to this has no ratio: short texts repeat themselves.
pub const RATIO_FREE_BYTES: usize = 64 << 10;
/// Bytes of the window of zstd at most: what decoders of HTTP must take, <https://www.rfc-editor.org/rfc/rfc9659>.
const ZSTD_WINDOW_BYTES_MAX: u64 = 8 << 20;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952, one member.
    Gzip,
    /// RFC 1950: zlib, as HTTP means it.
    Deflate,
    /// RFC 7932, without large windows.
    Brotli,
    /// RFC 8878, one frame without dictionary.
    Zstd,
}

/// Bounds of decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of output at most.
    pub bytes_max: usize,
    /// Bytes of output for each byte of input at most, beyond [`RATIO_FREE_BYTES`].
    pub ratio_max: usize,
}

impl Encoding {
    /// The encodings that are decompressed.
    pub const COMPRESSED: [Self; 4] = [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];

    /// By its name in HTTP, whose case does not matter.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Identity, Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd]
            .into_iter()
            .find(|encoding| name.eq_ignore_ascii_case(encoding.name()))
            .or_else(|| name.is_empty().then_some(Self::Identity))
            .or_else(|| name.eq_ignore_ascii_case("x-gzip").then_some(Self::Gzip))
    }

    /// Name in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Decompresses all of `input`.
///
/// # Errors
/// When the output passes a bound, or the input is damaged, ends early, or goes on after its end.
pub fn decompress(encoding: Encoding, input: &[u8], bounds: Bounds) -> Result<Vec<u8>, Refusal> {
    let mut output = Output { bytes: Vec::new(), read_bytes: input.len(), bounds };
    let damaged = || Refusal::UndecodableBody(encoding.name());
    let rest = match encoding {
        Encoding::Identity => {
            output.push(input)?;
            &[]
        }
        Encoding::Gzip => {
            let mut decoder = GzDecoder::new(input);
            output.take(&mut decoder).map_err(|end| end.refusal(encoding))?;
            decoder.into_inner()
        }
        Encoding::Deflate => {
            let mut decoder = ZlibDecoder::new(input);
            output.take(&mut decoder).map_err(|end| end.refusal(encoding))?;
            decoder.into_inner()
        }
        Encoding::Brotli => output.take_brotli(input)?,
        Encoding::Zstd => {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
            let mut decoder = StreamingDecoder::new_with_decoder(input, decoder).map_err(|_| damaged())?;
            output.take(&mut decoder).map_err(|end| end.refusal(encoding))?;
            let (rest, decoder) = decoder.into_parts();
            let (told, found) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
            if told.is_some() && told != found {
                return Err(damaged());
            }
            rest
        }
    };
    if rest.is_empty() { Ok(output.bytes) } else { Err(damaged()) }
}

/// Why output ends early.
enum End {
    Damaged,
    Refused(Refusal),
}

impl End {
    fn refusal(self, encoding: Encoding) -> Refusal {
        match self {
            Self::Damaged => Refusal::UndecodableBody(encoding.name()),
            Self::Refused(refusal) => refusal,
        }
    }
}

/// What was made so far.
struct Output {
    bytes: Vec<u8>,
    read_bytes: usize,
    bounds: Bounds,
}

impl Output {
    fn take(&mut self, reader: &mut impl Read) -> Result<(), End> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(made) => {
                    self.push(&piece[..made]).map_err(End::Refused)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Damaged),
            }
        }
    }

    /// Gives what follows the stream.
    fn take_brotli<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let alloc = StandardAlloc::default;
        // Strict: windows beyond 16 MiB, which no client of HTTP may send, are damage.
        let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
        let mut piece = [0; PIECE_BYTES];
        let (mut available_in, mut read, mut total) = (input.len(), 0, 0);
        loop {
            let (mut available_out, mut made) = (PIECE_BYTES, 0);
            let result = BrotliDecompressStream(
                &mut available_in,
                &mut read,
                input,
                &mut available_out,
                &mut made,
                &mut piece,
                &mut total,
                &mut state,
            );
            self.push(&piece[..made])?;
            match result {
                BrotliResult::ResultSuccess => return Ok(&input[read..]),
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                    return Err(Refusal::UndecodableBody(Encoding::Brotli.name()));
                }
            }
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let bytes = self.bytes.len() + piece.len();
        if bytes > self.bounds.bytes_max {
            return Err(Refusal::DecompressedTooLarge(self.bounds.bytes_max));
        }
        if bytes > RATIO_FREE_BYTES && bytes > self.read_bytes.saturating_mul(self.bounds.ratio_max) {
            return Err(Refusal::RatioTooLarge(self.bounds.ratio_max));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
