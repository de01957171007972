//! The native beacon API: `POST /v1/beacons`, JSON, one beacon a request. Also as `text/plain` from `sendBeacon`.
//!
//! Fields that are not known are ignored, so that newer clients may talk to older servers.

use std::borrow::Cow;
use std::fmt::Write as _;

use schema::beacon::Beacon;
use schema::definition::AppFile;
use serde::Deserialize;

use crate::admission::attributes::Attributes;
use crate::admission::list::List;
use crate::admission::scalar::Scalar;
use crate::admission::{
    Admission, BeaconBuilder, Draft, Request, SampleRate, cut, identifier, parse_object, reason,
};
use crate::refusal::Refusal;

/// Ways in which an app's platform says its own system, where the user agent says none.
const SYSTEMS: [(&str, &str); 2] = [("ios", "iOS"), ("android", "Android")];

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    key: Scalar<'a>,
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    environment: Scalar<'a>,
    #[serde(borrow, default)]
    session: Scalar<'a>,
    #[serde(borrow, default)]
    sequence: Scalar<'a>,
    #[serde(borrow, default)]
    release: Scalar<'a>,
    #[serde(borrow, default)]
    platform: Scalar<'a>,
    #[serde(borrow, default)]
    os: Scalar<'a>,
    #[serde(borrow, default)]
    browser: Scalar<'a>,
    #[serde(borrow, default)]
    device_class: Scalar<'a>,
    #[serde(borrow, default)]
    connection: Scalar<'a>,
    #[serde(borrow, default)]
    segment: Scalar<'a>,
    #[serde(borrow, default)]
    sent_at: Scalar<'a>,
    #[serde(borrow, default)]
    sample_rate: Scalar<'a>,
    #[serde(borrow, default)]
    attributes: Attributes<'a>,
    #[serde(borrow, default)]
    events: Option<List<WireEvent<'a>>>,
}

#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    time: Scalar<'a>,
    #[serde(borrow, default)]
    value: Scalar<'a>,
    #[serde(borrow, default)]
    duration_ms: Scalar<'a>,
    #[serde(borrow, default)]
    attributes: Attributes<'a>,
}

/// Turns a native beacon into one of the domain.
///
/// # Errors
/// When it is no JSON object with events, has a rate that cannot be, too many events, or no valid key.
pub fn adapt<'a>(request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
    let mut wire: Wire<'a> = parse_object(request.body)?;
    let app = request.app(wire.key.text().as_deref())?;
    let events = wire.events.take().ok_or(Refusal::MissingField("events"))?.whole()?;
    let mut admission = Admission::default();
    let rate = SampleRate::read(&wire.sample_rate)?;
    let beacon = context(wire, request, app, &mut admission);
    let mut builder = BeaconBuilder::new(beacon, app, rate);
    builder.reserve(events.len());
    for (index, event) in events.into_iter().enumerate() {
        let added = match event.time.time_ms() {
            Ok(time_ms) => builder.add(
                Draft {
                    name: event.name.or_empty(),
                    stamp: time_ms.into(),
                    value: if event.value == Scalar::Null { event.duration_ms } else { event.value },
                    attributes: event.attributes,
                },
                &mut admission,
            ),
            Err(_) => Err(builder.reject(reason::INVALID_TIME, 1)),
        };
        if let Err(reason) = added {
            admission.rejected.push((index, reason));
        }
    }
    builder.admit(&mut admission);
    Ok(admission)
}

fn context<'a>(
    wire: Wire<'a>,
    request: &Request<'a>,
    app: &'a AppFile,
    admission: &mut Admission<'a>,
) -> Beacon<'a> {
    let mut beacon = request.beacon(app);
    beacon.session =
        identifier(wire.session.into_text().or(request.session.map(Cow::Borrowed)).unwrap_or_default());
    beacon.id = request.beacon_id(wire.id.into_text(), &beacon.session);
    beacon.sequence = wire.sequence.count();
    // A time of sending that is none corrects nothing.
    beacon.sent_at_ms = wire.sent_at.time_ms().unwrap_or(None);
    let mut replace = |field: &mut Cow<'a, str>, sent: Scalar<'a>| {
        let sent = sent.or_empty();
        if !sent.is_empty() {
            *field = cut(sent, admission);
        }
    };
    replace(&mut beacon.environment, wire.environment);
    replace(&mut beacon.release, wire.release);
    replace(&mut beacon.platform, wire.platform);
    replace(&mut beacon.connection, wire.connection);
    replace(&mut beacon.browser, wire.browser);
    replace(&mut beacon.device_class, wire.device_class);
    replace(&mut beacon.segment, wire.segment);
    replace(&mut beacon.os, wire.os);
    if beacon.os.is_empty()
        && let Some((_, system)) = SYSTEMS.iter().find(|(platform, _)| *platform == beacon.platform)
    {
        beacon.os = Cow::Borrowed(system);
    }
    if beacon.segment.is_empty()
        && let Some(declared) = &app.segment
    {
        let mut attributes = wire.attributes;
        beacon.segment = cut(attributes.take(declared).unwrap_or_default(), admission);
    }
    beacon
}

/// `{"accepted":N,"rejected":[{"index":…,"reason":…}]}`.
pub fn answer(accepted: usize, rejected: &[(usize, &'static str)]) -> String {
    let mut json = String::with_capacity(40 + rejected.len() * 48);
    let _ = write!(json, "{{\"accepted\":{accepted},\"rejected\":[");
    for (at, (index, reason)) in rejected.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(json, "{comma}{{\"index\":{index},\"reason\":\"{reason}\"}}");
    }
    json.push_str("]}");
    json
}

#[cfg(test)]
mod tests;
