//! What bodies hold: JSON, protocol buffers and forms that are deep, wide, damaged or forged.

use crate::hostile::case::Case;
use crate::hostile::request::{KEY, native, native_with, post, protobuf, raw};

const NO_JSON: &[&str] = &["400 invalid_json"];
const NO_BODY: &[&str] = &["400 invalid_body"];
const TAKEN: &[&str] = &["202"];

pub(super) fn cases() -> Vec<Case> {
    [json(), identities(), messages(), forms()].concat()
}

fn json() -> Vec<Case> {
    let case = |name: &str, body: &[u8], expect| Case::send("json", name, native(body), expect);
    let event =
        |inside: &str| format!("{{\"session\":\"h\",\"events\":[{{\"name\":\"a\"{inside}}}]}}").into_bytes();
    let many = |count: usize, one: &str| vec![one; count].join(",");
    let attributes: Vec<_> = (0..8_000).map(|n| format!("\"label{n}\":\"value{n}\"")).collect();
    let sessions = |count| format!("{{\"session\":\"h\",\"events\":[{}]}}", many(count, "{\"name\":\"a\"}"));
    vec![
        case("100,000 open brackets", &b"[".repeat(100_000), NO_BODY),
        case("40,000 nested objects", &b"{\"a\":".repeat(40_000), NO_JSON),
        case(
            "attributes nested 20,000 deep",
            &event(&format!(",\"attributes\":{{\"a\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000))),
            TAKEN,
        ),
        case("invalid UTF-8", b"{\"session\":\"\xff\xfe\",\"events\":[]}", NO_JSON),
        case("overlong UTF-8", b"{\"session\":\"\xc0\xaf\",\"events\":[]}", NO_JSON),
        case("lone surrogate", br#"{"session":"\ud800","events":[]}"#, NO_JSON),
        case("UTF-16", b"\xff\xfe{\x00}\x00", NO_JSON),
        case("byte order mark", b"\xef\xbb\xbf{\"session\":\"h\",\"events\":[]}", NO_JSON),
        case("NaN", &event(",\"value\":NaN"), NO_JSON),
        case("number beyond every range", &event(",\"value\":1e99999"), NO_JSON),
        case("number of 100,000 digits", &event(&format!(",\"value\":{}", "9".repeat(100_000))), NO_JSON),
        case("largest number", &event(",\"value\":1.7976931348623157e308"), TAKEN),
        case("negative value", &event(",\"value\":-1"), TAKEN),
        case("time of 64 bits", &event(",\"time\":9223372036854775807"), TAKEN),
        case("time before all time", &event(",\"time\":-9223372036854775808"), TAKEN),
        case("number where text belongs", br#"{"session":7,"events":[{"name":8}]}"#, TAKEN),
        case("duplicate keys", br#"{"session":"h","session":"i","events":[],"events":[]}"#, NO_BODY),
        case(
            "keys of a prototype",
            &event(",\"attributes\":{\"__proto__\":{\"a\":1},\"constructor\":\"b\"}"),
            TAKEN,
        ),
        case("8,000 attributes", &event(&format!(",\"attributes\":{{{}}}", attributes.join(","))), TAKEN),
        case(
            "text of 200 kB",
            &event(&format!(",\"attributes\":{{\"a\":\"{}\"}}", "x".repeat(200_000))),
            TAKEN,
        ),
        case(
            "name of 200 kB",
            format!("{{\"session\":\"h\",\"events\":[{{\"name\":\"{}\"}}]}}", "x".repeat(200_000)).as_bytes(),
            TAKEN,
        ),
        case(
            "200 kB of escapes",
            &event(&format!(",\"attributes\":{{\"a\":\"{}\"}}", "\\u0000".repeat(33_000))),
            TAKEN,
        ),
        case("15,000 events", sessions(15_000).as_bytes(), &["413 too_many_events"]),
        case("an array where an object belongs", b"[]", NO_BODY),
        case("empty body", b"", NO_JSON),
        case("200 kB of spaces", &b" ".repeat(200_000), NO_JSON),
        case("zeros", &[0; 1_000], NO_JSON),
        case("300 kB", &b" ".repeat(300_000), &["413 body_too_large"]),
        case(
            "control characters in the session",
            br#"{"session":"a\r\nb: c\u0000\u001b[2J","events":[]}"#,
            TAKEN,
        ),
    ]
}

fn identities() -> Vec<Case> {
    let group = "identity";
    let good = br#"{"session":"h","events":[]}"#;
    let bare = |target: &str, lines: &str| {
        raw(&format!("POST {target} HTTP/1.1\r\nhost: a\r\n{lines}content-length: {}\r\n\r\n", good.len()))
            .into_iter()
            .chain(*good)
            .collect::<Vec<u8>>()
    };
    let case = |name: &str, bytes, expect| Case::send(group, name, bytes, expect);
    vec![
        case("no key", bare("/v1/beacons", ""), &["401 no_key"]),
        case("wrong key", bare("/v1/beacons", "x-api-key: ' or 1=1 --\r\n"), &["401 wrong_key"]),
        case(
            "key of 60 kB",
            bare(&format!("/v1/beacons?key={}", "k".repeat(60_000)), ""),
            &["401 wrong_key"],
        ),
        case(
            "key of bytes that are no text",
            {
                let mut bytes = bare("/v1/beacons", "x-api-key: K\r\n");
                if let Some(byte) = bytes.iter_mut().find(|byte| **byte == b'K') {
                    *byte = 0xff;
                }
                bytes
            },
            &["401 no_key"],
        ),
        case("foreign origin", native_with("origin: https://evil.example", good), &["403 foreign_origin"]),
        case(
            "origin that begins as ours",
            native_with("origin: https://app.example.evil.example", good),
            &["403 foreign_origin"],
        ),
        case(
            "two origins in one",
            native_with("origin: https://app.example, https://evil.example", good),
            &["403 foreign_origin"],
        ),
        case("origin null", native_with("origin: null", good), &["403 foreign_origin"]),
        case(
            "origin with escaped line ends",
            native_with("origin: https://app.example%0d%0aset-cookie:a=b", good),
            &["403 foreign_origin"],
        ),
        case(
            "preflight of a foreign origin",
            raw(
                "OPTIONS /v1/beacons HTTP/1.1\r\nhost: a\r\norigin: https://evil.example\r\naccess-control-request-method: POST\r\n\r\n",
            ),
            &["403 foreign_origin"],
        ),
        case(
            "sample rate that weighs 10^300",
            native(br#"{"session":"h","sample_rate":1e-300,"events":[]}"#),
            &["400 invalid_sample_rate"],
        ),
        case("app of another", native(br#"{"session":"h","app":"studyapp-web","events":[]}"#), TAKEN),
    ]
}

fn messages() -> Vec<Case> {
    let case = |name: &str, body: &[u8], expect| Case::send("protobuf", name, protobuf(body), expect);
    let mut nested: Vec<u8> = Vec::new();
    // resource_logs → resource → attribute → value → array → value → …, from the inside out.
    for _ in 0..3_000 {
        nested = field(1, &field(5, &nested));
    }
    let nested = field(1, &field(1, &field(1, &field(2, &nested))));
    vec![
        case("length beyond the end", &[0x0a, 0xff, 0xff, 0xff, 0x7f], NO_BODY),
        case(
            "length of 64 bits",
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            NO_BODY,
        ),
        case("number of eleven bytes", &[&[0x08][..], &[0xff; 10], &[0x01]].concat(), NO_BODY),
        case("group that never ends", &[0x0b; 1_000], NO_BODY),
        case("wire type 7", &[0x0f, 0x01], NO_BODY),
        case("field 0", &[0x02, 0x01, 0x00], NO_BODY),
        case("values nested 3,000 deep", &nested, NO_BODY),
        case("100,000 empty resources", &[0x0a, 0x00].repeat(100_000), &["413 too_many_events"]),
        case("invalid UTF-8", &field(1, &field(1, &field(1, &field(1, b"\xff")))), NO_BODY),
        case("random bytes", &(0..1_000u32).map(|n| ((n * n) >> 3) as u8).collect::<Vec<_>>(), NO_BODY),
        Case::send("protobuf", "JSON as protobuf", protobuf(b"{\"resourceLogs\":[]}"), NO_BODY),
    ]
}

/// A field that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(bytes);
    message
}

fn forms() -> Vec<Case> {
    let form = |body: &[u8]| post("/beacon", "content-type: application/x-www-form-urlencoded\r\n", body);
    let get = |query: &str| raw(&format!("GET /beacon?key={KEY}&{query} HTTP/1.1\r\nhost: a\r\n\r\n"));
    let fields: Vec<_> = (0..20_000).map(|n| format!("k{n}=v")).collect();
    let case = |name: &str, bytes, expect| Case::send("form", name, bytes, expect);
    vec![
        case("20,000 fields", form(fields.join("&").as_bytes()), &["204"]),
        case("200 kB of separators", form(&b"&".repeat(200_000)), &["204"]),
        case("broken escapes", get("rt.si=%zz%&t_done=%"), &["200"]),
        case("escaped line ends and zeros", get("rt.si=%0d%0aset-cookie:%20a&u=%00"), &["200"]),
        case("query of 60 kB", get(&format!("u={}", "x".repeat(60_000))), &["200"]),
        case(
            "HTML as text/html",
            post("/v1/beacons", "content-type: text/html\r\n", b"<script>"),
            &["415 unsupported_content_type"],
        ),
        case(
            "a billion laughs in XML",
            post("/v1/beacons", "content-type: text/xml\r\n", b"<!DOCTYPE l [<!ENTITY a \"&b;&b;\">]>"),
            &["415 unsupported_content_type"],
        ),
        case(
            "content type of 8 kB",
            post("/v1/beacons", &format!("content-type: {}\r\n", "x".repeat(8_000)), b"{}"),
            &["415 unsupported_content_type"],
        ),
        case(
            "Faro of the wrong shape",
            post("/collect", "content-type: application/json\r\n", b"{\"meta\":[[[]]],\"events\":{}}"),
            NO_BODY,
        ),
        case(
            "reports that are none",
            post("/v1/reports", "content-type: application/reports+json\r\n", b"[1,null,\"\"]"),
            NO_BODY,
        ),
        case("web vitals of the wrong shape", post("/v1/web-vitals", "", b"[{\"name\":{}}]"), TAKEN),
    ]
}
