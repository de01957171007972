//! Requests that real SDKs sent, replayed as a page would send them, with their times moved to now.

use std::path::Path;

use serde_json::Value;

/// When the recordings were made, ms since the epoch: every stamp of theirs is within the hour after it.
const RECORDED_FROM_MS: i64 = 1_795_405_000_000;
const RECORDED_FOR_MS: i64 = 3_600_000;

/// One recorded request.
#[derive(Debug)]
pub(super) struct Recording {
    headers: Vec<(String, String)>,
    body: String,
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
        let headers = file["headers"].as_object().unwrap();
        Self {
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            body: file["body"].as_str().unwrap().to_owned(),
        }
    }

    /// Sends it with all its times later by `offset_ms` and returns the status.
    pub(super) async fn send(&self, url: &str, offset_ms: i64) -> u16 {
        let mut request = reqwest::Client::new().post(url).body(shifted(&self.body, offset_ms));
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

/// `text` with every stamp of the recording's hour moved: ISO 8601 to the millisecond, and epoch ms.
fn shifted(text: &str, offset_ms: i64) -> String {
    let mut moved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        moved.push_str(&rest[..at]);
        rest = &rest[at..];
        let iso = rest.get(..24).and_then(|stamp| stamp.parse::<jiff::Timestamp>().ok());
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let epoch_ms = rest[..digits].parse::<i64>().ok();
        let length = if let Some(stamp) = iso {
            let stamp = jiff::Timestamp::from_millisecond(stamp.as_millisecond() + offset_ms).unwrap();
            moved.push_str(&format!("{stamp:.3}"));
            24
        } else if let Some(ms) = epoch_ms.filter(|ms| (0..RECORDED_FOR_MS).contains(&(ms - RECORDED_FROM_MS)))
        {
            moved.push_str(&(ms + offset_ms).to_string());
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
    let text = r#"{"t":"2026-11-23T03:47:05.591Z","s":"1795405626634","id":"v6-2466434463563","n":42}"#;
    let expect = r#"{"t":"2026-11-23T03:47:06.591Z","s":"1795405627634","id":"v6-2466434463563","n":42}"#;
    assert_eq!(shifted(text, 1_000), expect);
}
