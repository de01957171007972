//! Attributes of an event: bounded, without what identifies a user, URLs turned into routes.
//!
//! Nothing here knows a format. Names are those that SDKs and OpenTelemetry use for the same thing.

use std::borrow::Cow;
use std::fmt;

use schema::beacon::ATTRIBUTES_MAX;
use schema::route::{Template, route_of};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::scalar::Scalar;
use super::{Admission, cut, identifier};

/// The attributes that a client sent, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// What an attribute's name says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Who or where the user is, their browser in full, or what they typed: dropped.
    Identity,
    /// A URL or path: becomes `route`.
    Address,
    /// A route already.
    Route,
    /// Free text in which URLs may stand.
    Message,
    /// The session that an event happened in: an id, never cut.
    Session,
    /// Anything else.
    Other,
}

/// Names that say what they hold, sorted: every attribute of every event is looked up here.
const NAMES: [(&str, Holds); 54] = [
    ("authorization", Holds::Identity),
    ("client.address", Holds::Identity),
    ("client.ip", Holds::Identity),
    ("client_ip", Holds::Identity),
    ("cookie", Holds::Identity),
    ("device.id", Holds::Identity),
    ("deviceId", Holds::Identity),
    ("device_id", Holds::Identity),
    ("e-mail", Holds::Identity),
    ("email", Holds::Identity),
    ("error.message", Holds::Message),
    ("exception.message", Holds::Message),
    ("href", Holds::Address),
    ("http.client_ip", Holds::Identity),
    ("http.route", Holds::Route),
    ("http.target", Holds::Address),
    ("http.url", Holds::Address),
    ("http.user_agent", Holds::Identity),
    ("ip", Holds::Identity),
    ("ip_address", Holds::Identity),
    ("location", Holds::Address),
    ("mail", Holds::Identity),
    ("message", Holds::Message),
    ("net.peer.ip", Holds::Identity),
    ("page.path", Holds::Address),
    ("page.url", Holds::Address),
    ("page_url", Holds::Address),
    ("password", Holds::Identity),
    ("path", Holds::Address),
    ("phone", Holds::Identity),
    ("query", Holds::Identity),
    ("route", Holds::Route),
    ("session", Holds::Session),
    ("session.id", Holds::Identity),
    ("session.previous_id", Holds::Identity),
    ("token", Holds::Identity),
    ("uid", Holds::Identity),
    ("url", Holds::Address),
    ("url.fragment", Holds::Identity),
    ("url.full", Holds::Address),
    ("url.path", Holds::Address),
    ("url.query", Holds::Identity),
    ("user", Holds::Identity),
    ("userAgent", Holds::Identity),
    ("userEmail", Holds::Identity),
    ("userId", Holds::Identity),
    ("userName", Holds::Identity),
    ("user_agent", Holds::Identity),
    ("user_agent.original", Holds::Identity),
    ("user_email", Holds::Identity),
    ("user_id", Holds::Identity),
    ("user_name", Holds::Identity),
    ("userid", Holds::Identity),
    ("username", Holds::Identity),
];

/// Beginnings of names that identify a user.
const IDENTITY_PREFIXES: [&str; 3] = ["user.", "enduser.", "http.request.header."];

/// For each first byte, the lengths of the names that begin with it, as bits: most names of events are none of them,
/// and are told by this alone.
const LENGTHS: [u64; 256] = {
    let mut lengths = [0; 256];
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].0.as_bytes();
        lengths[name[0] as usize] |= 1 << name.len();
        at += 1;
    }
    lengths
};

fn may_be_known(name: &str) -> bool {
    let length = name.len() as u32;
    name.bytes().next().is_some_and(|first| length < u64::BITS && LENGTHS[first as usize] >> length & 1 == 1)
}

fn holds(name: &str) -> Holds {
    if !may_be_known(name) {
        return if has_identity_prefix(name) { Holds::Identity } else { Holds::Other };
    }
    match NAMES.binary_search_by(|(known, _)| (*known).cmp(name)) {
        Ok(at) => NAMES[at].1,
        Err(_) if has_identity_prefix(name) => Holds::Identity,
        Err(_) => Holds::Other,
    }
}

fn has_identity_prefix(name: &str) -> bool {
    IDENTITY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a text holds a URL, without the set-up of a substring search: most texts are short and have no colon.
fn has_url(text: &str) -> bool {
    text.bytes().enumerate().any(|(at, byte)| byte == b':' && text.as_bytes()[at..].starts_with(b"://"))
}

impl<'a> Attributes<'a> {
    /// Adds one; the last of a name counts.
    pub fn push(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds one unless it is empty.
    pub fn push_known(&mut self, name: &'static str, value: Cow<'a, str>) {
        if !value.is_empty() {
            self.0.push((Cow::Borrowed(name), value));
        }
    }

    /// The last value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// Removes a name and gives its last value.
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.0.iter().rposition(|(known, _)| known == name)?;
        let (_, value) = self.0.remove(at);
        self.0.retain(|(known, _)| known != name);
        Some(value)
    }

    /// Room for about this many.
    pub fn with_capacity(attributes: usize) -> Self {
        Self(Vec::with_capacity(attributes))
    }

    /// Adds those of `other` after these.
    pub fn extend(&mut self, other: Self) {
        if self.0.is_empty() { self.0 = other.0 } else { self.0.extend(other.0) }
    }

    /// Keeps the attributes of which the closure says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// What may go to the log: bounded, sorted by name, each name once.
    pub(super) fn admit(
        mut self,
        templates: &[Template],
        admission: &mut Admission<'_>,
    ) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        let sent = self.0.len();
        if sent > ATTRIBUTES_MAX {
            admission.attributes_cut += (sent - ATTRIBUTES_MAX) as u64;
            self.0.truncate(ATTRIBUTES_MAX);
        }
        let has_route = self.0.iter().any(|(name, _)| name == "route" || name == "http.route");
        self.0.retain_mut(|(name, value)| {
            let kept = match holds(name) {
                Holds::Identity => {
                    admission.identities_dropped += 1;
                    false
                }
                Holds::Address if has_route => false,
                Holds::Address | Holds::Route => {
                    *name = Cow::Borrowed("route");
                    *value = Cow::Owned(route_of(value, templates));
                    true
                }
                Holds::Message => {
                    if has_url(value) || value.contains('@') {
                        *value = Cow::Owned(without_addresses(value));
                    }
                    true
                }
                Holds::Session => {
                    *value = identifier(std::mem::take(value));
                    true
                }
                Holds::Other => {
                    if has_url(value) {
                        *value = Cow::Owned(route_of(value, templates));
                    }
                    let is_mail = is_mail_address(value);
                    admission.identities_dropped += u64::from(is_mail);
                    !is_mail
                }
            };
            if kept {
                *name = cut(std::mem::take(name), admission);
                *value = cut(std::mem::take(value), admission);
            }
            kept && !name.is_empty()
        });
        // The sort is stable and the last of equal names is to count: it takes the place of the one before.
        if !self.0.is_sorted_by(|a, b| a.0 < b.0) {
            self.0.sort_by(|a, b| a.0.cmp(&b.0));
        }
        self.0.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        self.0
    }
}

fn is_mail_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.contains('.') && !text.contains(char::is_whitespace)
    })
}

/// A message whose URLs have lost their query and fragment, and whose mail addresses are gone.
fn without_addresses(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for (at, word) in message.split(' ').enumerate() {
        if at > 0 {
            text.push(' ');
        }
        if has_url(word) {
            text.push_str(word.split(['?', '#']).next().unwrap_or_default());
        } else if is_mail_address(word) {
            text.push_str(":mail");
        } else {
            text.push_str(word);
        }
    }
    text
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    /// A JSON object; nested values have no text and are left out.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AttributesVisitor;

        impl<'de> Visitor<'de> for AttributesVisitor {
            type Value = Attributes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of attributes")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Attributes::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut attributes = Vec::with_capacity(map.size_hint().unwrap_or(4).min(ATTRIBUTES_MAX));
                while let Some((name, value)) = map.next_entry::<Scalar<'de>, Scalar<'de>>()? {
                    if let (Some(name), Some(value)) = (name.into_text(), value.into_text()) {
                        attributes.push((name, value));
                    }
                }
                Ok(Attributes(attributes))
            }
        }

        deserializer.deserialize_any(AttributesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::beacon::TEXT_BYTES_MAX;

    fn admit(json: &str) -> (Vec<(String, String)>, Admission<'static>) {
        let templates = [Template::try_from("/lectures/:lecture".to_owned()).unwrap()];
        let mut admission = Admission::default();
        let attributes =
            serde_json::from_str::<Attributes<'_>>(json).unwrap().admit(&templates, &mut admission);
        (attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect(), admission)
    }

    fn check(json: &str, expect: &[(&str, &str)]) {
        let found = admit(json).0;
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expect, "{json}");
    }

    #[test]
    fn names_are_sorted_so_that_each_is_found() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        for (name, holds_it) in NAMES {
            assert_eq!(holds(name), holds_it, "{name}");
            assert_eq!(holds(&format!("{name}~")), Holds::Other, "{name}");
        }
        assert_eq!(holds("user.anything"), Holds::Identity);
        assert_eq!(holds(&"u".repeat(300)), Holds::Other);
        assert_eq!(holds(""), Holds::Other);
    }

    #[test]
    fn attributes_are_sorted_and_the_last_of_a_name_counts() {
        check(r#"{"b":1,"a":true,"b":"x","":"y","c":[1],"d":null}"#, &[("a", "true"), ("b", "x")]);
    }

    #[test]
    fn addresses_become_routes() {
        check(r#"{"url.full":"https://h/lectures/intro?u=1"}"#, &[("route", "/lectures/:lecture")]);
        check(r#"{"http.url":"https://h/u/12345678/x"}"#, &[("route", "/u/:id/x")]);
        check(r#"{"url":"/ignored","route":"/lectures/7"}"#, &[("route", "/lectures/:lecture")]);
        check(r#"{"referrer":"https://h/a?token=1#x"}"#, &[("referrer", "/a")]);
    }

    #[test]
    fn what_identifies_a_user_is_dropped() {
        check(
            r#"{"user.id":"u-1","enduser.id":"x","email":"a@b.example","contact":"a@b.example","ip":"10.0.0.1",
                "url.query":"q=1","user_agent.original":"Mozilla","session.id":"s","grade":"jhs2","at":"3 @ x.y"}"#,
            &[("at", "3 @ x.y"), ("grade", "jhs2")],
        );
        check(
            r#"{"message":"no answer from https://h/a?user=1#t for me@b.example, sorry"}"#,
            &[("message", "no answer from https://h/a for :mail sorry")],
        );
    }

    #[test]
    fn what_is_too_much_is_cut_and_counted() {
        let many = |count: usize| {
            let fields: Vec<_> = (0..count).map(|at| format!("\"a{at:03}\":1")).collect();
            format!("{{{}}}", fields.join(","))
        };
        let (kept, admission) = admit(&many(ATTRIBUTES_MAX));
        assert_eq!((kept.len(), admission.attributes_cut), (ATTRIBUTES_MAX, 0));
        let (kept, admission) = admit(&many(ATTRIBUTES_MAX + 3));
        assert_eq!((kept.len(), admission.attributes_cut), (ATTRIBUTES_MAX, 3));
        let (kept, admission) = admit(&format!("{{\"a\":\"{}\"}}", "x".repeat(TEXT_BYTES_MAX)));
        assert_eq!((kept[0].1.len(), admission.texts_cut), (TEXT_BYTES_MAX, 0));
        let (kept, admission) = admit(&format!("{{\"a\":\"{}\"}}", "x".repeat(TEXT_BYTES_MAX + 1)));
        assert_eq!((kept[0].1.len(), admission.texts_cut), (TEXT_BYTES_MAX, 1));
    }
}
