//! Requests that real SDKs sent, replayed as a page would send them, with their times moved to now.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use serde_json::Value;

/// When the recordings were made, ms since the epoch: every stamp of theirs is within the hour after it.
const RECORDED_FROM_MS: i64 = 1_795_405_000_000;
const RECORDED_FOR_MS: i64 = 3_600_000;
const NS_PER_MS: i64 = 1_000_000;

/// One recorded request.
#[derive(Debug)]
pub(super) struct Recording {
    method: Method,
    query: String,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Text(String),
    /// Protocol buffers.
    Bytes(Vec<u8>),
}

/// The recordings whose name begins with `prefix`, in the order of their names.
pub(super) fn recordings(prefix: &str) -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ingest/tests/fixtures/beacons");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let wanted =
        paths.iter().filter(|path| name(path).starts_with(prefix) && !name(path).contains("preflight"));
    let found: Vec<Recording> = wanted.map(|path| Recording::read(path)).collect();
    assert!(!found.is_empty(), "no recording is called {prefix}…");
    found
}

impl Recording {
    fn read(path: &Path) -> Self {
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let text = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
        let headers = file["headers"].as_object().unwrap();
        Self {
            method: text("method").parse().unwrap(),
            query: text("target").split_once('?').map_or(String::new(), |(_, query)| query.to_owned()),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            body: match file["body_base64"].as_str() {
                Some(base64) => Body::Bytes(BASE64.decode(base64).unwrap()),
                None => Body::Text(text("body")),
            },
        }
    }

    /// Sends it with all its times later by `offset_ms` and returns the status. `url` has the key in its query
    /// where no header of the recording has it.
    pub(super) async fn send(&self, url: &str, offset_ms: i64) -> u16 {
        let query = shifted(&self.query, offset_ms);
        let url = if query.is_empty() { url.to_owned() } else { format!("{url}&{query}") };
        let body = match &self.body {
            Body::Text(text) => shifted(text, offset_ms).into_bytes(),
            Body::Bytes(bytes) => shifted_bytes(bytes, offset_ms),
        };
        let mut request = reqwest::Client::new().request(self.method.clone(), url).body(body);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send().await.unwrap().status().as_u16()
    }
}

/// By how much recordings must be shifted so that they happened a moment ago.
pub(super) fn offset_to(now_ms: i64) -> i64 {
    // The recorded pages were open for less than a minute after the first stamp at 5 minutes past.
    now_ms - (RECORDED_FROM_MS + 700_000)
}

/// `bytes` with every stamp of the recording's hour moved: 64 bits of ns, which nothing else resembles.
fn shifted_bytes(bytes: &[u8], offset_ms: i64) -> Vec<u8> {
    let mut moved = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(7) {
        let stamp: [u8; 8] = bytes[at..at + 8].try_into().unwrap();
        if let Some(ns) =
            i64::try_from(u64::from_le_bytes(stamp)).ok().filter(|ns| is_recorded(ns / NS_PER_MS))
        {
            moved[at..at + 8].copy_from_slice(&(ns + offset_ms * NS_PER_MS).to_le_bytes());
        }
    }
    moved
}

fn is_recorded(ms: i64) -> bool {
    (0..RECORDED_FOR_MS).contains(&(ms - RECORDED_FROM_MS))
}

/// `text` with every stamp of the recording's hour moved: ISO 8601 to the millisecond, epoch ms, and epoch ns.
fn shifted(text: &str, offset_ms: i64) -> String {
    let mut moved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        moved.push_str(&rest[..at]);
        rest = &rest[at..];
        let iso = rest.get(..24).and_then(|stamp| stamp.parse::<jiff::Timestamp>().ok());
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..digits].parse::<i64>().ok();
        let length = if let Some(stamp) = iso {
            let stamp = jiff::Timestamp::from_millisecond(stamp.as_millisecond() + offset_ms).unwrap();
            moved.push_str(&format!("{stamp:.3}"));
            24
        } else if let Some(ms) = number.filter(|ms| is_recorded(*ms)) {
            moved.push_str(&(ms + offset_ms).to_string());
            digits
        } else if let Some(ns) = number.filter(|ns| is_recorded(ns / NS_PER_MS)) {
            moved.push_str(&(ns + offset_ms * NS_PER_MS).to_string());
            digits
        } else {
            moved.push_str(&rest[..digits]);
            digits
        };
        rest = &rest[length..];
    }
    moved + rest
}

#[test]
fn only_stamps_of_the_recording_are_moved() {
    let text = r#"{"t":"2026-11-23T03:47:05.591Z","s":"1795405626634","id":"v6-2466434463563","n":42,"u":"1795405637506899902"}"#;
    let expect = r#"{"t":"2026-11-23T03:47:06.591Z","s":"1795405627634","id":"v6-2466434463563","n":42,"u":"1795405638506899902"}"#;
    assert_eq!(shifted(text, 1_000), expect);
    let message = |ns: u64| [&[9][..], &ns.to_le_bytes(), &[1, 2, 3]].concat();
    assert_eq!(shifted_bytes(&message(1_795_405_637_506_899_902), 1_000), message(1_795_405_638_506_899_902));
    assert_eq!(shifted_bytes(&message(7), 1_000), message(7));
}
