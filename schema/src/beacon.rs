//! A beacon after admission: what one client session reported in one request, and its events.
//!
//! Every wire format becomes these types at the edge of `ingest`; past that point an invalid value cannot
//! exist. Strings borrow from the record when it is read from the log.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::value::Value;

/// Events in one beacon at most; a request with more is split or refused by its adapter.
pub const EVENTS_MAX: usize = 500;
/// Attributes of one event at most.
pub const ATTRIBUTES_MAX: usize = 32;
/// Bytes of an attribute's value, an event name or a context field at most; longer text is cut at a character.
pub const TEXT_BYTES_MAX: usize = 200;

/// What one client session reports in one request, with all time stamps that are known of it.
///
/// Empty text stands for "not known" in every field but `id`, `app` and `platform`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon<'a> {
    /// The client's own id, its idempotency key, or a hash of session and body: a repeat has the same.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The app whose write key the beacon carried.
    #[serde(borrow)]
    pub app: Cow<'a, str>,
    /// Deployment environment as the client names it, `production` where it does not.
    #[serde(borrow)]
    pub environment: Cow<'a, str>,
    /// The client's session, empty where the format has none. Not a user identity.
    #[serde(borrow)]
    pub session: Cow<'a, str>,
    /// Number of the beacon in its session, where the client counts.
    pub sequence: Option<u64>,
    /// Release of the app.
    #[serde(borrow)]
    pub release: Cow<'a, str>,
    /// `web`, `ios`, `android`, or what the client names.
    #[serde(borrow)]
    pub platform: Cow<'a, str>,
    /// Family of the operating system.
    #[serde(borrow)]
    pub os: Cow<'a, str>,
    /// Family of the browser.
    #[serde(borrow)]
    pub browser: Cow<'a, str>,
    /// `desktop`, `mobile`, `tablet`.
    #[serde(borrow)]
    pub device_class: Cow<'a, str>,
    /// ISO 3166 country, from a proxy's header.
    #[serde(borrow)]
    pub country: Cow<'a, str>,
    /// Effective connection type.
    #[serde(borrow)]
    pub connection: Cow<'a, str>,
    /// The one attribute that the app declares as its segment, such as plan or grade.
    #[serde(borrow)]
    pub segment: Cow<'a, str>,
    /// When ingest read the request, ms since the epoch, ingest's clock.
    pub received_at_ms: i64,
    /// When the client says that it sent the beacon, ms since the epoch, the client's clock.
    pub sent_at_ms: Option<i64>,
    /// Whether the client looks like a bot or a headless browser.
    pub bot: bool,
    /// How many beacons this one stands for: 1 ÷ sampling rate, made whole by a hash of the session; at least 1.
    pub weight: u32,
    /// The events, in the client's order.
    #[serde(borrow)]
    pub events: Vec<Event<'a>>,
    /// Events of the request that admission did not accept: reason and count, sorted by reason.
    #[serde(borrow)]
    pub rejected: Vec<(Cow<'a, str>, u32)>,
}

/// One thing that happened on the client.
///
/// Names follow OpenTelemetry's conventions where they exist. Anything else is kept under its own name, and
/// definitions can match it.
///
/// | event | value | attributes |
/// |---|---|---|
/// | `journey.start`, `journey.step`, `journey.end` | its duration, ms | `journey`, `attempt`, `step`, `outcome`, `reason`: declared by the app itself; `journey.success`, `journey.failure` and `journey.cancel` are ends with that outcome |
/// | `browser.navigation` | load or soft navigation, ms | `route`, `type`, `id` |
/// | `browser.web_vital` | ms, or the score of CLS | `name`, `rating`, `route`, `id`, `navigation` |
/// | `user.action` | ms | `name`, `outcome` |
/// | `http.client` | ms | `method`, `route`, `status` (0: no response), `error` |
/// | `exception` | – | `type`, `fatal` (true when nobody caught it), `message` |
/// | `app.start` | ms | `type`: cold, warm or hot |
/// | `app.screen` | load, ms | `name` |
/// | `app.crash`, `app.anr`, `app.hang` | ms of a hang | `type`, `id`, `session` that it happened in |
/// | `app.kill` | – | `type` (why the system ended the app), `id`, `session`: told at the next launch |
/// | `session.start`, `session.end`, `page.hidden`, `page.visible`, `app.background`, `app.foreground` | – | – |
/// | `network.error` | elapsed, ms | `type`, `phase`, `route`, `status` |
///
/// `session` names the session that an event happened in where that is not the session that tells of it: a crash,
/// and a kill always, is told at the next launch. `ingest` puts such an event on the log of the session it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// Name as in the glossary of events, or the client's own.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// When it happened, ms since the epoch, corrected as `time_method` says.
    pub time_ms: i64,
    /// How `time_ms` was derived.
    pub time_method: TimeMethod,
    /// What was added to the client's own time stamp to get `time_ms`; 0 when it was taken as sent.
    pub time_correction_ms: i64,
    /// Milliseconds, or the score of a metric without unit.
    pub value: Option<Value>,
    /// Attributes sorted by name, each name once.
    #[serde(borrow, deserialize_with = "borrowed_pairs")]
    pub attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// How an event's time was derived from what the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeMethod {
    /// The client's own stamp.
    AsSent,
    /// Shifted by `received_at − sent_at`, which was larger than any plausible transit.
    OffsetCorrected,
    /// It lay in the future and became `received_at`.
    ClampedToReceived,
    /// The client sent none: `received_at`, less an age where the format has one.
    Received,
}

impl Event<'_> {
    /// The value of attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// Whether this event tells that the user is leaving: hidden, in the background, or at the session's end.
    pub fn is_leaving(&self) -> bool {
        matches!(self.name.as_ref(), "page.hidden" | "app.background" | "session.end")
    }
}

impl Beacon<'_> {
    /// Whether the client is a browser page; other platforms retry from disk for much longer.
    pub fn is_web(&self) -> bool {
        self.platform == "web"
    }
}

/// Text that borrows from the record: serde borrows a `Cow` only where it is a field by itself.
struct Borrowed<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Borrowed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A name and its text.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads pairs of texts without copying them: an allocation for each would be most of a record's cost.
fn borrowed_pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pair<'de>>, D::Error> {
    let pairs = Vec::<(Borrowed<'de>, Borrowed<'de>)>::deserialize(deserializer)?;
    Ok(pairs.into_iter().map(|(name, value)| (name.0, value.0)).collect())
}

/// Cuts `text` to at most [`TEXT_BYTES_MAX`] bytes at a character boundary.
pub fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        let text = "é".repeat(TEXT_BYTES_MAX);
        assert_eq!(bounded(&text).len(), TEXT_BYTES_MAX);
        let odd = format!("x{text}");
        assert_eq!(bounded(&odd).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(bounded("short"), "short");
    }
}
