//! Bytes of requests, right and wrong: no client library would write most of them.

/// The key of the app that is attacked.
pub(super) const KEY: &str = "hostile-key";
/// Another key of it, for a flood that must not exhaust the first.
pub(super) const FLOOD_KEY: &str = "flood-key";
/// The key of another app.
pub(super) const OTHER_KEY: &str = "other-key";
/// The origin that it lists.
pub(super) const ORIGIN: &str = "https://app.example";

/// The address that the proxy tells for a request that is alone in its network.
pub(super) const ALONE: &str = "x-forwarded-for: 192.0.2.1\r\n";

/// A request with headers of its own, key, host and the body's length.
pub(super) fn post(target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n{ALONE}{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A native beacon.
pub(super) fn native(body: &[u8]) -> Vec<u8> {
    post("/v1/beacons", "content-type: application/json\r\n", body)
}

/// A native beacon with one more header.
pub(super) fn native_with(header: &str, body: &[u8]) -> Vec<u8> {
    post("/v1/beacons", &format!("content-type: application/json\r\n{header}\r\n"), body)
}

/// A native beacon in an encoding.
pub(super) fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    native_with(&format!("content-encoding: {encoding}"), body)
}

/// Messages of OTLP's logs.
pub(super) fn protobuf(body: &[u8]) -> Vec<u8> {
    post("/v1/logs", "content-type: application/x-protobuf\r\n", body)
}

/// A head as it is written, then nothing but what is in it.
pub(super) fn raw(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// A right request whose head is written with these lines instead of its length.
pub(super) fn framed(lines: &str, rest: &str) -> Vec<u8> {
    format!("POST /v1/beacons HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n{ALONE}{lines}\r\n\r\n{rest}")
        .into_bytes()
}

/// A good native beacon of its own session.
pub(super) fn good(number: usize) -> Vec<u8> {
    format!("{{\"session\":\"hostile-{number}\",\"events\":[]}}").into_bytes()
}
