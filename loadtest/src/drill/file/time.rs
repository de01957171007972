//! Times as files have them.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de};

use super::{Wrong, wrong};

/// A time such as `20s`, `400ms` or `-2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(SignedDuration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, such as 20s, 400ms or 1m30s")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                let time = text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(Time(time))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Time {
    /// So many seconds.
    pub(super) fn of_seconds(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// As a time that goes forward.
    pub(super) fn forward(self, key: &str) -> Result<Duration, Wrong> {
        Duration::try_from(self.0)
            .or_else(|_| wrong(key, format!("`{key}` is {:#}: it cannot be less than nothing", self.0)))
    }

    /// The same in ms.
    pub(super) fn forward_ms(self, key: &str) -> Result<u64, Wrong> {
        Ok(self.forward(key)?.as_millis() as u64)
    }

    /// In either direction, ms.
    pub(super) fn signed_ms(self) -> i64 {
        self.0.as_millis() as i64
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}
