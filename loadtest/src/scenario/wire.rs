//! Requests as the SDKs make them: the native beacon API, Faro, and the web-vitals library with `sendBeacon`.

use std::fmt::Write as _;

use schema::value::{SCALE, Value};
use serde_json::{Map, Value as Json, json};

use super::{App, Attribute, Beacon, Event, Format, Session};

const PAGE_ORIGIN: &str = "https://app.example";
const SENT_AT_FIELD: &str = "\"sent_at\":";
/// Digits of a time in ms between 2001 and 2286.
const SENT_AT_DIGITS: usize = 13;

/// A request that may be sent more than once.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path and query.
    pub target: &'static str,
    /// Headers beside host and length.
    pub headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Place of the time of sending, where the format has one.
    sent_at: Option<usize>,
}

impl Request {
    /// The body for a sending at `now_ms`: an SDK stamps a beacon when it sends it, also when it does so again.
    pub fn body_at(&self, now_ms: i64) -> Vec<u8> {
        let mut body = self.body.clone();
        if let Some(place) = self.sent_at {
            let digits = format!("{now_ms:0SENT_AT_DIGITS$}");
            body[place..place + SENT_AT_DIGITS].copy_from_slice(&digits.as_bytes()[..SENT_AT_DIGITS]);
        }
        body
    }
}

/// The session's id in a run that began at `run_ms`.
pub fn session_id(run_ms: i64, session: u64) -> String {
    format!("s-{run_ms:x}-{session:x}")
}

/// The beacon's id in a run that began at `run_ms`.
pub fn beacon_id(run_ms: i64, session: u64, sequence: u64) -> String {
    format!("b-{run_ms:x}-{session:x}-{sequence}")
}

/// Makes the request of a beacon whose session's first beacon is due at `session_ms`, in a run that began at
/// `run_ms`, both in ms since the epoch. Equal arguments give equal bytes.
pub fn request(session: &Session, beacon: &Beacon, run_ms: i64, session_ms: i64) -> Request {
    let rendering = Rendering { session, beacon, run_ms, session_ms };
    match beacon.format {
        Format::Native => rendering.native(),
        Format::Faro => rendering.faro(),
        Format::WebVitals => rendering.web_vitals(),
    }
}

struct Rendering<'s> {
    session: &'s Session,
    beacon: &'s Beacon,
    run_ms: i64,
    session_ms: i64,
}

impl Rendering<'_> {
    fn session_id(&self) -> String {
        session_id(self.run_ms, self.session.number)
    }

    fn beacon_id(&self) -> String {
        beacon_id(self.run_ms, self.session.number, self.beacon.sequence)
    }

    fn headers(&self, content_type: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", content_type.to_owned()),
            ("user-agent", self.session.user_agent.to_owned()),
        ];
        if self.session.app == App::Web {
            headers.push(("origin", PAGE_ORIGIN.to_owned()));
        }
        headers
    }

    /// Browsers carry the key in the body, since `sendBeacon` cannot set headers; apps in a header.
    fn native(&self) -> Request {
        let web = self.session.app == App::Web;
        let mut body = Map::new();
        if web {
            body.insert("key".into(), self.session.app.key().into());
        }
        body.insert("id".into(), self.beacon_id().into());
        body.insert("app".into(), self.session.app.name().into());
        body.insert("release".into(), self.session.release.into());
        body.insert("session".into(), self.session_id().into());
        body.insert("sequence".into(), self.beacon.sequence.into());
        body.insert("sent_at".into(), self.session_ms.into());
        if self.session.weight > 1 {
            body.insert("sample_rate".into(), (1.0 / f64::from(self.session.weight)).into());
        }
        body.insert(
            "events".into(),
            self.beacon.events.iter().map(|event| self.native_event(event)).collect(),
        );
        let body = Json::Object(body).to_string().into_bytes();
        let field = SENT_AT_FIELD.as_bytes();
        let sent_at = body.windows(field.len()).rposition(|window| window == field);
        let mut headers = self.headers(if web { "text/plain;charset=UTF-8" } else { "application/json" });
        if !web {
            headers.push(("x-api-key", self.session.app.key().to_owned()));
        }
        Request { target: "/v1/beacons", headers, body, sent_at: sent_at.map(|place| place + field.len()) }
    }

    fn native_event(&self, event: &Event) -> Json {
        let mut json = Map::new();
        json.insert("name".into(), event.name.into());
        json.insert("time".into(), (self.session_ms + event.at_ms).into());
        if let Some(value) = event.value {
            json.insert("value".into(), number(value));
        }
        if !event.attributes.is_empty() {
            let attributes = event
                .attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), self.attribute(name, value)));
            json.insert("attributes".into(), Json::Object(attributes.collect()));
        }
        Json::Object(json)
    }

    /// Ids of metrics are unique in the whole world, so they name the run.
    fn attribute(&self, name: &str, value: &Attribute) -> Json {
        match value {
            Attribute::Text(text) if name == "id" => format!("{text}-{:x}", self.run_ms).into(),
            Attribute::Text(text) => text.as_ref().into(),
            Attribute::Number(value) => number(*value),
            Attribute::Whole(whole) => (*whole).into(),
            Attribute::Flag(flag) => (*flag).into(),
        }
    }

    fn faro(&self) -> Request {
        let (mut events, mut measurements) = (Vec::new(), Vec::new());
        let mut page = "/home";
        for event in &self.beacon.events {
            let timestamp = iso8601(self.session_ms + event.at_ms);
            let text = |name: &str| match event.attributes.iter().find(|(key, _)| *key == name) {
                Some((_, value)) => match self.attribute(name, value) {
                    Json::String(text) => text,
                    other => other.to_string(),
                },
                None => String::new(),
            };
            let value = event.value.map(|value| value.to_string()).unwrap_or_default();
            match event.name {
                "browser.navigation" => {
                    page = path_of(event);
                    events.push(json!({
                        "name": "faro.performance.navigation", "domain": "browser", "timestamp": timestamp,
                        "attributes": {
                            "name": format!("{PAGE_ORIGIN}{page}"), "duration": value, "pageLoadTime": value,
                            "type": text("type"), "responseStatus": "200", "initiatorType": "navigation",
                            "faroNavigationId": format!("n{}", self.session.number),
                        },
                    }));
                }
                "http.client" => events.push(json!({
                    "name": "faro.performance.resource", "domain": "browser",
                    // The SDK stamps a call's beginning; what happened, happened at its end.
                    "timestamp": iso8601(self.session_ms + event.at_ms - whole_ms(event.value)),
                    "attributes": {
                        "name": format!("{PAGE_ORIGIN}{}", path_of(event)), "duration": value,
                        "responseStatus": text("status"), "initiatorType": "fetch",
                        "faroNavigationId": format!("n{}", self.session.number),
                    },
                })),
                "browser.web_vital" => {
                    let mut values = Map::new();
                    values.insert(text("name").to_lowercase(), event.value.map_or(Json::Null, number));
                    values.insert("delta".into(), event.value.map_or(Json::Null, number));
                    measurements.push(json!({
                        "type": "web-vitals", "values": values, "timestamp": timestamp,
                        "context": {
                            "id": text("id"), "rating": text("rating"), "navigation_type": "navigate",
                            "navigation_entry_id": format!("n{}", self.session.number),
                        },
                    }));
                }
                name => {
                    let attributes: Map<String, Json> = event
                        .attributes
                        .iter()
                        .map(|(name, _)| ((*name).into(), text(name).into()))
                        .collect();
                    events.push(json!({
                        "name": name, "domain": "journey", "timestamp": timestamp, "attributes": attributes,
                    }));
                }
            }
        }
        let body = json!({
            "meta": {
                "sdk": {"name": "faro-web", "version": "2.12.1"},
                "app": {
                    "name": self.session.app.name(), "version": self.session.release,
                    "environment": "production",
                },
                "page": {"url": format!("{PAGE_ORIGIN}{page}")},
                "session": {"id": self.session_id()},
            },
            "events": events,
            "measurements": measurements,
        });
        let mut headers = self.headers("application/json");
        headers.push(("x-api-key", self.session.app.key().to_owned()));
        headers.push(("x-faro-session-id", self.session_id()));
        headers.push(("idempotency-key", self.beacon_id()));
        Request { target: "/collect", headers, body: body.to_string().into_bytes(), sent_at: None }
    }

    fn web_vitals(&self) -> Request {
        let metrics: Vec<Json> = self
            .beacon
            .events
            .iter()
            .map(|event| {
                let mut metric: Map<String, Json> = event
                    .attributes
                    .iter()
                    .filter(|(name, _)| *name != "route")
                    .map(|(name, value)| ((*name).to_owned(), self.attribute(name, value)))
                    .collect();
                metric.insert("value".into(), event.value.map_or(Json::Null, number));
                metric.insert("delta".into(), event.value.map_or(Json::Null, number));
                metric.insert("navigationType".into(), "navigate".into());
                metric.insert("navigationURL".into(), format!("{PAGE_ORIGIN}{}", path_of(event)).into());
                Json::Object(metric)
            })
            .collect();
        Request {
            target: "/v1/web-vitals?key=studyapp-key",
            headers: self.headers("text/plain;charset=UTF-8"),
            body: Json::Array(metrics).to_string().into_bytes(),
            sent_at: None,
        }
    }
}

/// The path of the page or call that an event names by its route.
fn path_of(event: &Event) -> &'static str {
    let route = event.attributes.iter().find(|(name, _)| *name == "route");
    match route {
        Some((_, Attribute::Text(route))) => match route.as_ref() {
            "/lectures/:id" => "/lectures/42",
            "/lectures/:id/play" => "/lectures/42/play",
            "/api/lectures/:id" => "/api/lectures/42",
            "/api/answers" => "/api/answers",
            "/api/profile" => "/api/profile",
            "/api/search" => "/api/search",
            "/settings" => "/settings",
            _ => "/home",
        },
        _ => "/home",
    }
}

/// The whole milliseconds of a duration.
fn whole_ms(duration: Option<Value>) -> i64 {
    duration.map_or(0, |duration| (duration.scaled() / SCALE) as i64)
}

/// A number with the fewest decimals that say it.
fn number(value: Value) -> Json {
    if value.scaled().is_multiple_of(SCALE) {
        (value.scaled() / SCALE).into()
    } else {
        (value.scaled() as f64 / SCALE as f64).into()
    }
}

/// `2026-11-23T03:47:06.786Z`.
fn iso8601(time_ms: i64) -> String {
    let mut text = String::with_capacity(24);
    match jiff::Timestamp::from_millisecond(time_ms) {
        Ok(timestamp) => {
            let _ = write!(text, "{timestamp:.3}");
        }
        Err(_) => text.push_str("1970-01-01T00:00:00.000Z"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, play};
    use super::*;

    const RUN_MS: i64 = 1_795_405_626_000;

    fn first_of(format: Format) -> (Session, usize) {
        (0..1_000)
            .map(|number| play(1, number, Profile::Mixed))
            .find_map(|session| {
                let place = session.beacons.iter().position(|beacon| beacon.format == format)?;
                Some((session, place))
            })
            .unwrap()
    }

    #[test]
    fn only_the_time_of_sending_differs_between_two_sendings() {
        let (session, place) = first_of(Format::Native);
        let request = request(&session, &session.beacons[place], RUN_MS, RUN_MS + 5);
        let parse = |now_ms| -> Json { serde_json::from_slice(&request.body_at(now_ms)).unwrap() };
        let (mut first, mut second) = (parse(RUN_MS + 10), parse(RUN_MS + 9_000));
        assert_eq!(first["sent_at"], RUN_MS + 10);
        assert_eq!(second["sent_at"], RUN_MS + 9_000);
        first["sent_at"] = Json::Null;
        second["sent_at"] = Json::Null;
        assert_eq!(first, second);
    }

    #[test]
    fn faro_and_web_vitals_are_shaped_as_the_sdks_shape_them() {
        let (session, place) = first_of(Format::Faro);
        let faro = request(&session, &session.beacons[place], RUN_MS, RUN_MS);
        let body: Json = serde_json::from_slice(&faro.body_at(RUN_MS)).unwrap();
        assert_eq!(body["meta"]["session"]["id"], session_id(RUN_MS, session.number));
        assert!(body["events"].as_array().unwrap().iter().all(|event| {
            event["timestamp"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z'))
        }));
        let (session, place) = first_of(Format::WebVitals);
        let vitals = request(&session, &session.beacons[place], RUN_MS, RUN_MS);
        let body: Json = serde_json::from_slice(&vitals.body_at(RUN_MS)).unwrap();
        assert!(body.as_array().unwrap().iter().all(|metric| metric["value"].is_number()));
    }
}
