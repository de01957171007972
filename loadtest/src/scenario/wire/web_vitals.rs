//! The web-vitals library with `sendBeacon`: `POST /v1/web-vitals`.

use serde_json::{Map, Value as Json};

use super::super::Event;
use super::{Rendering, Request, number, url_of};

impl Rendering<'_> {
    pub(super) fn web_vitals(&self) -> Request {
        let metrics: Vec<Json> = self.beacon.events.iter().map(|event| self.metric(event)).collect();
        let body = Json::Array(metrics).to_string().into_bytes();
        self.post("/v1/web-vitals?key=studyapp-key", "text/plain;charset=UTF-8", body)
    }

    fn metric(&self, event: &Event) -> Json {
        let mut metric: Map<String, Json> = event
            .attributes
            .iter()
            .filter(|(name, _)| *name != "route")
            .map(|(name, value)| ((*name).to_owned(), self.attribute(name, value)))
            .collect();
        metric.insert("value".into(), event.value.map_or(Json::Null, number));
        metric.insert("delta".into(), event.value.map_or(Json::Null, number));
        metric.insert("navigationType".into(), "navigate".into());
        metric.insert("navigationId".into(), self.session.number.into());
        metric.insert("navigationURL".into(), url_of(event).into());
        metric.insert("navigationStartTime".into(), 0.into());
        Json::Object(metric)
    }
}
