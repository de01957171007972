//! Admission: the rules by which what a client sent becomes a beacon of the domain, the same for every format.
//!
//! `reports` gives what is told of another session to that session, `rate` says how many sessions one stands for,
//! [`time`] places events in time, [`list`] bounds their number, [`attributes`] bounds them, `identity` knows what would
//! identify a user, [`objection`] does what follows when one objects, [`scalar`] reads what SDKs put where a text or
//! number belongs. Formats are the adapters'; Kafka is [`crate::log`]'s.

use std::borrow::Cow;

use schema::beacon::{Beacon, EVENTS_MAX, Event, TEXT_BYTES_MAX, bounded};
use schema::definition::AppFile;
use schema::value::Value;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::apps::Apps;
use crate::hints::Hints;
use crate::refusal::Refusal;
use crate::user_agent::Client;

pub mod attributes;
mod identity;
pub mod list;
pub mod objection;
mod rate;
mod reports;
pub mod scalar;
pub mod time;

use attributes::Attributes;
use identity::{cleaned, is_identity, is_only_removed};
use objection::Objections;
pub use rate::{SampleRate, WEIGHT_MAX};
use scalar::Scalar;
use time::ClientClock;
pub use time::Stamp;

/// Environment of beacons that do not say theirs.
const ENVIRONMENT: &str = "production";

/// Reasons for which an event of an accepted beacon is not kept. The names are stable.
pub mod reason {
    /// It has no name.
    pub const MISSING_NAME: &str = "missing_name";
    /// Its value is not a number, negative, or too large.
    pub const INVALID_VALUE: &str = "invalid_value";
    /// Its time is no time.
    pub const INVALID_TIME: &str = "invalid_time";
    /// The same HTTP call comes by the app's HTTP source.
    pub const OTHER_HTTP_SOURCE: &str = "other_http_source";
    /// A page's images, scripts and styles.
    pub const RESOURCE_NOT_HTTP_CALL: &str = "resource_not_http_call";
    /// The same page load comes by the app's source of page loads.
    pub const OTHER_PAGE_LOAD_SOURCE: &str = "other_page_load_source";
    /// Free text of the app's log.
    pub const LOG_NOT_KEPT: &str = "log_not_kept";
    /// A span of the app's inside, which no user sees.
    pub const SPAN_NOT_KEPT: &str = "span_not_kept";
    /// A browser's report of something else than the network.
    pub const REPORT_NOT_KEPT: &str = "report_not_kept";
    /// A request that the browser repeated by itself; its last attempt is kept.
    pub const BROWSER_RETRY: &str = "browser_retry";
    /// A later beacon of a page repeats its load.
    pub const REPEATED_PAGE_LOAD: &str = "repeated_page_load";
    /// The browser sends `DNT: 1`, and the app's file says `do_not_track: drop`.
    pub const DO_NOT_TRACK: &str = "do_not_track";
    /// The browser sends `Sec-GPC: 1`, and the app's file says `global_privacy_control: drop`.
    pub const GLOBAL_PRIVACY_CONTROL: &str = "global_privacy_control";
}

/// What an adapter gets of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The decompressed body.
    pub body: &'a [u8],
    /// Write key from header or query.
    pub write_key: Option<&'a str>,
    /// Origin of the page; none for clients that are no browsers.
    pub origin: Option<&'a str>,
    /// The client's own id of the request, the same on retry.
    pub idempotency_key: Option<&'a str>,
    /// Session from a header or the query, for formats whose body need not have one.
    pub session: Option<&'a str>,
    /// Country from a proxy's header, empty when not known.
    pub country: &'a str,
    /// What the user agent says.
    pub client: &'a Client,
    /// What the headers of client hints say.
    pub hints: Hints,
    /// What the user objects to by a setting of the browser.
    pub objections: Objections,
    /// When the request was read, ms since the epoch.
    pub received_at_ms: i64,
    /// A number that no other request has, for formats in which equal bodies are no repeats.
    pub arrival: u64,
    /// How the body is written.
    pub notation: Notation,
    /// Every app.
    pub apps: &'a Apps,
}

/// How a body is written, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notation {
    /// JSON, also where `sendBeacon` calls it text.
    #[default]
    Json,
    /// Protocol buffers.
    Protobuf,
    /// `name=value&…`, also as the query of a GET request.
    Form,
}

impl<'a> Request<'a> {
    /// The app of the write key: that of header or query, else the body's.
    ///
    /// # Errors
    /// When there is no key, no app has it, or the app does not list the origin.
    pub fn app(&self, key_of_body: Option<&str>) -> Result<&'a AppFile, Refusal> {
        self.apps.admit(self.write_key.or(key_of_body).ok_or(Refusal::NoKey)?, self.origin)
    }

    /// A beacon without events whose context is what the request itself tells.
    pub fn beacon(&self, app: &'a AppFile) -> Beacon<'a> {
        Beacon {
            id: Cow::Borrowed(""),
            app: Cow::Borrowed(&app.app),
            environment: Cow::Borrowed(ENVIRONMENT),
            session: Cow::Borrowed(""),
            sequence: None,
            release: Cow::Borrowed(""),
            platform: Cow::Borrowed(&app.platform),
            os: Cow::Borrowed(self.hints.os(self.client)),
            browser: Cow::Borrowed(self.hints.browser(self.client)),
            device_class: Cow::Borrowed(self.hints.device_class(self.client)),
            country: Cow::Borrowed(self.country),
            connection: Cow::Borrowed(self.hints.connection),
            segment: Cow::Borrowed(""),
            received_at_ms: self.received_at_ms,
            sent_at_ms: None,
            bot: self.client.bot || self.hints.headless,
            weight: 1,
            events: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// The beacon's id: the client's, else the idempotency key, else a hash of session and body.
    pub fn beacon_id(&self, id_of_body: Option<Cow<'a, str>>, session: &str) -> Cow<'a, str> {
        let given = id_of_body.or(self.idempotency_key.map(Cow::Borrowed)).map(identifier);
        given.filter(|id| !id.is_empty()).unwrap_or_else(|| Cow::Owned(content_id(session, self.body)))
    }
}

/// A beacon that may go to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted<'a> {
    /// The beacon.
    pub beacon: Beacon<'a>,
    /// Key of its record: the session; else an id that all beacons repeat which belong together; else its id.
    pub kafka_key: Cow<'a, str>,
}

/// What an adapter made of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admission<'a> {
    /// The beacons.
    pub admitted: Vec<Admitted<'a>>,
    /// Place in the request and reason of the events that were not kept; also counted in their beacon. Only
    /// formats whose answer tells them fill it.
    pub rejected: Vec<(usize, &'static str)>,
    /// Attributes dropped because an event had too many.
    pub attributes_cut: u64,
    /// Attributes dropped because they would identify a user.
    pub identities_dropped: u64,
    /// Attributes dropped because the app's list does not have them.
    pub attributes_not_allowed: u64,
    /// Beacons whose session was dropped because the user objects.
    pub sessions_dropped: u64,
    /// Texts cut because they were too long.
    pub texts_cut: u64,
    /// Events of parts of a request that no app has: reason and count, since no beacon can carry them.
    pub without_app: Vec<(&'static str, u32)>,
}

/// An event as an adapter read it, before it is bounded.
#[derive(Debug)]
pub struct Draft<'a> {
    /// Name by the glossary.
    pub name: Cow<'a, str>,
    /// The client's time stamp; none where the format has none.
    pub stamp: Stamp,
    /// The value as it was sent.
    pub value: Scalar<'a>,
    /// Attributes, which may hold `duration_ms`, the value of events that have no other.
    pub attributes: Attributes<'a>,
}

/// Builds one beacon: gives each event its time, checks values, counts what is rejected.
#[derive(Debug)]
pub struct BeaconBuilder<'a> {
    beacon: Beacon<'a>,
    clock: ClientClock,
    app: &'a AppFile,
    rate: SampleRate,
}

impl<'a> BeaconBuilder<'a> {
    /// Begins with a context, which `rate` gives its weight; `sent_at_ms` in it corrects the client's clock.
    pub fn new(beacon: Beacon<'a>, app: &'a AppFile, rate: SampleRate) -> Self {
        let clock = ClientClock::new(beacon.received_at_ms, beacon.sent_at_ms);
        Self { beacon, clock, app, rate }
    }

    /// Replaces the id, for formats in which it depends on the events.
    pub fn set_id(&mut self, id: Cow<'a, str>) {
        self.beacon.id = id;
    }

    /// The app.
    pub fn app(&self) -> &'a AppFile {
        self.app
    }

    /// The session.
    pub fn session(&self) -> &str {
        &self.beacon.session
    }

    /// Makes room for this many events.
    pub fn reserve(&mut self, events: usize) {
        self.beacon.events.reserve_exact(events);
    }

    /// Adds an event, or counts why it is rejected.
    ///
    /// # Errors
    /// The reason, which is counted already.
    pub fn add(&mut self, mut draft: Draft<'a>, admission: &mut Admission<'a>) -> Result<(), &'static str> {
        if draft.name.trim().is_empty() {
            return Err(self.reject(reason::MISSING_NAME, 1));
        }
        let number = match (draft.value, draft.attributes.take("duration_ms")) {
            (Scalar::Null, Some(duration)) => Scalar::Text(duration),
            (value, Some(_) | None) => value,
        };
        let value = match value_of(&number) {
            Ok(value) => value,
            Err(reason) => return Err(self.reject(reason, 1)),
        };
        let placed = self.clock.place(draft.stamp);
        let attributes = draft.attributes.admit(self.app, admission);
        self.beacon.events.push(Event {
            name: shortened(cleaned(draft.name, &self.app.routes), admission),
            time_ms: placed.time_ms,
            time_method: placed.method,
            time_correction_ms: placed.correction_ms,
            value,
            attributes,
        });
        Ok(())
    }

    /// Counts `count` events that are not kept, and gives the reason back.
    pub fn reject(&mut self, reason: &'static str, count: u32) -> &'static str {
        let rejected = &mut self.beacon.rejected;
        match rejected.binary_search_by(|(known, _)| known.as_ref().cmp(reason)) {
            Ok(at) => rejected[at].1 = rejected[at].1.saturating_add(count),
            Err(at) => rejected.insert(at, (Cow::Borrowed(reason), count)),
        }
        reason
    }

    /// Puts the beacon among those of the request, keyed by its session, else by its id, and one for each other
    /// session that its events name.
    pub fn admit(self, admission: &mut Admission<'a>) {
        self.admit_by(None, admission);
    }

    /// The same; `key` is what beacons without session repeat that belong together.
    pub fn admit_by(self, key: Option<Cow<'a, str>>, admission: &mut Admission<'a>) {
        let rate = self.rate;
        let mut beacon = self.finish();
        let reports = reports::split_off(&mut beacon);
        for mut beacon in std::iter::once(beacon).chain(reports) {
            let kafka_key = match &key {
                _ if !beacon.session.is_empty() => beacon.session.clone(),
                Some(key) if !key.is_empty() => key.clone(),
                Some(_) | None => beacon.id.clone(),
            };
            beacon.weight = rate.weight(&kafka_key);
            admission.admitted.push(Admitted { beacon, kafka_key });
        }
    }

    /// The segment, where the context had none, is that of the first event that has the app's declared attribute.
    fn finish(mut self) -> Beacon<'a> {
        if self.beacon.segment.is_empty()
            && let Some(declared) = &self.app.segment
            && let Some((_, value)) = self
                .beacon
                .events
                .iter()
                .flat_map(|event| &event.attributes)
                .find(|(name, _)| name == declared)
        {
            self.beacon.segment = value.clone();
        }
        self.beacon
    }
}

fn value_of(number: &Scalar<'_>) -> Result<Option<Value>, &'static str> {
    let value = match number {
        Scalar::Null => return Ok(None),
        Scalar::Text(text) => text.parse(),
        Scalar::Whole(whole) => Value::from_f64(*whole as f64),
        Scalar::Number(number) => Value::from_f64(*number),
        Scalar::Flag(_) | Scalar::Nested => return Err(reason::INVALID_VALUE),
    };
    value.map(Some).map_err(|_| reason::INVALID_VALUE)
}

/// Reads a body that is one JSON object.
///
/// # Errors
/// When it is no JSON, or of another shape. An array is one too, though `serde` would take it for a structure.
pub fn parse_object<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Refusal::InvalidBody("want an object, not an array".to_owned()));
    }
    parse(body)
}

/// Reads a body that is JSON.
///
/// # Errors
/// When it is no JSON, or of another shape.
pub fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_str(json_text(body)?).map_err(|error| Refusal::of_json(&error))
}

/// A body as the text that JSON is: checked once, it need not be checked again for each of its texts.
///
/// # Errors
/// When it is not UTF-8.
pub fn json_text(body: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(body).map_err(|error| Refusal::InvalidJson(error.to_string()))
}

/// Checks the number of events of a request.
///
/// # Errors
/// When there are more than a beacon may hold.
pub fn check_event_count(count: usize) -> Result<(), Refusal> {
    if count > EVENTS_MAX { Err(Refusal::TooManyEvents(count)) } else { Ok(()) }
}

/// What a client says of itself, without what identifies a user, and cut to its bound.
pub fn cut<'a>(text: Cow<'a, str>, admission: &mut Admission<'_>) -> Cow<'a, str> {
    let clean = cleaned(text, &[]);
    if is_only_removed(&clean) { Cow::Borrowed("") } else { shortened(clean, admission) }
}

/// Text cut to its bound, and counted.
fn shortened<'a>(text: Cow<'a, str>, admission: &mut Admission<'_>) -> Cow<'a, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    admission.texts_cut += 1;
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(bounded(text)),
        Cow::Owned(text) => Cow::Owned(bounded(&text).to_owned()),
    }
}

/// An id within the bound of texts: a longer one is replaced by its hash, since two that are cut could meet. Empty
/// where it is no id but a mail or network address or a token.
pub fn identifier(id: Cow<'_, str>) -> Cow<'_, str> {
    if id.len() > TEXT_BYTES_MAX {
        Cow::Owned(content_id("", id.as_bytes()))
    } else if is_identity(&id) {
        Cow::Borrowed("")
    } else {
        id
    }
}

/// Hash of a session and what was sent in it, 32 hex digits.
pub fn content_id(session: &str, content: &[u8]) -> String {
    format!("{:032x}", xxh3_128_with_seed(content, xxh3_64(session.as_bytes())))
}

#[cfg(test)]
mod tests;
