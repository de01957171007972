//! One request of each wire format with secrets in every place that has room for one.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// Header in which the proxy of this test says the country.
pub(super) const COUNTRY_HEADER: &str = "x-country";
/// What must not be found, in small letters: the mark that all secrets have which have no form of their own, then addresses, the model
/// and the full version in user agent and hints, and how user agents begin.
pub(super) const SECRETS: [&str; 6] =
    ["zq7x", "203.0.113.", "2001:db8:", "sm-s928u1", "6778.81", "mozilla/5.0"];

const USER_AGENT: &str = "Mozilla/5.0 (Linux; Android 14; SM-S928U1 Build/zq7xbuild) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/131.0.6778.81 Mobile Safari/537.36";
const URL: &str = "https://zq7xlogin:zq7xpassword@app.example/lectures/42?email=zq7xmail@school.example&token=zq7xtoken#zq7xfragment";
const MESSAGE: &str = "no answer of https://zq7xlogin:zq7xpassword@api.example/u?name=zq7xname for zq7xmail@school.example at \
    203.0.113.77 (2001:db8::7777) with Authorization: Bearer zq7xbearer, password=zq7xpassword, {\"userId\":\"zq7xuser\"}";

/// A request to be answered with `status`.
pub(super) struct Planted {
    pub(super) name: &'static str,
    pub(super) request: RequestBuilder,
    pub(super) status: u16,
}

/// Adds secrets to the headers: who the user is, where, and with what.
pub(super) fn with_secret_headers(request: RequestBuilder) -> RequestBuilder {
    [
        ("user-agent", USER_AGENT),
        ("sec-ch-ua", "\"Google Chrome\";v=\"131\", \"zq7xbrand\";v=\"131\", \"Chromium\";v=\"131\""),
        ("sec-ch-ua-full-version-list", "\"Google Chrome\";v=\"131.0.6778.81\""),
        ("sec-ch-ua-model", "\"SM-S928U1\""),
        ("sec-ch-ua-mobile", "?1"),
        ("sec-ch-ua-platform", "\"Android\""),
        ("ect", "3g"),
        ("downlink", "zq7xdownlink"),
        (COUNTRY_HEADER, "gh"),
        ("cookie", "session=zq7xcookie; uid=zq7xuser"),
        ("authorization", "Bearer zq7xbearer"),
        ("referer", "https://app.example/?search=zq7xsearch"),
        ("x-forwarded-for", "203.0.113.77, 2001:db8::7777"),
        ("x-real-ip", "203.0.113.77"),
        ("forwarded", "for=\"[2001:db8::7777]\";by=203.0.113.78"),
        ("via", "1.1 zq7xproxy"),
        ("accept-language", "en-zq7x"),
    ]
    .into_iter()
    .fold(request, |request, (name, value)| request.header(name, value))
}

/// The requests, in every notation of every format.
pub(super) fn all(url: &str, now_ms: i64) -> Vec<Planted> {
    let to = |path: &str| {
        Client::new()
            .post(format!("{url}{path}?key=studyapp-key&email=zq7xmail@school.example&session=203.0.113.77"))
    };
    let planted = |name, request, status| Planted { name, request, status };
    let get = Client::new().get(format!("{url}/beacon?key=studyapp-key&{}", boomerang(now_ms)));
    vec![
        planted("native", to("/v1/beacons").json(&native(now_ms)), 202),
        planted(
            "faro",
            to("/collect").header("x-faro-session-id", "zq7xmail@school.example").json(&faro(now_ms)),
            202,
        ),
        planted("OTLP logs", to("/v1/logs").json(&otlp_logs(now_ms)), 200),
        planted("OTLP traces", to("/v1/traces").json(&otlp_traces(now_ms)), 200),
        planted(
            "OTLP protobuf",
            to("/v1/logs").header("content-type", "application/x-protobuf").body(protobuf::logs(now_ms)),
            200,
        ),
        planted(
            "boomerang by POST",
            to("/beacon").header("content-type", "application/x-www-form-urlencoded").body(boomerang(now_ms)),
            204,
        ),
        planted("boomerang by GET", get, 200),
        planted("web-vitals", to("/v1/web-vitals").json(&web_vitals()), 202),
        planted(
            "network errors",
            to("/v1/reports").header("content-type", "application/reports+json").body(reports()),
            204,
        ),
    ]
}

/// Attributes under names that say what they hold, under names that do not, and under names that are a secret themselves.
fn attributes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("user.id", "zq7xuser"),
        ("user.email", "zq7xmail@school.example"),
        ("user.full_name", "zq7x name"),
        ("enduser.id", "zq7xuser"),
        ("userId", "zq7xuser"),
        ("User_Name", "zq7xname"),
        ("customer-id", "zq7xuser"),
        ("device.id", "zq7xdevice"),
        ("client.address", "203.0.113.77"),
        ("net.peer.ip", "2001:db8::7777"),
        ("peer", "203.0.113.77:4711"),
        ("contact", "zq7xmail@school.example"),
        ("encoded", "zq7xmail%40school.example"),
        ("http.request.header.cookie", "session=zq7xcookie"),
        ("http.user_agent", USER_AGENT),
        ("agent", USER_AGENT),
        ("url.query", "token=zq7xtoken"),
        ("url.full", URL),
        ("referrer", URL),
        ("link", "/lectures/42?token=zq7xtoken"),
        ("message", MESSAGE),
        ("note", MESSAGE),
        ("jwt", "eyJzcTd4.eyJzcTd4.zq7xsignature"),
        ("credential", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ6cTd4In0.zq7xsignature"),
        ("part", "https://app.example/lectures/42 #access_token=zq7xtoken"),
        ("form", "user[password]=zq7xpassword&form%5Bpin%5D=zq7xpin"),
        ("header", "got Authorization: Token zq7xtoken"),
        ("headers", "{\"Authorization\": \"ApiKey zq7xkey of zq7x\"}"),
        ("sent", "Cookie: a=1; theme=zq7xcookie"),
        ("stack", "Error: failed\n    at zq7x"),
        ("exception.stacktrace", "Error: failed\n    at zq7x"),
        ("value.of.it", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ6cTd4In0.zq7xsignature"),
        ("zq7xmail@school.example", "1"),
    ]
}

fn object() -> Value {
    Value::Object(attributes().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

fn native(now_ms: i64) -> Value {
    let attributes = object();
    json!({
        "id": "zq7xmail@school.example", "session": "planted-session", "release": "7.1 zq7xmail@school.example",
        "environment": "production", "os": "", "browser": "", "segment": "203.0.113.77", "sent_at": now_ms,
        "user": {"id": "zq7xuser"}, "attributes": attributes,
        "events": [
            {"name": "journey.start", "time": now_ms - 200, "attributes": {"journey": "watch-lecture"}},
            {"name": "planted.native", "time": now_ms - 100, "attributes": attributes},
            {"name": format!("planted {URL}"), "time": now_ms - 90},
            {"name": "user.action", "time": now_ms - 80, "attributes": {"name": "greet zq7xmail@school.example"}},
            {"name": "exception", "time": now_ms - 70, "attributes": {"type": "Error", "message": MESSAGE}},
            {"name": "app.crash", "time": now_ms - 60, "attributes": {"session": "zq7xmail@school.example", "type": "SIGSEGV"}},
            {"name": "journey.end", "time": now_ms - 50, "attributes": {
                "journey": "watch-lecture", "outcome": "success", "reason": MESSAGE,
            }},
        ],
    })
}

fn faro(now_ms: i64) -> Value {
    let at = jiff::Timestamp::from_millisecond(now_ms - 100).unwrap().to_string();
    let attributes = object();
    json!({
        "meta": {
            "user": {"id": "zq7xuser", "email": "zq7xmail@school.example", "username": "zq7xname", "attributes": attributes},
            "session": {"attributes": attributes},
            "page": {"url": URL, "id": "zq7xpage", "attributes": attributes},
            "browser": {"name": "Chrome", "userAgent": USER_AGENT, "brands": "zq7x"},
            "app": {"name": "zq7x", "version": "7.1"},
            "view": {"name": "zq7x"},
        },
        "events": [
            {"name": "planted.faro", "timestamp": at, "attributes": attributes},
            {"name": "faro.performance.navigation", "timestamp": at, "attributes": {"name": URL, "duration": "414"}},
            {"name": "faro.performance.resource", "timestamp": at,
             "attributes": {"name": URL, "duration": "12", "initiatorType": "fetch", "responseStatus": "503"}},
            {"name": "faro.user.action", "timestamp": at, "attributes": {"userActionName": "zq7xmail@school.example"}},
        ],
        "measurements": [{"type": "web-vitals", "values": {"lcp": 1200, "delta": 1200}, "timestamp": at, "context": attributes}],
        "exceptions": [{"type": "Error", "value": MESSAGE, "timestamp": at, "context": attributes,
            "stacktrace": {"frames": [{"filename": URL, "function": "zq7x"}]}}],
        "logs": [{"message": MESSAGE, "level": "error", "timestamp": at, "context": attributes}],
        "traces": otlp_traces(now_ms),
    })
}

fn key_values() -> Value {
    attributes()
        .into_iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect()
}

fn otlp_logs(now_ms: i64) -> Value {
    let at = (now_ms * 1_000_000).to_string();
    json!({"resourceLogs": [{
        "resource": {"attributes": key_values()},
        "scopeLogs": [{"scope": {"name": "zq7xscope"}, "logRecords": [
            {"eventName": "planted.logs", "timeUnixNano": at, "attributes": key_values(), "body": {"stringValue": MESSAGE}},
            {"eventName": "exception", "timeUnixNano": at, "attributes": key_values(),
             "body": {"kvlistValue": {"values": key_values()}}},
            {"body": {"stringValue": MESSAGE}},
        ]}],
    }]})
}

fn otlp_traces(now_ms: i64) -> Value {
    let (start, end) = ((now_ms - 50) * 1_000_000, now_ms * 1_000_000);
    let span = |name: &str, kind: u8| {
        json!({"name": name, "kind": kind, "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
            "attributes": key_values(), "status": {"message": MESSAGE}, "events": [{"name": "zq7x", "attributes": key_values()}]})
    };
    json!({"resourceSpans": [{
        "resource": {"attributes": key_values()},
        "scopeSpans": [{"spans": [span("planted.spans", 1), span(&format!("GET {URL}"), 3)]}],
    }]})
}

fn boomerang(now_ms: i64) -> String {
    let mut form = format!("rt.si=&n=1&pid=planted&http.initiator=planted&rt.end={now_ms}&t_done=414");
    let secrets = [
        ("u", URL),
        ("r", URL),
        ("pgu", URL),
        ("xhr.pg", MESSAGE),
        ("h.vr", "zq7xmail@school.example"),
        ("mob.etype", USER_AGENT),
    ];
    for (name, value) in secrets.into_iter().chain(attributes()) {
        form.push_str(&format!("&{}={}", escaped(name), escaped(value)));
    }
    form
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

fn web_vitals() -> Value {
    json!([
        {"name": "LCP", "value": 1200, "rating": "good", "id": "v6-planted", "navigationURL": URL, "navigationType": MESSAGE,
         "entries": [{"url": URL}], "attribution": {"url": URL, "target": "zq7x"}},
        {"name": "CLS", "value": 0.1, "id": "zq7xmail@school.example", "rating": USER_AGENT},
        {"name": "INP", "value": 5, "id": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ6cTd4In0.zq7xsignature"},
    ])
}

fn reports() -> String {
    json!([{
        "age": 10, "type": "network-error", "url": URL, "user_agent": USER_AGENT,
        "body": {"sampling_fraction": 1.0, "elapsed_time": 7, "phase": "connection", "type": "tcp.reset", "method": "GET",
            "protocol": "", "referrer": URL, "server_ip": "203.0.113.77", "status_code": 0,
            "request_headers": {"cookie": ["zq7xcookie"]}},
    }])
    .to_string()
}

/// As much of OTLP's binary notation as a log record needs.
mod protobuf {
    use super::{MESSAGE, attributes};

    /// A request with the same content as the one in JSON.
    pub(super) fn logs(now_ms: i64) -> Vec<u8> {
        let attributes = |number| {
            attributes().into_iter().flat_map(move |pair| key_value(number, pair)).collect::<Vec<u8>>()
        };
        let mut time = vec![1 << 3 | 1];
        time.extend((now_ms * 1_000_000).to_le_bytes());
        let name = field(12, b"planted.protobuf");
        let record = [time, field(5, &field(1, MESSAGE.as_bytes())), attributes(6), name].concat();
        let scope = [field(1, &field(1, b"zq7xscope")), field(2, &record)].concat();
        field(1, &[field(1, &attributes(1)), field(2, &scope)].concat())
    }

    fn key_value(number: u8, (key, value): (&str, &str)) -> Vec<u8> {
        field(number, &[field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat())
    }

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut length = content.len();
        while length > 0x7f {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(content);
        bytes
    }
}
