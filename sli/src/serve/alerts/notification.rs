//! What a receiver is told, and when: a function of what it was told before and what burns now.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// Version of the format that is sent.
const VERSION: &str = "4";
/// How Alertmanager says that something has not ended.
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";

/// Alerts that are told together: those of one journey.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Group {
    pub(super) app: String,
    pub(super) journey: String,
}

/// What burns: labels say which it is, annotations what to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) labels: BTreeMap<&'static str, String>,
    pub(super) annotations: BTreeMap<&'static str, String>,
}

impl Alert {
    /// The label of this name, empty without one.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The same labels, the same fingerprint.
    fn fingerprint(&self) -> String {
        let text: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}\0{value}")).collect();
        format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.join("\0").as_bytes()))
    }
}

/// What a receiver knows of a journey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// What burns, by fingerprint, and since when.
    firing: BTreeMap<String, (Alert, Timestamp)>,
    at: Timestamp,
}

impl Sent {
    /// Whether nothing burns any more.
    pub(super) fn is_over(&self) -> bool {
        self.firing.is_empty()
    }
}

/// The body of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notification {
    version: &'static str,
    group_key: String,
    truncated_alerts: u32,
    status: &'static str,
    receiver: &'static str,
    group_labels: Group,
    common_labels: BTreeMap<&'static str, String>,
    common_annotations: BTreeMap<&'static str, String>,
    #[serde(rename = "externalURL")]
    external_url: &'static str,
    alerts: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    status: &'static str,
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'static str,
    fingerprint: String,
}

/// What `group`'s receiver is to be told, with what it then knows; `None` while it knows enough.
pub(super) fn notification(
    group: &Group,
    before: Option<&Sent>,
    burning: &[Alert],
    now: Timestamp,
    repeat: Duration,
) -> Option<(Notification, Sent)> {
    let nothing = BTreeMap::new();
    let known = before.map_or(&nothing, |sent| &sent.firing);
    let since = |fingerprint: &String| known.get(fingerprint).map_or(now, |(_, since)| *since);
    let firing: BTreeMap<_, _> = burning
        .iter()
        .map(|alert| {
            let fingerprint = alert.fingerprint();
            let since = since(&fingerprint);
            (fingerprint, (alert.clone(), since))
        })
        .collect();
    let changed = !firing.keys().eq(known.keys());
    let due =
        before.is_some_and(|sent| !firing.is_empty() && now.duration_since(sent.at).unsigned_abs() >= repeat);
    if !changed && !due {
        return None;
    }
    let ended = known.iter().filter(|(fingerprint, _)| !firing.contains_key(*fingerprint));
    let alerts: Vec<_> = firing
        .iter()
        .map(|(fingerprint, alert)| entry(fingerprint, alert, None))
        .chain(ended.map(|(fingerprint, alert)| entry(fingerprint, alert, Some(now))))
        .collect();
    let notification = Notification {
        version: VERSION,
        group_key: format!("{{}}:{{app={:?}, journey={:?}}}", group.app, group.journey),
        truncated_alerts: 0,
        status: if firing.is_empty() { "resolved" } else { "firing" },
        receiver: "sli",
        group_labels: group.clone(),
        common_labels: common(alerts.iter().map(|entry| &entry.labels)),
        common_annotations: common(alerts.iter().map(|entry| &entry.annotations)),
        external_url: "",
        alerts,
    };
    Some((notification, Sent { firing, at: now }))
}

fn entry(fingerprint: &str, (alert, since): &(Alert, Timestamp), ended: Option<Timestamp>) -> Entry {
    Entry {
        status: if ended.is_some() { "resolved" } else { "firing" },
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: since.to_string(),
        ends_at: ended.map_or_else(|| NOT_ENDED.to_owned(), |ended| ended.to_string()),
        generator_url: "",
        fingerprint: fingerprint.to_owned(),
    }
}

/// What all of them have.
fn common<'a>(
    mut maps: impl Iterator<Item = &'a BTreeMap<&'static str, String>>,
) -> BTreeMap<&'static str, String> {
    let first = maps.next().cloned().unwrap_or_default();
    maps.fold(first, |mut common, map| {
        common.retain(|name, value| map.get(name) == Some(value));
        common
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPEAT: Duration = Duration::from_secs(3_600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_405_620 + second).unwrap()
    }

    fn group() -> Group {
        Group { app: "web".into(), journey: "watch".into() }
    }

    fn alert(objective: &str) -> Alert {
        let labels = [("app", "web"), ("journey", "watch"), ("objective", objective), ("severity", "page")];
        Alert {
            labels: labels.into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
            annotations: BTreeMap::from([("promise", "It plays.".to_owned())]),
        }
    }

    fn tell(before: Option<&Sent>, burning: &[Alert], second: i64) -> Option<(Notification, Sent)> {
        notification(&group(), before, burning, at(second), REPEAT)
    }

    #[test]
    fn a_receiver_is_told_when_it_begins_after_a_while_and_when_it_ends() {
        assert!(tell(None, &[], 0).is_none());
        let (first, sent) = tell(None, &[alert("works")], 0).unwrap();
        assert_eq!((first.status, first.alerts.len(), sent.is_over()), ("firing", 1, false));
        assert!(tell(Some(&sent), &[alert("works")], 3_599).is_none());
        let (again, sent) = tell(Some(&sent), &[alert("works")], 3_600).unwrap();
        assert_eq!((again.status, &again.alerts[0].starts_at), ("firing", &at(0).to_string()));
        let (end, sent) = tell(Some(&sent), &[], 3_700).unwrap();
        assert_eq!((end.status, end.alerts[0].status), ("resolved", "resolved"));
        assert_eq!(end.alerts[0].ends_at, at(3_700).to_string());
        assert!(sent.is_over());
    }

    #[test]
    fn one_that_ends_while_another_burns_is_told_at_once() {
        let (_, sent) = tell(None, &[alert("works"), alert("fast")], 0).unwrap();
        let (told, sent) = tell(Some(&sent), &[alert("fast")], 60).unwrap();
        assert_eq!(told.status, "firing");
        let statuses: Vec<_> =
            told.alerts.iter().map(|entry| (entry.labels["objective"].as_str(), entry.status)).collect();
        assert_eq!(statuses, [("fast", "firing"), ("works", "resolved")]);
        assert!(tell(Some(&sent), &[alert("fast")], 120).is_none());
    }

    #[test]
    fn the_body_is_what_alertmanager_sends() {
        let (body, _) = tell(None, &[alert("works"), alert("fast")], 0).unwrap();
        insta::assert_json_snapshot!(body);
    }
}
