//! Adapters: one wire format a module, each a pure function from a request's parts to beacons.
//!
//! `adapt(request) -> Result<Admission, Refusal>` reads no clock and awaits nothing. Wire types stand beside the
//! adapter that needs them; what all formats have in common is [`crate::admission`]'s. A new format is a module here,
//! a variant of [`Format`] and a path in the configuration.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use serde_json::json;

use crate::admission::{Admission, Notation, Request};
use crate::refusal::Refusal;

mod exception;
pub mod faro;
#[cfg(test)]
mod fixture;
pub mod native;
pub mod otlp;
pub mod web_vitals;

/// The formats that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// This project's own JSON.
    Native,
    /// Grafana Faro's web SDK.
    Faro,
    /// OpenTelemetry's log records.
    OtlpLogs,
    /// OpenTelemetry's spans.
    OtlpTraces,
    /// The web-vitals library with `sendBeacon`.
    WebVitals,
}

/// Content types of JSON. `sendBeacon` sends text, and without a preflight nothing else.
const JSON: &[(&str, Notation)] = &[("application/json", Notation::Json), ("text/plain", Notation::Json)];
/// Content types of OTLP.
const OTLP: &[(&str, Notation)] = &[
    ("application/json", Notation::Json),
    (otlp::answer::PROTOBUF, Notation::Protobuf),
    ("text/plain", Notation::Json),
];

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Native, Self::Faro, Self::OtlpLogs, Self::OtlpTraces, Self::WebVitals];

    /// Name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Faro => "faro",
            Self::OtlpLogs => "otlp_logs",
            Self::OtlpTraces => "otlp_traces",
            Self::WebVitals => "web_vitals",
        }
    }

    /// Content types that it comes in; the first is meant where a request names none.
    pub fn content_types(self) -> &'static [(&'static str, Notation)] {
        match self {
            Self::Native | Self::Faro | Self::WebVitals => JSON,
            Self::OtlpLogs | Self::OtlpTraces => OTLP,
        }
    }

    /// Status of the answer to a request whose beacons are durable.
    pub fn success_status(self) -> StatusCode {
        match self {
            Self::Native | Self::Faro | Self::WebVitals => StatusCode::ACCEPTED,
            Self::OtlpLogs | Self::OtlpTraces => StatusCode::OK,
        }
    }

    /// Turns a request into beacons.
    ///
    /// # Errors
    /// Why nothing of it can be accepted.
    pub fn adapt<'a>(self, request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
        match self {
            Self::Native => native::adapt(request),
            Self::Faro => faro::adapt(request),
            Self::OtlpLogs => otlp::adapt_logs(request),
            Self::OtlpTraces => otlp::adapt_traces(request),
            Self::WebVitals => web_vitals::adapt(request),
        }
    }

    /// The answer to a request whose beacons are durable.
    pub fn answer(
        self,
        notation: Notation,
        accepted_events: usize,
        rejected: &[(usize, &'static str)],
    ) -> HttpResponse {
        let mut response = HttpResponse::build(self.success_status());
        match self {
            Self::Native => {
                response.insert_header(ContentType::json()).body(native::answer(accepted_events, rejected))
            }
            Self::Faro | Self::WebVitals => response.insert_header(ContentType::json()).body("{}"),
            Self::OtlpLogs | Self::OtlpTraces => {
                let count_name = if self == Self::OtlpLogs { "rejectedLogRecords" } else { "rejectedSpans" };
                response
                    .content_type(otlp_content_type(notation))
                    .body(otlp::answer::success(notation, count_name, rejected))
            }
        }
    }

    /// The answer to a request of which nothing was accepted, for all formats with cause and detail.
    pub fn refuse(self, notation: Notation, status: StatusCode, error: &str, detail: &str) -> HttpResponse {
        let mut response = HttpResponse::build(status);
        match self {
            Self::Native | Self::Faro | Self::WebVitals => {
                response.json(json!({ "error": error, "detail": detail }))
            }
            Self::OtlpLogs | Self::OtlpTraces => response
                .content_type(otlp_content_type(notation))
                .body(otlp::answer::refusal(notation, status, error, detail)),
        }
    }
}

fn otlp_content_type(notation: Notation) -> &'static str {
    match notation {
        Notation::Protobuf => otlp::answer::PROTOBUF,
        Notation::Json | Notation::Form => "application/json",
    }
}
