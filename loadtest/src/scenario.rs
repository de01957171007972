//! Sessions of the study app's users: what they do, in which beacons it is reported, and what is true of it.
//!
//! A session is a pure function of the seed and its number. Times are relative to the moment when its first
//! beacon is sent, so that the same session can be played at any time. [`wire`] turns a beacon into a request.

use std::borrow::Cow;

use schema::value::Value;

use crate::truth::Truth;

mod journeys;
mod session;
mod signals;
mod timeline;
pub mod wire;

pub use session::play;

/// Deadline of the study app's journeys, and of those that an app declares and nobody has defined.
pub const TIMEOUT_MS: u64 = 30_000;
/// The shortest grace period that sessions are played for: the beacons of one come within it, and what shows
/// that a session lived on after a deadline does so within it.
pub const GRACE_MS_MIN: u64 = 10_000;
/// How long after a deadline a session is heard of again, at most.
const HEARD_WITHIN_MS: u64 = GRACE_MS_MIN - 2_000;

/// Which traffic is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Web and native users, with repeated, reordered, old and future events and beacons.
    Mixed,
    /// As `mixed`, web only.
    Web,
    /// As `mixed`, native only.
    Native,
    /// Web and native users whose beacons arrive once and in order.
    Tidy,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `POST /v1/beacons`.
    Native,
    /// `POST /collect`, as Faro does.
    Faro,
    /// `POST /v1/web-vitals`, as `sendBeacon` with the web-vitals library does.
    WebVitals,
}

/// A session that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its number in the run.
    pub number: u64,
    /// App that it uses.
    pub app: App,
    /// Release of the app.
    pub release: &'static str,
    /// User agent of its requests.
    pub user_agent: &'static str,
    /// Whether the user agent is a bot's.
    pub bot: bool,
    /// How many sessions it stands for; its sampling rate is the reciprocal.
    pub weight: u32,
    /// Its beacons in the order of their sequence.
    pub beacons: Vec<Beacon>,
    /// What must be counted of it.
    pub truth: Truth,
}

/// One beacon of a session.
#[derive(Debug, Clone)]
pub struct Beacon {
    /// Format and path.
    pub format: Format,
    /// Number in its session, from 1.
    pub sequence: u64,
    /// When it is due, ms after the session's first beacon.
    pub due_ms: u64,
    /// When it is sent again with the same id, ms after the session's first beacon.
    pub repeat_due_ms: Option<u64>,
    /// Records that it becomes at most: metrics with different ids do not stay together.
    pub records_max: u32,
    /// Its events.
    pub events: Vec<Event>,
}

/// One event, as the client saw it.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it happened, ms relative to the session's first beacon's sending.
    pub at_ms: i64,
    /// Name.
    pub name: &'static str,
    /// Value.
    pub value: Option<Value>,
    /// Attributes.
    pub attributes: Vec<(&'static str, Attribute)>,
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
