use std::collections::{BTreeMap, BTreeSet};

use super::super::disturb::FUTURE_MS;
use super::super::population::SLOW_RELEASE;
use super::super::{Attribute, Format, TIMEOUT_MS};
use super::*;
use crate::truth::{Attempt, Outcome};

fn sessions(count: u64, profile: Profile) -> impl Iterator<Item = Session> {
    (0..count).map(move |number| play(7, number, profile, number % 2 == 1))
}

/// A session and those that are sent with it, as if each sent for itself.
fn each(session: &Session) -> impl Iterator<Item = &Session> {
    std::iter::once(session).chain(&session.others)
}

fn starts_attempt(event: &Event) -> bool {
    let plain_starts = ["lecture.open", "answer.submit", "sign-in.submit"].map(Attribute::from);
    event.name == "journey.start"
        || event.attributes.iter().any(|(name, value)| *name == "name" && plain_starts.contains(value))
}

fn journeys(session: &Session) -> impl Iterator<Item = &Attempt> {
    session.truth.attempts.iter().filter(|attempt| !attempt.single_event)
}

/// When what an event tells can be known, by beacon.
fn timed(session: &Session) -> impl Iterator<Item = (&Beacon, &Event)> {
    let beacons = session.beacons.iter().filter(|beacon| !beacon.format.is_timeless());
    beacons.flat_map(|beacon| beacon.events.iter().map(move |event| (beacon, event)))
}

#[test]
fn no_event_is_later_than_its_sending() {
    for session in sessions(5_000, Profile::Full) {
        assert!(session.beacons.iter().any(|beacon| beacon.due_ms == 0), "session {}", session.number);
        for session in each(&session) {
            for (beacon, event) in timed(session).filter(|(_, event)| event.at_ms < FUTURE_MS / 2) {
                assert!(event.at_ms <= beacon.due_ms as i64, "session {} {event:?}", session.number);
            }
        }
    }
}

#[test]
fn every_outcome_is_played_on_every_app() {
    for profile in [Profile::Full, Profile::Mixed] {
        let played: BTreeSet<(&str, Outcome)> = sessions(5_000, profile)
            .flat_map(|session| {
                journeys(&session).map(|attempt| (session.app.name(), attempt.outcome)).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(played.len(), 3 * Outcome::ALL.len(), "{played:?}");
    }
}

/// What ends in silence.
fn falls_silent(session: &Session) -> bool {
    journeys(session).last().is_some_and(|last| {
        last.outcome == Outcome::Unknown || last.outcome == Outcome::Abandoned && last.reason == "abandoned"
    })
}

#[test]
fn what_is_heard_never_contradicts_the_silence() {
    // A session that falls silent within an attempt is not heard of after that attempt's deadline.
    let mut silent = BTreeMap::from([(false, 0), (true, 0)]);
    for session in sessions(10_000, Profile::Full).filter(falls_silent) {
        let started = timed(&session).filter(|(_, event)| starts_attempt(event));
        let deadline_ms = started.map(|(_, event)| event.at_ms).max().unwrap() + TIMEOUT_MS as i64;
        let heard_after = timed(&session).any(|(_, event)| event.at_ms >= deadline_ms);
        assert!(!heard_after, "session {}", session.number);
        *silent.entry(deadline_ms > 0).or_default() += 1;
    }
    assert!(silent.values().all(|count| *count > 50), "as it happens, or when it is over: {silent:?}");
}

/// When each attempt of an app's own journeys is decided: its start, and its end or its deadline.
#[test]
fn what_decides_an_attempt_comes_soon_enough() {
    for session in sessions(10_000, Profile::Full) {
        let mut arrivals: Vec<(u64, i64)> = timed(&session)
            .map(|(beacon, event)| (beacon.due_ms, event.at_ms))
            .filter(|(_, at_ms)| *at_ms < FUTURE_MS / 2)
            .collect();
        arrivals.sort_unstable();
        for attempt in journeys(&session) {
            let began_ms = attempt.at_ms.unwrap();
            // Within its time and a little more lies all that decides it; of what lies there none is waited for longer
            // than planned, be it after the deadline or after what came before.
            let decided_by_ms = began_ms + TIMEOUT_MS as i64 + HEARD_WITHIN_MS_THINKING as i64;
            let mut deciding =
                arrivals.iter().filter(|(_, at_ms)| (began_ms..=decided_by_ms).contains(at_ms)).peekable();
            // Before the first of it comes, nobody knows of the attempt.
            let known_ms = deciding.peek().map_or(0, |(due_ms, _)| *due_ms as i64);
            let mut settles_ms = known_ms.max(began_ms + TIMEOUT_MS as i64);
            for (due_ms, _) in deciding {
                let waited_ms = *due_ms as i64 - settles_ms;
                assert!(waited_ms <= PLANNED_MS_MAX as i64, "session {} waits {waited_ms}", session.number);
                settles_ms = settles_ms.max(*due_ms as i64);
            }
        }
    }
}

#[test]
fn the_full_profile_has_everything_odd() {
    let all: Vec<Session> = sessions(20_000, Profile::Full).collect();
    let per_mille = |odd: &dyn Fn(&Session) -> bool| {
        1_000 * all.iter().filter(|session| odd(session)).count() / all.len()
    };
    let check = |what: &str, at_least: usize, odd: &dyn Fn(&Session) -> bool| {
        let found = per_mille(odd);
        assert!((at_least..20 * at_least + 20).contains(&found), "{what}: {found} of 1000");
    };
    let lasts_ms = |session: &Session| session.beacons.iter().map(|beacon| beacon.due_ms).max().unwrap_or(0);
    let is_past = |session: &Session, from_ms: i64, to_ms: i64| {
        session
            .truth
            .attempts
            .iter()
            .any(|attempt| attempt.at_ms.is_some_and(|at| (from_ms..to_ms).contains(&at)))
    };
    check("thinks for tens of seconds", 15, &|session| lasts_ms(session) > 20_000);
    check("clock is ahead", 3, &|session| session.clock_error_ms > 0);
    check("clock is behind", 3, &|session| session.clock_error_ms < 0);
    check("was offline for days", 10, &|session| is_past(session, -(7 * 86_400_000), -86_400_000));
    check("was offline too long", 1, &|session| {
        session.truth.attempts.is_empty() && session.truth.too_old > 0
    });
    check("is sampled", 10, &|session| session.weight > 1);
    check("is a bot", 1, &|session| session.device.bot);
    check("is of another environment", 2, &|session| !session.environment.is_empty());
    check("is of the slow release", 100, &|session| session.release == SLOW_RELEASE);
    check("comes twice", 20, &|session| session.beacons.iter().any(|beacon| beacon.repeat_due_ms.is_some()));
    check("is compressed", 100, &|session| session.beacons.iter().any(|beacon| beacon.gzip));
    check("comes in a burst", 20, &|session| {
        session
            .beacons
            .windows(2)
            .any(|pair| pair[0].due_ms == pair[1].due_ms && pair[0].format == pair[1].format)
    });
    check("is overtaken", 20, &|session| {
        session.beacons.windows(2).any(|pair| pair[0].due_ms > pair[1].due_ms)
    });
    check("is sent by a gateway for others", 15, &|session| !session.others.is_empty());
    let formats: BTreeSet<Format> =
        all.iter().flat_map(|session| &session.beacons).map(|beacon| beacon.format).collect();
    assert_eq!(formats.len(), Format::ALL.len());
}

#[test]
fn the_release_that_comes_out_makes_everything_slow() {
    let median = |out: bool| {
        let sessions = (0..4_000).map(|number| play(7, number, Profile::Full, out));
        let mut took: Vec<u64> = sessions
            .filter(|session| (session.release == SLOW_RELEASE) == out && session.others.is_empty())
            .flat_map(|session| session.truth.attempts)
            .filter(|attempt| attempt.journey == "page-load")
            .filter_map(|attempt| attempt.latency.map(|latency| latency.units()))
            .collect();
        took.sort_unstable();
        took[took.len() / 2]
    };
    assert!(median(true) > 2 * median(false), "{} and {}", median(true), median(false));
    let early = (0..1_000).map(|number| play(7, number, Profile::Full, false));
    assert!(early.into_iter().all(|session| session.release != SLOW_RELEASE));
}

#[test]
fn what_a_gateway_sends_is_one_record_for_each_session() {
    let mut several_apps = 0;
    for session in sessions(4_000, Profile::Full).filter(|session| !session.others.is_empty()) {
        let records: u64 = session.beacons.iter().map(|beacon| beacon.records).sum();
        assert_eq!(records, each(&session).map(|session| session.truth.records).sum::<u64>());
        several_apps += usize::from(each(&session).any(|other| other.app != session.app));
    }
    assert!(several_apps > 10, "{several_apps}");
}

#[test]
fn boomerang_repeats_a_load_that_counts_once() {
    let of_boomerang = |session: &Session| session.beacons[0].format == Format::Boomerang;
    for session in sessions(2_000, Profile::Full).filter(of_boomerang) {
        let loads = session.truth.attempts.iter().filter(|attempt| attempt.journey == "page-load").count();
        assert_eq!(session.truth.left_out["repeated_page_load"], loads as u64);
        assert_eq!(session.truth.events["browser.navigation"], loads as u64);
    }
}
