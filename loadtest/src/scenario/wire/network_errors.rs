//! Network Error Logging of browsers: `POST /v1/reports`.

use serde_json::{Value as Json, json};

use super::{PAGE_ORIGIN, Rendering, Request, number};

impl Rendering<'_> {
    pub(super) fn network_errors(&self) -> Request {
        let reports: Vec<Json> = self
            .beacon
            .events
            .iter()
            .map(|event| {
                let percent = event.whole("percent").unwrap_or(100);
                let sampling_fraction = percent as f64 / 100.0;
                json!({
                    "age": -event.at_ms,
                    "type": "network-error",
                    "url": format!("{PAGE_ORIGIN}{}", self.text(event, "path")),
                    "user_agent": self.session.device.agent,
                    "body": {
                        "sampling_fraction": sampling_fraction,
                        "elapsed_time": event.value.map_or(Json::Null, number),
                        "phase": self.text(event, "phase"), "type": self.text(event, "type"),
                        "method": "GET", "protocol": "h2", "referrer": format!("{PAGE_ORIGIN}/"),
                        "server_ip": "203.0.113.7", "status_code": event.whole("status"),
                    },
                })
            })
            .collect();
        let body = Json::Array(reports).to_string().into_bytes();
        self.post("/v1/reports?key=studyapp-key", "application/reports+json", body)
    }
}
