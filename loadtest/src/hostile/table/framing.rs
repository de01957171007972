//! Where a body begins and ends: shapes by which one server's request becomes another's two.

use crate::hostile::case::Case;
use crate::hostile::request::framed;

const BAD: &[&str] = &["400"];
const TAKEN: &[&str] = &["202"];
const TORN: &[&str] = &["400 unreadable_body"];
const GOOD: &str = "{\"session\":\"h\",\"events\":[]}";
const CHUNKED: &str = "transfer-encoding: chunked";

pub(super) fn cases() -> Vec<Case> {
    [lengths(), chunks()].concat()
}

fn lengths() -> Vec<Case> {
    let case = |name: &str, lines: &str, rest: &str, expect| {
        Case::send("framing", name, framed(lines, rest), expect)
    };
    let length = GOOD.len();
    let smuggled =
        format!("0\r\n\r\nPOST /v1/beacons HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{GOOD}");
    vec![
        case("length and chunks", &format!("content-length: 6\r\n{CHUNKED}"), &smuggled, BAD),
        case("chunks and length", &format!("{CHUNKED}\r\ncontent-length: 6"), &smuggled, BAD),
        case("two lengths", &format!("content-length: {length}\r\ncontent-length: 3"), GOOD, BAD),
        case(
            "the same length twice",
            &format!("content-length: {length}\r\ncontent-length: {length}"),
            GOOD,
            BAD,
        ),
        case("length with a plus", &format!("content-length: +{length}"), GOOD, BAD),
        case("negative length", "content-length: -1", GOOD, BAD),
        case("list of lengths", &format!("content-length: {length}, {length}"), GOOD, BAD),
        case("length in hexadecimal", "content-length: 0x1b", GOOD, BAD),
        case("length as a float", "content-length: 2.7e1", GOOD, BAD),
        case("length beyond 64 bits", "content-length: 99999999999999999999", GOOD, BAD),
        case("length of 16 EiB", "content-length: 18446744073709551615", "", &["413 body_too_large"]),
        case("length beyond the bound", "content-length: 262145", "", &["413 body_too_large"]),
        case("shorter length than the body", "content-length: 3", GOOD, &["400 invalid_json"]),
        case("no length", "accept: */*", "", &["400 invalid_json"]),
    ]
}

fn chunks() -> Vec<Case> {
    let case = |name: &str, lines: &str, rest: &str, expect| {
        Case::send("framing", name, framed(lines, rest), expect)
    };
    let chunk = format!("{:x}\r\n{GOOD}\r\n", GOOD.len());
    let bytes: String = GOOD.chars().map(|char| format!("1\r\n{char}\r\n")).collect();
    vec![
        case("one byte a chunk", CHUNKED, &format!("{bytes}0\r\n\r\n"), TAKEN),
        case(
            "chunks of 300 kB in all",
            CHUNKED,
            &format!("{}0\r\n\r\n", format!("3e8\r\n{}\r\n", " ".repeat(1_000)).repeat(300)),
            &["413 body_too_large"],
        ),
        case(
            "size of a chunk beyond 64 bits",
            CHUNKED,
            &format!("fffffffffffffffff\r\n{GOOD}\r\n0\r\n\r\n"),
            TORN,
        ),
        case("negative size of a chunk", CHUNKED, "-1\r\n{}\r\n0\r\n\r\n", TORN),
        case("size of a chunk in letters", CHUNKED, "zz\r\n{}\r\n0\r\n\r\n", TORN),
        case("size with 0x", CHUNKED, "0x2\r\n{}\r\n0\r\n\r\n", TORN),
        case("chunk without its end", CHUNKED, &format!("{:x}\r\n{GOOD}XX0\r\n\r\n", GOOD.len()), TORN),
        case("chunk longer than its size", CHUNKED, &format!("2\r\n{GOOD}\r\n0\r\n\r\n"), TORN),
        case("extension of a chunk", CHUNKED, &format!("{:x};a=b\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len()), TAKEN),
        case(
            "line end in an extension",
            CHUNKED,
            &format!("{:x};a\n=b\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len()),
            TORN,
        ),
        case("trailers", CHUNKED, &format!("{chunk}0\r\nx-api-key: other\r\n\r\n"), TAKEN),
        case(
            "chunked twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            &format!("{chunk}0\r\n\r\n"),
            BAD,
        ),
        case("chunked in a list", "transfer-encoding: identity, chunked", &format!("{chunk}0\r\n\r\n"), BAD),
        case("almost chunked", "transfer-encoding: xchunked", &format!("{chunk}0\r\n\r\n"), BAD),
        case("chunked after a tab", "transfer-encoding:\tchunked", &format!("{chunk}0\r\n\r\n"), TAKEN),
        case(
            "chunked and compressed by transfer",
            "transfer-encoding: gzip, chunked",
            &format!("{chunk}0\r\n\r\n"),
            BAD,
        ),
    ]
}
