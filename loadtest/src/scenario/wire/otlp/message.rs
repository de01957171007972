//! The messages of OTLP as far as clients send them:
//! <https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto>.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct Logs {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::scenario::wire) resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(in crate::scenario::wire) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::scenario::wire) scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub(in crate::scenario::wire) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::scenario::wire) log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(in crate::scenario::wire) time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub(in crate::scenario::wire) severity_number: i32,
    #[prost(message, optional, tag = "5")]
    pub(in crate::scenario::wire) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(in crate::scenario::wire) attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "11")]
    pub(in crate::scenario::wire) observed_time_unix_nano: u64,
    #[prost(string, tag = "12")]
    pub(in crate::scenario::wire) event_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct Traces {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::scenario::wire) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(in crate::scenario::wire) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::scenario::wire) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(in crate::scenario::wire) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::scenario::wire) spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::scenario::wire) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(in crate::scenario::wire) span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(in crate::scenario::wire) name: String,
    #[prost(int32, tag = "6")]
    pub(in crate::scenario::wire) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(in crate::scenario::wire) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(in crate::scenario::wire) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(in crate::scenario::wire) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::scenario::wire) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct Scope {
    #[prost(string, tag = "1")]
    pub(in crate::scenario::wire) name: String,
    #[prost(string, tag = "2")]
    pub(in crate::scenario::wire) version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(in crate::scenario::wire) key: String,
    #[prost(message, optional, tag = "2")]
    pub(in crate::scenario::wire) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct AnyValue {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 6")]
    pub(in crate::scenario::wire) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(in crate::scenario::wire) enum Kind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "6")]
    Fields(Fields),
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::scenario::wire) struct Fields {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::scenario::wire) values: Vec<KeyValue>,
}

impl AnyValue {
    pub(in crate::scenario::wire) fn text(text: &str) -> Self {
        Self { kind: Some(Kind::Text(text.to_owned())) }
    }

    pub(in crate::scenario::wire) fn flag(flag: bool) -> Self {
        Self { kind: Some(Kind::Flag(flag)) }
    }

    pub(in crate::scenario::wire) fn int(whole: u64) -> Self {
        Self { kind: Some(Kind::Int(whole as i64)) }
    }

    pub(in crate::scenario::wire) fn double(number: f64) -> Self {
        Self { kind: Some(Kind::Double(number)) }
    }

    pub(in crate::scenario::wire) fn fields(values: Vec<KeyValue>) -> Self {
        Self { kind: Some(Kind::Fields(Fields { values })) }
    }
}

impl Scope {
    pub(in crate::scenario::wire) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), version: "0.6.0".to_owned() }
    }
}

impl ScopeLogs {
    pub(in crate::scenario::wire) fn is_of(&self, name: &str) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.name == name)
    }
}
