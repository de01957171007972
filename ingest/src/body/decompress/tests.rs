use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const BOUNDS: Bounds = Bounds { bytes_max: 1 << 20, ratio_max: 100 };

/// A body as a client with this encoding sends it.
pub(in crate::body) fn compressed(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Identity => bytes.to_vec(),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Brotli => brotli_with(bytes, &brotli::enc::BrotliEncoderParams::default()),
        Encoding::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
    }
}

fn brotli_with(mut bytes: &[u8], params: &brotli::enc::BrotliEncoderParams) -> Vec<u8> {
    let mut output = Vec::new();
    brotli::BrotliCompress(&mut bytes, &mut output, params).unwrap();
    output
}

fn error(encoding: Encoding, input: &[u8]) -> &'static str {
    decompress(encoding, input, BOUNDS).map(|bytes| bytes.len()).unwrap_err().error()
}

/// Text that does not repeat itself much.
fn text(bytes: usize) -> Vec<u8> {
    (0u64..)
        .flat_map(|n| format!("{:x},", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes())
        .take(bytes)
        .collect()
}

#[test]
fn bombs_are_refused_at_a_bound_in_each_encoding() {
    let zeros = vec![0; 16 << 20];
    for encoding in Encoding::COMPRESSED {
        let bomb = compressed(encoding, &zeros);
        assert!(bomb.len() < 32 << 10, "{encoding:?} {}", bomb.len());
        assert!(
            matches!(error(encoding, &bomb), "ratio_too_large" | "decompressed_too_large"),
            "{encoding:?}"
        );
        let lax = Bounds { bytes_max: 1 << 20, ratio_max: usize::MAX };
        let refused = decompress(encoding, &bomb, lax).unwrap_err();
        assert_eq!(refused, Refusal::DecompressedTooLarge(1 << 20), "{encoding:?}");
    }
}

#[test]
fn bounds_are_inclusive() {
    let bytes = vec![b'x'; RATIO_FREE_BYTES];
    for encoding in Encoding::COMPRESSED {
        let input = compressed(encoding, &bytes);
        let at = |bytes_max, ratio_max| decompress(encoding, &input, Bounds { bytes_max, ratio_max });
        assert_eq!(at(RATIO_FREE_BYTES, 1).unwrap().len(), RATIO_FREE_BYTES, "{encoding:?}");
        assert_eq!(
            at(RATIO_FREE_BYTES - 1, 1).unwrap_err().error(),
            "decompressed_too_large",
            "{encoding:?}"
        );
        let input = compressed(encoding, &vec![b'x'; RATIO_FREE_BYTES + 1]);
        let bounds = |ratio_max| Bounds { bytes_max: 1 << 20, ratio_max };
        let ratio = (RATIO_FREE_BYTES + 1).div_ceil(input.len());
        assert!(decompress(encoding, &input, bounds(ratio)).is_ok(), "{encoding:?}");
        let refused = decompress(encoding, &input, bounds(ratio - 1)).unwrap_err();
        assert_eq!(refused, Refusal::RatioTooLarge(ratio - 1), "{encoding:?}");
    }
}

#[test]
fn exactly_one_whole_stream_is_read() {
    let content = text(5_000);
    for encoding in Encoding::COMPRESSED {
        let whole = compressed(encoding, &content);
        assert_eq!(decompress(encoding, &whole, BOUNDS).unwrap(), content, "{encoding:?}");
        for end in [0, 1, whole.len() / 2, whole.len() - 1] {
            assert_eq!(error(encoding, &whole[..end]), "undecodable_body", "{encoding:?} {end}");
        }
        let garbage = [&whole[..], b"x"].concat();
        assert_eq!(error(encoding, &garbage), "undecodable_body", "{encoding:?} and more");
        let twice = [&whole[..], &whole[..]].concat();
        assert_eq!(error(encoding, &twice), "undecodable_body", "{encoding:?} twice");
        assert_eq!(error(encoding, b"{\"events\":[]}"), "undecodable_body", "{encoding:?} plain");
    }
}

#[test]
fn checksums_are_checked() {
    let content = text(500);
    for (encoding, from_end) in
        [(Encoding::Gzip, 8), (Encoding::Gzip, 4), (Encoding::Deflate, 4), (Encoding::Zstd, 4)]
    {
        let mut damaged = compressed(encoding, &content);
        let at = damaged.len() - from_end;
        damaged[at] ^= 1;
        assert_eq!(error(encoding, &damaged), "undecodable_body", "{encoding:?} {from_end}");
    }
}

#[test]
fn windows_are_bounded() {
    // A frame of one empty block whose window is 8 MiB, then the next larger one.
    let zstd = |descriptor: u8| [0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor, 0x01, 0x00, 0x00];
    assert_eq!(decompress(Encoding::Zstd, &zstd(13 << 3), BOUNDS), Ok(Vec::new()));
    assert_eq!(error(Encoding::Zstd, &zstd(13 << 3 | 1)), "undecodable_body");
    assert_eq!(error(Encoding::Zstd, &zstd(31 << 3)), "undecodable_body");
    // The same with a dictionary that nobody has.
    assert_eq!(
        error(Encoding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x00, 0x07, 0x01, 0x00, 0x00]),
        "undecodable_body"
    );

    let params = brotli::enc::BrotliEncoderParams { lgwin: 28, large_window: true, ..Default::default() };
    let large = brotli_with(&text(5_000), &params);
    assert_eq!(large[0] & 0x7f, 0x11, "a large window");
    assert_eq!(error(Encoding::Brotli, &large), "undecodable_body");
    let params = brotli::enc::BrotliEncoderParams { lgwin: 24, ..Default::default() };
    assert!(decompress(Encoding::Brotli, &brotli_with(&text(5_000), &params), BOUNDS).is_ok());
}

#[test]
fn names_are_those_of_http() {
    let of = |name| Encoding::of(name);
    assert_eq!(
        [of("BR"), of("Zstd"), of("x-gzip"), of("")].map(Option::unwrap).map(Encoding::name),
        ["br", "zstd", "gzip", "identity"]
    );
    assert_eq!([of("compress"), of("gzip, br"), of("brotli")], [None; 3]);
}

proptest! {
    #[test]
    fn what_is_compressed_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        for encoding in Encoding::COMPRESSED {
            let input = compressed(encoding, &bytes);
            prop_assert_eq!(decompress(encoding, &input, BOUNDS), Ok(bytes.clone()));
        }
    }

    #[test]
    fn no_input_makes_more_than_the_bound(
        at in 0usize..200, flip in 1u8.., bytes in prop::collection::vec(any::<u8>(), 0..200), damaged in any::<bool>(),
    ) {
        let bounds = Bounds { bytes_max: 1_000, ratio_max: 100 };
        for encoding in Encoding::COMPRESSED {
            let mut input = if damaged { compressed(encoding, &bytes) } else { bytes.clone() };
            if damaged {
                let at = at % input.len();
                input[at] ^= flip;
            }
            if let Ok(output) = decompress(encoding, &input, bounds) {
                prop_assert!(output.len() <= 1_000);
            }
        }
    }
}
