//! The native beacon API: `POST /v1/beacons`.

use serde_json::{Map, Value as Json};

use super::super::{App, Event};
use super::{Rendering, Request, number};

const SENT_AT_FIELD: &str = "\"sent_at\":";

impl Rendering<'_> {
    /// Browsers carry the key in the body, since `sendBeacon` cannot set headers; apps in a header.
    pub(super) fn native(&self) -> Request {
        let web = self.session.app == App::Web;
        let mut body = Map::new();
        if web {
            body.insert("key".into(), self.session.app.key().into());
        }
        body.insert("id".into(), self.beacon_id().into());
        body.insert("app".into(), self.session.app.name().into());
        body.insert("release".into(), self.session.release.into());
        if !self.session.environment.is_empty() {
            body.insert("environment".into(), self.session.environment.into());
        }
        body.insert("session".into(), self.session_id().into());
        body.insert("sequence".into(), self.beacon.sequence.into());
        body.insert("sent_at".into(), self.session_ms.into());
        if let Some(rate) = self.sample_rate() {
            body.insert("sample_rate".into(), rate.into());
        }
        body.insert(
            "events".into(),
            self.beacon.events.iter().map(|event| self.native_event(event)).collect(),
        );
        let body = Json::Object(body).to_string().into_bytes();
        let field = SENT_AT_FIELD.as_bytes();
        let sent_at = body.windows(field.len()).rposition(|window| window == field);
        let content_type = if web { "text/plain;charset=UTF-8" } else { "application/json" };
        let mut request = self.post("/v1/beacons", content_type, body);
        if !web {
            request.headers.push(("x-api-key", self.session.app.key().to_owned()));
        }
        Request { sent_at: sent_at.map(|place| place + field.len()), ..request }
    }

    fn native_event(&self, event: &Event) -> Json {
        let mut json = Map::new();
        json.insert("name".into(), event.name.into());
        json.insert("time".into(), self.stamp(event).into());
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
}
