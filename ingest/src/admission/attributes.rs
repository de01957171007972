//! Attributes of an event: bounded, those that the app keeps, without what identifies a user, URLs turned into routes.
//!
//! Nothing here knows a format. Names are those that SDKs and OpenTelemetry use for the same thing.

use std::borrow::Cow;
use std::fmt;

use schema::beacon::ATTRIBUTES_MAX;
use schema::definition::AppFile;
use schema::route::route_of;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::identity::{cleaned, is_clean, is_only_removed, names_identity, names_stack};
use super::scalar::Scalar;
use super::{Admission, identifier, shortened};

/// The attributes that a client sent, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// What an attribute's name says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Who or where the user is, their browser in full, what they typed, or a stack trace: dropped.
    Identity,
    /// A route, URL or path: the one of the highest rank becomes `route`. A route comes first, then the event's own
    /// address, then that of the page where it happened.
    Address(u8),
    /// Free text.
    Message,
    /// The session that an event happened in: an id, never cut.
    Session,
    /// Anything else.
    Other,
}

/// Names that say what they hold, beside those that identify a user; sorted.
const NAMES: [(&str, Holds); 17] = [
    ("error.message", Holds::Message),
    ("exception.message", Holds::Message),
    ("href", Holds::Address(0)),
    ("http.route", Holds::Address(11)),
    ("http.target", Holds::Address(7)),
    ("http.url", Holds::Address(9)),
    ("location", Holds::Address(1)),
    ("message", Holds::Message),
    ("page.path", Holds::Address(2)),
    ("page.url", Holds::Address(4)),
    ("page_url", Holds::Address(3)),
    ("path", Holds::Address(5)),
    ("route", Holds::Address(12)),
    ("session", Holds::Session),
    ("url", Holds::Address(8)),
    ("url.full", Holds::Address(10)),
    ("url.path", Holds::Address(6)),
];

/// Names of the glossary of events, which an app's list need not have; sorted. Free text is not among them.
const GLOSSARY: [&str; 20] = [
    "attempt",
    "error",
    "fatal",
    "frames",
    "id",
    "journey",
    "journey.name",
    "method",
    "name",
    "navigation",
    "outcome",
    "phase",
    "rating",
    "reason",
    "route",
    "session",
    "state",
    "status",
    "step",
    "type",
];

/// Name of the route that an address becomes.
const ROUTE: &str = "route";

/// For each first byte, the lengths of [`NAMES`] that begin with it, as bits: most names of events are none of them,
/// and are told by this alone.
const LENGTHS: [u32; 256] = {
    let mut lengths = [0; 256];
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].0.as_bytes();
        lengths[name[0] as usize] |= 1 << name.len();
        at += 1;
    }
    lengths
};

fn holds(name: &str) -> Holds {
    let length = name.len() as u32;
    let may_be_known = name
        .bytes()
        .next()
        .is_some_and(|first| length < u32::BITS && LENGTHS[first as usize] >> length & 1 == 1);
    if may_be_known && let Ok(at) = NAMES.binary_search_by(|(known, _)| (*known).cmp(name)) {
        return NAMES[at].1;
    }
    if names_identity(name) || names_stack(name) { Holds::Identity } else { Holds::Other }
}

/// Whether the app keeps attributes of this name.
fn is_allowed(name: &str, app: &AppFile) -> bool {
    app.attributes.as_ref().is_none_or(|allowed| {
        GLOSSARY.binary_search(&name).is_ok()
            || app.segment.as_deref() == Some(name)
            || allowed.iter().any(|known| known == name)
    })
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

    /// Keeps the first that have so many bytes together; gives the number of the others.
    pub fn keep_bytes(&mut self, mut bytes_max: usize) -> usize {
        let fits = |(name, value): &(Cow<'a, str>, Cow<'a, str>)| {
            let left = bytes_max.checked_sub(name.len() + value.len());
            bytes_max = left.unwrap_or(bytes_max);
            left.is_none()
        };
        let kept = self.0.iter().position(fits).unwrap_or(self.0.len());
        let left_out = self.0.len() - kept;
        self.0.truncate(kept);
        left_out
    }

    /// Keeps the attributes of which the closure says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// What may go to the log: bounded, sorted by name, each name once.
    pub(super) fn admit(
        mut self,
        app: &AppFile,
        admission: &mut Admission<'_>,
    ) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        if self.0.len() > ATTRIBUTES_MAX {
            self.cut(app, admission);
        }
        let mut address: Option<(u8, Cow<'a, str>)> = None;
        self.0.retain_mut(|(name, value)| {
            let kept = match holds(name) {
                Holds::Identity => {
                    admission.identities_dropped += 1;
                    false
                }
                Holds::Address(rank) => {
                    // The first one has the place, and the best one is put there.
                    let is_first = address.is_none();
                    if address.as_ref().is_none_or(|(known, _)| *known <= rank) {
                        address = Some((rank, std::mem::take(value)));
                    }
                    *name = Cow::Borrowed(ROUTE);
                    return is_first;
                }
                Holds::Message => {
                    *value = cleaned(std::mem::take(value), &app.routes);
                    true
                }
                Holds::Session => {
                    *value = identifier(std::mem::take(value));
                    true
                }
                Holds::Other => {
                    *value = cleaned(std::mem::take(value), &app.routes);
                    // A client may put an identity where a name belongs, and there is no name for what is left then.
                    let is_identity = is_only_removed(value) || !is_clean(name);
                    admission.identities_dropped += u64::from(is_identity);
                    !is_identity
                }
            };
            if kept && !is_allowed(name, app) {
                admission.attributes_not_allowed += 1;
                return false;
            }
            if kept {
                *name = shortened(std::mem::take(name), admission);
                *value = shortened(std::mem::take(value), admission);
            }
            kept && !name.is_empty()
        });
        if let Some((_, address)) = address
            && let Some((_, value)) = self.0.iter_mut().find(|(name, _)| name == ROUTE)
        {
            *value = shortened(Cow::Owned(route_of(&address, &app.routes)), admission);
        }
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

    /// No more than an event may have: what is not kept anyway takes no place, and what the glossary has comes before the rest.
    fn cut(&mut self, app: &AppFile, admission: &mut Admission<'_>) {
        self.0.retain(|(name, _)| match holds(name) {
            Holds::Identity => {
                admission.identities_dropped += 1;
                false
            }
            Holds::Address(_) => true,
            Holds::Message | Holds::Session | Holds::Other => {
                let is_allowed = is_allowed(name, app);
                admission.attributes_not_allowed += u64::from(!is_allowed);
                is_allowed
            }
        });
        let is_known = |name: &str| {
            matches!(holds(name), Holds::Address(_))
                || GLOSSARY.binary_search(&name).is_ok()
                || app.segment.as_deref() == Some(name)
        };
        let known = self.0.iter().filter(|(name, _)| is_known(name)).count();
        admission.attributes_cut += self.0.len().saturating_sub(ATTRIBUTES_MAX) as u64;
        let (mut of_known, mut of_others) = (ATTRIBUTES_MAX, ATTRIBUTES_MAX.saturating_sub(known));
        self.0.retain(|(name, _)| {
            let room = if is_known(name) { &mut of_known } else { &mut of_others };
            let has_room = *room > 0;
            *room = room.saturating_sub(1);
            has_room
        });
    }
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

    const APP: &str = "app: a\nkeys: [k]\nroutes: [\"/lectures/:lecture\"]\nsegment: grade\n";

    fn admit_to(app: &str, json: &str) -> (Vec<(String, String)>, Admission<'static>) {
        let app: AppFile = serde_yaml_ng::from_str(app).unwrap();
        let mut admission = Admission::default();
        let attributes = serde_json::from_str::<Attributes<'_>>(json).unwrap().admit(&app, &mut admission);
        (attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect(), admission)
    }

    fn admit(json: &str) -> (Vec<(String, String)>, Admission<'static>) {
        admit_to(APP, json)
    }

    fn check(json: &str, expect: &[(&str, &str)]) {
        let found = admit(json).0;
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expect, "{json}");
    }

    #[test]
    fn names_are_sorted_so_that_each_is_found() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0) && GLOSSARY.is_sorted());
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
        check(r#"{"from":"https://h/a?token=1#x"}"#, &[("from", "/a")]);
    }

    #[test]
    fn of_several_addresses_the_event_s_own_counts_in_any_order() {
        let by_rank = [
            "route",
            "http.route",
            "url.full",
            "http.url",
            "url",
            "http.target",
            "url.path",
            "path",
            "page.url",
            "page_url",
            "page.path",
            "location",
            "href",
        ];
        assert_eq!(
            NAMES.iter().filter(|(_, holds)| matches!(holds, Holds::Address(_))).count(),
            by_rank.len()
        );
        for pair in by_rank.windows(2) {
            let [own, page] = pair else { unreachable!() };
            check(&format!("{{\"{own}\":\"/own\",\"{page}\":\"/page\"}}"), &[("route", "/own")]);
            check(&format!("{{\"{page}\":\"/page\",\"{own}\":\"/own\"}}"), &[("route", "/own")]);
        }
        check(
            r#"{"url":"/a","z":"1","page.url":"/b","url":"/c","a":"1"}"#,
            &[("a", "1"), ("route", "/c"), ("z", "1")],
        );
    }

    #[test]
    fn what_identifies_a_user_is_dropped() {
        check(
            r#"{"user.id":"u-1","enduser.id":"x","email":"a@b.example","contact":"a@b.example","ip":"10.0.0.1",
                "url.query":"q=1","user_agent.original":"Mozilla","session.id":"s","grade":"jhs2","at":"3 @ x.y",
                "peer":"10.0.0.1","agent":"Mozilla/5.0 (X11)","a@b.example":"1","session":"a@b.example"}"#,
            &[("at", "3 @ x.y"), ("grade", "jhs2"), ("session", "")],
        );
        check(
            r#"{"stack":"at zoo","exception.stacktrace":"at zoo","componentStack":"at zoo","error.stack_trace":"at zoo",
                "backtrace":"at zoo","referrer":"https://h/zoo","document.referrer":"/zoo","http.referer":"/zoo","stacked":"1"}"#,
            &[("stacked", "1")],
        );
        check(
            r#"{"message":"no answer from https://h/a?user=1#t for me@b.example, sorry"}"#,
            &[("message", "no answer from /a for :mail, sorry")],
        );
        assert_eq!(
            admit(r#"{"user.id":"u-1","contact":"a@b.example","grade":"jhs2"}"#).1.identities_dropped,
            2
        );
    }

    #[test]
    fn an_app_s_list_keeps_what_is_on_it_and_what_the_glossary_has() {
        let sent = r#"{"plan":"gold","theme":"dark","email":"a@b.example","url":"https://h/a","name":"open","grade":"jhs2",
            "message":"hello"}"#;
        let kept = |list: &str| {
            let (kept, admission) = admit_to(&format!("{APP}attributes: {list}\n"), sent);
            (
                kept.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "),
                admission.attributes_not_allowed,
            )
        };
        assert_eq!(kept("[]"), ("grade name route".to_owned(), 3));
        assert_eq!(kept("[theme, message]"), ("grade message name route theme".to_owned(), 1));
        // A list does not let through what identifies a user.
        assert_eq!(kept("[email]"), ("grade name route".to_owned(), 3));
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
        // What has a meaning stays, wherever it stands, and what is dropped anyway takes no place.
        let crowded = many(ATTRIBUTES_MAX).replace('}', r#","email":"x","name":"n","grade":"g","url":"/a"}"#);
        let (kept, admission) = admit(&crowded);
        assert_eq!(kept.len(), ATTRIBUTES_MAX);
        assert_eq!((admission.attributes_cut, admission.identities_dropped), (3, 1));
        for known in ["name", "grade", "route", "a028"] {
            assert!(kept.iter().any(|(name, _)| name == known), "{known}");
        }
        let (kept, admission) = admit_to(&format!("{APP}attributes: [a031]\n"), &crowded);
        assert_eq!(
            kept.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["a031", "grade", "name", "route"]
        );
        assert_eq!((admission.attributes_cut, admission.attributes_not_allowed), (0, 31));
        let identities: Vec<_> = (0..ATTRIBUTES_MAX).map(|at| format!("\"user.{at}\":1")).collect();
        let (kept, admission) = admit(&format!("{{{},\"a\":1}}", identities.join(",")));
        assert_eq!((kept.len(), admission.attributes_cut), (1, 0));
        let (kept, admission) = admit(&format!("{{\"a\":\"{}\"}}", "x".repeat(TEXT_BYTES_MAX)));
        assert_eq!((kept[0].1.len(), admission.texts_cut), (TEXT_BYTES_MAX, 0));
        let (kept, admission) = admit(&format!("{{\"a\":\"{}\"}}", "x".repeat(TEXT_BYTES_MAX + 1)));
        assert_eq!((kept[0].1.len(), admission.texts_cut), (TEXT_BYTES_MAX, 1));
    }
}
