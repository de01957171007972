//! A JSON array of which no more is kept than a beacon may hold: `{},` is three bytes of a body and some hundred of
//! memory.

use std::fmt;
use std::marker::PhantomData;

use schema::beacon::EVENTS_MAX;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::refusal::Refusal;

/// The elements of an array up to [`EVENTS_MAX`], and how many were sent; none where there is `null`.
#[derive(Debug)]
pub struct List<T> {
    elements: Vec<T>,
    sent: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { elements: Vec::new(), sent: 0 }
    }
}

impl<T> List<T> {
    /// A list of one.
    pub fn of(element: T) -> Self {
        Self { elements: vec![element], sent: 1 }
    }

    /// How many were sent.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// The elements.
    ///
    /// # Errors
    /// When more were sent than were kept.
    pub fn whole(self) -> Result<Vec<T>, Refusal> {
        super::check_event_count(self.sent)?;
        Ok(self.elements)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(List::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = List::default();
                while list.sent < EVENTS_MAX {
                    let Some(element) = seq.next_element()? else { return Ok(list) };
                    list.elements.push(element);
                    list.sent += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    list.sent += 1;
                }
                Ok(list)
            }
        }

        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_not_kept() {
        let read = |count: usize| {
            let text = format!("[{}]", vec!["7"; count].join(","));
            serde_json::from_str::<List<u8>>(&text).unwrap()
        };
        assert_eq!(read(EVENTS_MAX).whole().unwrap().len(), EVENTS_MAX);
        let more = read(EVENTS_MAX + 7);
        assert_eq!((more.elements.len(), more.sent()), (EVENTS_MAX, EVENTS_MAX + 7));
        assert_eq!(more.whole(), Err(Refusal::TooManyEvents(EVENTS_MAX + 7)));
        assert!(serde_json::from_str::<List<u8>>("null").unwrap().whole().unwrap().is_empty());
        assert!(serde_json::from_str::<List<u8>>("{}").is_err());
    }
}
