//! Cross-origin answers: which pages may send, and what they may read of an answer.
//!
//! A JSON body from `sendBeacon` sends credentials, so the origin is always answered by its own name, never by `*`.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use crate::apps::Apps;
use crate::refusal::{Refusal, quoted};

/// Headers that pages may send: those of Faro and the content type.
const ALLOWED_HEADERS: &str = "content-encoding, content-type, idempotency-key, x-api-key, x-faro-session-id";
/// Headers that pages may read.
const EXPOSED_HEADERS: &str = "Retry-After, X-Faro-Session-Status";
/// How long a browser may remember a preflight; Chromium caps it at two hours.
const MAX_AGE_S: &str = "7200";

/// The origin of the page that sent a request. One that is no text is not none: no app lists it.
pub fn origin_of(request: &HttpRequest) -> Option<&str> {
    Some(request.headers().get(header::ORIGIN)?.to_str().unwrap_or("not text"))
}

/// Answers a preflight, which carries no key: allowed when any app lists the origin.
///
/// # Errors
/// When none does.
pub fn preflight(request: &HttpRequest, apps: &Apps) -> Result<HttpResponse, Refusal> {
    let origin = origin_of(request).unwrap_or_default();
    if !apps.any_allows(origin) {
        return Err(Refusal::UnknownOrigin(quoted(origin)));
    }
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S));
    Ok(response.finish())
}

/// Lets the page read the answer, errors included, where any app lists its origin.
pub fn expose(headers: &mut HeaderMap, origin: Option<&HeaderValue>, apps: &Apps) {
    let Some(origin) = origin else { return };
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if origin.to_str().is_ok_and(|origin| apps.any_allows(origin)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}
