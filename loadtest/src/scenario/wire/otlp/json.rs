//! The messages of OTLP as JSON: ids as hex, times as texts, whole numbers as numbers, as the SDKs of browsers write
//! them. <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::message::{AnyValue, KeyValue, Kind, LogRecord, Logs, Resource, Scope, Span, Traces};

pub(super) fn logs(logs: &Logs) -> String {
    let resources = logs.resource_logs.iter().map(|of_resource| {
        let scopes = of_resource.scope_logs.iter().map(|of_scope| {
            let records: Vec<Json> = of_scope.log_records.iter().map(log_record).collect();
            json!({"scope": scope(of_scope.scope.as_ref()), "logRecords": records})
        });
        json!({"resource": resource(of_resource.resource.as_ref()), "scopeLogs": scopes.collect::<Vec<_>>()})
    });
    json!({"resourceLogs": resources.collect::<Vec<_>>()}).to_string()
}

pub(super) fn traces(traces: &Traces) -> String {
    let resources = traces.resource_spans.iter().map(|of_resource| {
        let scopes = of_resource.scope_spans.iter().map(|of_scope| {
            let spans: Vec<Json> = of_scope.spans.iter().map(span).collect();
            json!({"scope": scope(of_scope.scope.as_ref()), "spans": spans})
        });
        json!({"resource": resource(of_resource.resource.as_ref()), "scopeSpans": scopes.collect::<Vec<_>>()})
    });
    json!({"resourceSpans": resources.collect::<Vec<_>>()}).to_string()
}

fn log_record(record: &LogRecord) -> Json {
    json!({
        "timeUnixNano": record.time_unix_nano.to_string(),
        "observedTimeUnixNano": record.observed_time_unix_nano.to_string(),
        "severityNumber": record.severity_number,
        "body": record.body.as_ref().map_or_else(|| json!({}), any_value),
        "eventName": record.event_name,
        "attributes": key_values(&record.attributes),
        "droppedAttributesCount": 0,
    })
}

fn span(span: &Span) -> Json {
    json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": key_values(&span.attributes),
        "droppedAttributesCount": 0,
        "events": [],
        "status": {"code": 0},
        "links": [],
    })
}

fn resource(resource: Option<&Resource>) -> Json {
    let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
    json!({"attributes": key_values(attributes), "droppedAttributesCount": 0})
}

fn scope(scope: Option<&Scope>) -> Json {
    scope.map_or_else(|| json!({}), |scope| json!({"name": scope.name, "version": scope.version}))
}

fn key_values(list: &[KeyValue]) -> Vec<Json> {
    list.iter()
        .map(|KeyValue { key, value }| {
            json!({"key": key, "value": value.as_ref().map_or_else(|| json!({}), any_value)})
        })
        .collect()
}

fn any_value(value: &AnyValue) -> Json {
    match &value.kind {
        Some(Kind::Text(text)) => json!({"stringValue": text}),
        Some(Kind::Flag(flag)) => json!({"boolValue": flag}),
        Some(Kind::Int(whole)) => json!({"intValue": whole}),
        Some(Kind::Double(number)) => json!({"doubleValue": number}),
        Some(Kind::Fields(fields)) => json!({"kvlistValue": {"values": key_values(&fields.values)}}),
        None => json!({}),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
