//! Sessions of the study app's users: what they do, in which beacons it is reported, and what is true of it.
//!
//! A session is a pure function of the seed, its number and whether the newest release is out. Times are relative
//! to the moment when its first beacon is due, so that the same session can be played at any time. Who the users
//! are is `population`'s, what they do `session`'s, `boomerang`'s, `gateway`'s and `reports`', and
//! [`wire`] turns a beacon into a request.

use std::borrow::Cow;

use schema::value::Value;

use crate::truth::Truth;

mod boomerang;
mod cut;
pub mod device;
mod disturb;
mod gateway;
mod journeys;
mod population;
mod reports;
mod session;
mod signals;
mod timeline;
pub mod wire;

pub use device::Device;
pub use session::play;

/// Deadline of the study app's journeys, and of those that an app declares and nobody has defined.
pub const TIMEOUT_MS: u64 = 30_000;
/// The shortest grace period that sessions are played for.
pub const GRACE_MS_MIN: u64 = 10_000;
/// What decides an attempt is due within this after its deadline, its end or the beacon before it, so that the rest
/// of the grace period is left for what is late.
pub const PLANNED_MS_MAX: u64 = 6_000;
/// How old the events of an offline phone may be, ms: well within the retention of late data.
pub const OFFLINE_MS_MAX: u64 = 6 * DAY_MS + 22 * HOUR_MS;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Which traffic is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Every format and everything odd that clients do: long sessions, wrong clocks, offline phones, bursts, a deploy.
    Full,
    /// Web and native users in the most usual formats, with repeated, reordered, old and future events and beacons.
    Mixed,
    /// As `mixed`, web only.
    Web,
    /// As `mixed`, native only.
    Native,
    /// Web and native users whose beacons arrive once and in order.
    Tidy,
    /// As `tidy`, in the formats of OpenTelemetry only: what any receiver of OTLP understands.
    Otlp,
}

/// The apps of the study app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum App {
    /// The browser app.
    Web,
    /// The app for iOS.
    Ios,
    /// The app for Android.
    Android,
}

impl App {
    /// Name, as the app's write key gives it to beacons.
    pub fn name(self) -> &'static str {
        match self {
            Self::Web => "studyapp-web",
            Self::Ios => "studyapp-ios",
            Self::Android => "studyapp-android",
        }
    }

    /// Write key in the local stack.
    pub fn key(self) -> &'static str {
        match self {
            Self::Web => "studyapp-key",
            Self::Ios => "studyapp-ios-key",
            Self::Android => "studyapp-android-key",
        }
    }
}

/// Where and in which format a beacon is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `POST /v1/beacons`.
    Native,
    /// `POST /collect`, as Faro does.
    Faro,
    /// `POST /v1/logs`, as JSON.
    OtlpLogsJson,
    /// `POST /v1/logs`, as protocol buffers.
    OtlpLogsProtobuf,
    /// `POST /v1/traces`, as JSON.
    OtlpTracesJson,
    /// `POST /v1/traces`, as protocol buffers.
    OtlpTracesProtobuf,
    /// `POST /beacon`, a form.
    Boomerang,
    /// `GET /beacon?…`, an image.
    BoomerangGet,
    /// `POST /v1/web-vitals`, as `sendBeacon` with the web-vitals library does.
    WebVitals,
    /// `POST /v1/reports`, as browsers send Network Error Logging.
    NetworkErrors,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 10] = [
        Self::Native,
        Self::Faro,
        Self::OtlpLogsJson,
        Self::OtlpLogsProtobuf,
        Self::OtlpTracesJson,
        Self::OtlpTracesProtobuf,
        Self::Boomerang,
        Self::BoomerangGet,
        Self::WebVitals,
        Self::NetworkErrors,
    ];

    /// Whether events carry no time of their own, so that the order in which beacons are received decides.
    pub fn is_timeless(self) -> bool {
        self == Self::WebVitals
    }

    /// Whether a request that is sent again is known as a repeat. Equal reports of two browsers are no repeats.
    pub fn is_idempotent(self) -> bool {
        self != Self::NetworkErrors
    }
}

/// A session that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its number in the run.
    pub number: u64,
    /// Its place among the sessions of one gateway; 0 where it sends for itself.
    pub place: u64,
    /// App that it uses.
    pub app: App,
    /// Release of the app.
    pub release: &'static str,
    /// Environment, empty where it is not said.
    pub environment: &'static str,
    /// What it runs on.
    pub device: &'static Device,
    /// How many sessions it stands for; its sampling rate is the reciprocal.
    pub weight: u32,
    /// What is added to the right time by its clock.
    pub clock_error_ms: i64,
    /// Its beacons in the order of their sequence.
    pub beacons: Vec<Beacon>,
    /// What must be counted of it.
    pub truth: Truth,
    /// Further sessions, whose events a gateway sends in the same requests: with each beacon those of their beacons
    /// that have the same format.
    pub others: Vec<Session>,
}

/// One beacon of a session.
#[derive(Debug, Clone)]
pub struct Beacon {
    /// Format and path.
    pub format: Format,
    /// Whether the body is sent compressed.
    pub gzip: bool,
    /// Number in its session, from 1.
    pub sequence: u64,
    /// When it is due, ms after the session's first beacon.
    pub due_ms: u64,
    /// When it is sent again with the same id, ms after the session's first beacon.
    pub repeat_due_ms: Option<u64>,
    /// Records that it becomes: metrics with different ids do not stay together.
    pub records: u64,
    /// Its events.
    pub events: Vec<Event>,
}

/// One event, as the client saw it.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it happened, ms relative to the session's first beacon's sending.
    pub at_ms: i64,
    /// Name by the glossary; of what must be left out, the format's own.
    pub name: &'static str,
    /// Value.
    pub value: Option<Value>,
    /// Attributes.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it must be left out, where the format tells the same thing twice.
    pub left_out: Option<&'static str>,
}

impl Event {
    /// Text of an attribute, where it has one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|(key, value)| match value {
            Attribute::Text(text) if *key == name => Some(text.as_ref()),
            Attribute::Text(_) | Attribute::Number(_) | Attribute::Whole(_) | Attribute::Flag(_) => None,
        })
    }

    /// A whole number among the attributes.
    pub fn whole(&self, name: &str) -> Option<u64> {
        self.attributes.iter().find_map(|(key, value)| match value {
            Attribute::Whole(whole) if *key == name => Some(*whole),
            Attribute::Text(_) | Attribute::Number(_) | Attribute::Whole(_) | Attribute::Flag(_) => None,
        })
    }

    /// Whether a flag among the attributes is set.
    pub fn flag(&self, name: &str) -> bool {
        self.attributes.iter().any(|(key, value)| *key == name && *value == Attribute::Flag(true))
    }
}

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(Cow<'static, str>),
    /// A number with decimals.
    Number(Value),
    /// A whole number.
    Whole(u64),
    /// A flag.
    Flag(bool),
}

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Value> for Attribute {
    fn from(number: Value) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<bool> for Attribute {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
