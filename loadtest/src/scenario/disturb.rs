//! What networks and clocks do: beacons out of order and twice, events from long ago and from tomorrow.

use super::population::{Client, Pace};
use super::timeline::Timeline;
use super::{Attribute, Beacon, Event, Format, PLANNED_MS_MAX, signals};
use crate::sample::whole_ms;

/// A beacon that is overtaken is so late, ms.
const DELAY_MS: (u64, u64) = (500, 2_000);
/// The same where the user thinks, and a deadline may lie between two beacons.
const DELAY_MS_THINKING: (u64, u64) = (300, 1_200);
/// A beacon comes again so much later, ms.
const REPEAT_MS: (u64, u64) = (100, 5_000);
const TOO_OLD_MS: i64 = 8 * 24 * 3_600_000;
/// How far in the future an event lies that is placed at its receipt.
pub(super) const FUTURE_MS: i64 = 26 * 3_600_000;

/// Disturbs the beacons of a client; `fell_silent` says that nothing more may be heard of it.
pub(super) fn disturb(timeline: &mut Timeline, beacons: &mut [Beacon], client: &Client, fell_silent: bool) {
    disorder(timeline, beacons, client.pace);
    for beacon in beacons.iter_mut() {
        if timeline.sampler.chance(30) {
            beacon.repeat_due_ms = Some(beacon.due_ms + timeline.sampler.between(REPEAT_MS.0, REPEAT_MS.1));
        }
    }
    // Other clocks and formats would need other times.
    let is_plain =
        client.formats.events == Format::Native && client.pace == Pace::Prompt && client.clock_error_ms == 0;
    let Some(first) = beacons.first_mut().filter(|_| is_plain) else { return };
    if timeline.sampler.chance(5) {
        first.events.push(http_event(-TOO_OLD_MS));
    }
    if !fell_silent && timeline.sampler.chance(5) {
        first.events.push(http_event(FUTURE_MS));
        timeline.single_at(signals::standard::HTTP_CALLS, None, Some(whole_ms(77)), None);
    }
}

/// One beacon is overtaken, or the whole queue is sent from its end, where all of it was there before its first beacon was
/// sent. What the library sends keeps its order: of a metric the last value counts, and nothing but its coming says
/// which that is.
fn disorder(timeline: &mut Timeline, beacons: &mut [Beacon], pace: Pace) {
    let own = beacons.iter().take_while(|beacon| !beacon.format.is_timeless()).count();
    let beacons = &mut beacons[..own];
    if beacons.len() < 2 {
        return;
    }
    let first_ms = beacons.iter().map(|beacon| beacon.due_ms).min().unwrap_or(0);
    let span_ms = beacons.iter().map(|beacon| beacon.due_ms).max().unwrap_or(0);
    let is_queue =
        beacons.iter().flat_map(|beacon| &beacon.events).all(|event| event.at_ms <= first_ms as i64);
    match timeline.sampler.between(0, 999) {
        0..100 => {
            let (low, high) = if pace == Pace::Thinking { DELAY_MS_THINKING } else { DELAY_MS };
            let delayed = timeline.sampler.between(0, own as u64 - 1) as usize;
            beacons[delayed].due_ms += timeline.sampler.between(low, high);
        }
        100..140 if span_ms < PLANNED_MS_MAX && is_queue => {
            let due: Vec<u64> = beacons.iter().rev().map(|beacon| beacon.due_ms).collect();
            beacons.iter_mut().zip(due).for_each(|(beacon, due_ms)| beacon.due_ms = due_ms);
        }
        _ => {}
    }
}

fn http_event(at_ms: i64) -> Event {
    let attributes: Vec<(&'static str, Attribute)> =
        vec![("method", "GET".into()), ("route", "/api/profile".into()), ("status", 200_u64.into())];
    Event { at_ms, name: "http.client", value: Some(whole_ms(77)), attributes, left_out: None }
}
