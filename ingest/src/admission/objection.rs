//! What follows when a user objects by a setting of the browser, as the app's file says.
//!
//! Do Not Track (<https://www.w3.org/TR/tracking-dnt/>) and Global Privacy Control (<https://w3c.github.io/gpc/>) are headers of
//! the request, so this is the same for every format. What is dropped still stands in `sli.quality` as a number of events,
//! so that a reader knows of how many users the numbers tell.

use std::borrow::Cow;

use schema::beacon::Beacon;
use schema::definition::{AppFile, Objection};

use super::{Admission, Admitted, Request, content_id, reason};

/// Attribute that names another session.
const SESSION: &str = "session";
/// Attributes by which events refer to each other: an attempt, a page, a metric of it.
const LINKS: [&str; 3] = ["attempt", "id", "navigation"];

/// What a user objects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Objections {
    /// `DNT: 1`.
    pub do_not_track: bool,
    /// `Sec-GPC: 1`.
    pub global_privacy_control: bool,
}

impl Objections {
    /// Takes note of a header; `name` is in lower case.
    pub fn note(&mut self, name: &str, value: &[u8]) {
        match name {
            "dnt" => self.do_not_track = value.trim_ascii() == b"1",
            "sec-gpc" => self.global_privacy_control = value.trim_ascii() == b"1",
            _ => {}
        }
    }

    fn any(self) -> bool {
        self.do_not_track || self.global_privacy_control
    }
}

/// Does with each beacon what its app says; where both settings say something, the stricter counts.
pub(crate) fn honour(request: &Request<'_>, admission: &mut Admission<'_>) {
    if !request.objections.any() {
        return;
    }
    for (place, admitted) in admission.admitted.iter_mut().enumerate() {
        let Some(app) = request.apps.named(&admitted.beacon.app) else { continue };
        let said = |is_set: bool, objection: Objection| if is_set { objection } else { Objection::Ignore };
        let control = said(request.objections.global_privacy_control, app.global_privacy_control);
        let tracking = said(request.objections.do_not_track, app.do_not_track);
        match control.max(tracking) {
            Objection::Ignore => {}
            Objection::Anonymous => {
                admission.sessions_dropped += 1;
                make_anonymous(admitted, app, request.arrival);
            }
            Objection::Drop => {
                let reason =
                    if control >= tracking { reason::GLOBAL_PRIVACY_CONTROL } else { reason::DO_NOT_TRACK };
                // It is the hash of nothing that the client sent.
                let id = content_id("", format!("{} {place}", request.arrival).as_bytes());
                admitted.beacon = emptied(&admitted.beacon, id, reason);
                admitted.kafka_key = admitted.beacon.id.clone();
            }
        }
    }
}

/// What refers to something is replaced by a hash that only this request has, so that its events still meet, and no other's.
fn make_anonymous(admitted: &mut Admitted<'_>, app: &AppFile, arrival: u64) {
    let beacon = &mut admitted.beacon;
    let salt = arrival.to_string();
    beacon.id = Cow::Owned(content_id(&salt, beacon.id.as_bytes()));
    admitted.kafka_key = beacon.id.clone();
    beacon.sequence = None;
    for said in [&mut beacon.session, &mut beacon.segment, &mut beacon.country] {
        *said = Cow::Borrowed("");
    }
    for event in &mut beacon.events {
        event.attributes.retain(|(name, _)| name != SESSION && app.segment.as_deref() != Some(name));
        for (_, value) in event.attributes.iter_mut().filter(|(name, _)| LINKS.contains(&name.as_ref())) {
            *value = Cow::Owned(content_id(&salt, value.as_bytes()));
        }
    }
}

/// A beacon that says of which app it was and how many events it had.
fn emptied<'a>(beacon: &Beacon<'a>, id: String, reason: &'static str) -> Beacon<'a> {
    let mut rejected = beacon.rejected.clone();
    let events = u32::try_from(beacon.events.len()).unwrap_or(u32::MAX);
    let place =
        rejected.binary_search_by(|(known, _)| known.as_ref().cmp(reason)).unwrap_or_else(|place| place);
    rejected.insert(place, (Cow::Borrowed(reason), events));
    let empty = || Cow::Borrowed("");
    Beacon {
        id: Cow::Owned(id),
        app: beacon.app.clone(),
        environment: beacon.environment.clone(),
        session: empty(),
        sequence: None,
        release: empty(),
        platform: beacon.platform.clone(),
        os: empty(),
        browser: empty(),
        device_class: empty(),
        country: empty(),
        connection: empty(),
        segment: empty(),
        received_at_ms: beacon.received_at_ms,
        sent_at_ms: None,
        bot: beacon.bot,
        weight: beacon.weight,
        events: Vec::new(),
        rejected,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::adapter::Format;
    use crate::adapter::fixture::{client, request};
    use crate::admission::Notation;
    use crate::apps::Apps;

    const BODY: &[u8] = br#"{"key":"k","id":"b-7","session":"s-7","sequence":4,"release":"7.1","segment":"gold","events":[
        {"name":"user.action","attributes":{"name":"open"}},{"name":"app.crash","attributes":{"session":"s-6"}},{"name":""}]}"#;

    /// Session, segment, release, key, number of events and reasons of each beacon, and how many sessions were dropped.
    fn admitted(app: &str, do_not_track: bool, global_privacy_control: bool) -> (Vec<String>, u64) {
        let app = format!("app: a\nkeys: [k]\n{app}");
        let apps = Apps::new(vec![("a.yaml".into(), serde_yaml_ng::from_str(&app).unwrap())]).unwrap();
        let client = client();
        let objections = Objections { do_not_track, global_privacy_control };
        let request = Request { objections, country: "GH", ..request(BODY, &apps, &client) };
        let admission = Format::Native.adapt(&request).unwrap();
        let lines = admission.admitted.iter().map(|Admitted { beacon, kafka_key }| {
            let Beacon { session, segment, release, country, events, rejected, .. } = beacon;
            let key = if *kafka_key == beacon.id { "by id" } else { kafka_key };
            let named = events.iter().any(|event| event.attribute(SESSION).is_some());
            format!("{session} {segment} {release} {country} {key} {} {named} {rejected:?}", events.len())
        });
        (lines.collect(), admission.sessions_dropped)
    }

    #[test]
    fn an_app_decides_what_follows_and_the_stricter_counts() {
        let whole = [r#"s-7 gold 7.1 GH s-7 1 false [("missing_name", 1)]"#, "s-6 gold 7.1 GH s-6 1 true []"];
        assert_eq!(admitted("", true, true), (whole.map(str::to_owned).to_vec(), 0));
        assert_eq!(admitted("do_not_track: drop\nglobal_privacy_control: drop\n", false, false).0, whole);
        assert_eq!(admitted("do_not_track: drop\n", false, true).0, whole);

        let anonymous = [r#"  7.1  by id 1 false [("missing_name", 1)]"#, "  7.1  by id 1 false []"];
        assert_eq!(
            admitted("do_not_track: anonymous\n", true, false),
            (anonymous.map(str::to_owned).to_vec(), 2)
        );

        let dropped = |reason: &str| {
            let lines = [
                format!("    by id 0 false [(\"{reason}\", 1), (\"missing_name\", 1)]"),
                format!("    by id 0 false [(\"{reason}\", 1)]"),
            ];
            (lines.to_vec(), 0)
        };
        assert_eq!(admitted("do_not_track: drop\n", true, false), dropped("do_not_track"));
        assert_eq!(
            admitted("do_not_track: anonymous\nglobal_privacy_control: drop\n", true, true),
            dropped("global_privacy_control")
        );
        assert_eq!(
            admitted("do_not_track: drop\nglobal_privacy_control: anonymous\n", true, true),
            dropped("do_not_track")
        );
    }

    /// Texts of an anonymous request by which it could be known again, and those of its events' attributes of a name.
    fn texts_of(
        format: Format,
        body: &str,
        arrival: u64,
    ) -> (BTreeSet<String>, impl Fn(&str) -> Vec<String> + use<>) {
        let app = "app: a\nkeys: [k]\nsegment: plan\ndo_not_track: anonymous\n";
        let apps = Apps::new(vec![("a.yaml".into(), serde_yaml_ng::from_str(app).unwrap())]).unwrap();
        let client = client();
        let objections = Objections { do_not_track: true, global_privacy_control: false };
        let request = Request {
            write_key: Some("k"),
            objections,
            country: "GH",
            arrival,
            notation: if format == Format::Boomerang { Notation::Form } else { Notation::Json },
            ..request(body.as_bytes(), &apps, &client)
        };
        let admission = format.adapt(&request).unwrap();
        let (mut texts, mut attributes) = (BTreeSet::new(), Vec::new());
        for Admitted { beacon, kafka_key } in &admission.admitted {
            assert!(!beacon.events.is_empty());
            texts.extend(
                [&beacon.id, &beacon.session, &beacon.segment, &beacon.country, kafka_key]
                    .map(|text| text.to_string()),
            );
            for (name, value) in beacon.events.iter().flat_map(|event| &event.attributes) {
                if !["name", "route", "type", "journey", "outcome", "rating"].contains(&name.as_ref()) {
                    texts.insert(value.to_string());
                }
                attributes.push((name.to_string(), value.to_string()));
            }
        }
        texts.remove("");
        let of_name = move |name: &str| {
            attributes.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
        };
        (texts, of_name)
    }

    #[test]
    fn two_anonymous_beacons_of_a_page_share_nothing() {
        let native = r##"{"id":"s-7-#","session":"s-7","sequence":7,"events":[
            {"name":"journey.start","attributes":{"journey":"pay","attempt":"a-7","plan":"gold"}},
            {"name":"journey.end","attributes":{"journey":"pay","attempt":"a-7","outcome":"success"}}]}"##;
        let boomerang = "rt.si=s-7&pid=p-7&n=#&u=/a&rt.start=navigation&t_done=7&pt.lcp=5&rt.end=1000";
        let vitals = r##"[{"name":"LCP","value":#,"id":"v-7"},{"name":"CLS","value":0.1,"id":"v-8"}]"##;
        let faro = r##"{"meta":{"session":{"id":"s-7"}},
            "events":[{"name":"faro.performance.navigation","timestamp":"2026-11-23T03:47:05.591Z",
                "attributes":{"name":"https://h/a","duration":"#","faroNavigationId":"n-7"}}],
            "measurements":[{"type":"web-vitals","values":{"lcp":12},"timestamp":"2026-11-23T03:47:05.591Z",
                "context":{"id":"v-7","navigation_entry_id":"n-7"}}]}"##;
        for (format, body) in [
            (Format::Native, native),
            (Format::Boomerang, boomerang),
            (Format::WebVitals, vitals),
            (Format::Faro, faro),
        ] {
            for (first, second) in [("1", "2"), ("1", "1")] {
                let (one, of_one) = texts_of(format, &body.replace('#', first), 7);
                let (other, _) = texts_of(format, &body.replace('#', second), 8);
                assert!(!one.is_empty() && one.is_disjoint(&other), "{format:?}: {one:?} and {other:?}");
                assert!(
                    one.iter().chain(&other).all(|text| !text.contains("-7") && text != "gold"),
                    "{one:?}"
                );
                let attempts = of_one("attempt");
                assert!(attempts.iter().all(|attempt| *attempt == attempts[0]), "{attempts:?}");
                let pages = of_one("navigation");
                assert!(pages.iter().all(|page| of_one("id").contains(page)), "{pages:?}");
            }
        }
    }

    #[test]
    fn only_1_is_an_objection() {
        for (value, expect) in
            [("1", true), (" 1 ", true), ("0", false), ("", false), ("true", false), ("11", false)]
        {
            let mut read = Objections::default();
            read.note("dnt", value.as_bytes());
            assert_eq!(read, Objections { do_not_track: expect, global_privacy_control: false }, "{value}");
            read.note("sec-gpc", b"1");
            read.note("dnt-other", b"1");
            assert_eq!(read, Objections { do_not_track: expect, global_privacy_control: true }, "{value}");
        }
    }
}
