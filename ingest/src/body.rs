//! Reading a request's body within bounds of size, decompressed size and time.
//!
//! Decompression is incremental with its own bound: a few hundred bytes can inflate to gigabytes, so nothing is
//! inflated further than the limit and one buffer of the decoder.

use std::io::{self, Write};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web;
use bytes::{Bytes, BytesMut};
use flate2::write::{GzDecoder, ZlibDecoder};
use futures::StreamExt;

use crate::admission::Notation;
use crate::config::Limits;
use crate::refusal::{Refusal, quoted};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

/// The notation of the body, by its content type and the format's list; the first of the list where the request
/// names none.
///
/// # Errors
/// When it is not in the list.
pub fn notation(request: &HttpRequest, known: &[(&'static str, Notation)]) -> Result<Notation, Refusal> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else {
        return Ok(known.first().map_or_else(Notation::default, |(_, notation)| *notation));
    };
    let value = value.to_str().unwrap_or("not text");
    let essence = value.split(';').next().unwrap_or_default().trim();
    match known.iter().find(|(name, _)| essence.eq_ignore_ascii_case(name)) {
        Some((_, notation)) => Ok(*notation),
        None => {
            let wanted: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            Err(Refusal::ContentType { found: quoted(essence), wanted: wanted.join(" or ") })
        }
    }
}

/// Reads and decompresses the body.
///
/// # Errors
/// When a limit is passed, the encoding is not known, or the body is damaged or ends early.
pub async fn read(request: &HttpRequest, payload: web::Payload, limits: &Limits) -> Result<Bytes, Refusal> {
    let encoding = encoding(request)?;
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limits.body_bytes_max) {
        return Err(Refusal::BodyTooLarge(limits.body_bytes_max));
    }
    let read = async {
        match encoding {
            Encoding::Identity => plain(payload, declared.unwrap_or_default(), limits.body_bytes_max).await,
            Encoding::Gzip => {
                let mut decoder = GzDecoder::new(Bounded::new(limits.decompressed_bytes_max));
                decompress(payload, &mut decoder, limits, "gzip").await?;
                finished(decoder.finish(), limits, "gzip")
            }
            Encoding::Deflate => {
                let mut decoder = ZlibDecoder::new(Bounded::new(limits.decompressed_bytes_max));
                decompress(payload, &mut decoder, limits, "deflate").await?;
                finished(decoder.finish(), limits, "deflate")
            }
        }
    };
    match tokio::time::timeout(Duration::from_secs(limits.body_timeout_s), read).await {
        Ok(body) => body,
        Err(_) => Err(Refusal::BodyTimeout(limits.body_timeout_s)),
    }
}

fn encoding(request: &HttpRequest) -> Result<Encoding, Refusal> {
    let Some(value) = request.headers().get(header::CONTENT_ENCODING) else { return Ok(Encoding::Identity) };
    match value.to_str().unwrap_or("not text").trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "deflate" => Ok(Encoding::Deflate),
        other => Err(Refusal::ContentEncoding(quoted(other))),
    }
}

async fn plain(mut payload: web::Payload, declared: usize, bytes_max: usize) -> Result<Bytes, Refusal> {
    let Some(first) = next(&mut payload).await? else { return Ok(Bytes::new()) };
    if first.len() > bytes_max {
        return Err(Refusal::BodyTooLarge(bytes_max));
    }
    // Most bodies come in one piece, which is used as it is.
    let Some(second) = next(&mut payload).await? else { return Ok(first) };
    let mut body = BytesMut::with_capacity(declared.max(first.len() + second.len()));
    body.extend_from_slice(&first);
    let mut chunk = Some(second);
    while let Some(bytes) = chunk {
        if body.len() + bytes.len() > bytes_max {
            return Err(Refusal::BodyTooLarge(bytes_max));
        }
        body.extend_from_slice(&bytes);
        chunk = next(&mut payload).await?;
    }
    Ok(body.freeze())
}

async fn decompress(
    mut payload: web::Payload,
    decoder: &mut impl Write,
    limits: &Limits,
    name: &'static str,
) -> Result<(), Refusal> {
    let mut read_bytes = 0;
    while let Some(chunk) = next(&mut payload).await? {
        read_bytes += chunk.len();
        if read_bytes > limits.body_bytes_max {
            return Err(Refusal::BodyTooLarge(limits.body_bytes_max));
        }
        decoder.write_all(&chunk).map_err(|error| undecodable(&error, limits, name))?;
    }
    Ok(())
}

fn finished(result: io::Result<Bounded>, limits: &Limits, name: &'static str) -> Result<Bytes, Refusal> {
    result.map(|bounded| Bytes::from(bounded.bytes)).map_err(|error| undecodable(&error, limits, name))
}

fn undecodable(error: &io::Error, limits: &Limits, name: &'static str) -> Refusal {
    if error.kind() == io::ErrorKind::FileTooLarge {
        Refusal::DecompressedTooLarge(limits.decompressed_bytes_max)
    } else {
        Refusal::UndecodableBody(name)
    }
}

async fn next(payload: &mut web::Payload) -> Result<Option<Bytes>, Refusal> {
    payload.next().await.transpose().map_err(|error| Refusal::UnreadableBody(quoted(&error.to_string())))
}

/// Takes no more than a number of bytes.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Bounded {
    fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
