//! OTLP as far as it is read, whichever notation it came in; texts borrow from the body. This is its JSON.
//!
//! A request is a tree of resources, scopes and records, the same for logs and spans. All its nodes together are counted
//! while they are read: `{},` is three bytes of a body and some hundred of memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use schema::beacon::ATTRIBUTES_MAX;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::protobuf::{Malformed, Reader};
use crate::admission::attributes::Attributes;
use crate::admission::json_text;
use crate::admission::scalar::Scalar;
use crate::refusal::Refusal;

/// Resources, scopes and records of a request at most.
pub(crate) const NODES_MAX: usize = 10_000;

/// What one resource tells.
#[derive(Debug, Default)]
pub(crate) struct Resource<'a, T> {
    /// Attributes of the resource.
    pub(crate) attributes: Attributes<'a>,
    /// Its scopes, in the client's order.
    pub(crate) scopes: Vec<Scope<'a, T>>,
}

/// What one scope, an instrumentation, tells.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a, T> {
    /// Name of the instrumentation.
    pub(crate) name: Cow<'a, str>,
    /// Its log records or spans, in the client's order.
    pub(crate) records: Vec<T>,
}

/// A log record or a span: names of the tree's lists in JSON, and how it is written in protobuf. There resources are
/// field 1 of the request, scopes field 2 of a resource, and records field 2 of a scope.
pub(crate) trait Record<'a>: Deserialize<'a> {
    /// List of resources in a request.
    const RESOURCES: &'static str;
    /// List of scopes in a resource.
    const SCOPES: &'static str;
    /// List of records in a scope.
    const RECORDS: &'static str;

    /// Reads one from its fields.
    fn read(fields: Reader<'a>) -> Result<Self, Malformed>;
}

/// A log record.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogRecord<'a> {
    /// When it happened, ns since the epoch, client's clock; 0 or nothing where not known.
    #[serde(borrow, rename = "timeUnixNano")]
    pub(crate) time: Scalar<'a>,
    /// When the SDK saw it.
    #[serde(borrow, rename = "observedTimeUnixNano")]
    pub(crate) observed: Scalar<'a>,
    /// Severity from 1 to 24, or its name.
    #[serde(borrow, rename = "severityNumber")]
    pub(crate) severity: Scalar<'a>,
    /// Name of the event; older SDKs have it in attribute `event.name`.
    #[serde(borrow, rename = "eventName")]
    pub(crate) event_name: Scalar<'a>,
    /// Fields of a body that has some; other bodies are free text and not read.
    #[serde(borrow, deserialize_with = "body")]
    pub(crate) body: Attributes<'a>,
    /// Attributes.
    #[serde(borrow, deserialize_with = "key_values")]
    pub(crate) attributes: Attributes<'a>,
}

/// A span.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Span<'a> {
    /// Name.
    #[serde(borrow)]
    pub(crate) name: Scalar<'a>,
    /// Kind from 1 to 5, or its name.
    #[serde(borrow)]
    pub(crate) kind: Scalar<'a>,
    /// ns since the epoch, client's clock.
    #[serde(borrow, rename = "startTimeUnixNano")]
    pub(crate) start: Scalar<'a>,
    /// ns since the epoch, client's clock.
    #[serde(borrow, rename = "endTimeUnixNano")]
    pub(crate) end: Scalar<'a>,
    /// Attributes.
    #[serde(borrow, deserialize_with = "key_values")]
    pub(crate) attributes: Attributes<'a>,
}

/// Reads a request's JSON.
///
/// # Errors
/// When it is no JSON, of another shape, or has more than [`NODES_MAX`].
pub(crate) fn from_json<'a, T: Record<'a>>(body: &'a [u8]) -> Result<Vec<Resource<'a, T>>, Refusal> {
    let nodes = Nodes::default();
    let mut json = serde_json::Deserializer::from_str(json_text(body)?);
    let tree = Tree { nodes: &nodes, record: PhantomData }.deserialize(&mut json);
    match tree.and_then(|resources| json.end().map(|()| resources)) {
        Ok(resources) => Ok(resources),
        Err(_) if nodes.0.get() > NODES_MAX => Err(Refusal::TooManyNodes(NODES_MAX)),
        Err(error) => Err(Refusal::of_json(&error)),
    }
}

/// Reads the tree where it is a part of other JSON.
///
/// # Errors
/// When it has another shape or more than [`NODES_MAX`].
pub(crate) fn tree<'de, T: Record<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Resource<'de, T>>, D::Error> {
    Tree { nodes: &Nodes::default(), record: PhantomData }.deserialize(deserializer)
}

/// Reads a request's protobuf.
///
/// # Errors
/// As [`from_json`].
pub(crate) fn from_protobuf<'a, T: Record<'a>>(body: &'a [u8]) -> Result<Vec<Resource<'a, T>>, Refusal> {
    let nodes = Nodes::default();
    tree_from_protobuf(Reader::new(body), &nodes).map_err(|Malformed(what)| {
        if nodes.0.get() > NODES_MAX {
            Refusal::TooManyNodes(NODES_MAX)
        } else {
            Refusal::InvalidBody(format!("not protobuf: {what}"))
        }
    })
}

fn tree_from_protobuf<'a, T: Record<'a>>(
    mut request: Reader<'a>,
    nodes: &Nodes,
) -> Result<Vec<Resource<'a, T>>, Malformed> {
    let mut resources = Vec::new();
    while let Some((number, value)) = request.next()? {
        if number != 1 {
            continue;
        }
        nodes.add().map_err(Malformed)?;
        let mut resource = Resource { attributes: Attributes::default(), scopes: Vec::new() };
        let mut fields = value.message()?;
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.message()?.attributes(1, &mut resource.attributes)?,
                2 => resource.scopes.push(scope_from_protobuf(value.message()?, nodes)?),
                _ => {}
            }
        }
        resources.push(resource);
    }
    Ok(resources)
}

fn scope_from_protobuf<'a, T: Record<'a>>(
    mut fields: Reader<'a>,
    nodes: &Nodes,
) -> Result<Scope<'a, T>, Malformed> {
    nodes.add().map_err(Malformed)?;
    let mut scope = Scope { name: Cow::Borrowed(""), records: Vec::new() };
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => {
                let mut fields = value.message()?;
                while let Some((number, value)) = fields.next()? {
                    if number == 1 {
                        scope.name = Cow::Borrowed(value.text()?);
                    }
                }
            }
            2 => {
                nodes.add().map_err(Malformed)?;
                scope.records.push(T::read(value.message()?)?);
            }
            _ => {}
        }
    }
    Ok(scope)
}

impl<'a> Record<'a> for LogRecord<'a> {
    const RESOURCES: &'static str = "resourceLogs";
    const SCOPES: &'static str = "scopeLogs";
    const RECORDS: &'static str = "logRecords";

    fn read(mut fields: Reader<'a>) -> Result<Self, Malformed> {
        let mut record = Self::default();
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => record.time = value.number()?,
                2 => record.severity = value.number()?,
                5 => value.message()?.fields_of_value(&mut record.body)?,
                6 => value.message()?.key_value(&mut record.attributes)?,
                11 => record.observed = value.number()?,
                12 => record.event_name = Scalar::Text(Cow::Borrowed(value.text()?)),
                _ => {}
            }
        }
        Ok(record)
    }
}

impl<'a> Record<'a> for Span<'a> {
    const RESOURCES: &'static str = "resourceSpans";
    const SCOPES: &'static str = "scopeSpans";
    const RECORDS: &'static str = "spans";

    fn read(mut fields: Reader<'a>) -> Result<Self, Malformed> {
        let mut span = Self::default();
        while let Some((number, value)) = fields.next()? {
            match number {
                5 => span.name = Scalar::Text(Cow::Borrowed(value.text()?)),
                6 => span.kind = value.number()?,
                7 => span.start = value.number()?,
                8 => span.end = value.number()?,
                9 => value.message()?.key_value(&mut span.attributes)?,
                _ => {}
            }
        }
        Ok(span)
    }
}

/// How many nodes were read.
#[derive(Debug, Default)]
struct Nodes(Cell<usize>);

impl Nodes {
    fn add(&self) -> Result<(), &'static str> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > NODES_MAX { Err("too many records") } else { Ok(()) }
    }
}

/// The whole request; `R` is the kind of record.
struct Tree<'n, R> {
    nodes: &'n Nodes,
    record: PhantomData<R>,
}

/// One of a level's nodes.
struct Node<'n, R, Level> {
    nodes: &'n Nodes,
    level: PhantomData<(R, Level)>,
}

/// A level's list, counted.
struct List<'n, R, Level>(Node<'n, R, Level>);

struct ResourceLevel;
struct ScopeLevel;
struct RecordLevel;

impl<'n, R, Level> Node<'n, R, Level> {
    fn new(nodes: &'n Nodes) -> Self {
        Self { nodes, level: PhantomData }
    }
}

impl<'de, R: Record<'de>> DeserializeSeed<'de> for Tree<'_, R> {
    type Value = Vec<Resource<'de, R>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Record<'de>> Visitor<'de> for Tree<'_, R> {
    type Value = Vec<Resource<'de, R>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{}`", R::RESOURCES)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut resources = Vec::new();
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            if is(&key, R::RESOURCES) {
                resources = map.next_value_seed(List(Node::<R, ResourceLevel>::new(self.nodes)))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(resources)
    }
}

impl<'de, R: Record<'de>> DeserializeSeed<'de> for Node<'_, R, ResourceLevel> {
    type Value = Resource<'de, R>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Record<'de>> Visitor<'de> for Node<'_, R, ResourceLevel> {
    type Value = Resource<'de, R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `resource` and `{}`", R::SCOPES)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut resource = Resource { attributes: Attributes::default(), scopes: Vec::new() };
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            if is(&key, "resource") {
                resource.attributes =
                    map.next_value::<Option<Attributed<'de>>>()?.unwrap_or_default().attributes;
            } else if is(&key, R::SCOPES) {
                resource.scopes = map.next_value_seed(List(Node::<R, ScopeLevel>::new(self.nodes)))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(resource)
    }
}

impl<'de, R: Record<'de>> DeserializeSeed<'de> for Node<'_, R, ScopeLevel> {
    type Value = Scope<'de, R>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Record<'de>> Visitor<'de> for Node<'_, R, ScopeLevel> {
    type Value = Scope<'de, R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `scope` and `{}`", R::RECORDS)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut scope = Scope { name: Cow::Borrowed(""), records: Vec::new() };
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            if is(&key, "scope") {
                scope.name = map.next_value::<Option<Named<'de>>>()?.unwrap_or_default().name.or_empty();
            } else if is(&key, R::RECORDS) {
                scope.records = map.next_value_seed(List(Node::<R, RecordLevel>::new(self.nodes)))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(scope)
    }
}

impl<'de, R: Record<'de>> DeserializeSeed<'de> for Node<'_, R, RecordLevel> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R, D::Error> {
        R::deserialize(deserializer)
    }
}

impl<'n, 'de, R, Level, T> DeserializeSeed<'de> for List<'n, R, Level>
where
    Node<'n, R, Level>: DeserializeSeed<'de, Value = T>,
{
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'n, 'de, R, Level, T> Visitor<'de> for List<'n, R, Level>
where
    Node<'n, R, Level>: DeserializeSeed<'de, Value = T>,
{
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let nodes = self.0.nodes;
        let mut list = Vec::new();
        while let Some(node) = seq.next_element_seed(Node::<R, Level>::new(nodes))? {
            nodes.add().map_err(A::Error::custom)?;
            list.push(node);
        }
        Ok(list)
    }
}

fn is(key: &Scalar<'_>, name: &str) -> bool {
    matches!(key, Scalar::Text(key) if key == name)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributed<'a> {
    #[serde(borrow, deserialize_with = "key_values")]
    attributes: Attributes<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Scalar<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Scalar<'a>,
    #[serde(borrow)]
    value: Option<AnyValue<'a>>,
}

/// `{"stringValue": …}` and its like: the scalar, or the fields of a `kvlistValue`. Arrays and bytes are not kept.
#[derive(Default)]
struct AnyValue<'a> {
    scalar: Scalar<'a>,
    fields: Attributes<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for AnyValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = AnyValue<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one of `stringValue`, `intValue`, …")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut value = AnyValue::default();
                while let Some(key) = map.next_key::<Scalar<'de>>()? {
                    match key.text().as_deref() {
                        Some("stringValue" | "intValue" | "doubleValue" | "boolValue") => {
                            value.scalar = map.next_value()?;
                        }
                        Some("kvlistValue") => {
                            value.fields =
                                map.next_value::<Option<Fields<'de>>>()?.unwrap_or_default().values;
                        }
                        Some(_) | None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(value)
            }
        }

        deserializer.deserialize_map(ValueVisitor)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow, deserialize_with = "key_values")]
    values: Attributes<'a>,
}

fn body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attributes<'de>, D::Error> {
    Ok(Option::<AnyValue<'de>>::deserialize(deserializer)?.unwrap_or_default().fields)
}

/// A list of keys and values; those without text are left out.
fn key_values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attributes<'de>, D::Error> {
    struct ListVisitor;

    impl<'de> Visitor<'de> for ListVisitor {
        type Value = Attributes<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of keys and values")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Attributes::default())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut attributes = Attributes::with_capacity(seq.size_hint().unwrap_or(8).min(ATTRIBUTES_MAX));
            while let Some(KeyValue { key, value }) = seq.next_element()? {
                let value = value.and_then(|value| value.scalar.into_text());
                if let (Some(key), Some(value)) = (key.into_text(), value) {
                    attributes.push(key, value);
                }
            }
            Ok(attributes)
        }
    }

    deserializer.deserialize_any(ListVisitor)
}
