//! A JSON value where a text or number belongs, as SDKs really send them: numbers as text, ids as numbers.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One JSON value without its nested parts. Text borrows from the body where it has no escapes.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Scalar<'a> {
    /// `null`, or not there.
    #[default]
    Null,
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
    /// An array or object, whose content is not kept.
    Nested,
}

impl<'a> Scalar<'a> {
    /// As text; `None` for what has none.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null | Self::Nested => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Whole(whole) => Some(Cow::Owned(whole.to_string())),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Flag(true) => Some(Cow::Borrowed("true")),
            Self::Flag(false) => Some(Cow::Borrowed("false")),
        }
    }

    /// As text that lives as long as the body.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Flag(true) => Some(Cow::Borrowed("true")),
            Self::Flag(false) => Some(Cow::Borrowed("false")),
            Self::Whole(whole) => Some(Cow::Owned(whole.to_string())),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Null | Self::Nested => None,
        }
    }

    /// As text, empty where there is none.
    pub fn or_empty(self) -> Cow<'a, str> {
        self.into_text().unwrap_or_default()
    }

    /// As a time in ms since the epoch: a number, its text, or ISO 8601. `None` when there is none.
    ///
    /// # Errors
    /// When there is something that is no time.
    pub fn time_ms(&self) -> Result<Option<i64>, NotATime> {
        match self {
            Self::Null => Ok(None),
            Self::Whole(whole) => Ok(Some(*whole)),
            // A cast saturates, and admission clamps what is absurd.
            Self::Number(number) if number.is_finite() => Ok(Some(*number as i64)),
            Self::Text(text) => text_time_ms(text).map(Some).ok_or(NotATime),
            Self::Number(_) | Self::Flag(_) | Self::Nested => Err(NotATime),
        }
    }

    /// As a number that counts.
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Whole(whole) => u64::try_from(*whole).ok(),
            Self::Text(text) => text.parse().ok(),
            Self::Null | Self::Number(_) | Self::Flag(_) | Self::Nested => None,
        }
    }

    /// As `true` or `false`, also where it is written as text.
    pub fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Text(text) => text.parse().ok(),
            Self::Null | Self::Whole(_) | Self::Number(_) | Self::Nested => None,
        }
    }
}

/// Something stood where a time belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATime;

fn text_time_ms(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number as i64);
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E>(self, whole: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Whole(whole))
            }

            fn visit_u64<E>(self, whole: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(whole).map_or(Scalar::Number(whole as f64), Scalar::Whole))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Flag(flag))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Null)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nested)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nested)
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str) -> Scalar<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn times_come_as_numbers_or_texts() {
        let check = |json: &str, expect| assert_eq!(scalar(json).time_ms(), expect, "{json}");
        check("1795405626634", Ok(Some(1_795_405_626_634)));
        check("1795405626634.7", Ok(Some(1_795_405_626_634)));
        check("\"1795405626634\"", Ok(Some(1_795_405_626_634)));
        check("\"2026-11-23T03:47:05.591Z\"", Ok(Some(1_795_405_625_591)));
        check("\"2026-11-23T05:47:05.591+02:00\"", Ok(Some(1_795_405_625_591)));
        check("1e300", Ok(Some(i64::MAX)));
        check("null", Ok(None));
        check("\"yesterday\"", Err(NotATime));
        check("\"NaN\"", Err(NotATime));
        check("true", Err(NotATime));
        check("[1]", Err(NotATime));
    }

    #[test]
    fn values_become_text_as_they_were_written() {
        let check =
            |json: &str, expect: Option<&str>| assert_eq!(scalar(json).text().as_deref(), expect, "{json}");
        check("\"a\"", Some("a"));
        check("\"\\u00e9\"", Some("é"));
        check("503", Some("503"));
        check("-1.5", Some("-1.5"));
        check("18446744073709551615", Some("18446744073709552000"));
        check("false", Some("false"));
        check("{\"a\":[1]}", None);
        check("null", None);
    }
}
