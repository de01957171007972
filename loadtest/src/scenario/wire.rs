//! Requests as the SDKs make them, one format a file. Equal sessions give equal bytes, but for the time.

use std::borrow::Cow;
use std::fmt::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use schema::value::{SCALE, Value};
use serde_json::Value as Json;
use xxhash_rust::xxh3::Xxh3;

use super::{App, Attribute, Beacon, Event, Format, Session};

mod boomerang;
mod faro;
mod native;
mod network_errors;
mod otlp;
mod web_vitals;

const PAGE_ORIGIN: &str = "https://app.example";
/// Digits of a time in ms between 2001 and 2286.
const SENT_AT_DIGITS: usize = 13;
/// What stands for the variable part of a route in a URL.
const ROUTE_ID: &str = "42";

/// A request that may be sent more than once.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub target: Cow<'static, str>,
    /// Headers beside host and length.
    pub headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Place of the time of sending, where the format has one.
    sent_at: Option<usize>,
    clock_error_ms: i64,
    gzip: bool,
}

impl Request {
    /// The body for a sending at `now_ms`: an SDK stamps a beacon when it sends it, also when it does so again.
    pub fn body_at(&self, now_ms: i64) -> Vec<u8> {
        let body = self.plain_body_at(now_ms);
        if self.gzip { compressed(&body) } else { body }
    }

    /// The same before it is compressed.
    pub fn plain_body_at(&self, now_ms: i64) -> Vec<u8> {
        let mut body = self.body.clone();
        if let Some(place) = self.sent_at {
            let digits = format!("{:0SENT_AT_DIGITS$}", now_ms + self.clock_error_ms);
            body[place..place + SENT_AT_DIGITS].copy_from_slice(&digits.as_bytes()[..SENT_AT_DIGITS]);
        }
        body
    }

    /// Adds to `hash` everything that is sent at `now_ms`, before it is compressed: how small it becomes is not the
    /// scenario's to say.
    pub fn add_to(&self, hash: &mut Xxh3, now_ms: i64) {
        hash.update(self.method.as_str().as_bytes());
        hash.update(self.target.as_bytes());
        for (name, value) in &self.headers {
            hash.update(name.as_bytes());
            hash.update(value.as_bytes());
        }
        hash.update(&self.plain_body_at(now_ms));
    }
}

fn compressed(body: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// The id of session `number`, at `place` among those of its gateway, in a run that began at `run_ms`.
pub fn session_id(run_ms: i64, number: u64, place: u64) -> String {
    match place {
        0 => format!("s-{run_ms:x}-{number:x}"),
        place => format!("s-{run_ms:x}-{number:x}-{place}"),
    }
}

/// The beacon's id in a run that began at `run_ms`.
pub fn beacon_id(run_ms: i64, session: u64, sequence: u64) -> String {
    format!("b-{run_ms:x}-{session:x}-{sequence}")
}

/// Makes the request of a beacon whose session's first beacon is due at `session_ms`, in a run that began at
/// `run_ms`, both in ms since the epoch; `again` says that it was sent before. Equal arguments give equal bytes.
pub fn request(session: &Session, beacon: &Beacon, run_ms: i64, session_ms: i64, again: bool) -> Request {
    let rendering = Rendering { session, beacon, run_ms, session_ms, again };
    match beacon.format {
        Format::Native => rendering.native(),
        Format::Faro => rendering.faro(),
        Format::OtlpLogsJson => rendering.otlp_logs(false),
        Format::OtlpLogsProtobuf => rendering.otlp_logs(true),
        Format::OtlpTracesJson => rendering.otlp_traces(false),
        Format::OtlpTracesProtobuf => rendering.otlp_traces(true),
        Format::Boomerang => rendering.boomerang(false),
        Format::BoomerangGet => rendering.boomerang(true),
        Format::WebVitals => rendering.web_vitals(),
        Format::NetworkErrors => rendering.network_errors(),
    }
}

#[derive(Clone, Copy)]
struct Rendering<'s> {
    session: &'s Session,
    beacon: &'s Beacon,
    run_ms: i64,
    session_ms: i64,
    again: bool,
}

impl Rendering<'_> {
    fn session_id(&self) -> String {
        session_id(self.run_ms, self.session.number, self.session.place)
    }

    fn beacon_id(&self) -> String {
        beacon_id(self.run_ms, self.session.number, self.beacon.sequence)
    }

    /// When an event was by the client's clock, ms since the epoch.
    fn stamp(&self, event: &Event) -> i64 {
        self.session_ms + self.session.clock_error_ms + event.at_ms
    }

    fn sample_rate(&self) -> Option<f64> {
        (self.session.weight > 1).then(|| 1.0 / f64::from(self.session.weight))
    }

    /// A request with what every client of this kind sends.
    fn post(&self, target: &'static str, content_type: &str, body: Vec<u8>) -> Request {
        let mut headers = vec![
            ("content-type", content_type.to_owned()),
            ("user-agent", self.session.device.agent.to_owned()),
        ];
        if self.session.app == App::Web && self.session.others.is_empty() {
            headers.push(("origin", PAGE_ORIGIN.to_owned()));
        }
        if self.beacon.gzip {
            headers.push(("content-encoding", "gzip".to_owned()));
        }
        Request {
            method: Method::POST,
            target: Cow::Borrowed(target),
            headers,
            body,
            sent_at: None,
            clock_error_ms: self.session.clock_error_ms,
            gzip: self.beacon.gzip,
        }
    }

    /// Ids of metrics and pages are unique in the whole world, so they name the run.
    fn attribute(&self, name: &str, value: &Attribute) -> Json {
        match value {
            Attribute::Text(text) if name == "id" => self.unique(text).into(),
            Attribute::Text(text) => text.as_ref().into(),
            Attribute::Number(value) => number(*value),
            Attribute::Whole(whole) => (*whole).into(),
            Attribute::Flag(flag) => (*flag).into(),
        }
    }

    fn unique(&self, id: &str) -> String {
        format!("{id}-{:x}", self.run_ms)
    }

    /// An attribute as text, empty where there is none.
    fn text(&self, event: &Event, name: &str) -> String {
        match event.attributes.iter().find(|(key, _)| *key == name) {
            Some((_, value)) => match self.attribute(name, value) {
                Json::String(text) => text,
                other => other.to_string(),
            },
            None => String::new(),
        }
    }
}

/// The path of the page or call that an event names by its route.
fn path_of(event: &Event) -> String {
    event.text("route").unwrap_or("/home").replace(":id", ROUTE_ID)
}

/// The URL of the page or call that an event names by its route.
fn url_of(event: &Event) -> String {
    format!("{PAGE_ORIGIN}{}", path_of(event))
}

/// The whole milliseconds of a duration.
fn whole_ms(duration: Option<Value>) -> i64 {
    duration.map_or(0, |duration| (duration.scaled() / SCALE) as i64)
}

/// A number with the fewest decimals that say it.
fn number(value: Value) -> Json {
    if value.scaled().is_multiple_of(SCALE) {
        (value.scaled() / SCALE).into()
    } else {
        (value.scaled() as f64 / SCALE as f64).into()
    }
}

/// `2026-11-23T03:47:06.786Z`.
fn iso8601(time_ms: i64) -> String {
    let mut text = String::with_capacity(24);
    match jiff::Timestamp::from_millisecond(time_ms) {
        Ok(timestamp) => {
            let _ = write!(text, "{timestamp:.3}");
        }
        Err(_) => text.push_str("1970-01-01T00:00:00.000Z"),
    }
    text
}

#[cfg(test)]
mod tests;
