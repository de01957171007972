//! Spans as events: calls of the back end, starts and screens of apps. Also those of Faro's requests.
//!
//! A span becomes an event at its end, which is when its outcome was known, with its duration as value. Names are those
//! of the conventions, stable and older: <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>.

use std::borrow::Cow;

use schema::definition::{AppFile, Source};

use super::Mapped;
use super::wire::Span;
use crate::admission::attributes::Attributes;
use crate::admission::scalar::Scalar;
use crate::admission::{Draft, Stamp, reason};

/// Kinds of spans that are not of a user's client: a server's own work, and messages.
const KINDS_OF_SERVERS: [&str; 3] = ["2", "4", "5"];
const KIND_CLIENT: &str = "3";
/// Spans that Android's instrumentation gives for leaving a screen.
const LEAVING: [&str; 6] = ["Paused", "Stopped", "Destroyed", "ViewDestroyed", "Detached", "Pre-destroyed"];

/// What a span becomes; `http_source` is the source of HTTP calls where the app names none.
pub(crate) fn map_span<'a>(span: Span<'a>, app: &AppFile, http_source: Source) -> Mapped<'a> {
    let Span { name, kind, start, end, mut attributes } = span;
    let (Ok(start_ns), Ok(end_ns)) = (super::nanoseconds(&start), super::nanoseconds(&end)) else {
        return Mapped::Invalid(reason::INVALID_TIME);
    };
    let stamp = Stamp::from(end_ns.or(start_ns).map(super::milliseconds));
    let value = match (start_ns, end_ns) {
        (Some(start), Some(end)) if end >= start => Scalar::Number((end - start) as f64 / 1e6),
        (Some(_), Some(_)) => return Mapped::Invalid(reason::INVALID_VALUE),
        (Some(_) | None, None) | (None, Some(_)) => Scalar::Null,
    };
    let kind = kind_of(&kind);
    if KINDS_OF_SERVERS.contains(&kind.as_ref()) {
        return Mapped::Left(reason::SPAN_NOT_KEPT);
    }
    let kept = |name: &'static str, attributes: Attributes<'a>| {
        Mapped::Event(Draft { name: Cow::Borrowed(name), stamp, value: value.clone(), attributes })
    };
    let method = attributes.take("http.request.method").or_else(|| attributes.take("http.method"));
    if let Some(method) = method.filter(|_| kind == KIND_CLIENT) {
        return if app.http_source.unwrap_or(http_source) == Source::Spans {
            kept("http.client", http_call(method, attributes))
        } else {
            Mapped::Left(reason::OTHER_HTTP_SOURCE)
        };
    }
    let name = name.or_empty();
    let start_type = attributes.take("start.type").or_else(|| attributes.take("app.start.type"));
    if name == "AppStart" || start_type.is_some() {
        let mut found = Attributes::default();
        found.push_known("type", start_type.unwrap_or_default());
        return kept("app.start", found);
    }
    if let Some(screen) = attributes.take("app.screen.name") {
        if LEAVING.contains(&name.as_ref()) {
            return Mapped::Left(reason::SPAN_NOT_KEPT);
        }
        let mut found = Attributes::default();
        found.push("name", screen);
        found.push_known("type", name);
        return kept("app.screen", found);
    }
    match name.as_ref() {
        "documentLoad" if app.page_load_source == Source::Spans => {
            let mut found = Attributes::default();
            found.push_known("url", super::take_url(&mut attributes));
            found.push("type", "navigate");
            kept("browser.navigation", found)
        }
        "documentLoad" | "documentFetch" => Mapped::Left(reason::OTHER_PAGE_LOAD_SOURCE),
        "resourceFetch" => Mapped::Left(reason::RESOURCE_NOT_HTTP_CALL),
        _ => Mapped::Event(Draft { name, stamp, value, attributes }),
    }
}

fn http_call<'a>(method: Cow<'a, str>, attributes: Attributes<'a>) -> Attributes<'a> {
    let mut found = Attributes::with_capacity(4);
    found.push_known("method", method);
    let (mut status, mut error) = (Cow::Borrowed("0"), Cow::Borrowed(""));
    for (name, text) in attributes {
        match name.as_ref() {
            "http.response.status_code" | "http.status_code" => status = text,
            "error.type" => error = text,
            "url.template" | "http.route" => found.push_known("route", text),
            other if super::is_url(other) => found.push_known("url", text),
            _ => {}
        }
    }
    if error != status {
        found.push_known("error", error);
    }
    found.push("status", status);
    found
}

/// The kind's number, whose name JSON may have too.
fn kind_of<'s>(kind: &'s Scalar<'_>) -> Cow<'s, str> {
    let kind = kind.text().unwrap_or_default();
    let number = match kind.as_ref() {
        "SPAN_KIND_SERVER" => "2",
        "SPAN_KIND_CLIENT" => KIND_CLIENT,
        "SPAN_KIND_PRODUCER" => "4",
        "SPAN_KIND_CONSUMER" => "5",
        _ => return kind,
    };
    Cow::Borrowed(number)
}
