//! Log records as events, by the names that OpenTelemetry's client instrumentations give them. None of these
//! conventions is stable: what is not known is kept under its own name.
//!
//! A record is an event when it has a name. Fields of its body, where older SDKs put everything, count as attributes.

use std::borrow::Cow;

use schema::definition::{AppFile, Source};

use super::Mapped;
use super::wire::LogRecord;
use crate::adapter::{exception, web_vitals};
use crate::admission::attributes::Attributes;
use crate::admission::scalar::Scalar;
use crate::admission::{Draft, reason};

/// Initiators of resource entries that are HTTP calls of the page's code.
const HTTP_INITIATORS: [&str; 2] = ["fetch", "xmlhttprequest"];
/// Severity from which a record tells of the end of the app: `FATAL`.
const SEVERITY_FATAL: u64 = 21;
/// Ending of the browser instrumentation that listens for what nobody caught.
const SCOPE_OF_UNCAUGHT: &str = "/errors";

/// What a record of an instrumentation becomes.
pub(super) fn map_log<'a>(record: LogRecord<'a>, scope: &str, app: &AppFile) -> Mapped<'a> {
    let LogRecord { time, observed, severity, event_name, body, mut attributes } = record;
    let name = match event_name.into_text().filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => attributes.take("event.name").unwrap_or_default(),
    };
    if name.trim().is_empty() {
        return Mapped::Invalid(reason::LOG_NOT_KEPT);
    }
    let (Ok(time_ns), Ok(observed_ns)) = (super::nanoseconds(&time), super::nanoseconds(&observed)) else {
        return Mapped::Invalid(reason::INVALID_TIME);
    };
    let mut fields = body;
    fields.extend(attributes);
    let (name, value, attributes) = match name.as_ref() {
        "browser.web_vital" => web_vital(fields),
        // It has no duration: the page's load is told by its timing.
        "browser.navigation" => (Cow::Borrowed("browser.page_view"), Scalar::Null, page_view(fields)),
        "browser.navigation_timing" if app.page_load_source == Source::Spans => {
            return Mapped::Left(reason::OTHER_PAGE_LOAD_SOURCE);
        }
        "browser.navigation_timing" => page_load(fields),
        "browser.resource_timing" => match resource(fields, app) {
            Ok(call) => call,
            Err(reason) => return Mapped::Left(reason),
        },
        "exception" => (name, Scalar::Null, exception_of(fields, &severity, scope)),
        "app.crash" | "device.crash" => (Cow::Borrowed("app.crash"), Scalar::Null, crash(fields)),
        "app.anr" | "device.anr" => (Cow::Borrowed("app.anr"), Scalar::Null, crash(fields)),
        "app.jank" => jank(fields),
        "app.widget.click" => (Cow::Borrowed("user.action"), Scalar::Null, widget_click(fields)),
        "device.app.lifecycle" => (lifecycle(&mut fields).unwrap_or(name), Scalar::Null, fields),
        action if action.starts_with("browser.user_action.") => user_action(&name, fields),
        _ => {
            if name.starts_with("journey.")
                && let Some(journey) = fields.take("journey.name").filter(|_| fields.get("journey").is_none())
            {
                fields.push("journey", journey);
            }
            (name, Scalar::Null, without_stack(fields))
        }
    };
    let stamp = time_ns.or(observed_ns).map(super::milliseconds).into();
    Mapped::Event(Draft { name, stamp, value, attributes })
}

type Parts<'a> = (Cow<'a, str>, Scalar<'a>, Attributes<'a>);

/// Metrics have their fields with the prefix; older SDKs without.
fn web_vital(fields: Attributes<'_>) -> Parts<'_> {
    let mut found = Attributes::with_capacity(6);
    let (mut value, mut named) = (Scalar::Nested, false);
    for (field, text) in fields {
        match field.strip_prefix("browser.web_vital.").unwrap_or(&field) {
            "name" => {
                named = !text.trim().is_empty();
                found.push("name", web_vitals::upper_case(text));
            }
            "value" => value = Scalar::Text(text),
            "id" => found.push_known("id", text),
            "rating" => found.push_known("rating", text),
            "navigation_type" | "navigationType" => found.push_known("type", text),
            "navigation_id" => found.push_known("navigation", text),
            other if super::is_url(other) => found.push_known("url", text),
            _ => {}
        }
    }
    // A metric without a name has none as an event either.
    (Cow::Borrowed(if named { "browser.web_vital" } else { "" }), value, found)
}

fn page_view(fields: Attributes<'_>) -> Attributes<'_> {
    let mut found = Attributes::with_capacity(2);
    let (mut kind, mut soft) = (Cow::Borrowed(""), false);
    for (field, text) in fields {
        match field.as_ref() {
            "browser.navigation.type" => kind = text,
            "browser.navigation.same_document" => soft = text == "true",
            other if super::is_url(other) => found.push_known("url", text),
            _ => {}
        }
    }
    if kind.is_empty() {
        kind = Cow::Borrowed(if soft { "soft" } else { "navigate" });
    }
    found.push("type", kind);
    found
}

fn page_load(fields: Attributes<'_>) -> Parts<'_> {
    let mut found = Attributes::with_capacity(2);
    let (mut duration, mut load_end) = (Scalar::Null, Scalar::Null);
    for (field, text) in fields {
        match field.as_ref() {
            "browser.navigation_timing.duration" | "browser.resource_timing.duration" => {
                duration = Scalar::Text(text);
            }
            "browser.navigation_timing.load_event_end" => load_end = Scalar::Text(text),
            "browser.navigation_timing.type" => found.push_known("type", text),
            other if super::is_url(other) => found.push_known("url", text),
            _ => {}
        }
    }
    let value = if duration == Scalar::Null { load_end } else { duration };
    (Cow::Borrowed("browser.navigation"), value, found)
}

/// A resource entry that is an HTTP call, where the app's calls come as entries.
fn resource<'a>(mut fields: Attributes<'a>, app: &AppFile) -> Result<Parts<'a>, &'static str> {
    let initiator = fields.take("browser.resource_timing.initiator_type").unwrap_or_default();
    if !HTTP_INITIATORS.contains(&initiator.as_ref()) {
        return Err(reason::RESOURCE_NOT_HTTP_CALL);
    }
    if app.http_source.unwrap_or(super::HTTP_SOURCE) != Source::Entries {
        return Err(reason::OTHER_HTTP_SOURCE);
    }
    let mut found = Attributes::default();
    let value = fields.take("browser.resource_timing.duration").map_or(Scalar::Null, Scalar::Text);
    found.push_known("method", fields.take("http.request.method").unwrap_or_default());
    let status = fields.take("http.response.status_code");
    let status = status.or_else(|| fields.take("browser.resource_timing.response_status"));
    found.push_known("status", status.unwrap_or_default());
    found.push_known("url", super::take_url(&mut fields));
    Ok((Cow::Borrowed("http.client"), value, found))
}

fn exception_of<'a>(mut fields: Attributes<'a>, severity: &Scalar<'a>, scope: &str) -> Attributes<'a> {
    let mut found = Attributes::default();
    let kind = fields.take("exception.type").unwrap_or_default();
    let said = |name: &str| fields.get(name).and_then(|text| text.parse::<bool>().ok());
    let fatal = said("fatal")
        .or_else(|| said("handled").or_else(|| said("exception.handled")).map(|handled| !handled))
        .unwrap_or_else(|| {
            is_fatal(severity) || scope.ends_with(SCOPE_OF_UNCAUGHT) || exception::is_raised_by_engine(&kind)
        });
    found.push("fatal", if fatal { "true" } else { "false" });
    found.push_known("type", kind);
    found.push_known("message", fields.take("exception.message").unwrap_or_default());
    found
}

fn is_fatal(severity: &Scalar<'_>) -> bool {
    severity.count().is_some_and(|number| number >= SEVERITY_FATAL)
        || severity.text().is_some_and(|name| name.starts_with("SEVERITY_NUMBER_FATAL"))
}

fn crash(mut fields: Attributes<'_>) -> Attributes<'_> {
    let mut found = Attributes::default();
    let mut first = |names: [&str; 2]| names.iter().find_map(|name| fields.take(name)).unwrap_or_default();
    found.push_known("type", first(["exception.type", "type"]));
    found.push_known("id", first(["app.crash.id", "id"]));
    found.push_known("session", first(["app.crash.session.id", "session"]));
    found.push_known("message", first(["exception.message", "message"]));
    found
}

/// Jank says how long a frame took at least, in seconds.
fn jank(mut fields: Attributes<'_>) -> Parts<'_> {
    let threshold_s = fields.take("app.jank.threshold");
    let value = threshold_s.map_or(Scalar::Null, |text| match text.parse::<f64>() {
        Ok(seconds) => Scalar::Number(seconds * 1000.0),
        Err(_) => Scalar::Text(text),
    });
    let mut found = Attributes::default();
    found.push_known("frames", fields.take("app.jank.frame_count").unwrap_or_default());
    (Cow::Borrowed("app.hang"), value, found)
}

fn user_action<'a>(event: &str, mut fields: Attributes<'a>) -> Parts<'a> {
    let kind = event.rsplit('.').next().unwrap_or_default().to_owned();
    let name = ["name", "browser.user_action.name", "browser.css_selector", "browser.tag_name"]
        .iter()
        .find_map(|name| fields.take(name));
    fields.retain(|name| !name.starts_with("browser."));
    fields.push_known("name", name.unwrap_or_default());
    fields.push("type", kind);
    (Cow::Borrowed("user.action"), Scalar::Null, fields)
}

fn widget_click(mut fields: Attributes<'_>) -> Attributes<'_> {
    let name = ["app.widget.name", "app.widget.id"].iter().find_map(|name| fields.take(name));
    fields.retain(|name| !name.starts_with("app."));
    fields.push_known("name", name.unwrap_or_default());
    fields.push("type", "click");
    fields
}

/// States of Android and iOS in which the app is before the user, or no more.
fn lifecycle(fields: &mut Attributes<'_>) -> Option<Cow<'static, str>> {
    let state = ["android.app.state", "ios.app.state", "android.state", "ios.state"]
        .iter()
        .find_map(|name| fields.take(name))?;
    match state.as_ref() {
        "foreground" | "active" => Some(Cow::Borrowed("app.foreground")),
        "background" | "terminate" => Some(Cow::Borrowed("app.background")),
        _ => {
            fields.push("state", state);
            None
        }
    }
}

fn without_stack(mut fields: Attributes<'_>) -> Attributes<'_> {
    fields.retain(|name| name != "exception.stacktrace");
    fields
}
