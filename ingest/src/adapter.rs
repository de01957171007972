//! Adapters: one wire format a module, each a pure function from a request's parts to beacons.
//!
//! `adapt(request) -> Result<Admission, Refusal>` reads no clock and awaits nothing. Wire types stand beside the
//! adapter that needs them; what all formats have in common is [`crate::admission`]'s. A new format is a module here,
//! a variant of [`Format`] and a path in the configuration.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use serde_json::json;

use crate::admission::{Admission, Notation, Request, objection};
use crate::refusal::Refusal;

pub mod boomerang;
#[cfg(test)]
mod clocks;
mod exception;
pub mod faro;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod laws;
pub mod native;
pub mod network_errors;
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
    /// boomerang.
    Boomerang,
    /// The web-vitals library with `sendBeacon`.
    WebVitals,
    /// Network Error Logging of browsers.
    NetworkErrors,
}

/// Content types of JSON. `sendBeacon` sends text, and without a preflight nothing else.
const JSON: &[(&str, Notation)] = &[("application/json", Notation::Json), ("text/plain", Notation::Json)];
/// Content types of forms.
const FORM: &[(&str, Notation)] =
    &[("application/x-www-form-urlencoded", Notation::Form), ("text/plain", Notation::Form)];
/// Content types of browsers' reports.
const REPORTS: &[(&str, Notation)] =
    &[("application/reports+json", Notation::Json), ("application/json", Notation::Json)];
/// An image of one transparent pixel, for clients that send as an image.
const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
/// Content types of OTLP.
const OTLP: &[(&str, Notation)] = &[
    ("application/json", Notation::Json),
    (otlp::answer::PROTOBUF, Notation::Protobuf),
    ("text/plain", Notation::Json),
];

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::Native,
        Self::Faro,
        Self::OtlpLogs,
        Self::OtlpTraces,
        Self::Boomerang,
        Self::WebVitals,
        Self::NetworkErrors,
    ];

    /// Name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Faro => "faro",
            Self::OtlpLogs => "otlp_logs",
            Self::OtlpTraces => "otlp_traces",
            Self::Boomerang => "boomerang",
            Self::WebVitals => "web_vitals",
            Self::NetworkErrors => "network_errors",
        }
    }

    /// Content types that it comes in; the first is meant where a request names none.
    pub fn content_types(self) -> &'static [(&'static str, Notation)] {
        match self {
            Self::Native | Self::Faro | Self::WebVitals => JSON,
            Self::OtlpLogs | Self::OtlpTraces => OTLP,
            Self::Boomerang => FORM,
            Self::NetworkErrors => REPORTS,
        }
    }

    /// Whether it may come as the query of a GET request.
    pub fn comes_by_get(self) -> bool {
        match self {
            Self::Boomerang => true,
            Self::Native
            | Self::Faro
            | Self::OtlpLogs
            | Self::OtlpTraces
            | Self::WebVitals
            | Self::NetworkErrors => false,
        }
    }

    /// Status of the answer to a request, not by GET, whose beacons are durable.
    pub fn success_status(self) -> StatusCode {
        match self {
            Self::Native | Self::Faro | Self::WebVitals => StatusCode::ACCEPTED,
            Self::OtlpLogs | Self::OtlpTraces => StatusCode::OK,
            Self::Boomerang | Self::NetworkErrors => StatusCode::NO_CONTENT,
        }
    }

    /// Turns a request into beacons, as far as its user lets them be kept.
    ///
    /// # Errors
    /// Why nothing of it can be accepted.
    pub fn adapt<'a>(self, request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
        let mut admission = match self {
            Self::Native => native::adapt(request),
            Self::Faro => faro::adapt(request),
            Self::OtlpLogs => otlp::adapt_logs(request),
            Self::OtlpTraces => otlp::adapt_traces(request),
            Self::Boomerang => boomerang::adapt(request),
            Self::WebVitals => web_vitals::adapt(request),
            Self::NetworkErrors => network_errors::adapt(request),
        }?;
        objection::honour(request, &mut admission);
        Ok(admission)
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
            Self::Boomerang | Self::NetworkErrors => response.finish(),
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
            Self::Native | Self::Faro | Self::Boomerang | Self::WebVitals | Self::NetworkErrors => {
                response.json(json!({ "error": error, "detail": detail }))
            }
            Self::OtlpLogs | Self::OtlpTraces => response
                .content_type(otlp_content_type(notation))
                .body(otlp::answer::refusal(notation, status, error, detail)),
        }
    }
}

/// The answer to a GET request whose beacon is durable: an image, never from a cache.
pub fn pixel() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("image/gif")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(PIXEL)
}

fn otlp_content_type(notation: Notation) -> &'static str {
    match notation {
        Notation::Protobuf => otlp::answer::PROTOBUF,
        Notation::Json | Notation::Form => "application/json",
    }
}
