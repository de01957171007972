//! The web-vitals library: `navigator.sendBeacon(url, JSON.stringify(metric or [metrics]))`, as `text/plain`.
//!
//! A metric comes again with the same `id` whenever its value has grown, and the last one counts. The library knows no
//! session: unless the page adds one as query parameter `session`, the values of each metric id are a beacon of their own
//! whose record is keyed by that id, so that all its values meet in one partition. Metrics carry no time either.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::admission::attributes::Attributes;
use crate::admission::list::List;
use crate::admission::scalar::Scalar;
use crate::admission::{
    Admission, BeaconBuilder, Draft, Request, SampleRate, Stamp, content_id, identifier, parse,
};
use crate::refusal::Refusal;

#[derive(Deserialize)]
struct Metric<'a> {
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    value: Scalar<'a>,
    #[serde(borrow, default)]
    rating: Scalar<'a>,
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default, rename = "navigationType")]
    navigation_type: Scalar<'a>,
    #[serde(borrow, default, rename = "navigationURL")]
    navigation_url: Scalar<'a>,
}

/// One metric or an array of them.
struct Metrics<'a>(List<Metric<'a>>);

/// Turns metrics into beacons: one for all of them where the request names a session, else one each.
///
/// # Errors
/// When the body is neither an object nor an array of objects, holds too many, or there is no valid key.
pub fn adapt<'a>(request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
    let app = request.app(None)?;
    let Metrics(metrics) = parse(request.body)?;
    let metrics = metrics.whole()?;
    let mut admission = Admission::default();
    let session = request.session.map(|session| identifier(Cow::Borrowed(session))).unwrap_or_default();
    if session.is_empty() {
        for (group, values) in by_id(metrics) {
            let ids: Vec<String> =
                values.iter().map(|(at, metric)| beacon_id(request, metric, *at)).collect();
            let mut builder = BeaconBuilder::new(request.beacon(app), app, SampleRate::ALL);
            for (_, metric) in values {
                add(&mut builder, metric, &mut admission);
            }
            builder.set_id(match ids.as_slice() {
                [id] => Cow::Owned(id.clone()),
                ids => Cow::Owned(content_id(&group, ids.join("\u{0}").as_bytes())),
            });
            let key = (!group.is_empty()).then(|| identifier(Cow::Owned(group)));
            builder.admit_by(key, &mut admission);
        }
    } else if !metrics.is_empty() {
        let mut beacon = request.beacon(app);
        beacon.id = request.beacon_id(None, &session);
        beacon.session = session;
        let mut builder = BeaconBuilder::new(beacon, app, SampleRate::ALL);
        for metric in metrics {
            add(&mut builder, metric, &mut admission);
        }
        builder.admit(&mut admission);
    }
    Ok(admission)
}

/// Metrics with their places, those of one id together: the order of a metric's values must not get lost.
fn by_id(metrics: Vec<Metric<'_>>) -> Vec<(String, Vec<(usize, Metric<'_>)>)> {
    let mut groups: Vec<(String, Vec<(usize, Metric<'_>)>)> = Vec::new();
    for (at, metric) in metrics.into_iter().enumerate() {
        let id = metric.id.text().unwrap_or_default().into_owned();
        match groups.iter_mut().find(|(known, _)| *known == id && !id.is_empty()) {
            Some((_, values)) => values.push((at, metric)),
            None => groups.push((id, vec![(at, metric)])),
        }
    }
    groups
}

/// A hash of the metric's content, so that a repeat is known even in another array.
fn beacon_id(request: &Request<'_>, metric: &Metric<'_>, at: usize) -> String {
    let part = |scalar: &Scalar<'_>| scalar.text().unwrap_or_default().into_owned();
    let content = [
        part(&metric.name),
        part(&metric.value),
        part(&metric.rating),
        part(&metric.navigation_type),
        part(&metric.navigation_url),
    ]
    .join("\u{0}");
    let id = part(&metric.id);
    if id.is_empty() {
        // Without an id equal metrics of several pages are no repeats of one: many pages have the same values.
        return content_id(&request.arrival.to_string(), format!("{at}\u{0}{content}").as_bytes());
    }
    content_id(&id, content.as_bytes())
}

fn add<'a>(builder: &mut BeaconBuilder<'a>, metric: Metric<'a>, admission: &mut Admission<'a>) {
    let name = metric.name.or_empty();
    let mut attributes = Attributes::default();
    attributes.push_known("id", metric.id.or_empty());
    attributes.push_known("rating", metric.rating.or_empty());
    attributes.push_known("type", metric.navigation_type.or_empty());
    attributes.push_known("url", metric.navigation_url.or_empty());
    // A metric without a name has none as an event either. The reason is counted in the beacon.
    let event = if name.trim().is_empty() { "" } else { "browser.web_vital" };
    attributes.push_known("name", upper_case(name));
    let value = if metric.value == Scalar::Null { Scalar::Nested } else { metric.value };
    let _ =
        builder.add(Draft { name: Cow::Borrowed(event), stamp: Stamp::None, value, attributes }, admission);
}

/// Names as web.dev writes them.
pub(super) fn upper_case(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        Cow::Owned(name.to_ascii_uppercase())
    } else {
        name
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Metrics<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetricsVisitor;

        impl<'de> Visitor<'de> for MetricsVisitor {
            type Value = Metrics<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a metric or an array of metrics")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let metric = Metric::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Metrics(List::of(metric)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                List::deserialize(serde::de::value::SeqAccessDeserializer::new(seq)).map(Metrics)
            }
        }

        deserializer.deserialize_any(MetricsVisitor)
    }
}

#[cfg(test)]
mod tests;
