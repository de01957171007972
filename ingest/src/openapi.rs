//! The description of the public endpoints, made from the code that answers: paths from the configuration, methods,
//! content types and answers from [`Format`], statuses and causes from [`Refusal`].
//!
//! What the bodies of other projects' SDKs look like in full is theirs to describe: here stands what is read of them.

use std::collections::{BTreeMap, BTreeSet};

use schema::beacon::EVENTS_MAX;
use serde_json::{Map, Value, json};

use crate::adapter::Format;
use crate::admission::Notation;
use crate::config::Config;
use crate::refusal::Refusal;

/// The description as an object of OpenAPI 3.1: <https://spec.openapis.org/oas/v3.1.0>.
pub fn description(config: &Config) -> Value {
    let paths: Map<String, Value> = Format::ALL
        .into_iter()
        .map(|format| (config.paths.of(format).to_owned(), operations(format)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ingest",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Takes beacons of web and native clients and answers when they are durable.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"header": []}, {"query": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key",
                    "description": "The write key; where an operation names none, the body may have it."},
                "query": {"type": "apiKey", "in": "query", "name": "key"},
            },
            "schemas": schemas(),
        },
    })
}

/// One of each refusal, in the order of their declaration.
pub fn refusals() -> Vec<Refusal> {
    std::iter::successors(Some(Refusal::InvalidJson("expected value".into())), following).collect()
}

/// The refusal declared after this one: a new one does not compile until it has its place here.
fn following(refusal: &Refusal) -> Option<Refusal> {
    let text = String::new;
    Some(match refusal {
        Refusal::InvalidJson(_) => Refusal::InvalidBody(text()),
        Refusal::InvalidBody(_) => Refusal::MissingField("events"),
        Refusal::MissingField(_) => Refusal::InvalidSampleRate { rate: text(), weight_max: 1 },
        Refusal::InvalidSampleRate { .. } => Refusal::UnreadableBody(text()),
        Refusal::UnreadableBody(_) => Refusal::UndecodableBody("gzip"),
        Refusal::UndecodableBody(_) => Refusal::NoKey,
        Refusal::NoKey => Refusal::WrongKey,
        Refusal::WrongKey => Refusal::ForeignOrigin(text()),
        Refusal::ForeignOrigin(_) => Refusal::UnknownOrigin(text()),
        Refusal::UnknownOrigin(_) => Refusal::BodyTimeout(0),
        Refusal::BodyTimeout(_) => Refusal::BodyTooLarge(0),
        Refusal::BodyTooLarge(_) => Refusal::DecompressedTooLarge(0),
        Refusal::DecompressedTooLarge(_) => Refusal::RatioTooLarge(0),
        Refusal::RatioTooLarge(_) => Refusal::TooManyEvents(0),
        Refusal::TooManyEvents(_) => Refusal::TooManyNodes(0),
        Refusal::TooManyNodes(_) => Refusal::RecordTooLarge,
        Refusal::RecordTooLarge => Refusal::ContentType { found: text(), wanted: text() },
        Refusal::ContentType { .. } => Refusal::ContentEncoding(text()),
        Refusal::ContentEncoding(_) => Refusal::TooManyRequests { of: "", retry_after_s: 0 },
        Refusal::TooManyRequests { .. } => Refusal::TooManyBodies(0),
        Refusal::TooManyBodies(_) => Refusal::NotDurable(""),
        Refusal::NotDurable(_) => return None,
    })
}

fn operations(format: Format) -> Value {
    let name = format.name();
    let mut operations = Map::new();
    let content: Map<String, Value> = format
        .content_types()
        .iter()
        .map(|(kind, notation)| ((*kind).to_owned(), json!({"schema": request_schema(format, *notation)})))
        .collect();
    let mut post = operation(format, "post", success_response(format));
    post["requestBody"] = json!({"required": true, "content": content});
    operations.insert("post".into(), post);
    if format.comes_by_get() {
        let pixel = json!({
            "description": "The beacon is durable; an image of one transparent pixel.",
            "content": {"image/gif": {"schema": {"type": "string", "format": "binary"}}},
        });
        let mut get = operation(format, "get", ("200".into(), pixel));
        let parameters = ["rt.si", "pid", "n", "u", "t_done", "rt.start", "rt.end"]
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}));
        get["parameters"] = json!(parameters);
        operations.insert("get".into(), get);
    }
    let preflight = json!({"description": "A page of this origin may send."});
    operations.insert(
        "options".into(),
        json!({
            "operationId": format!("preflight_{name}"),
            "summary": "Preflight of browsers",
            "security": [],
            "parameters": [{"name": "origin", "in": "header", "schema": {"type": "string"}}],
            "responses": {
                "204": preflight,
                "403": response(format, &BTreeSet::from([Refusal::UnknownOrigin(String::new()).error()])),
            },
        }),
    );
    Value::Object(operations)
}

fn operation(format: Format, method: &str, (status, success): (String, Value)) -> Value {
    let mut responses = Map::new();
    responses.insert(status, success);
    for (status, errors) in errors_by_status() {
        let mut refused = response(format, &errors);
        if matches!(status, 429 | 503) {
            let schema = json!({"type": "integer", "minimum": 1});
            refused["headers"] =
                json!({"retry-after": {"description": "s", "required": true, "schema": schema}});
        }
        responses.insert(status.to_string(), refused);
    }
    let mut operation = json!({
        "operationId": format!("{method}_{}", format.name()),
        "summary": summary(format),
        "responses": responses,
    });
    if has_key_in_body(format) && method == "post" {
        operation["security"] = json!([{"header": []}, {"query": []}, {}]);
    }
    operation
}

/// Whether the body may have the write key: `key` of native beacons and of forms, an attribute of OTLP's resources.
fn has_key_in_body(format: Format) -> bool {
    matches!(format, Format::Native | Format::Boomerang) || is_otlp(format)
}

/// The causes of each status.
fn errors_by_status() -> BTreeMap<u16, BTreeSet<&'static str>> {
    let mut by_status: BTreeMap<u16, BTreeSet<&'static str>> = BTreeMap::new();
    for refusal in refusals() {
        by_status.entry(refusal.status().as_u16()).or_default().insert(refusal.error());
    }
    by_status
}

/// A refusal for one of these causes.
fn response(format: Format, errors: &BTreeSet<&'static str>) -> Value {
    let names: Vec<_> = errors.iter().map(|error| format!("`{error}`")).collect();
    let content: Map<String, Value> = if is_otlp(format) {
        [("application/json", "Status"), ("application/x-protobuf", "Protobuf")]
            .map(|(kind, schema)| (kind.to_owned(), json!({"schema": reference(schema)})))
            .into_iter()
            .collect()
    } else {
        let cause = json!({"properties": {"error": {"enum": errors}}});
        let schema = json!({"allOf": [reference("Refusal"), cause]});
        Map::from_iter([("application/json".to_owned(), json!({ "schema": schema }))])
    };
    json!({"description": format!("Nothing is accepted: {}.", names.join(", ")), "content": content})
}

fn success_response(format: Format) -> (String, Value) {
    let mut response = json!({"description": "Everything that is accepted is durable."});
    let json = |schema: Value| json!({"application/json": {"schema": schema}});
    match format {
        Format::Native => response["content"] = json(reference("Accepted")),
        Format::Faro | Format::WebVitals => response["content"] = json(json!({"type": "object"})),
        Format::OtlpLogs | Format::OtlpTraces => {
            response["content"] = json(reference("ExportResponse"));
            response["content"]["application/x-protobuf"] = json!({"schema": reference("Protobuf")});
        }
        Format::Boomerang | Format::NetworkErrors => {}
    }
    (format.success_status().as_str().to_owned(), response)
}

fn request_schema(format: Format, notation: Notation) -> Value {
    if notation == Notation::Protobuf {
        return reference("Protobuf");
    }
    match format {
        Format::Native => reference("Beacon"),
        Format::Faro => reference("FaroPayload"),
        Format::OtlpLogs => reference("ExportLogsRequest"),
        Format::OtlpTraces => reference("ExportTraceRequest"),
        Format::Boomerang => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Format::WebVitals => {
            let metrics = json!({"type": "array", "items": reference("Metric"), "maxItems": EVENTS_MAX});
            json!({"oneOf": [reference("Metric"), metrics]})
        }
        Format::NetworkErrors => {
            json!({"type": "array", "items": reference("Report"), "maxItems": EVENTS_MAX})
        }
    }
}

fn is_otlp(format: Format) -> bool {
    matches!(format, Format::OtlpLogs | Format::OtlpTraces)
}

fn summary(format: Format) -> &'static str {
    match format {
        Format::Native => "A beacon in this project's own JSON",
        Format::Faro => "What Grafana Faro's web SDK sends",
        Format::OtlpLogs => "Log records of OpenTelemetry",
        Format::OtlpTraces => "Spans of OpenTelemetry",
        Format::Boomerang => "A beacon of boomerang",
        Format::WebVitals => "Metrics of the web-vitals library",
        Format::NetworkErrors => "Reports of browsers about requests that failed",
    }
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn schemas() -> Value {
    let text = json!({"type": "string"});
    // Texts and numbers stand for each other, as SDKs really send them.
    let scalar = json!({"type": ["string", "number", "boolean", "null"]});
    let time =
        json!({"type": ["integer", "string", "null"], "description": "ms since the epoch, or ISO 8601"});
    let attributes = json!({"type": ["object", "null"], "additionalProperties": scalar});
    let list = |items: &str| json!({"type": "array", "items": reference(items), "maxItems": EVENTS_MAX});
    let tree = |resources: &str, scopes: &str, records: &str, record: &str| {
        let node = |name: &str, items: Value| json!({"type": "object", "properties": {name: {"type": "array", "items": items}}});
        node(resources, node(scopes, node(records, reference(record))))
    };
    json!({
        "Accepted": {
            "type": "object",
            "required": ["accepted", "rejected"],
            "properties": {
                "accepted": {"type": "integer", "minimum": 0},
                "rejected": {"type": "array", "items": {
                    "type": "object",
                    "required": ["index", "reason"],
                    "properties": {"index": {"type": "integer", "minimum": 0}, "reason": text},
                }},
            },
        },
        "Refusal": {
            "type": "object",
            "required": ["error", "detail"],
            "properties": {"error": text, "detail": text},
        },
        "Status": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "integer"}, "message": text},
        },
        "ExportResponse": {
            "type": "object",
            "properties": {"partialSuccess": {"type": "object", "properties": {
                "rejectedLogRecords": text, "rejectedSpans": text, "errorMessage": text,
            }}},
        },
        "Protobuf": {"type": "string", "format": "binary"},
        "Beacon": {
            "type": "object",
            "required": ["events"],
            "properties": {
                "key": text, "id": text, "environment": text, "session": text, "sequence": {"type": "integer"},
                "release": text, "platform": text, "os": text, "browser": text, "device_class": text,
                "connection": text, "segment": text, "sent_at": time,
                "sample_rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "attributes": attributes, "events": list("Event"),
            },
        },
        "Event": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": text, "time": time, "value": {"type": "number", "minimum": 0},
                "duration_ms": {"type": "number", "minimum": 0}, "attributes": attributes,
            },
        },
        "FaroPayload": {
            "type": "object",
            "required": ["meta"],
            "properties": {
                "meta": {"type": "object", "properties": {
                    "app": {"type": "object"},
                    "session": {"type": "object", "properties": {"id": text, "attributes": attributes}},
                    "page": {"type": "object", "properties": {"url": text}},
                }},
                "events": list("FaroEvent"),
                "measurements": list("FaroMeasurement"),
                "exceptions": list("FaroException"),
                "logs": {"type": "array", "items": {"type": "object"}, "maxItems": EVENTS_MAX},
                "traces": reference("ExportTraceRequest"),
            },
        },
        "FaroEvent": {"type": "object", "properties": {"name": text, "timestamp": time, "attributes": attributes}},
        "FaroMeasurement": {"type": "object", "properties": {
            "type": text, "timestamp": time, "context": attributes,
            "values": {"type": "object", "additionalProperties": {"type": "number"}},
        }},
        "FaroException": {"type": "object", "properties": {
            "type": text, "value": text, "fatal": {"type": "boolean"}, "timestamp": time, "context": attributes,
        }},
        "ExportLogsRequest": tree("resourceLogs", "scopeLogs", "logRecords", "LogRecord"),
        "ExportTraceRequest": tree("resourceSpans", "scopeSpans", "spans", "Span"),
        "LogRecord": {"type": "object", "properties": {
            "timeUnixNano": scalar, "observedTimeUnixNano": scalar, "severityNumber": scalar, "eventName": text,
            "attributes": {"type": "array", "items": reference("KeyValue")},
        }},
        "Span": {"type": "object", "properties": {
            "name": text, "kind": scalar, "startTimeUnixNano": scalar, "endTimeUnixNano": scalar,
            "attributes": {"type": "array", "items": reference("KeyValue")},
        }},
        "KeyValue": {"type": "object", "properties": {"key": text, "value": {"type": "object", "properties": {
            "stringValue": text, "intValue": scalar, "doubleValue": scalar, "boolValue": {"type": "boolean"},
        }}}},
        "Metric": {
            "type": "object",
            "required": ["name", "value"],
            "properties": {
                "name": text, "value": {"type": "number", "minimum": 0}, "rating": text, "id": text,
                "navigationType": text, "navigationURL": text,
            },
        },
        "Report": {"type": "object", "properties": {
            "type": text, "age": {"type": "integer"}, "url": text,
            "body": {"type": "object", "properties": {
                "sampling_fraction": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "elapsed_time": {"type": "integer"}, "phase": text, "type": text, "method": text,
                "status_code": {"type": "integer"},
            }},
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_method_status_and_cause_is_named() {
        let mut config = Config::default();
        config.paths.faro = "/quiet".into();
        let description = description(&config);
        let paths = description["paths"].as_object().unwrap();
        assert_eq!(paths.len(), Format::ALL.len());
        for format in Format::ALL {
            let operations = &paths[config.paths.of(format)];
            let post = &operations["post"];
            for (kind, _) in format.content_types() {
                assert!(post["requestBody"]["content"][kind].is_object(), "{kind}");
            }
            assert!(post["responses"][format.success_status().as_str()].is_object());
            assert_eq!(operations["get"].is_object(), format.comes_by_get());
            for refusal in refusals() {
                let told = &post["responses"][refusal.status().as_str()]["description"];
                assert!(told.as_str().unwrap().contains(&format!("`{}`", refusal.error())), "{refusal:?}");
            }
        }
    }

    #[test]
    fn every_schema_that_is_meant_is_there_and_every_one_is_meant() {
        let description = description(&Config::default());
        let schemas = description["components"]["schemas"].as_object().unwrap();
        let text = description.to_string();
        let names: BTreeSet<&str> =
            text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(names, schemas.keys().map(String::as_str).collect());
    }

    #[test]
    fn each_refusal_is_there_once() {
        let refusals = refusals();
        let kinds: BTreeSet<String> = refusals
            .iter()
            .map(|refusal| format!("{refusal:?}").split(['(', ' ']).next().unwrap().into())
            .collect();
        assert_eq!(kinds.len(), refusals.len());
        assert!(refusals.len() >= 19);
    }
}
