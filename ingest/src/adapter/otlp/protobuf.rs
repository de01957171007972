//! Reading and writing protocol buffers as far as OTLP needs it: <https://protobuf.dev/programming-guides/encoding/>.
//!
//! Generated code would own every text and build the whole message before anything could be counted. This borrows from
//! the body, skips what it does not know, and descends no deeper than its caller asks.

use std::borrow::Cow;

use crate::admission::attributes::Attributes;
use crate::admission::scalar::Scalar;

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// The fields of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// The value of a field, by its wire type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Number and value of the next field; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        if tag >> 3 == 0 || tag > u64::from(u32::MAX) {
            return Err(Malformed("a field has no valid number"));
        }
        let value = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed("a field has a wire type that is not used")),
        };
        Ok(Some((tag >> 3, value)))
    }

    /// Adds the keys and values in the list `number`.
    pub(crate) fn attributes(mut self, number: u64, to: &mut Attributes<'a>) -> Result<(), Malformed> {
        while let Some((found, value)) = self.next()? {
            if found == number {
                value.message()?.key_value(to)?;
            }
        }
        Ok(())
    }

    /// Adds this `KeyValue` where its value is a scalar.
    pub(crate) fn key_value(mut self, to: &mut Attributes<'a>) -> Result<(), Malformed> {
        let (mut key, mut scalar) = ("", Scalar::Null);
        while let Some((number, value)) = self.next()? {
            match number {
                1 => key = value.text()?,
                2 => scalar = value.message()?.scalar_of_value()?,
                _ => {}
            }
        }
        if let Some(text) = scalar.into_text() {
            to.push(key, text);
        }
        Ok(())
    }

    /// Adds the fields of this `AnyValue` where it is a list of keys and values.
    pub(crate) fn fields_of_value(mut self, to: &mut Attributes<'a>) -> Result<(), Malformed> {
        while let Some((number, value)) = self.next()? {
            if number == 6 {
                value.message()?.attributes(1, to)?;
            }
        }
        Ok(())
    }

    fn scalar_of_value(mut self) -> Result<Scalar<'a>, Malformed> {
        let mut scalar = Scalar::Null;
        while let Some((number, value)) = self.next()? {
            scalar = match (number, value) {
                (1, value) => Scalar::Text(Cow::Borrowed(value.text()?)),
                (2, Field::Varint(flag)) => Scalar::Flag(flag != 0),
                (3, Field::Varint(whole)) => Scalar::Whole(whole as i64),
                (4, Field::Fixed64(bits)) => Scalar::Number(f64::from_bits(bits)),
                _ => Scalar::Nested,
            };
        }
        Ok(scalar)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(Malformed("a number does not end"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed("a field is cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed("a field is cut off"))?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'a> Field<'a> {
    /// As a message within this one.
    pub(crate) fn message(self) -> Result<Reader<'a>, Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(Reader::new(bytes)),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32(_) => Err(Malformed("a message is expected")),
        }
    }

    /// As text.
    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8")),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32(_) => Err(Malformed("a text is expected")),
        }
    }

    /// As a whole number.
    pub(crate) fn number(self) -> Result<Scalar<'a>, Malformed> {
        match self {
            Self::Varint(number) | Self::Fixed64(number) => Ok(Scalar::Whole(number as i64)),
            Self::Fixed32(number) => Ok(Scalar::Whole(i64::from(number))),
            Self::Bytes(_) => Err(Malformed("a number is expected")),
        }
    }
}

/// Writes a number field; nothing where it is 0, as proto3 wants it.
pub(crate) fn write_number(number: u8, value: u64, to: &mut Vec<u8>) {
    if value > 0 {
        to.push(number << 3);
        write_varint(value, to);
    }
}

/// Writes a field of bytes: a text or a message.
pub(crate) fn write_bytes(number: u8, bytes: &[u8], to: &mut Vec<u8>) {
    to.push(number << 3 | 2);
    write_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

fn write_varint(mut value: u64, to: &mut Vec<u8>) {
    while value > 0x7f {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
