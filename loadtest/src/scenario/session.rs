//! One session from its beginning to its silence.
//!
//! Either it is sent as it happens, or as from a client that was offline: everything lies in the past, so that its
//! truth does not wait for deadlines. No event is later than its beacon's sending.

use super::disturb::disturb;
use super::population::{Client, Pace, draw_app};
use super::timeline::Timeline;
use super::{
    App, Beacon, Event, PLANNED_MS_MAX, Profile, Session, boomerang, cut, gateway, journeys, reports, signals,
};
use crate::sample::Sampler;
use crate::truth::Truth;

/// How long after a deadline a session that lies in the past is heard of again, at most.
pub(super) const HEARD_WITHIN_MS: u64 = 8_000;
/// The same for a session that is sent as it happens: collecting and delays come on top.
const HEARD_WITHIN_MS_THINKING: u64 = 3_500;
/// How long a user thinks, ms.
const THINKS_MS: (u64, u64) = (1_500, 8_000);
/// Retention of late data, ms.
const RETENTION_MS: i64 = 7 * 24 * 3_600_000;

/// Who sends a session.
#[derive(Debug, Clone, Copy)]
enum Sender {
    Person,
    Boomerang,
    Gateway,
    Reports,
}

/// Plays session `number` of a run, in which the newest release is out or not yet.
pub fn play(seed: u64, number: u64, profile: Profile, release_is_out: bool) -> Session {
    let mut sampler = Sampler::new(seed, number);
    let sender = match profile {
        Profile::Full => sampler.weighted(&[
            (830, Sender::Person),
            (80, Sender::Boomerang),
            (30, Sender::Gateway),
            (60, Sender::Reports),
        ]),
        Profile::Mixed | Profile::Web | Profile::Native | Profile::Tidy | Profile::Otlp => Sender::Person,
    };
    match sender {
        Sender::Person => {
            let app = draw_app(&mut sampler, profile);
            let client = Client::draw(&mut sampler, app, profile, release_is_out);
            person(sampler, number, client)
        }
        Sender::Boomerang => {
            let client = Client::draw(&mut sampler, App::Web, Profile::Web, false);
            boomerang::play(sampler, number, client)
        }
        Sender::Gateway => gateway::play(seed, sampler, number),
        Sender::Reports => {
            let client = Client::draw(&mut sampler, App::Web, Profile::Web, false);
            reports::play(sampler, number, client)
        }
    }
}

fn person(sampler: Sampler, number: u64, client: Client) -> Session {
    let mut timeline = lived(sampler, number, &client);
    let fell_silent = timeline.silent_until_ms > 0;
    let mut beacons = cut::into_beacons(&mut timeline, &client);
    if client.irregular {
        disturb(&mut timeline, &mut beacons, &client, fell_silent);
    }
    finish(client, number, beacons, timeline.truth)
}

/// What a user does, before it falls into beacons.
pub(super) fn lived(sampler: Sampler, number: u64, client: &Client) -> Timeline {
    let mut timeline = Timeline::new(sampler, client.app, client.formats.voice);
    timeline.slowness = client.slowness;
    if client.pace == Pace::Thinking {
        timeline.thinks = true;
        timeline.heard_within_ms = HEARD_WITHIN_MS_THINKING;
    }
    live(&mut timeline, number);
    signals::whole_session(&mut timeline);
    timeline
}

fn live(timeline: &mut Timeline, number: u64) {
    timeline.event("session.start", Vec::new());
    timeline.wait_between(1, 200);
    if timeline.is_web() {
        let route = signals::page_load(timeline);
        timeline.wait_between(1, 200);
        signals::web_vitals(timeline, route, number);
    } else {
        signals::app_start(timeline);
        timeline.wait_between(1, 200);
        signals::screen(timeline);
    }
    let attempts = timeline.sampler.weighted(&[(15, 0), (55, 1), (20, 2), (10, 3)]);
    for attempt in 1..=attempts {
        think(timeline);
        other_signals(timeline);
        timeline.wait_between(1, 300);
        let last = attempt == attempts && timeline.voice.tells_end();
        let (journey, play) = journeys::draw(timeline, last);
        journeys::attempt(timeline, journey, play, attempt);
        if play.ends_session() {
            return;
        }
    }
    think(timeline);
    other_signals(timeline);
    if timeline.voice.tells_end() && timeline.sampler.chance(600) {
        timeline.wait_between(1, 300);
        if timeline.voice.tells_leaving() {
            timeline.leave();
        }
        timeline.event("session.end", Vec::new());
    }
}

fn think(timeline: &mut Timeline) {
    if timeline.thinks {
        timeline.wait_between(THINKS_MS.0, THINKS_MS.1);
    }
}

fn other_signals(timeline: &mut Timeline) {
    for _ in 0..timeline.sampler.between(0, 2) {
        timeline.wait_between(1, 150);
        signals::http_call(timeline);
    }
    if timeline.sampler.chance(40) {
        timeline.wait_between(1, 50);
        signals::exception(timeline);
    }
}

/// A session of what was played and cut, with everything that its events say of it.
pub(super) fn finish(client: Client, number: u64, mut beacons: Vec<Beacon>, mut truth: Truth) -> Session {
    begin_at_zero(&mut beacons, &mut truth);
    for beacon in &mut beacons {
        beacon.gzip = client.gzip && !beacon.format.is_timeless();
    }
    if matches!(client.pace, Pace::TooOld { .. }) {
        truth.attempts.clear();
    }
    for beacon in &beacons {
        truth.records += beacon.records;
        for event in &beacon.events {
            let is_future = event.at_ms > beacon.due_ms as i64 + PLANNED_MS_MAX as i64;
            truth.add(event, beacon.format.is_timeless(), client.clock_error_ms != 0 || is_future);
        }
    }
    let Client { app, release, device, environment, weight, clock_error_ms, .. } = client;
    Session {
        number,
        place: 0,
        app,
        release,
        environment,
        device,
        weight,
        clock_error_ms,
        beacons,
        truth,
        others: Vec::new(),
    }
}

impl Truth {
    fn add(&mut self, event: &Event, is_timeless: bool, is_corrected: bool) {
        if let Some(reason) = event.left_out {
            *self.left_out.entry(reason.into()).or_default() += 1;
            return;
        }
        self.corrected += u64::from(is_corrected && !is_timeless);
        if !is_timeless && event.at_ms < -RETENTION_MS {
            self.too_old += 1;
        } else {
            *self.events.entry(event.name.into()).or_default() += 1;
        }
    }
}

/// Moves everything so that the beacon that is due first is due at 0.
fn begin_at_zero(beacons: &mut [Beacon], truth: &mut Truth) {
    let first_ms = beacons.iter().map(|beacon| beacon.due_ms).min().unwrap_or(0);
    for beacon in beacons {
        beacon.due_ms -= first_ms;
        beacon.repeat_due_ms = beacon.repeat_due_ms.map(|due_ms| due_ms - first_ms);
        for event in &mut beacon.events {
            event.at_ms -= first_ms as i64;
        }
    }
    for attempt in &mut truth.attempts {
        attempt.at_ms = attempt.at_ms.map(|at_ms| at_ms - first_ms as i64);
    }
}

#[cfg(test)]
mod tests;
