//! What OTLP clients are answered: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>.
//!
//! Success has the notation of the request, an empty message or the partial success; so has a refusal, as a `Status`.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde_json::json;

use super::protobuf::{write_bytes, write_number};
use crate::admission::Notation;

/// Content type of protocol buffers.
pub(crate) const PROTOBUF: &str = "application/x-protobuf";

/// The response to records of which `rejected` were not valid; `count_name` is what JSON calls their number.
pub(crate) fn success(
    notation: Notation,
    count_name: &'static str,
    rejected: &[(usize, &'static str)],
) -> Vec<u8> {
    let mut message = Vec::new();
    if rejected.is_empty() {
        if notation != Notation::Protobuf {
            message.extend_from_slice(b"{}");
        }
        return message;
    }
    let detail = by_reason(rejected);
    if notation == Notation::Protobuf {
        let mut partial = Vec::new();
        write_number(1, rejected.len() as u64, &mut partial);
        write_bytes(2, detail.as_bytes(), &mut partial);
        write_bytes(1, &partial, &mut message);
        return message;
    }
    // 64-bit integers are texts in the JSON of protocol buffers.
    let partial = json!({ count_name: rejected.len().to_string(), "errorMessage": detail });
    json!({ "partialSuccess": partial }).to_string().into_bytes()
}

/// The `Status` of a request of which nothing was accepted.
pub(crate) fn refusal(notation: Notation, status: StatusCode, error: &str, detail: &str) -> Vec<u8> {
    let (code, text) = (code_of(status), format!("{error}: {detail}"));
    if notation != Notation::Protobuf {
        return json!({ "code": code, "message": text }).to_string().into_bytes();
    }
    let mut message = Vec::new();
    write_number(1, code, &mut message);
    write_bytes(2, text.as_bytes(), &mut message);
    message
}

/// `3 rejected: invalid_time 2, wrong_key 1`.
fn by_reason(rejected: &[(usize, &'static str)]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, reason) in rejected {
        *counts.entry(reason).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!("{} rejected: {}", rejected.len(), counts.join(", "))
}

/// The code of gRPC that goes with a status:
/// <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>.
fn code_of(status: StatusCode) -> u64 {
    match status.as_u16() {
        401 => 16,
        403 => 7,
        404 => 5,
        405 => 12,
        408 => 4,
        429 => 8,
        502..=504 => 14,
        500..=501 => 13,
        _ => 3,
    }
}
