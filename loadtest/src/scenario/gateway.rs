//! A gateway that sends what several apps and sessions told it by OpenTelemetry: one request with the log records of
//! all of them, and one with their spans.

use super::population::{APP_JSON, APP_PROTOBUF, Client, Formats, PAGE_JSON, PAGE_PROTOBUF, draw_app};
use super::session::{finish, lived};
use super::{App, Beacon, Event, Profile, Session, cut, device};
use crate::sample::Sampler;

/// Sessions of one request.
const SESSIONS: (u64, u64) = (2, 4);
/// Between the end of the last session and the sending, ms.
const COLLECTS_MS: (u64, u64) = (1, 3_000);
/// Draws of one session's others lie in other streams than the sessions of the run.
const STREAM_STEP: u64 = 1 << 48;

/// Plays what a gateway sends at once.
pub(super) fn play(seed: u64, mut sampler: Sampler, number: u64) -> Session {
    let is_protobuf = sampler.chance(700);
    let gzip = sampler.chance(700);
    let count = sampler.between(SESSIONS.0, SESSIONS.1);
    let spans_due_ms = sampler.between(0, 800);
    let repeat_due_ms = sampler.chance(30).then(|| sampler.between(1_000, 4_000));
    let mut sessions: Vec<Session> = (0..count)
        .map(|place| {
            let mut sampler = Sampler::new(seed, number + (place + 1) * STREAM_STEP);
            let app = draw_app(&mut sampler, Profile::Full);
            let formats = match (app, is_protobuf) {
                (App::Web, true) => PAGE_PROTOBUF,
                (App::Web, false) => PAGE_JSON,
                (App::Ios | App::Android, true) => APP_PROTOBUF,
                (App::Ios | App::Android, false) => APP_JSON,
            };
            let mut client = Client::draw(&mut sampler, app, Profile::Tidy, false);
            client = Client { formats, gzip, device: device::GATEWAY, ..client };
            // The numbers of a run's sessions never come near to this, and what names metrics must differ.
            let mut session = member(sampler, number + (place + 1) * STREAM_STEP, client, spans_due_ms);
            (session.number, session.place) = (number, place);
            session
        })
        .collect();
    let others = sessions.split_off(1);
    let mut session = sessions.remove(0);
    // Each request becomes a record for every session that it tells of.
    let of_others = |at: usize| others.iter().map(|other| other.beacons[at].records).sum::<u64>();
    for (at, beacon) in session.beacons.iter_mut().enumerate() {
        beacon.records += of_others(at);
        beacon.repeat_due_ms = repeat_due_ms;
    }
    session.beacons.retain(|beacon| beacon.records > 0);
    session.others = others;
    session
}

/// One session, all of which lies in the past: its log records in one beacon, its spans in another.
fn member(sampler: Sampler, number: u64, client: Client, spans_due_ms: u64) -> Session {
    let Formats { events: logs, spans, .. } = client.formats;
    let mut timeline = lived(sampler, number, &client);
    let over_ms = timeline.now_ms.max(timeline.silent_until_ms)
        + timeline.sampler.between(COLLECTS_MS.0, COLLECTS_MS.1);
    let mut events = std::mem::take(&mut timeline.events);
    events.iter_mut().for_each(|event| event.at_ms -= over_ms as i64);
    for attempt in &mut timeline.truth.attempts {
        attempt.at_ms = attempt.at_ms.map(|at_ms| at_ms - over_ms as i64);
    }
    let (of_spans, of_logs): (Vec<Event>, Vec<Event>) = events.into_iter().partition(cut::is_span);
    let beacons = [(logs, of_logs, 0), (spans, of_spans, spans_due_ms)].into_iter().zip(1..);
    let beacons = beacons.map(|((format, events, due_ms), sequence)| {
        let records = u64::from(!events.is_empty());
        Beacon { sequence, records, ..Beacon::of(format, events, due_ms) }
    });
    finish(client, number, beacons.collect(), timeline.truth)
}
