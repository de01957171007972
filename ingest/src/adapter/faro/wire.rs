//! Faro's JSON as far as it is read. Everything is optional: SDKs of several years are in use.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::adapter::otlp::{self, Resource, Span};
use crate::admission::attributes::Attributes;
use crate::admission::list::List;
use crate::admission::scalar::Scalar;

#[derive(Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(borrow, default)]
    pub(super) meta: Option<Meta<'a>>,
    #[serde(borrow, default)]
    pub(super) events: List<Event<'a>>,
    #[serde(borrow, default)]
    pub(super) measurements: List<Measurement<'a>>,
    #[serde(borrow, default)]
    pub(super) exceptions: List<Exception<'a>>,
    #[serde(default)]
    pub(super) logs: List<IgnoredAny>,
    #[serde(borrow, default)]
    pub(super) traces: Option<Traces<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Meta<'a> {
    #[serde(borrow, default)]
    pub(super) app: Option<App<'a>>,
    #[serde(borrow, default)]
    pub(super) session: Option<Session<'a>>,
    #[serde(borrow, default)]
    pub(super) page: Option<Page<'a>>,
}

#[derive(Deserialize, Default)]
pub(super) struct App<'a> {
    #[serde(borrow, default)]
    pub(super) version: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) release: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) environment: Scalar<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Session<'a> {
    #[serde(borrow, default)]
    pub(super) id: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) attributes: Attributes<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Page<'a> {
    #[serde(borrow, default)]
    pub(super) url: Scalar<'a>,
}

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub(super) name: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) timestamp: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) attributes: Attributes<'a>,
}

#[derive(Deserialize)]
pub(super) struct Measurement<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Scalar<'a>,
    #[serde(default, deserialize_with = "named_values", borrow)]
    pub(super) values: Vec<(Cow<'a, str>, Scalar<'a>)>,
    #[serde(borrow, default)]
    pub(super) timestamp: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) context: Attributes<'a>,
}

#[derive(Deserialize)]
pub(super) struct Exception<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) value: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) fatal: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) timestamp: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) context: Attributes<'a>,
}

/// Spans, as in a request of OTLP.
pub(super) struct Traces<'a>(pub(super) Vec<Resource<'a, Span<'a>>>);

impl<'de: 'a, 'a> Deserialize<'de> for Traces<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        otlp::tree(deserializer).map(Traces)
    }
}

/// An object in the client's order.
fn named_values<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(Cow<'de, str>, Scalar<'de>)>, D::Error> {
    struct ValuesVisitor;

    impl<'de> Visitor<'de> for ValuesVisitor {
        type Value = Vec<(Cow<'de, str>, Scalar<'de>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of numbers")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut values = Vec::new();
            while let Some((name, value)) = map.next_entry::<Scalar<'de>, Scalar<'de>>()? {
                values.push((name.or_empty(), value));
            }
            Ok(values)
        }
    }

    deserializer.deserialize_map(ValuesVisitor)
}
