use super::*;
use actix_web::FromRequest;
use actix_web::test::TestRequest;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

const LIMITS: Limits = Limits { body_bytes_max: 1_000, decompressed_bytes_max: 4_000, body_timeout_s: 5 };

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn read_body(encoding: &str, body: Vec<u8>) -> Result<usize, &'static str> {
    let (request, mut payload) = TestRequest::post()
        .insert_header((header::CONTENT_ENCODING, encoding))
        .set_payload(body)
        .to_http_parts();
    let payload = web::Payload::from_request(&request, &mut payload).await.unwrap();
    read(&request, payload, &LIMITS).await.map(|body| body.len()).map_err(|refusal| refusal.error())
}

#[actix_web::test]
async fn bodies_are_bounded_before_and_after_decompression() {
    assert_eq!(read_body("identity", vec![b'x'; 1_000]).await, Ok(1_000));
    assert_eq!(read_body("identity", vec![b'x'; 1_001]).await, Err("body_too_large"));
    assert_eq!(read_body("gzip", gzip(&[b'x'; 4_000])).await, Ok(4_000));
    assert_eq!(read_body("gzip", gzip(&[b'x'; 4_001])).await, Err("decompressed_too_large"));
    assert_eq!(read_body("Deflate", deflate(&[b'x'; 4_000])).await, Ok(4_000));
    assert_eq!(read_body("deflate", deflate(&[b'x'; 4_001])).await, Err("decompressed_too_large"));
    assert_eq!(read_body("gzip", gzip(&vec![0; 200_000])).await, Err("decompressed_too_large"));
}

#[actix_web::test]
async fn what_does_not_decompress_is_refused() {
    let whole = gzip(b"{\"events\":[]}");
    assert_eq!(read_body("gzip", b"plain text, not gzip".to_vec()).await, Err("undecodable_body"));
    assert_eq!(read_body("gzip", whole[..whole.len() / 2].to_vec()).await, Err("undecodable_body"));
    assert_eq!(read_body("br", whole.clone()).await, Err("unsupported_content_encoding"));
    assert_eq!(read_body("gzip, gzip", whole).await, Err("unsupported_content_encoding"));
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
