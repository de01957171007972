//! Grafana Faro's web SDK: `POST /collect`, JSON, one session's signals of a page a request.
//!
//! Faro sends an HTTP call up to three times: as a resource entry, as a span, and as an event made from the span. The
//! resource entries are kept, for they need no tracing, unless the app's file says that its calls come as spans; the others
//! are counted as `other_http_source`. Faro stamps no
//! time of sending, so its clock is only corrected where it runs ahead.

use std::borrow::Cow;

use schema::beacon::Beacon;
use schema::definition::{AppFile, Source};

use super::exception::is_raised_by_engine;
use super::otlp::{Mapped, Span, map_span};
use crate::admission::attributes::Attributes;
use crate::admission::scalar::Scalar;
use crate::admission::{
    Admission, BeaconBuilder, Draft, Request, SampleRate, check_event_count, cut, identifier, parse_object,
    reason,
};
use crate::refusal::Refusal;

mod wire;

use wire::{Event, Exception, Measurement, Page, Session, Wire};

/// Where HTTP calls come from when an app that sends with Faro names no source.
const HTTP_SOURCE: Source = Source::Entries;
/// Initiators of resource entries that are HTTP calls of the page's code.
const HTTP_INITIATORS: [&str; 2] = ["fetch", "xmlhttprequest"];
/// Measurements of type `web-vitals` have the metric's value under one of these.
const VITALS: [&str; 6] = ["lcp", "inp", "cls", "fcp", "ttfb", "fid"];
/// Bytes of the context of a measurement, which each of its values gets, for all of them together: a small request must
/// not become a large one.
const CONTEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of the page's address, which each of its metrics gets.
const PAGE_URL_BYTES_MAX: usize = 2 << 10;
/// What the SDK writes where it does not know a page.
const UNKNOWN: &str = "unknown";

/// Turns a Faro request into a beacon.
///
/// # Errors
/// When it is no JSON object with `meta`, has too many events, or no valid key.
pub fn adapt<'a>(request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
    let wire: Wire<'a> = parse_object(request.body)?;
    let app = request.app(None)?;
    let meta = wire.meta.ok_or(Refusal::MissingField("meta"))?;
    let logs = wire.logs.sent();
    let (events, measurements, exceptions) =
        (wire.events.whole()?, wire.measurements.whole()?, wire.exceptions.whole()?);
    let spans: Vec<Span<'a>> = spans_of(wire.traces);
    let values: usize = measurements.iter().map(|measurement| measurement.values.len().max(1)).sum();
    check_event_count(events.len() + values + exceptions.len() + logs + spans.len())?;
    let mut admission = Admission::default();
    let page = meta.page.unwrap_or_default();
    let mut session = meta.session.unwrap_or_default();
    // The SDK does not say at which rate it samples sessions; an app that samples may add it.
    let rate = session.attributes.take("sample_rate").map_or(Scalar::Null, Scalar::Text);
    let rate = SampleRate::read(&rate)?;
    let beacon = context(request, app, meta.app.unwrap_or_default(), session, &mut admission);
    let mut faro =
        Faro { builder: BeaconBuilder::new(beacon, app, rate), admission, page_url: page_url(page) };
    for event in events {
        faro.add_event(event);
    }
    for measurement in measurements {
        faro.add_measurement(measurement);
    }
    for exception in exceptions {
        faro.add_exception(exception);
    }
    for span in spans {
        faro.add_span(span, app);
    }
    faro.count(reason::LOG_NOT_KEPT, logs);
    let Faro { builder, mut admission, .. } = faro;
    builder.admit(&mut admission);
    Ok(admission)
}

fn context<'a>(
    request: &Request<'a>,
    app: &'a AppFile,
    meta_app: wire::App<'a>,
    mut session: Session<'a>,
    admission: &mut Admission<'a>,
) -> Beacon<'a> {
    let mut beacon = request.beacon(app);
    beacon.session =
        identifier(session.id.into_text().or(request.session.map(Cow::Borrowed)).unwrap_or_default());
    beacon.id = request.beacon_id(None, &beacon.session);
    let environment = meta_app.environment.or_empty();
    if !environment.is_empty() {
        beacon.environment = cut(environment, admission);
    }
    let version = meta_app.version.or_empty();
    beacon.release = cut(if version.is_empty() { meta_app.release.or_empty() } else { version }, admission);
    if let Some(declared) = &app.segment {
        beacon.segment = cut(session.attributes.take(declared).unwrap_or_default(), admission);
    }
    beacon
}

/// The spans of a page: a request of OTLP within Faro's, whose resource says what `meta` says.
fn spans_of(traces: Option<wire::Traces<'_>>) -> Vec<Span<'_>> {
    let resources = traces.map(|traces| traces.0).unwrap_or_default();
    resources.into_iter().flat_map(|resource| resource.scopes).flat_map(|scope| scope.records).collect()
}

struct Faro<'a> {
    builder: BeaconBuilder<'a>,
    admission: Admission<'a>,
    page_url: Cow<'a, str>,
}

impl<'a> Faro<'a> {
    fn add_event(&mut self, event: Event<'a>) {
        let Event { name, mut timestamp, mut attributes } = event;
        let name = name.or_empty();
        let (name, value) = match name.as_ref() {
            "faro.performance.navigation" if self.builder.app().page_load_source != Source::Entries => {
                return self.count(reason::OTHER_PAGE_LOAD_SOURCE, 1);
            }
            "faro.performance.navigation" => {
                let value = take_number(&mut attributes, &["pageLoadTime", "duration"]);
                attributes =
                    renamed(attributes, &[("name", "url"), ("type", "type"), ("faroNavigationId", "id")]);
                (Cow::Borrowed("browser.navigation"), value)
            }
            "faro.performance.resource" => {
                let initiator = attributes.get("initiatorType").unwrap_or_default();
                if !HTTP_INITIATORS.contains(&initiator) {
                    return self.count(reason::RESOURCE_NOT_HTTP_CALL, 1);
                }
                if self.builder.app().http_source.unwrap_or(HTTP_SOURCE) != Source::Entries {
                    return self.count(reason::OTHER_HTTP_SOURCE, 1);
                }
                let value = take_number(&mut attributes, &["duration"]);
                timestamp = end_of(timestamp, &value);
                attributes = renamed(
                    attributes,
                    &[
                        ("name", "url"),
                        ("responseStatus", "status"),
                        ("method", "method"),
                        ("requestMethod", "method"),
                    ],
                );
                (Cow::Borrowed("http.client"), value)
            }
            "faro.user.action" => {
                let value = take_number(&mut attributes, &["userActionDuration"]);
                let action = attributes.take("userActionName").unwrap_or_default();
                attributes.retain(|name| !name.starts_with("userAction"));
                attributes.push("name", action);
                (Cow::Borrowed("user.action"), value)
            }
            sdk if sdk.starts_with("faro.tracing.") => return self.count(reason::OTHER_HTTP_SOURCE, 1),
            "session_start" => (Cow::Borrowed("session.start"), Scalar::Null),
            "session_resume" => (Cow::Borrowed("session.resume"), Scalar::Null),
            "session_extend" => (Cow::Borrowed("session.extend"), Scalar::Null),
            _ => {
                if let Some(journey) =
                    attributes.take("journey.name").filter(|_| attributes.get("journey").is_none())
                {
                    attributes.push("journey", journey);
                }
                (name, Scalar::Null)
            }
        };
        self.add(name, &timestamp, value, attributes);
    }

    fn add_measurement(&mut self, measurement: Measurement<'a>) {
        let Measurement { kind, mut values, timestamp, mut context } = measurement;
        let kind = kind.or_empty();
        if values.is_empty() {
            return self.count(reason::INVALID_VALUE, 1);
        }
        if kind != "web-vitals" {
            let left_out = context.keep_bytes(CONTEXT_BYTES_MAX / values.len());
            self.admission.attributes_cut += (left_out * values.len()) as u64;
            for (name, value) in values {
                let mut attributes = context.clone();
                attributes.push("name", name);
                self.add(kind.clone(), &timestamp, value, attributes);
            }
            return;
        }
        let Some(at) = values.iter().position(|(name, _)| VITALS.contains(&name.as_ref())) else {
            return self.count(reason::MISSING_NAME, 1);
        };
        let (name, value) = values.swap_remove(at);
        // The first paint is told while the page loads, with its own address; whether the SDK has made the page's
        // navigation by then, or still names the page before it, is a matter of chance.
        let has_navigation = name != "fcp";
        let mut attributes = Attributes::default();
        attributes.push("name", super::web_vitals::upper_case(name));
        for name in ["id", "rating"] {
            attributes.push_known(name, context.take(name).unwrap_or_default());
        }
        attributes.push_known("type", context.take("navigation_type").unwrap_or_default());
        // The batch may be sent from the next page already: the navigation is the page that was measured.
        let navigation = context.take("navigation_entry_id").unwrap_or_default();
        if has_navigation && navigation != UNKNOWN {
            attributes.push_known("navigation", navigation);
        }
        attributes.push_known("url", self.page_url.clone());
        self.add(Cow::Borrowed("browser.web_vital"), &timestamp, value, attributes);
    }

    fn add_exception(&mut self, exception: Exception<'a>) {
        let fatal = is_fatal(&exception);
        let mut attributes = Attributes::default();
        attributes.push("fatal", if fatal { "true" } else { "false" });
        attributes.push_known("type", exception.kind.or_empty());
        attributes.push_known("message", exception.value.or_empty());
        self.add(Cow::Borrowed("exception"), &exception.timestamp, Scalar::Null, attributes);
    }

    fn add_span(&mut self, span: Span<'a>, app: &AppFile) {
        match map_span(span, app, HTTP_SOURCE) {
            // As with all that Faro sends, why it is rejected is counted in the beacon.
            Mapped::Event(draft) => drop(self.builder.add(draft, &mut self.admission)),
            Mapped::Invalid(reason) | Mapped::Left(reason) => self.count(reason, 1),
        }
    }

    fn add(
        &mut self,
        name: Cow<'a, str>,
        timestamp: &Scalar<'a>,
        value: Scalar<'a>,
        attributes: Attributes<'a>,
    ) {
        // Why an event is rejected is counted in the beacon; Faro's answer does not tell it.
        let _ = match timestamp.time_ms() {
            Ok(time_ms) => {
                let stamp = time_ms.into();
                self.builder.add(Draft { name, stamp, value, attributes }, &mut self.admission)
            }
            Err(_) => Err(self.builder.reject(reason::INVALID_TIME, 1)),
        };
    }

    fn count(&mut self, reason: &'static str, events: usize) {
        if events > 0 {
            self.builder.reject(reason, u32::try_from(events).unwrap_or(u32::MAX));
        }
    }
}

/// Whether nobody caught an exception.
///
/// The payload's own `fatal` says so, which newer SDKs set (`pushError(error, {fatal})`); else the app's context,
/// `fatal` or `handled`; else its type has to do.
fn is_fatal(exception: &Exception<'_>) -> bool {
    let said = |name: &str| exception.context.get(name).and_then(|text| text.parse::<bool>().ok());
    exception
        .fatal
        .flag()
        .or_else(|| said("fatal"))
        .or_else(|| said("handled").map(|handled| !handled))
        .unwrap_or_else(|| exception.kind.text().is_some_and(|kind| is_raised_by_engine(&kind)))
}

/// The page's address, as far as a route is made of it.
fn page_url(page: Page<'_>) -> Cow<'_, str> {
    match page.url.or_empty() {
        Cow::Borrowed(url) => Cow::Borrowed(&url[..url.floor_char_boundary(PAGE_URL_BYTES_MAX)]),
        Cow::Owned(mut url) => {
            url.truncate(url.floor_char_boundary(PAGE_URL_BYTES_MAX));
            Cow::Owned(url)
        }
    }
}

/// The end of a call, since its outcome was not known before. The SDK stamps its beginning.
fn end_of<'a>(begin: Scalar<'a>, duration: &Scalar<'_>) -> Scalar<'a> {
    let duration_ms = duration.text().and_then(|text| text.parse::<f64>().ok()).filter(|ms| *ms >= 0.0);
    match (begin.time_ms(), duration_ms) {
        (Ok(Some(begin_ms)), Some(duration_ms)) => {
            // A cast saturates, and admission clamps what is absurd.
            Scalar::Whole(begin_ms.saturating_add(duration_ms as i64))
        }
        _ => begin,
    }
}

/// Takes the first of `names` that is there.
fn take_number<'a>(attributes: &mut Attributes<'a>, names: &[&str]) -> Scalar<'a> {
    names.iter().find_map(|name| attributes.take(name)).map_or(Scalar::Null, Scalar::Text)
}

/// Only the attributes named, under their new names.
fn renamed<'a>(mut attributes: Attributes<'a>, names: &[(&str, &'static str)]) -> Attributes<'a> {
    let mut kept = Attributes::default();
    for (from, to) in names {
        kept.push_known(to, attributes.take(from).unwrap_or_default());
    }
    kept
}

#[cfg(test)]
mod tests;
