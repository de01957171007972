//! The first inputs of a target: the recorded requests of its format, and for bodies the same ones compressed.

use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use brotli::CompressorWriter;
use flate2::write::{GzEncoder, ZlibEncoder};
use ingest::adapter::Format;
use ingest::body::decompress::Encoding;
use ruzstd::encoding::CompressionLevel;
use serde::Deserialize;

use crate::Target;

/// A native beacon as it is documented, of which there is no recording.
const NATIVE: &str = r#"{"key":"web-key","id":"01J","release":"2026.11.3","session":"s-81f","sequence":3,"sent_at":1795405626800,
"sample_rate":0.5,"connection":"4g","segment":"gold","environment":"production","platform":"ios","os":"iOS","attributes":{"grade":"a"},
"events":[{"name":"journey.start","time":1795405626634,"attributes":{"journey":"watch-lecture"}},
{"name":"http.client","time":"2026-11-23T03:47:05.591Z","value":414.5,"attributes":{"url":"https://me:pw@h/lectures/42?u=1#t","status":503}},
{"name":"exception","attributes":{"message":"no answer for me@b.example from 10.0.0.1 with token=abc","session":"s-7","user.id":"u"}},
{"name":"journey.end","duration_ms":153,"attributes":{"journey":"watch-lecture","outcome":"success"}}]}"#;

#[derive(Deserialize)]
struct Recording {
    target: String,
    body: Option<String>,
    body_base64: Option<String>,
}

/// Writes the seeds to the folder that `FUZZ_SEEDS` names, if it names one.
pub(crate) fn write(target: Target) {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (number, seed) in seeds(target).iter().enumerate() {
        std::fs::write(folder.join(format!("recorded-{number}")), seed)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

fn seeds(target: Target) -> Vec<Vec<u8>> {
    let prefixes: &[&str] = match target {
        Target::Adapter(Format::Native) => return vec![NATIVE.into()],
        Target::Adapter(Format::Faro) => &["faro-0"],
        Target::Adapter(Format::OtlpLogs) => &["otlp-json-0", "otlp-proto-0"],
        Target::Adapter(Format::OtlpTraces) => &["otlp-json-traces-0"],
        Target::Adapter(Format::Boomerang) => &["boomerang-post-0", "boomerang-get-0"],
        Target::Adapter(Format::WebVitals) => &["web-vitals-0"],
        Target::Adapter(Format::NetworkErrors) => &["nel-0"],
        Target::Body => return compressed(&recorded(&["web-vitals-0", "nel-0", "faro-0"])),
    };
    recorded(prefixes)
}

fn recorded(prefixes: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/beacons");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    paths.iter().filter(|path| is_wanted(path)).map(|path| content(path)).collect()
}

fn content(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let recording: Recording =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let Recording { target, body, body_base64 } = recording;
    match (body, body_base64, target.split_once('?')) {
        (Some(body), ..) => body.into_bytes(),
        (None, Some(body), _) => {
            BASE64.decode(body).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        }
        (None, None, Some((_, query))) => query.as_bytes().to_vec(),
        (None, None, None) => Vec::new(),
    }
}

/// Each body in each encoding, after the byte that chooses it.
fn compressed(bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let with_each = |body: &Vec<u8>| {
        let encoded = Encoding::COMPRESSED.map(|encoding| encoded(encoding, body));
        encoded.into_iter().zip(0u8..).map(|(sent, place)| [&[place][..], &sent].concat()).collect::<Vec<_>>()
    };
    bodies.iter().flat_map(with_each).collect()
}

fn encoded(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let written = match encoding {
        Encoding::Identity => encoded.write_all(body),
        Encoding::Gzip => GzEncoder::new(&mut encoded, flate2::Compression::default()).write_all(body),
        Encoding::Deflate => ZlibEncoder::new(&mut encoded, flate2::Compression::default()).write_all(body),
        Encoding::Brotli => CompressorWriter::new(&mut encoded, 4096, 5, 18).write_all(body),
        Encoding::Zstd => {
            ruzstd::encoding::compress(body, &mut encoded, CompressionLevel::Fastest);
            Ok(())
        }
    };
    written.unwrap_or_else(|error| panic!("{error}"));
    encoded
}
