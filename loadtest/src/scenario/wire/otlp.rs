//! OpenTelemetry's requests: `POST /v1/logs` and `POST /v1/traces`, from a page, an app, or a gateway for several.
//!
//! The same messages are written as protocol buffers or as JSON.

use schema::value::{SCALE, Value};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::super::{App, Attribute, Event};
use super::{Rendering, Request, url_of};
use message::{
    AnyValue, KeyValue, LogRecord, Logs, Resource, ResourceLogs, ResourceSpans, Scope, ScopeLogs, ScopeSpans,
    Span, Traces,
};

mod json;
pub(super) mod message;

const NS_PER_MS: u64 = 1_000_000;
const SEVERITY_INFO: i32 = 9;
const SEVERITY_ERROR: i32 = 17;
const SEVERITY_FATAL: i32 = 21;
const KIND_INTERNAL: i32 = 1;
const KIND_CLIENT: i32 = 3;
/// Scope of what the app tells itself.
const APP_SCOPE: &str = "studyapp";
/// Of so many sessions one is of an older SDK, which puts the fields of a metric into the body.
const OLDER_SDK_EVERY: u64 = 3;

impl Rendering<'_> {
    pub(super) fn otlp_logs(&self, protobuf: bool) -> Request {
        let resource_logs = self.of_each(|rendering, resource| ResourceLogs {
            resource: Some(resource),
            scope_logs: rendering.scope_logs(),
        });
        let logs = Logs { resource_logs };
        if protobuf {
            self.otlp("/v1/logs", "application/x-protobuf", prost::Message::encode_to_vec(&logs))
        } else {
            self.otlp("/v1/logs", "application/json", json::logs(&logs).into_bytes())
        }
    }

    pub(super) fn otlp_traces(&self, protobuf: bool) -> Request {
        let resource_spans = self.of_each(|rendering, resource| ResourceSpans {
            resource: Some(resource),
            scope_spans: rendering.scope_spans(),
        });
        let traces = Traces { resource_spans };
        if protobuf {
            self.otlp("/v1/traces", "application/x-protobuf", prost::Message::encode_to_vec(&traces))
        } else {
            self.otlp("/v1/traces", "application/json", json::traces(&traces).into_bytes())
        }
    }

    fn otlp(&self, target: &'static str, content_type: &str, body: Vec<u8>) -> Request {
        let mut request = self.post(target, content_type, body);
        if self.session.others.is_empty() {
            request.headers.push(("x-api-key", self.session.app.key().to_owned()));
        }
        request
    }

    /// What `render` makes of this session, and of those that a gateway sends with it.
    fn of_each<T>(&self, render: impl Fn(&Rendering<'_>, Resource) -> T) -> Vec<T> {
        let is_gateway = !self.session.others.is_empty();
        let of_others = self.session.others.iter().filter_map(|session| {
            let beacon = session.beacons.iter().find(|beacon| beacon.format == self.beacon.format)?;
            Some(Rendering { session, beacon, ..*self })
        });
        std::iter::once(*self)
            .chain(of_others)
            .filter(|rendering| !rendering.beacon.events.is_empty())
            .map(|rendering| render(&rendering, rendering.resource(is_gateway)))
            .collect()
    }

    fn resource(&self, is_gateway: bool) -> Resource {
        let session = self.session;
        let environment = if session.environment.is_empty() { "production" } else { session.environment };
        let (language, os) = match session.app {
            App::Web => ("webjs", None),
            App::Ios => ("swift", Some("iOS")),
            App::Android => ("java", Some("Android")),
        };
        let mut attributes = vec![
            KeyValue::text("service.name", session.app.name()),
            KeyValue::text("service.version", session.release),
            KeyValue::text("telemetry.sdk.language", language),
            KeyValue::text("deployment.environment.name", environment),
        ];
        attributes.extend(os.map(|os| KeyValue::text("os.name", os)));
        if !self.names_session_in_records() {
            attributes.push(KeyValue::text("session.id", &self.session_id()));
        }
        attributes
            .extend(self.sample_rate().map(|rate| KeyValue::new("sample_rate", AnyValue::double(rate))));
        if is_gateway {
            attributes.push(KeyValue::text("sli.write_key", session.app.key()));
        }
        Resource { attributes }
    }

    /// SDKs name the session on the resource or on each record.
    fn names_session_in_records(&self) -> bool {
        self.session.number % 2 == 1
    }

    fn scope_logs(&self) -> Vec<ScopeLogs> {
        let mut scopes: Vec<ScopeLogs> = Vec::new();
        for event in &self.beacon.events {
            let name = self.scope_of(event);
            let record = self.log_record(event);
            match scopes.iter_mut().find(|scope| scope.is_of(name)) {
                Some(scope) => scope.log_records.push(record),
                None => scopes.push(ScopeLogs { scope: Some(Scope::of(name)), log_records: vec![record] }),
            }
        }
        scopes
    }

    fn scope_of(&self, event: &Event) -> &'static str {
        let is_page = self.session.app == App::Web;
        match event.name {
            "browser.web_vital" => "@opentelemetry/browser-instrumentation/web-vitals",
            "browser.page_view" => "@opentelemetry/browser-instrumentation/navigation",
            "browser.navigation" => "@opentelemetry/browser-instrumentation/navigation-timing",
            "browser.resource_timing" => "@opentelemetry/browser-instrumentation/resource-timing",
            "user.action" if is_page => "@opentelemetry/browser-instrumentation/user-action",
            // Nobody has caught what this one hears of.
            "exception" if is_page && event.flag("fatal") => "@opentelemetry/browser-instrumentation/errors",
            _ => APP_SCOPE,
        }
    }

    fn log_record(&self, event: &Event) -> LogRecord {
        let time_ns = self.stamp(event).unsigned_abs() * NS_PER_MS;
        let mut record = LogRecord {
            time_unix_nano: time_ns,
            observed_time_unix_nano: time_ns,
            severity_number: SEVERITY_INFO,
            event_name: event.name.to_owned(),
            ..LogRecord::default()
        };
        self.tell(event, &mut record);
        if self.names_session_in_records() {
            record.attributes.push(KeyValue::text("session.id", &self.session_id()));
        }
        record
    }

    /// Fills in what the conventions of the event's instrumentation say.
    fn tell(&self, event: &Event, record: &mut LogRecord) {
        let is_page = self.session.app == App::Web;
        let text = |name: &str| self.text(event, name);
        match event.name {
            "browser.web_vital" => self.tell_vital(event, record),
            "browser.navigation" => {
                record.event_name = "browser.navigation_timing".into();
                record.attributes = vec![
                    KeyValue::text("browser.navigation_timing.type", "navigate"),
                    KeyValue::text("url.full", &url_of(event)),
                    KeyValue::number("browser.resource_timing.duration", event.value),
                ];
            }
            "browser.page_view" => {
                record.event_name = "browser.navigation".into();
                record.attributes = vec![
                    KeyValue::text("url.full", &url_of(event)),
                    KeyValue::new("browser.navigation.same_document", AnyValue::flag(false)),
                ];
            }
            "browser.resource_timing" => {
                record.attributes = vec![
                    KeyValue::text("browser.resource_timing.initiator_type", "fetch"),
                    KeyValue::text("url.full", &url_of(event)),
                    KeyValue::number("browser.resource_timing.duration", event.value),
                ];
            }
            "user.action" => {
                let (event_name, attribute) = if is_page {
                    ("browser.user_action.click", "browser.user_action.name")
                } else {
                    ("app.widget.click", "app.widget.name")
                };
                record.event_name = event_name.into();
                record.attributes = vec![KeyValue::text(attribute, &text("name"))];
                record.attributes.extend(event.text("reason").map(|reason| KeyValue::text("reason", reason)));
            }
            "exception" => {
                let fatal = event.flag("fatal");
                let severity = if is_page { SEVERITY_ERROR } else { SEVERITY_FATAL };
                record.severity_number = if fatal { severity } else { SEVERITY_INFO };
                record.attributes = vec![
                    KeyValue::text("exception.type", &text("type")),
                    KeyValue::text("exception.message", &text("message")),
                    KeyValue::text("exception.stacktrace", "at https://app.example/app.js:11437:13"),
                ];
                if !fatal {
                    record.attributes.push(KeyValue::new("handled", AnyValue::flag(true)));
                }
            }
            "app.background" | "app.foreground" => {
                let state = match (self.session.app, event.name) {
                    (_, "app.background") => "background",
                    (App::Ios, _) => "active",
                    (App::Web | App::Android, _) => "foreground",
                };
                let attribute =
                    if self.session.app == App::Ios { "ios.app.state" } else { "android.app.state" };
                record.event_name = "device.app.lifecycle".into();
                record.attributes = vec![KeyValue::text(attribute, state)];
            }
            _ => {
                let attributes = event.attributes.iter().map(|(name, value)| {
                    KeyValue::new(if *name == "journey" { "journey.name" } else { name }, any(value))
                });
                record.attributes = attributes.collect();
            }
        }
    }

    fn tell_vital(&self, event: &Event, record: &mut LogRecord) {
        let is_older = self.session.number.is_multiple_of(OLDER_SDK_EVERY);
        let field = |name: &str| if is_older { name.to_owned() } else { format!("browser.web_vital.{name}") };
        let fields = vec![
            KeyValue::text(&field("name"), &self.text(event, "name").to_lowercase()),
            KeyValue::number(&field("value"), event.value),
            KeyValue::number(&field("delta"), event.value),
            KeyValue::text(&field("id"), &self.text(event, "id")),
            KeyValue::text(&field("rating"), &self.text(event, "rating")),
        ];
        if is_older {
            record.body = Some(AnyValue::fields(fields));
        } else {
            record.attributes = fields;
            record.attributes.push(KeyValue::text("browser.web_vital.navigation_type", "navigate"));
        }
    }

    fn scope_spans(&self) -> Vec<ScopeSpans> {
        let scope = match self.session.app {
            App::Web => "@opentelemetry/instrumentation-fetch",
            App::Ios => "NSURLSession",
            App::Android => "io.opentelemetry.okhttp-3.0",
        };
        let spans = self.beacon.events.iter().map(|event| self.span(event)).collect();
        vec![ScopeSpans { scope: Some(Scope::of(scope)), spans }]
    }

    fn span(&self, event: &Event) -> Span {
        let end_ns = self.stamp(event).unsigned_abs() * NS_PER_MS;
        let took_ns = event.value.map_or(0, |value| value.scaled() * NS_PER_MS / SCALE);
        let (name, kind, mut attributes) = match event.name {
            "http.client" => ("GET", KIND_CLIENT, self.call(event)),
            "app.start" => {
                ("AppStart", KIND_INTERNAL, vec![KeyValue::text("start.type", &self.text(event, "type"))])
            }
            "app.screen" => {
                ("Created", KIND_INTERNAL, vec![KeyValue::text("app.screen.name", &self.text(event, "name"))])
            }
            name => (name, KIND_INTERNAL, vec![KeyValue::text("url.full", &url_of(event))]),
        };
        if self.names_session_in_records() {
            attributes.push(KeyValue::text("session.id", &self.session_id()));
        }
        let id = xxh3_128_with_seed(&end_ns.to_be_bytes(), self.session.number).to_be_bytes();
        Span {
            trace_id: id.to_vec(),
            span_id: id[..8].to_vec(),
            name: name.to_owned(),
            kind,
            start_time_unix_nano: end_ns - took_ns,
            end_time_unix_nano: end_ns,
            attributes,
        }
    }

    fn call(&self, event: &Event) -> Vec<KeyValue> {
        let status = event.whole("status").unwrap_or(0);
        let outcome = match status {
            0 => KeyValue::text("error.type", "timeout"),
            status => KeyValue::new("http.response.status_code", AnyValue::int(status)),
        };
        vec![
            KeyValue::text("http.request.method", &self.text(event, "method")),
            KeyValue::text("url.full", &url_of(event)),
            KeyValue::text("server.address", "app.example"),
            outcome,
        ]
    }
}

impl KeyValue {
    fn new(key: &str, value: AnyValue) -> Self {
        Self { key: key.to_owned(), value: Some(value) }
    }

    fn text(key: &str, text: &str) -> Self {
        Self::new(key, AnyValue::text(text))
    }

    fn number(key: &str, value: Option<Value>) -> Self {
        Self::new(key, of_value(value.unwrap_or_default()))
    }
}

/// A metric is an `intValue` or a `doubleValue` by what it is.
fn of_value(value: Value) -> AnyValue {
    if value.scaled().is_multiple_of(SCALE) {
        AnyValue::int(value.scaled() / SCALE)
    } else {
        AnyValue::double(value.scaled() as f64 / SCALE as f64)
    }
}

fn any(attribute: &Attribute) -> AnyValue {
    match attribute {
        Attribute::Text(text) => AnyValue::text(text),
        Attribute::Number(number) => of_value(*number),
        Attribute::Whole(whole) => AnyValue::int(*whole),
        Attribute::Flag(flag) => AnyValue::flag(*flag),
    }
}
