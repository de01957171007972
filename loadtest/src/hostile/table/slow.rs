//! Clients that take their time, by one connection each.

use std::time::Duration;

use super::head::NOTHING;
use crate::hostile::case::{Case, Step};
use crate::hostile::request::{framed, good, native, raw};

const PAUSE: Duration = Duration::from_millis(100);
const HEAD_LATE: &[&str] = &["408"];
const BODY_LATE: &[&str] = &["408 body_timeout"];

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, script, expect| Case::script("slow", name, script, expect);
    let head = |lines: &str| Step::Send(framed(lines, ""));
    vec![
        case("says nothing", vec![], HEAD_LATE),
        case("half a line", vec![Step::Send(raw("POST /v1/bea"))], HEAD_LATE),
        case("head byte by byte", vec![Step::Drip(native(b"{}"), PAUSE)], HEAD_LATE),
        case(
            "headers for ever",
            vec![Step::Send(raw("POST / HTTP/1.1\r\n")), Step::Drip(raw(&"x: y\r\n".repeat(1_000)), PAUSE)],
            HEAD_LATE,
        ),
        case(
            "good request, then a head byte by byte",
            vec![Step::Send(native(&good(0))), Step::Prepare, Step::Drip(native(&[b' '; 1_000]), PAUSE)],
            NOTHING,
        ),
        case("good request, then nothing", vec![Step::Send(native(&good(0))), Step::Prepare], NOTHING),
        case("body that does not come", vec![head("content-length: 200000")], BODY_LATE),
        case(
            "body byte by byte",
            vec![head("content-length: 200000"), Step::Drip(vec![b' '; 1_000], PAUSE)],
            BODY_LATE,
        ),
        case(
            "body that lacks one byte",
            vec![head("content-length: 200000"), Step::Send(vec![b' '; 199_999])],
            BODY_LATE,
        ),
        case(
            "chunks byte by byte",
            vec![head("transfer-encoding: chunked"), Step::Drip(raw(&"1\r\n \r\n".repeat(500)), PAUSE)],
            BODY_LATE,
        ),
        case(
            "size of a chunk for ever",
            vec![head("transfer-encoding: chunked"), Step::Drip(raw(&"0".repeat(1_000)), PAUSE)],
            BODY_LATE,
        ),
        case(
            "compressed body byte by byte",
            vec![
                head("content-encoding: gzip\r\ncontent-length: 200000"),
                Step::Drip(vec![0x1f; 1_000], PAUSE),
            ],
            BODY_LATE,
        ),
        case(
            "hangs up in the body",
            vec![head("content-length: 1000"), Step::Send(vec![b' '; 500]), Step::Finish],
            &["400 unreadable_body"],
        ),
    ]
}
