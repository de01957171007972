//! One session from its beginning to its silence, and how its events fall into beacons.
//!
//! A short session is sent live: every second or so a beacon with what has happened since. A longer one, and
//! one that falls silent within an attempt, is sent as from a client that was offline: everything lies in the
//! past, so that its truth does not wait for deadlines. Either way no event is later than its beacon's sending.

use super::timeline::Timeline;
use super::{App, Attribute, Beacon, Event, Format, Profile, Session, journeys, signals};
use crate::sample::{Sampler, whole_ms};

const LIVE_MS_MAX: u64 = 4_000;
/// A beacon that is overtaken is this late at most. With it a session's beacons come well within
/// [`super::GRACE_MS_MIN`].
const DELAY_MS_MAX: u64 = 2_000;
const TOO_OLD_MS: i64 = 8 * 24 * 3_600_000;
const FUTURE_MS: i64 = 26 * 3_600_000;

const WEB_AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
];
const BOT_AGENT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const IOS_AGENT: &str = "StudyApp/2026.11.3 (iPhone16,2; iOS 18.1)";
const ANDROID_AGENT: &str = "StudyApp/2026.11.3 (Pixel 9; Android 15)";
const RELEASES: [&str; 3] = ["2026.11.3", "2026.11.2", "2026.10.9"];

/// Plays session `number` of a run.
pub fn play(seed: u64, number: u64, profile: Profile) -> Session {
    let mut sampler = Sampler::new(seed, number);
    let app = draw_app(&mut sampler, profile);
    let formats = draw_formats(&mut sampler, app);
    let irregular = profile != Profile::Tidy;
    let plain = formats.events == Format::Native;
    let bot = irregular && app == App::Web && sampler.chance(10);
    // The web-vitals library does not say that a session is sampled.
    let may_be_sampled = irregular && plain && formats.vitals == Format::Native;
    let weight = if may_be_sampled && sampler.chance(30) { 2 } else { 1 };
    let release = sampler.one_of(&RELEASES);
    let user_agent = match app {
        App::Web if bot => BOT_AGENT,
        App::Web => sampler.one_of(&WEB_AGENTS),
        App::Ios => IOS_AGENT,
        App::Android => ANDROID_AGENT,
    };

    let mut timeline = Timeline::new(sampler, app);
    timeline.is_faro = formats.events == Format::Faro;
    live(&mut timeline, number);
    signals::whole_session(&mut timeline);
    let fell_silent = timeline.silent_until_ms > 0;
    let mut beacons = into_beacons(&mut timeline, formats);
    if irregular {
        disturb(&mut timeline, &mut beacons, plain && !fell_silent, plain);
    }
    begin_at_zero(&mut beacons);
    Session { number, app, release, user_agent, bot, weight, beacons, truth: timeline.truth }
}

/// How a session's events and its web vitals are sent.
#[derive(Debug, Clone, Copy)]
struct Formats {
    events: Format,
    vitals: Format,
}

fn draw_app(sampler: &mut Sampler, profile: Profile) -> App {
    match profile {
        Profile::Mixed | Profile::Tidy => {
            sampler.weighted(&[(60, App::Web), (22, App::Ios), (18, App::Android)])
        }
        Profile::Web => App::Web,
        Profile::Native => sampler.one_of(&[App::Ios, App::Android]),
    }
}

fn draw_formats(sampler: &mut Sampler, app: App) -> Formats {
    let one = |format| Formats { events: format, vitals: format };
    match app {
        App::Web => sampler.weighted(&[
            (65, one(Format::Native)),
            (20, one(Format::Faro)),
            (15, Formats { events: Format::Native, vitals: Format::WebVitals }),
        ]),
        App::Ios | App::Android => one(Format::Native),
    }
}

/// What the user does.
fn live(timeline: &mut Timeline, number: u64) {
    if !timeline.is_faro {
        timeline.event("session.start", Vec::new());
    }
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
        other_signals(timeline);
        timeline.wait_between(1, 300);
        let (journey, play) = journeys::draw(timeline, attempt == attempts && !timeline.is_faro);
        journeys::attempt(timeline, journey, play, attempt);
        if play.ends_session() {
            return;
        }
    }
    other_signals(timeline);
    if !timeline.is_faro && timeline.sampler.chance(600) {
        timeline.wait_between(1, 300);
        timeline.leave();
        timeline.event("session.end", Vec::new());
    }
}

fn other_signals(timeline: &mut Timeline) {
    for _ in 0..timeline.sampler.between(0, 2) {
        timeline.wait_between(1, 150);
        signals::http_call(timeline);
    }
    if !timeline.is_faro && timeline.sampler.chance(40) {
        timeline.wait_between(1, 50);
        signals::exception(timeline);
    }
}

/// Cuts the events into beacons and moves their times so that 0 is the sending of the first beacon.
fn into_beacons(timeline: &mut Timeline, formats: Formats) -> Vec<Beacon> {
    let mut events = std::mem::take(&mut timeline.events);
    let mut vitals = Vec::new();
    if formats.vitals != formats.events {
        (vitals, events) = events.into_iter().partition(|event| event.name == "browser.web_vital");
    }
    let lasts_ms = timeline.now_ms;
    let live = timeline.silent_until_ms == 0 && lasts_ms <= LIVE_MS_MAX;
    let mut beacons = if live { cut_live(timeline, events) } else { cut_queued(timeline, events, lasts_ms) };
    for (place, beacon) in beacons.iter_mut().enumerate() {
        beacon.format = formats.events;
        beacon.sequence = place as u64 + 1;
    }
    let vitals = last_of_each_id(vitals);
    if !vitals.is_empty() {
        let due_ms = beacons.last().map_or(0, |beacon| beacon.due_ms) + timeline.sampler.between(0, 1_000);
        let sequence = beacons.len() as u64 + 1;
        let mut beacon = Beacon::of(vitals, due_ms);
        (beacon.format, beacon.sequence) = (Format::WebVitals, sequence);
        beacon.records_max = beacon.events.len() as u32;
        beacons.push(beacon);
    }
    beacons
}

/// The library reports a metric by one object that it changes: a request has each id once, with its last value.
fn last_of_each_id(vitals: Vec<Event>) -> Vec<Event> {
    let id = |event: &Event| event.attributes.iter().find(|(name, _)| *name == "id").cloned();
    let mut last: Vec<Event> = Vec::with_capacity(vitals.len());
    for event in vitals {
        match last.last_mut().filter(|before| id(before) == id(&event)) {
            Some(before) => *before = event,
            None => last.push(event),
        }
    }
    last
}

impl Beacon {
    fn of(events: Vec<Event>, due_ms: u64) -> Self {
        Self { format: Format::Native, sequence: 0, due_ms, repeat_due_ms: None, records_max: 1, events }
    }
}

/// A beacon every so often with what has happened since the last.
fn cut_live(timeline: &mut Timeline, events: Vec<Event>) -> Vec<Beacon> {
    let mut beacons: Vec<Beacon> = Vec::new();
    let mut first_cut_ms = None;
    let mut cut_ms = 0;
    for mut event in events {
        if beacons.is_empty() || event.at_ms > cut_ms {
            cut_ms = event.at_ms + timeline.sampler.between(400, 1_500) as i64;
            let first_cut_ms = *first_cut_ms.get_or_insert(cut_ms);
            beacons.push(Beacon::of(Vec::new(), (cut_ms - first_cut_ms) as u64));
        }
        event.at_ms -= first_cut_ms.unwrap_or(0);
        if let Some(beacon) = beacons.last_mut() {
            beacon.events.push(event);
        }
    }
    beacons
}

/// Everything is over when the first beacon is sent; the events come in one to three of them.
fn cut_queued(timeline: &mut Timeline, mut events: Vec<Event>, lasts_ms: u64) -> Vec<Beacon> {
    let over_ms = lasts_ms.max(timeline.silent_until_ms) + timeline.sampler.between(1, 3_000);
    for event in &mut events {
        event.at_ms -= over_ms as i64;
    }
    let count = (timeline.sampler.between(1, 3) as usize).min(events.len());
    let (mut due_ms, mut beacons) = (0, Vec::with_capacity(count));
    for remaining in (1..=count).rev() {
        let share = events.len().div_ceil(remaining).min(events.len());
        let rest = events.split_off(share);
        beacons.push(Beacon::of(std::mem::replace(&mut events, rest), due_ms));
        due_ms += timeline.sampler.between(20, 1_200);
    }
    beacons
}

/// What networks and clocks do: beacons out of order and twice, events from long ago and from tomorrow.
fn disturb(timeline: &mut Timeline, beacons: &mut [Beacon], may_be_heard: bool, plain: bool) {
    let sampler = &mut timeline.sampler;
    if beacons.len() > 1 && sampler.chance(100) {
        let delayed = sampler.between(0, beacons.len() as u64 - 1) as usize;
        beacons[delayed].due_ms += sampler.between(500, DELAY_MS_MAX);
    }
    for beacon in beacons.iter_mut() {
        if sampler.chance(30) {
            beacon.repeat_due_ms = Some(beacon.due_ms + sampler.between(100, 5_000));
        }
    }
    let Some(first) = beacons.first_mut().filter(|_| plain) else { return };
    if sampler.chance(5) {
        first.events.push(http_event(-TOO_OLD_MS));
        timeline.truth.too_old += 1;
    }
    if may_be_heard && sampler.chance(5) {
        first.events.push(http_event(FUTURE_MS));
        timeline.single(signals::standard::HTTP_CALLS, None, Some(whole_ms(77)));
    }
}

/// Moves everything so that the beacon that is due first is due at 0.
fn begin_at_zero(beacons: &mut [Beacon]) {
    let first_ms = beacons.iter().map(|beacon| beacon.due_ms).min().unwrap_or(0);
    for beacon in beacons {
        beacon.due_ms -= first_ms;
        beacon.repeat_due_ms = beacon.repeat_due_ms.map(|due_ms| due_ms - first_ms);
        for event in &mut beacon.events {
            event.at_ms -= first_ms as i64;
        }
    }
}

fn http_event(at_ms: i64) -> Event {
    let attributes: Vec<(&'static str, Attribute)> =
        vec![("method", "GET".into()), ("route", "/api/profile".into()), ("status", 200_u64.into())];
    Event { at_ms, name: "http.client", value: Some(whole_ms(77)), attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(count: u64, profile: Profile) -> impl Iterator<Item = Session> {
        (0..count).map(move |number| play(7, number, profile))
    }

    fn starts_attempt(event: &Event) -> bool {
        let plain_starts = ["lecture.open", "answer.submit", "sign-in.submit"].map(Attribute::from);
        event.name == "journey.start"
            || event.attributes.iter().any(|(name, value)| *name == "name" && plain_starts.contains(value))
    }

    #[test]
    fn no_event_is_later_than_its_sending() {
        for session in sessions(3_000, Profile::Mixed) {
            assert!(session.beacons.iter().any(|beacon| beacon.due_ms == 0), "session {}", session.number);
            // Web vitals by `sendBeacon` carry no times.
            for beacon in session.beacons.iter().filter(|beacon| beacon.format != Format::WebVitals) {
                assert!(!beacon.events.is_empty(), "session {}", session.number);
                let times = beacon.events.iter().map(|event| event.at_ms);
                let latest_ms = times.filter(|at_ms| *at_ms < FUTURE_MS / 2).max().unwrap();
                assert!(latest_ms <= beacon.due_ms as i64, "session {}", session.number);
            }
        }
    }

    #[test]
    fn every_outcome_is_played_on_every_app() {
        use crate::truth::Outcome;
        let played: std::collections::BTreeSet<(&str, Outcome)> = sessions(5_000, Profile::Mixed)
            .flat_map(|session| {
                session
                    .truth
                    .attempts
                    .into_iter()
                    .filter(|attempt| !attempt.single_event)
                    .map(move |attempt| (session.app.name(), attempt.outcome))
            })
            .collect();
        assert_eq!(played.len(), 3 * Outcome::ALL.len(), "{played:?}");
    }

    #[test]
    fn what_is_heard_never_contradicts_the_silence() {
        // A session that falls silent has its last event before the deadline of its last attempt, and the
        // deadline before its first beacon.
        use crate::truth::Outcome;
        let mut silent = 0;
        for session in sessions(5_000, Profile::Mixed) {
            let last = session.truth.attempts.iter().rfind(|attempt| !attempt.single_event);
            let ends = last.is_some_and(|last| {
                last.outcome == Outcome::Unknown
                    || (last.outcome == Outcome::Abandoned && last.reason == "abandoned")
            });
            if !ends {
                continue;
            }
            silent += 1;
            let started_ms = session
                .beacons
                .iter()
                .flat_map(|beacon| &beacon.events)
                .filter(|event| starts_attempt(event))
                .map(|event| event.at_ms)
                .max()
                .unwrap();
            let deadline_ms = started_ms + super::super::TIMEOUT_MS as i64;
            assert!(deadline_ms < 0, "session {}", session.number);
            let heard_after = session
                .beacons
                .iter()
                .filter(|beacon| beacon.format != Format::WebVitals)
                .flat_map(|beacon| &beacon.events)
                .any(|event| event.at_ms >= deadline_ms);
            assert!(!heard_after, "session {}", session.number);
        }
        assert!(silent > 100, "{silent}");
    }
}
