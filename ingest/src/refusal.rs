//! Why a request is refused, and what its client is told.
//!
//! A detail names the field or the limit. What the client sent is quoted only as far as [`QUOTED_BYTES_MAX`].

use actix_web::http::StatusCode;
use schema::beacon::EVENTS_MAX;

/// Bytes of a client's text that a refusal repeats at most.
pub const QUOTED_BYTES_MAX: usize = 80;
/// Bytes of a JSON parser's message that a refusal repeats at most.
const DETAIL_BYTES_MAX: usize = 200;

/// Why nothing of a request was accepted. Its text is the `detail` of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is no JSON.
    #[error("the body is not JSON: {0}")]
    InvalidJson(String),
    /// The body is JSON of another shape.
    #[error("the body has not the shape of this format: {0}")]
    InvalidBody(String),
    /// A field that the format needs is not there.
    #[error("field `{0}` is missing")]
    MissingField(&'static str),
    /// A rate that would give no weight, or a forged one.
    #[error(
        "field `sample_rate` is {rate}, want more than 0 and at most 1, and no less than 1 in {weight_max}"
    )]
    InvalidSampleRate {
        /// What was sent.
        rate: String,
        /// Largest weight.
        weight_max: u32,
    },
    /// The body ended early, or its transfer encoding is damaged.
    #[error("the body could not be read: {0}")]
    UnreadableBody(String),
    /// The body does not decompress.
    #[error("the body is not valid {0}")]
    UndecodableBody(&'static str),
    /// No key in header, query or body.
    #[error("no write key: send it in header `x-api-key`, query parameter `key` or body field `key`")]
    NoKey,
    /// No app has this key.
    #[error("no app has this write key")]
    WrongKey,
    /// The app does not list the origin.
    #[error("origin `{0}` is not allowed for this write key")]
    ForeignOrigin(String),
    /// No app lists the origin of a preflight.
    #[error("origin `{0}` is not allowed for any app")]
    UnknownOrigin(String),
    /// The client did not send its body in time.
    #[error("the body was not complete after {0} s")]
    BodyTimeout(u64),
    /// More bytes than the limit.
    #[error("the body has more than {0} bytes")]
    BodyTooLarge(usize),
    /// More bytes than the limit once decompressed.
    #[error("the decompressed body has more than {0} bytes")]
    DecompressedTooLarge(usize),
    /// Far more bytes than there were compressed.
    #[error("the decompressed body has more than {0} times the bytes of the body")]
    RatioTooLarge(usize),
    /// More events than a beacon may hold.
    #[error("the body has {0} events, more than {EVENTS_MAX}")]
    TooManyEvents(usize),
    /// More resources, scopes and records than a request of OTLP may hold.
    #[error("the body has more than {0} resources, scopes and records")]
    TooManyNodes(usize),
    /// The broker's own limit of a record.
    #[error("the beacon is larger than a record on the log may be")]
    RecordTooLarge,
    /// A content type that this format does not come in.
    #[error("content type `{found}` is not accepted, want {wanted}")]
    ContentType {
        /// What was sent.
        found: String,
        /// What the format comes in.
        wanted: String,
    },
    /// A content encoding that is not decoded here.
    #[error("content encoding `{0}` is not accepted, want one of gzip, deflate, br, zstd and identity")]
    ContentEncoding(String),
    /// More requests in a short time than are allowed.
    #[error("too many requests {of}: the next is taken after {retry_after_s} s")]
    TooManyRequests {
        /// Whose.
        of: &'static str,
        /// When the next one is taken, s.
        retry_after_s: u64,
    },
    /// All bodies that are held at the same time have more bytes than the limit.
    #[error("bodies of more than {0} bytes are being received at the same time")]
    TooManyBodies(usize),
    /// The log did not confirm in time, or could not take more.
    #[error("the beacon could not be made durable: {0}")]
    NotDurable(&'static str),
}

impl Refusal {
    /// Status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidJson(_)
            | Self::InvalidBody(_)
            | Self::MissingField(_)
            | Self::InvalidSampleRate { .. }
            | Self::UnreadableBody(_)
            | Self::UndecodableBody(_) => StatusCode::BAD_REQUEST,
            Self::NoKey | Self::WrongKey => StatusCode::UNAUTHORIZED,
            Self::ForeignOrigin(_) | Self::UnknownOrigin(_) => StatusCode::FORBIDDEN,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge(_)
            | Self::DecompressedTooLarge(_)
            | Self::RatioTooLarge(_)
            | Self::TooManyEvents(_)
            | Self::TooManyNodes(_)
            | Self::RecordTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContentType { .. } | Self::ContentEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooManyBodies(_) | Self::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Name of the cause, the `error` of the answer.
    pub fn error(&self) -> &'static str {
        match self {
            Self::InvalidJson(_) => "invalid_json",
            Self::InvalidBody(_) => "invalid_body",
            Self::MissingField(_) => "missing_field",
            Self::InvalidSampleRate { .. } => "invalid_sample_rate",
            Self::UnreadableBody(_) => "unreadable_body",
            Self::UndecodableBody(_) => "undecodable_body",
            Self::NoKey => "no_key",
            Self::WrongKey => "wrong_key",
            Self::ForeignOrigin(_) | Self::UnknownOrigin(_) => "foreign_origin",
            Self::BodyTimeout(_) => "body_timeout",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::DecompressedTooLarge(_) => "decompressed_too_large",
            Self::RatioTooLarge(_) => "ratio_too_large",
            Self::TooManyEvents(_) | Self::TooManyNodes(_) => "too_many_events",
            Self::RecordTooLarge => "record_too_large",
            Self::ContentType { .. } => "unsupported_content_type",
            Self::ContentEncoding(_) => "unsupported_content_encoding",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::TooManyBodies(_) => "overloaded",
            Self::NotDurable(_) => "not_durable",
        }
    }

    /// A JSON parser's complaint.
    pub fn of_json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let detail = text[..text.floor_char_boundary(DETAIL_BYTES_MAX)].to_owned();
        if error.is_data() { Self::InvalidBody(detail) } else { Self::InvalidJson(detail) }
    }
}

/// As much of a client's text as a refusal may repeat, without control characters.
pub fn quoted(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(QUOTED_BYTES_MAX)];
    text.chars().map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_is_not_repeated_without_bound() {
        let long = format!("{:?}", "ü".repeat(5_000));
        let error = serde_json::from_str::<u8>(&long).unwrap_err();
        assert!(Refusal::of_json(&error).to_string().len() < DETAIL_BYTES_MAX + 100);
        assert_eq!(quoted(&"x".repeat(500)).len(), QUOTED_BYTES_MAX);
        assert_eq!(quoted("a\r\nset-cookie: b\u{1b}[2J"), "a\u{fffd}\u{fffd}set-cookie: b\u{fffd}[2J");
    }

    #[test]
    fn syntax_and_shape_have_different_names() {
        let error = |json: &str| Refusal::of_json(&serde_json::from_str::<u8>(json).unwrap_err()).error();
        assert_eq!(error("NaN"), "invalid_json");
        assert_eq!(error("{"), "invalid_body");
        assert_eq!(error("[1"), "invalid_body");
        assert_eq!(error(""), "invalid_json");
    }
}
