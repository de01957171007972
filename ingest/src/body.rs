//! Reading a request's body within bounds of size, decompressed size, ratio, time, and memory of all bodies.
//!
//! What an encoding means is [`mod@decompress`]'s, how much all bodies hold together is [`budget`]'s.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use crate::admission::Notation;
use crate::config::Limits;
use crate::refusal::{Refusal, quoted};

pub mod budget;
pub mod decompress;

use budget::{Budget, Held, Share};
use decompress::{Bounds, Encoding, decompress};

/// A body, which counts as held for as long as it lives.
#[derive(Debug)]
pub struct Body<'a> {
    /// What the client meant, decompressed.
    pub bytes: Bytes,
    _held: Held<'a>,
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

/// Reads and decompresses the body of a client whose network holds `share`.
///
/// # Errors
/// When a limit is passed, the encoding is not known, or the body is damaged or ends early.
pub async fn read<'a>(
    request: &HttpRequest,
    payload: web::Payload,
    limits: &Limits,
    budget: &'a Budget,
    share: Option<&'a Share>,
) -> Result<Body<'a>, Refusal> {
    let encoding = encoding(request)?;
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok())
        .unwrap_or_default();
    if declared > limits.body_bytes_max as u64 {
        return Err(Refusal::BodyTooLarge(limits.body_bytes_max));
    }
    let whole = whole(payload, declared as usize, limits.body_bytes_max, budget.hold(share, 0)?);
    let body = match tokio::time::timeout(Duration::from_secs(limits.body_timeout_s), whole).await {
        Ok(body) => body?,
        Err(_) => return Err(Refusal::BodyTimeout(limits.body_timeout_s)),
    };
    if encoding == Encoding::Identity {
        return Ok(body);
    }
    let bounds =
        Bounds { bytes_max: limits.decompressed_bytes_max, ratio_max: limits.decompressed_ratio_max };
    let decompressed = decompress(encoding, &body.bytes, bounds)?;
    let held = budget.hold(share, decompressed.len())?;
    Ok(Body { bytes: Bytes::from(decompressed), _held: held })
}

/// How the body is compressed: one encoding, since nobody needs two.
fn encoding(request: &HttpRequest) -> Result<Encoding, Refusal> {
    let mut values = request.headers().get_all(header::CONTENT_ENCODING);
    let Some(value) = values.next() else { return Ok(Encoding::Identity) };
    let name = value.to_str().unwrap_or("not text").trim();
    match (Encoding::of(name), values.next()) {
        (Some(encoding), None) => Ok(encoding),
        (None, _) | (_, Some(_)) => Err(Refusal::ContentEncoding(quoted(name))),
    }
}

async fn whole(
    mut payload: web::Payload,
    declared: usize,
    bytes_max: usize,
    mut held: Held<'_>,
) -> Result<Body<'_>, Refusal> {
    let mut take = |bytes: &Bytes, before: usize| {
        if before + bytes.len() > bytes_max {
            return Err(Refusal::BodyTooLarge(bytes_max));
        }
        held.grow(bytes.len())
    };
    let Some(first) = next(&mut payload).await? else { return Ok(Body { bytes: Bytes::new(), _held: held }) };
    take(&first, 0)?;
    // Most bodies come in one piece, which is used as it is.
    let Some(second) = next(&mut payload).await? else { return Ok(Body { bytes: first, _held: held }) };
    // Growing would take twice the bytes; what is never sent takes none.
    let mut body = BytesMut::with_capacity(declared.max(first.len() + second.len()));
    body.extend_from_slice(&first);
    drop(first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        take(&bytes, body.len())?;
        body.extend_from_slice(&bytes);
        piece = next(&mut payload).await?;
    }
    Ok(Body { bytes: body.freeze(), _held: held })
}

async fn next(payload: &mut web::Payload) -> Result<Option<Bytes>, Refusal> {
    payload.next().await.transpose().map_err(|error| Refusal::UnreadableBody(quoted(&error.to_string())))
}

#[cfg(test)]
mod tests;
