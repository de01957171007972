//! How the events of a session fall into beacons, and when those are due.

use super::population::{Client, Formats, Pace};
use super::timeline::Timeline;
use super::{Beacon, Event, Format};

/// Sessions of users that do not think are sent as they happen when they are no longer than this.
const LIVE_MS_MAX: u64 = 4_000;
/// How long a client collects before it sends, ms.
const COLLECTS_MS: (u64, u64) = (400, 1_000);
/// Between the sendings of what was collected while there was no network, ms.
const QUEUED_EVERY_MS: (u64, u64) = (20, 1_200);
const QUEUED_BEACONS_MAX: u64 = 3;
/// Between two values of one metric that are sent by the library, ms: they must not overtake each other.
const GROWS_EVERY_MS: (u64, u64) = (900, 1_500);
/// Beacons that a page sends at once when it is left, per mille of pages.
const BURST_PER_MILLE: u32 = 300;
const BURST_BEACONS_MAX: u64 = 3;

/// Cuts the events into beacons and moves their times so that 0 is the sending of the first beacon.
pub(super) fn into_beacons(timeline: &mut Timeline, client: &Client) -> Vec<Beacon> {
    let Client { formats, pace, clock_error_ms, .. } = *client;
    let mut events = std::mem::take(&mut timeline.events);
    let mut vitals = Vec::new();
    if formats.vitals == Format::WebVitals {
        (vitals, events) = events.into_iter().partition(|event| event.name == "browser.web_vital");
        for attempt in
            timeline.truth.attempts.iter_mut().filter(|attempt| attempt.journey.starts_with("web-vital-"))
        {
            attempt.at_ms = None;
        }
    }
    let short = timeline.silent_until_ms == 0 && timeline.now_ms <= LIVE_MS_MAX;
    let is_live = match pace {
        Pace::Prompt => short && clock_error_ms == 0,
        Pace::Thinking => true,
        Pace::Offline { .. } | Pace::TooOld { .. } => false,
    };
    let mut beacons = if is_live {
        cut_live(timeline, events)
    } else {
        // Each beacon of a wrong clock is corrected by its own transit: what lies in one keeps its order.
        let beacons_max = if clock_error_ms == 0 { QUEUED_BEACONS_MAX } else { 1 };
        cut_queued(timeline, events, pace, beacons_max)
    };
    if is_live && client.bursts && timeline.is_web() && timeline.sampler.chance(BURST_PER_MILLE) {
        burst(timeline, &mut beacons);
    }
    beacons = beacons.into_iter().flat_map(|beacon| by_signal(timeline, beacon, formats)).collect();
    add_vitals(timeline, vitals, &mut beacons);
    for (place, beacon) in beacons.iter_mut().enumerate() {
        beacon.sequence = place as u64 + 1;
    }
    beacons
}

impl Beacon {
    pub(super) fn of(format: Format, events: Vec<Event>, due_ms: u64) -> Self {
        Self { format, gzip: false, sequence: 0, due_ms, repeat_due_ms: None, records: 1, events }
    }
}

/// A beacon every so often with what has happened since the last.
fn cut_live(timeline: &mut Timeline, events: Vec<Event>) -> Vec<Beacon> {
    let mut beacons: Vec<Beacon> = Vec::new();
    let mut first_cut_ms = None;
    let mut cut_ms = 0;
    for event in events {
        if beacons.is_empty() || event.at_ms > cut_ms {
            cut_ms = event.at_ms + timeline.sampler.between(COLLECTS_MS.0, COLLECTS_MS.1) as i64;
            let first_cut_ms = *first_cut_ms.get_or_insert(cut_ms);
            beacons.push(Beacon::of(Format::Native, Vec::new(), (cut_ms - first_cut_ms) as u64));
        }
        if let Some(beacon) = beacons.last_mut() {
            beacon.events.push(event);
        }
    }
    shift(timeline, &mut beacons, first_cut_ms.unwrap_or(0));
    beacons
}

/// Everything is over when the first beacon is sent; the events come in a few of them.
fn cut_queued(timeline: &mut Timeline, mut events: Vec<Event>, pace: Pace, beacons_max: u64) -> Vec<Beacon> {
    let age_ms = match pace {
        Pace::Prompt | Pace::Thinking => 0,
        Pace::Offline { age_ms } | Pace::TooOld { age_ms } => age_ms,
    };
    let over_ms = timeline.now_ms.max(timeline.silent_until_ms) + timeline.sampler.between(1, 3_000) + age_ms;
    let count = (timeline.sampler.between(1, beacons_max) as usize).min(events.len());
    let (mut due_ms, mut beacons) = (0, Vec::with_capacity(count));
    for remaining in (1..=count).rev() {
        let share = events.len().div_ceil(remaining).min(events.len());
        let rest = events.split_off(share);
        beacons.push(Beacon::of(Format::Native, std::mem::replace(&mut events, rest), due_ms));
        due_ms += timeline.sampler.between(QUEUED_EVERY_MS.0, QUEUED_EVERY_MS.1);
    }
    shift(timeline, &mut beacons, over_ms as i64);
    beacons
}

/// Moves what happened to times relative to the first sending, which was at `sent_ms`.
fn shift(timeline: &mut Timeline, beacons: &mut [Beacon], sent_ms: i64) {
    beacons.iter_mut().flat_map(|beacon| &mut beacon.events).for_each(|event| event.at_ms -= sent_ms);
    for attempt in &mut timeline.truth.attempts {
        attempt.at_ms = attempt.at_ms.map(|at_ms| at_ms - sent_ms);
    }
}

/// The last beacon falls into several that are sent at once, as a page does that is hidden.
fn burst(timeline: &mut Timeline, beacons: &mut Vec<Beacon>) {
    let Some(mut last) = beacons.pop() else { return };
    let count = timeline.sampler.between(2, BURST_BEACONS_MAX) as usize;
    for remaining in (1..=count.min(last.events.len())).rev() {
        let rest = last.events.split_off(last.events.len().div_ceil(remaining));
        beacons.push(Beacon { events: std::mem::replace(&mut last.events, rest), ..last.clone() });
    }
}

/// OpenTelemetry sends spans and logs by exporters of their own.
fn by_signal(timeline: &mut Timeline, beacon: Beacon, formats: Formats) -> Vec<Beacon> {
    if formats.spans == formats.events {
        return vec![Beacon { format: formats.events, ..beacon }];
    }
    let Beacon { events, due_ms, .. } = beacon;
    let (spans, logs): (Vec<Event>, Vec<Event>) = events.into_iter().partition(is_span);
    let later_ms = timeline.sampler.between(0, 300);
    [(formats.events, logs, due_ms), (formats.spans, spans, due_ms + later_ms)]
        .into_iter()
        .filter(|(_, events, _)| !events.is_empty())
        .map(|(format, events, due_ms)| Beacon::of(format, events, due_ms))
        .collect()
}

/// Whether OpenTelemetry tells it by a span.
pub(super) fn is_span(event: &Event) -> bool {
    matches!(event.name, "http.client" | "app.start" | "app.screen" | "documentLoad" | "resourceFetch")
}

/// The library reports a metric whenever it has grown: each request has the values that came since the last.
fn add_vitals(timeline: &mut Timeline, vitals: Vec<Event>, beacons: &mut Vec<Beacon>) {
    let mut rounds: Vec<Vec<Event>> = Vec::new();
    for event in vitals {
        let id = event.text("id").map(str::to_owned);
        let before =
            rounds.iter().filter(|round| round.iter().any(|known| known.text("id") == id.as_deref()));
        let round = before.count();
        if round == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[round].push(event);
    }
    let mut due_ms = beacons.last().map_or(0, |beacon| beacon.due_ms) + timeline.sampler.between(0, 500);
    for round in rounds {
        let records = round.len() as u64;
        beacons.push(Beacon { records, ..Beacon::of(Format::WebVitals, round, due_ms) });
        due_ms += timeline.sampler.between(GROWS_EVERY_MS.0, GROWS_EVERY_MS.1);
    }
}
