//! Compressed bodies: bombs, damage, and what is not one whole stream.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::hostile::case::Case;
use crate::hostile::request::{encoded, native_with};

const GROUP: &str = "encoding";
/// Bytes that a bomb makes.
const BOMB_BYTES: usize = 128 << 20;
const RATIO: &[&str] = &["413 ratio_too_large"];
const DAMAGED: &[&str] = &["400 undecodable_body"];
const TOO_LARGE: &[&str] = &["413 decompressed_too_large"];
const UNKNOWN: &[&str] = &["415 unsupported_content_encoding"];

pub(super) fn cases() -> Vec<Case> {
    let good = br#"{"session":"hostile-encoded","events":[]}"#;
    let zeros = vec![0; BOMB_BYTES];
    let whole = gzip(good);
    let mut wrong_sum = whole.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    let mut endless_name = vec![0x1f, 0x8b, 8, 0x08, 0, 0, 0, 0, 0, 3];
    endless_name.resize(200_000, b'n');
    let large_window =
        brotli_with(good, brotli::enc::BrotliEncoderParams { lgwin: 28, large_window: true, ..plain() });
    let case = |name: &str, encoding: &str, body: &[u8], expect| {
        Case::send(GROUP, name, encoded(encoding, body), expect)
    };
    let bomb = gzip(&zeros);
    vec![
        case("gzip bomb of 128 MiB", "gzip", &bomb, TOO_LARGE),
        case("gzip bomb of 4 MiB", "gzip", &gzip(&zeros[..4 << 20]), RATIO),
        case("deflate bomb of 128 MiB", "deflate", &zlib(&zeros), TOO_LARGE),
        case("brotli bomb of 128 MiB", "br", &brotli_with(&zeros, plain()), RATIO),
        case("zstd bomb of 256 MiB", "zstd", &zstd_zeros(2_048), RATIO),
        case("gzip bomb in a gzip bomb", "gzip", &gzip(&bomb), RATIO),
        case("two encodings", "gzip, gzip", &gzip(&bomb), UNKNOWN),
        Case::send(
            GROUP,
            "two headers of encodings",
            native_with("content-encoding: gzip\r\ncontent-encoding: br", &whole),
            UNKNOWN,
        ),
        case("text of 2 MiB below the ratio", "gzip", &gzip(&text(2 << 20)), TOO_LARGE),
        case("zstd text of 2 MiB", "zstd", &zstd_stored(&text(200_000), 11), TOO_LARGE),
        case("gzip that ends early", "gzip", &whole[..whole.len() / 2], DAMAGED),
        case("gzip with garbage behind", "gzip", &[&whole[..], b"garbage"].concat(), DAMAGED),
        case("two members of gzip", "gzip", &[&whole[..], &whole[..]].concat(), DAMAGED),
        case("gzip with a wrong checksum", "gzip", &wrong_sum, DAMAGED),
        case("gzip with an endless file name", "gzip", &endless_name, DAMAGED),
        case("plain text as gzip", "gzip", good, DAMAGED),
        case("empty gzip", "gzip", b"", DAMAGED),
        case("zlib with a preset dictionary", "deflate", &[0x78, 0xbb, 1, 2, 3, 4, 3, 0], DAMAGED),
        case("deflate without zlib", "deflate", &deflate(good), DAMAGED),
        case("brotli with a large window", "br", &large_window, DAMAGED),
        case("brotli of random bytes", "br", &random(4_096), DAMAGED),
        case("zstd with a window of 3.75 TiB", "zstd", &zstd_window(0xff), DAMAGED),
        case("zstd with an unknown dictionary", "zstd", &[0x28, 0xb5, 0x2f, 0xfd, 1, 0, 7, 1, 0, 0], DAMAGED),
        case("zstd of skippable frames", "zstd", &[0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff], DAMAGED),
        case(
            "zstd of random bytes",
            "zstd",
            &[&[0x28, 0xb5, 0x2f, 0xfd][..], &random(4_096)].concat(),
            DAMAGED,
        ),
        case("unknown encoding", "compress", good, UNKNOWN),
        case("encoding with a name of 5 kB", &"x".repeat(5_000), good, UNKNOWN),
    ]
}

fn plain() -> brotli::enc::BrotliEncoderParams {
    brotli::enc::BrotliEncoderParams { quality: 5, lgwin: 22, ..Default::default() }
}

fn brotli_with(mut bytes: &[u8], params: brotli::enc::BrotliEncoderParams) -> Vec<u8> {
    let mut output = Vec::new();
    written(brotli::BrotliCompress(&mut bytes, &mut output, &params));
    output
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    written(encoder.write_all(bytes));
    written(encoder.finish())
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    written(encoder.write_all(bytes));
    written(encoder.finish())
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    written(encoder.write_all(bytes));
    written(encoder.finish())
}

fn written<T>(result: std::io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("memory takes every byte: {error}"),
    }
}

/// A frame whose window is that of this descriptor.
fn zstd_window(descriptor: u8) -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0, descriptor, 1, 0, 0]
}

/// A frame of so many blocks, each of which says "128 KiB of zeros" in four bytes.
fn zstd_zeros(blocks: u32) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
    for block in 0..blocks {
        let header = (128 << 10) << 3 | 1 << 1 | u32::from(block + 1 == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A frame that stores `text`, then repeats one byte for so many blocks: a low ratio.
fn zstd_stored(text: &[u8], blocks: u32) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
    for piece in text.chunks(64 << 10) {
        let header = (piece.len() as u32) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(piece);
    }
    let zeros = zstd_zeros(blocks);
    frame.extend_from_slice(&zeros[6..]);
    frame
}

/// Text that compresses as telemetry does.
fn text(bytes: usize) -> Vec<u8> {
    let line = |n: u64| format!("{{\"name\":\"{:02x}\"}},", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56);
    (0u64..).flat_map(|n| line(n).into_bytes()).take(bytes).collect()
}

fn random(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|n| (xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())) as u8).collect()
}
