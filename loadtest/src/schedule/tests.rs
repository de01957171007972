use std::collections::BTreeMap;

use super::*;
use crate::scenario::Format;

fn traffic(seed: u64) -> Traffic {
    Traffic { rate: 200.0, seconds: 20, seed, profile: Profile::Mixed, arrivals: Arrivals::Constant }
}

fn fingerprint(traffic: Traffic) -> String {
    let mut schedule = Schedule::new(traffic);
    assert!(schedule.by_ref().count() > 0);
    schedule.fingerprint()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(fingerprint(traffic(1)), fingerprint(traffic(1)));
    assert_ne!(fingerprint(traffic(1)), fingerprint(traffic(2)));
    let poisson = Traffic { arrivals: Arrivals::Poisson, ..traffic(1) };
    assert_eq!(fingerprint(poisson.clone()), fingerprint(poisson));
}

#[test]
fn arrivals_keep_the_rate_and_every_beacon_is_sent_once_or_twice() {
    let sendings: Vec<Sending> = Schedule::new(traffic(3)).collect();
    let within = sendings.iter().filter(|sending| sending.at_ns < 20_000_000_000).count();
    assert_eq!(within, 200 * 20);
    assert!(sendings.is_sorted_by_key(|sending| sending.at_ns));
    let sessions: std::collections::BTreeMap<u64, &Arc<Session>> =
        sendings.iter().map(|sending| (sending.session.number, &sending.session)).collect();
    let planned: usize = sessions
        .values()
        .map(|session| {
            let repeats = session.beacons.iter().filter(|beacon| beacon.repeat_due_ms.is_some());
            session.beacons.len() + repeats.count()
        })
        .sum();
    assert_eq!(sendings.len(), planned);
    assert_eq!(sendings.iter().filter(|sending| sending.begins_session).count(), sessions.len());
}

#[test]
fn sessions_that_have_begun_come_to_their_end() {
    let mut schedule = Schedule::new(Traffic { seconds: 3_600, ..traffic(4) });
    let mut sendings: Vec<Sending> = schedule.by_ref().take(500).collect();
    let begun = sendings.iter().filter(|sending| sending.begins_session).count();
    schedule.end_arrivals();
    sendings.extend(schedule);
    assert_eq!(sendings.iter().filter(|sending| sending.begins_session).count(), begun);
    let planned: usize = sendings
        .iter()
        .filter(|sending| sending.begins_session)
        .map(|sending| {
            let beacons = &sending.session.beacons;
            beacons.len() + beacons.iter().filter(|beacon| beacon.repeat_due_ms.is_some()).count()
        })
        .sum();
    assert_eq!(sendings.len(), planned);
}

#[test]
fn a_poisson_process_has_the_rate_on_average() {
    let poisson = Traffic { arrivals: Arrivals::Poisson, seconds: 60, ..traffic(3) };
    let mut schedule = Schedule::new(poisson);
    let arrivals = schedule.arrivals_max() as usize;
    let last_ns = schedule.by_ref().take(arrivals).map(|sending| sending.at_ns).max().unwrap();
    let rate = arrivals as f64 / (last_ns as f64 / NS_PER_S);
    assert!((190.0..210.0).contains(&rate), "{rate}");
}

/// The default scenario's first minute: what a seed gives must not change unnoticed.
fn default_minute() -> Traffic {
    Traffic { rate: 300.0, seconds: 60, seed: 1, profile: Profile::Full, arrivals: Arrivals::Constant }
}

#[test]
fn the_default_scenario_has_the_bytes_that_it_always_had() {
    let mut schedule = Schedule::new(default_minute());
    let mut formats: BTreeMap<Format, Xxh3> = BTreeMap::new();
    for sending in schedule.by_ref() {
        let format = sending.session.beacons[sending.beacon].format;
        let hash = formats.entry(format).or_default();
        sending.request(FINGERPRINT_RUN_MS).add_to(hash, FINGERPRINT_RUN_MS);
    }
    let found: Vec<(Format, String)> =
        formats.iter().map(|(format, hash)| (*format, format!("{:016x}", hash.digest()))).collect();
    let expected = [
        (Format::Native, "c5335c65ae2fe210"),
        (Format::Faro, "3dac6b1691844c12"),
        (Format::OtlpLogsJson, "a9b9d50dea7b355d"),
        (Format::OtlpLogsProtobuf, "f919d6ea7e8eacde"),
        (Format::OtlpTracesJson, "aeccac88f1cfa511"),
        (Format::OtlpTracesProtobuf, "48cd8558012e1253"),
        (Format::Boomerang, "5a07d4806ba3d877"),
        (Format::BoomerangGet, "c1ec49471ae9a6c8"),
        (Format::WebVitals, "d1aa1f3862788fe1"),
        (Format::NetworkErrors, "576486b08eb0052b"),
    ];
    let expected: Vec<(Format, String)> =
        expected.into_iter().map(|(format, hash)| (format, hash.to_owned())).collect();
    assert_eq!(found, expected);
    assert_eq!(schedule.fingerprint(), "cca820fa81531109");
}

#[test]
fn what_a_page_sends_at_once_is_sent_at_one_instant() {
    let sendings: Vec<Sending> = Schedule::new(default_minute()).take(5_000).collect();
    assert!(sendings.is_sorted_by_key(|sending| sending.at_ns));
    let at_once = sendings.windows(2).filter(|pair| pair[0].at_ns == pair[1].at_ns).count();
    assert!(at_once > 50, "{at_once}");
    let is_of_one =
        |pair: &[Sending]| pair[0].at_ns != pair[1].at_ns || pair[0].session.number == pair[1].session.number;
    assert!(sendings.windows(2).all(is_of_one));
}

#[test]
fn a_new_release_comes_out_in_the_middle() {
    let is_new = |sending: &Sending| sending.session.release == "2026.11.4";
    let begun = Schedule::new(default_minute()).filter(|sending| sending.begins_session);
    let (early, late): (Vec<Sending>, Vec<Sending>) =
        begun.partition(|sending| sending.at_ns <= 30_000_000_000);
    assert_eq!(early.iter().filter(|sending| is_new(sending)).count(), 0);
    assert!(late.iter().filter(|sending| is_new(sending)).count() > late.len() / 5);
}

#[test]
fn in_a_pause_nobody_begins_and_what_is_due_is_sent() {
    let pause = Arrivals::Pause { at_s: 5, for_s: 10 };
    let sendings: Vec<Sending> = Schedule::new(Traffic { arrivals: pause, ..traffic(3) }).collect();
    assert!(sendings.is_sorted_by_key(|sending| sending.at_ns));
    let within: Vec<&Sending> =
        sendings.iter().filter(|sending| (5.0..15.0).contains(&(sending.at_ns as f64 / NS_PER_S))).collect();
    assert!(within.len() > 100, "{} are sent in the pause", within.len());
    assert_eq!(within.iter().filter(|sending| sending.begins_session).count(), 0);
    let after = sendings.iter().filter(|sending| sending.begins_session && sending.at_ns >= 15_000_000_000);
    assert!(after.count() > 100);
}
