//! Many at once: connections, bodies, networks, keys, sessions. Sized so that one is over within seconds.

use crate::hostile::case::{Case, Source, Step};
use crate::hostile::request::{FLOOD_KEY, KEY, OTHER_KEY, encoded, framed, good, native, raw};
use crate::hostile::server::{KEY_BURST, NETWORK_BURST};

const BURST: usize = NETWORK_BURST as usize;
const KEYS: usize = KEY_BURST as usize;
const LIMITED: &[&str] = &["202", "429 too_many_requests"];

pub(super) fn cases() -> Vec<Case> {
    [waiting(), requests()].concat()
}

fn waiting() -> Vec<Case> {
    let case =
        |name: &str, script, expect, connections| Case::script("flood", name, script, expect).by(connections);
    let stalled = || vec![Step::Send(framed("content-length: 250000", "")), Step::Send(vec![b' '; 249_999])];
    vec![
        case("2,000 connections that say nothing", vec![], &["408"], 2_000),
        case(
            "500 heads of 100 kB without end",
            vec![Step::Send(raw(&format!("POST / HTTP/1.1\r\nx-a: {}", "a".repeat(100_000))))],
            &["408", "closed"],
            500,
        ),
        case(
            "500 bodies of 250 kB without end",
            stalled(),
            &["408 body_timeout", "503 overloaded", "closed"],
            500,
        ),
        case(
            "300 connections with 7,000 requests each at once, of whose answers one is read",
            vec![Step::Send(raw("GET / HTTP/1.1\r\nhost: a\r\n\r\n").repeat(7_000))],
            &["404 not_found"],
            300,
        ),
        case(
            "100 connections with 50 requests each at once",
            vec![Step::Pipeline(50, nobody())],
            // Refused before its body is there, which ends a connection.
            &["401 wrong_key", "429 too_many_requests", "closed"],
            100,
        ),
    ]
}

fn requests() -> Vec<Case> {
    let repeat = |name: &str, count, make, expect| {
        Case::script("flood", name, vec![Step::Repeat(count, make)], expect).by(32)
    };
    let each = |total: usize| total / 32 + 1;
    vec![
        repeat(
            "one network through the proxy",
            each(2 * BURST),
            |_| from("203.0.113.7", native(&good(1))),
            LIMITED,
        ),
        repeat(
            "one network that forges the addresses before its own",
            each(2 * BURST),
            |number| from(&format!("{}, 203.0.114.7", address(number)), native(&good(2))),
            LIMITED,
        ),
        repeat(
            "one /48 of IPv6",
            each(2 * BURST),
            |number| from(&format!("2001:db8:7:{:x}::{number:x}", number % 65_536), native(&good(3))),
            LIMITED,
        ),
        repeat(
            "a stranger who forges the proxy's header",
            each(2 * BURST),
            |number| from(&address(number), native(&good(4))),
            LIMITED,
        )
        .from(Source::Stranger),
        repeat(
            "one key from everywhere",
            each(2 * KEYS),
            |number| from(&address(number), with_key(FLOOD_KEY, native(&good(5)))),
            LIMITED,
        ),
        repeat(
            "20,000 networks",
            each(20_000),
            |number| from(&address(number), nobody()),
            &["401 wrong_key"],
        ),
        repeat(
            "3,000 user agents",
            each(3_000),
            |number| {
                let body = good(number);
                let agent = format!("user-agent: Mozilla/5.0 (X; {number}) {}\r\n", "Gecko/9.9 ".repeat(50));
                let head = format!(
                    "POST /v1/beacons?key={OTHER_KEY} HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {}\r\n{agent}content-length: {}\r\n\r\n",
                    address(number),
                    body.len()
                );
                [head.into_bytes(), body].concat()
            },
            &["202"],
        ),
        repeat(
            "1,000 bombs",
            each(1_000),
            |number| from(&address(number), encoded("zstd", &bomb())),
            &["413 ratio_too_large"],
        ),
        repeat(
            "1,000 deep bodies",
            each(1_000),
            |number| from(&address(number), native(&b"[".repeat(50_000))),
            &["400 invalid_body"],
        ),
    ]
}

/// Another network for each number.
fn address(number: usize) -> String {
    format!("10.{}.{}.1", number / 256 % 256, number % 256)
}

/// A request whose proxy tells this address.
fn from(address: &str, request: Vec<u8>) -> Vec<u8> {
    let text = b"x-forwarded-for: 192.0.2.1\r\n";
    let at = request.windows(text.len()).position(|window| window == text).unwrap_or_default();
    let line = format!("x-forwarded-for: {address}\r\n");
    [&request[..at], line.as_bytes(), &request[at + text.len()..]].concat()
}

fn nobody() -> Vec<u8> {
    with_key("nobodys-key", native(b"{}"))
}

fn with_key(key: &str, request: Vec<u8>) -> Vec<u8> {
    String::from_utf8_lossy(&request).replace(KEY, key).into_bytes()
}

/// 8 MiB of zeros.
fn bomb() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
    for block in 0..64u32 {
        let header = (128 << 10) << 3 | 1 << 1 | u32::from(block == 63);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}
