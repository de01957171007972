//! Grafana Faro's web SDK: `POST /collect`. An HTTP call may come by its tracing as well.

use schema::value::SCALE;
use serde_json::{Map, Value as Json, json};

use super::super::Event;
use super::{PAGE_ORIGIN, Rendering, Request, iso8601, number, path_of, url_of, whole_ms};

/// The signals of one request.
#[derive(Default)]
struct Signals {
    events: Vec<Json>,
    measurements: Vec<Json>,
    exceptions: Vec<Json>,
    spans: Vec<Json>,
    page: Option<String>,
}

impl Rendering<'_> {
    pub(super) fn faro(&self) -> Request {
        let mut signals = Signals::default();
        self.beacon.events.iter().for_each(|event| self.add_signal(event, &mut signals));
        let Signals { events, measurements, exceptions, spans, page } = signals;
        let session = self.session;
        let environment = if session.environment.is_empty() { "production" } else { session.environment };
        let mut meta_session = json!({"id": self.session_id()});
        if let Some(rate) = self.sample_rate() {
            meta_session["attributes"] = json!({"sample_rate": rate.to_string()});
        }
        let mut body = json!({
            "meta": {
                "sdk": {"name": "faro-web", "version": "2.12.1"},
                "app": {"name": session.app.name(), "version": session.release, "environment": environment},
                "browser": {"userAgent": session.device.agent, "language": "en-US", "brands": "unknown"},
                "page": {"url": format!("{PAGE_ORIGIN}{}", page.unwrap_or_else(|| "/home".to_owned()))},
                "session": meta_session,
            },
            "events": events,
            "measurements": measurements,
        });
        if !exceptions.is_empty() {
            body["exceptions"] = exceptions.into();
        }
        if !spans.is_empty() {
            let resource = json!({"attributes": [
                {"key": "service.name", "value": {"stringValue": session.app.name()}},
                {"key": "session.id", "value": {"stringValue": self.session_id()}},
            ]});
            let scope = json!({"name": "@opentelemetry/instrumentation-fetch", "version": "0.223.0"});
            body["traces"] = json!({"resourceSpans": [
                {"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]},
            ]});
        }
        let mut request = self.post("/collect", "application/json", body.to_string().into_bytes());
        request.headers.push(("x-api-key", session.app.key().to_owned()));
        request.headers.push(("x-faro-session-id", self.session_id()));
        request.headers.push(("idempotency-key", self.beacon_id()));
        request
    }

    fn add_signal(&self, event: &Event, signals: &mut Signals) {
        let timestamp = iso8601(self.stamp(event));
        let value = event.value.map(|value| value.to_string()).unwrap_or_default();
        let navigation = format!("n{}", self.session.number);
        let signal = match event.name {
            "session.start" => json!({"name": "session_start", "domain": "browser", "timestamp": timestamp}),
            "browser.navigation" => {
                signals.page = Some(path_of(event));
                json!({
                    "name": "faro.performance.navigation", "domain": "browser", "timestamp": timestamp,
                    "attributes": {
                        "name": url_of(event), "duration": value, "pageLoadTime": value,
                        "type": self.text(event, "type"), "responseStatus": "200", "initiatorType": "navigation",
                        "faroNavigationId": navigation,
                    },
                })
            }
            "http.client" => json!({
                "name": "faro.performance.resource", "domain": "browser",
                // The SDK stamps a call's beginning; what happened, happened at its end.
                "timestamp": iso8601(self.stamp(event) - whole_ms(event.value)),
                "attributes": {
                    "name": url_of(event), "duration": value, "responseStatus": self.text(event, "status"),
                    "initiatorType": "fetch", "faroNavigationId": navigation,
                },
            }),
            "faro.tracing.fetch" => return signals.spans.push(self.traced(event)),
            "user.action" => {
                let mut attributes = json!({
                    "userActionName": self.text(event, "name"), "userActionTrigger": "click",
                    "userActionImportance": "normal",
                });
                if let Some(reason) = event.text("reason") {
                    attributes["reason"] = reason.into();
                }
                json!({
                    "name": "faro.user.action", "domain": "browser", "timestamp": timestamp,
                    "attributes": attributes,
                })
            }
            "browser.web_vital" => {
                return signals.measurements.push(self.measurement(event, &timestamp, &navigation));
            }
            "exception" => {
                let handled = (!event.flag("fatal")).to_string();
                return signals.exceptions.push(json!({
                    "type": self.text(event, "type"), "value": self.text(event, "message"),
                    "timestamp": timestamp, "context": {"handled": handled},
                }));
            }
            name => {
                let attributes: Map<String, Json> = event
                    .attributes
                    .iter()
                    .map(|(name, _)| ((*name).into(), self.text(event, name).into()))
                    .collect();
                json!({"name": name, "domain": "journey", "timestamp": timestamp, "attributes": attributes})
            }
        };
        signals.events.push(signal);
    }

    fn measurement(&self, event: &Event, timestamp: &str, navigation: &str) -> Json {
        let value = event.value.map_or(Json::Null, number);
        let mut values = Map::new();
        values.insert(self.text(event, "name").to_lowercase(), value.clone());
        values.insert("delta".into(), value);
        json!({
            "type": "web-vitals", "values": values, "timestamp": timestamp,
            "context": {
                "id": self.text(event, "id"), "rating": self.text(event, "rating"),
                "navigation_type": "navigate", "navigation_entry_id": navigation,
            },
        })
    }

    fn traced(&self, event: &Event) -> Json {
        let end_ns = self.stamp(event) * 1_000_000;
        let took_ns = event.value.map_or(0, |value| (value.scaled() * 1_000_000 / SCALE) as i64);
        json!({
            "traceId": format!("{:032x}", self.session.number + 1), "spanId": format!("{end_ns:016x}"),
            "name": "GET", "kind": 3,
            "startTimeUnixNano": (end_ns - took_ns).to_string(), "endTimeUnixNano": end_ns.to_string(),
            "attributes": [
                {"key": "http.request.method", "value": {"stringValue": self.text(event, "method")}},
                {"key": "url.full", "value": {"stringValue": url_of(event)}},
                {"key": "http.response.status_code", "value": {"intValue": event.whole("status")}},
            ],
        })
    }
}
