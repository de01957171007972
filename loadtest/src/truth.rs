//! What an exact pipeline must count of a session, as it was played.
//!
//! Two things are left to [`crate::verify`], because they are the definition's to say and not the player's:
//! from which wait on an abandoned attempt is valid (`patience`), and which step a timeout was at.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schema::value::Value;
use serde::{Deserialize, Serialize};

/// How an attempt was made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A success event came in time.
    Success,
    /// A failure event came.
    Failure,
    /// The deadline passed and the session was still heard of.
    Timeout,
    /// The user left, or started again.
    Abandoned,
    /// The app said that the user cancelled.
    Cancelled,
    /// Silence.
    Unknown,
}

impl Outcome {
    /// Every outcome that is played, in the order of the tables' columns.
    pub const ALL: [Self; 6] =
        [Self::Success, Self::Failure, Self::Timeout, Self::Abandoned, Self::Cancelled, Self::Unknown];

    /// The column of the journey tables.
    pub fn column(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

/// One attempt as it was played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Journey: as the app declared it, or the standard one that the event belongs to.
    pub journey: Cow<'static, str>,
    /// One event is the whole attempt.
    #[serde(default, skip_serializing_if = "is_false")]
    pub single_event: bool,
    /// When it began, ms after the session's first beacon was due; `None` where it is placed at its receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was no success; empty for a success, and for a timeout, whose reason the definition's steps say.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'static, str>,
    /// Latency of a success, or the value of an attempt of one event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Value>,
    /// How long the user waited who abandoned, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Steps that it reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<Cow<'static, str>>,
}

/// Everything that a session's beacons say, once each is counted once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Attempts.
    pub attempts: Vec<Attempt>,
    /// Records that its beacons become.
    #[serde(default)]
    pub records: u64,
    /// Events that must be kept, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<Cow<'static, str>, u64>,
    /// Events that must be left out, by reason: what a format tells twice.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<Cow<'static, str>, u64>,
    /// Events older than the retention of late data.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub too_old: u64,
    /// Events whose time must be corrected, since the client's clock was wrong.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub corrected: u64,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
