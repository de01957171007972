//! Adapters: one wire format a module, each a pure function from a request's parts to beacons.
//!
//! `adapt(request) -> Result<Admission, Refusal>` reads no clock and awaits nothing. Wire types stand beside the
//! adapter that needs them; what all formats have in common is [`crate::admission`]'s. A new format is a module here,
//! a variant of [`Format`] and a path in the configuration.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;

use crate::admission::{Admission, Request};
use crate::refusal::Refusal;

pub mod faro;
#[cfg(test)]
mod fixture;
pub mod native;
pub mod web_vitals;

/// The formats that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// This project's own JSON.
    Native,
    /// Grafana Faro's web SDK.
    Faro,
    /// The web-vitals library with `sendBeacon`.
    WebVitals,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Native, Self::Faro, Self::WebVitals];

    /// Name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Faro => "faro",
            Self::WebVitals => "web_vitals",
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
            Self::WebVitals => web_vitals::adapt(request),
        }
    }

    /// The answer to a request whose beacons are durable.
    pub fn answer(self, accepted_events: usize, rejected: &[(usize, &'static str)]) -> HttpResponse {
        let body = match self {
            Self::Native => native::answer(accepted_events, rejected),
            Self::Faro | Self::WebVitals => "{}".to_owned(),
        };
        HttpResponse::build(StatusCode::ACCEPTED).insert_header(ContentType::json()).body(body)
    }
}
