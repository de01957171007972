//! What the adapters' tests share: apps, a client, recorded requests, and beacons as text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schema::definition::AppFile;
use serde::Deserialize;

use crate::admission::objection::Objections;
use crate::admission::{Admission, Notation, Request};
use crate::apps::Apps;
use crate::hints::Hints;
use crate::user_agent::Client;

/// Three apps: a page's, one whose calls and loads come as spans, and a native one's.
pub(crate) fn apps() -> Apps {
    let file = |text: &str| -> AppFile { serde_yaml_ng::from_str(text).unwrap() };
    let web = "app: web\nkeys: [web-key]\norigins: [\"https://app.example\"]\nsegment: grade\n\
               routes: [\"/lectures/:id\", \"/lectures/:id/play\", \"/api/lectures/:id\"]\n";
    let ios = "app: ios\nkeys: [ios-key]\nplatform: ios\nsegment: plan\n";
    let traced = "app: traced\nkeys: [traced-key]\nhttp_source: spans\npage_load_source: spans\n";
    let files = [("web.yaml", web), ("ios.yaml", ios), ("traced.yaml", traced)];
    Apps::new(files.map(|(name, text)| (PathBuf::from(name), file(text))).to_vec()).unwrap()
}

/// A desktop browser.
pub(crate) fn client() -> Client {
    Client { os: "Linux".into(), browser: "Chrome".into(), device_class: "desktop", bot: false }
}

/// A request without any header.
pub(crate) fn request<'a>(body: &'a [u8], apps: &'a Apps, client: &'a Client) -> Request<'a> {
    Request {
        body,
        write_key: None,
        origin: None,
        idempotency_key: None,
        session: None,
        country: "",
        client,
        hints: Hints::default(),
        objections: Objections::default(),
        received_at_ms: 1_795_405_700_000,
        arrival: 7,
        notation: Notation::Json,
        apps,
    }
}

/// The bodies of the recorded requests whose names begin with `prefix` and a number, in their order.
pub(crate) fn recorded(prefix: &str) -> Vec<String> {
    recorded_bytes(prefix).into_iter().map(|body| String::from_utf8(body).unwrap()).collect()
}

/// The same, for bodies that are no text.
pub(crate) fn recorded_bytes(prefix: &str) -> Vec<Vec<u8>> {
    recordings(prefix).into_iter().map(|recording| recording.body()).collect()
}

/// A recorded request, as far as adapters see it.
#[derive(Deserialize)]
pub(crate) struct Recording {
    pub(crate) target: String,
    body: Option<String>,
    body_base64: Option<String>,
}

impl Recording {
    pub(crate) fn body(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(text)) => BASE64.decode(text).unwrap(),
            (None, None) => Vec::new(),
        }
    }
}

/// The recorded requests whose names begin with `prefix` and a number, in their order.
pub(crate) fn recordings(prefix: &str) -> Vec<Recording> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/beacons");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    });
    paths.sort();
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    paths.iter().map(|path| serde_json::from_str(&read(path)).unwrap()).collect()
}

/// One line for each beacon, then one for each event.
pub(crate) fn rendered(admission: &Admission<'_>) -> String {
    let mut text = String::new();
    for admitted in &admission.admitted {
        let beacon = &admitted.beacon;
        let _ = writeln!(
            text,
            "beacon {} key={} app={} env={} session={} sequence={:?} release={} {} {}/{}/{} segment={} sent={:?} weight={}",
            beacon.id,
            admitted.kafka_key,
            beacon.app,
            beacon.environment,
            beacon.session,
            beacon.sequence,
            beacon.release,
            beacon.platform,
            beacon.os,
            beacon.browser,
            beacon.device_class,
            beacon.segment,
            beacon.sent_at_ms,
            beacon.weight,
        );
        for event in &beacon.events {
            let value = event.value.map(|value| format!(" = {value}")).unwrap_or_default();
            let _ = write!(text, "  {} {}{value} [{:?}", event.time_ms, event.name, event.time_method);
            let _ = if event.time_correction_ms == 0 {
                write!(text, "]")
            } else {
                write!(text, " {:+}]", event.time_correction_ms)
            };
            for (name, value) in &event.attributes {
                let _ = write!(text, " {name}={value:?}");
            }
            text.push('\n');
        }
        for (reason, count) in &beacon.rejected {
            let _ = writeln!(text, "  rejected {reason} {count}");
        }
    }
    text
}
