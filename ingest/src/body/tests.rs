use super::*;
use actix_web::FromRequest;
use actix_web::test::TestRequest;

use super::decompress::tests::compressed;

const LIMITS: Limits = Limits {
    body_bytes_max: 1_000,
    decompressed_bytes_max: 4_000,
    decompressed_ratio_max: 100,
    body_timeout_s: 5,
    bodies_bytes_max: 6_000,
    head_timeout_s: 5,
    keep_alive_s: 5,
    connections_max: 16,
    network_connections_max: 16,
};

async fn read_body(encoding: &str, body: Vec<u8>) -> Result<usize, &'static str> {
    let (request, mut payload) = TestRequest::post()
        .insert_header((header::CONTENT_ENCODING, encoding))
        .set_payload(body)
        .to_http_parts();
    let payload = web::Payload::from_request(&request, &mut payload).await.unwrap();
    let budget = Budget::new(LIMITS.bodies_bytes_max);
    let body = read(&request, payload, &LIMITS, &budget, None).await;
    let held = budget.held_bytes();
    let bytes = body.map(|body| body.bytes.len()).map_err(|refusal| refusal.error());
    assert_eq!(held, bytes.unwrap_or_default());
    assert_eq!(budget.held_bytes(), 0);
    bytes
}

#[actix_web::test]
async fn bodies_are_bounded_before_and_after_decompression() {
    assert_eq!(read_body("identity", vec![b'x'; 1_000]).await, Ok(1_000));
    assert_eq!(read_body("", vec![b'x'; 1_000]).await, Ok(1_000));
    assert_eq!(read_body("identity", vec![b'x'; 1_001]).await, Err("body_too_large"));
    for encoding in Encoding::COMPRESSED {
        let name = encoding.name();
        assert_eq!(read_body(name, compressed(encoding, &[b'x'; 4_000])).await, Ok(4_000), "{name}");
        let refused = read_body(name, compressed(encoding, &[b'x'; 4_001])).await;
        assert_eq!(refused, Err("decompressed_too_large"), "{name}");
    }
    assert_eq!(read_body("X-GZip", compressed(Encoding::Gzip, b"{}")).await, Ok(2));
}

#[actix_web::test]
async fn one_known_encoding_is_taken() {
    let whole = compressed(Encoding::Gzip, b"{}");
    assert_eq!(read_body("compress", whole.clone()).await, Err("unsupported_content_encoding"));
    assert_eq!(read_body("gzip, gzip", whole.clone()).await, Err("unsupported_content_encoding"));
    let (request, mut payload) = TestRequest::post()
        .append_header((header::CONTENT_ENCODING, "gzip"))
        .append_header((header::CONTENT_ENCODING, "gzip"))
        .set_payload(whole)
        .to_http_parts();
    let payload = web::Payload::from_request(&request, &mut payload).await.unwrap();
    let budget = Budget::new(LIMITS.bodies_bytes_max);
    let refused = read(&request, payload, &LIMITS, &budget, None).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.error(), "unsupported_content_encoding");
}

#[actix_web::test]
async fn what_all_bodies_hold_is_bounded() {
    let budget = Budget::new(1_500);
    let held = budget.hold(None, 1_000).unwrap();
    let take = async || {
        let (request, mut payload) = TestRequest::post().set_payload(vec![b'x'; 501]).to_http_parts();
        let payload = web::Payload::from_request(&request, &mut payload).await.unwrap();
        read(&request, payload, &LIMITS, &budget, None).await.map(|body| body.bytes.len())
    };
    assert_eq!(take().await.map_err(|refusal| refusal.status().as_u16()), Err(503));
    drop(held);
    assert_eq!(take().await, Ok(501));
}

#[test]
fn the_content_type_says_the_notation() {
    let known = [("application/json", Notation::Json), ("application/x-protobuf", Notation::Protobuf)];
    let check = |value: &str| {
        let request = TestRequest::post().insert_header((header::CONTENT_TYPE, value)).to_http_request();
        notation(&request, &known).map_err(|refusal| refusal.error())
    };
    assert_eq!(check("application/json"), Ok(Notation::Json));
    assert_eq!(check("Application/JSON; charset=utf-8"), Ok(Notation::Json));
    assert_eq!(check("application/x-protobuf"), Ok(Notation::Protobuf));
    assert_eq!(check("application/x-www-form-urlencoded"), Err("unsupported_content_type"));
    assert_eq!(notation(&TestRequest::post().to_http_request(), &known), Ok(Notation::Json));
}
