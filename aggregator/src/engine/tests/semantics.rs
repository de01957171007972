//! What a sequence of events becomes, case by case.

use std::sync::Arc;

use schema::beacon::Event;
use schema::definition::{DefinitionSet, EngineSettings};

use super::world::*;
use crate::engine::Resume;

/// Plays one web session, each inner list a beacon that is appended with its last event, then lets two
/// minutes pass. `expect` lists lines of the totals of `journey` that must be there; every attempt must.
fn check(journey: &str, beacons: Vec<Vec<Event<'static>>>, expect: &[&str]) {
    let mut log = vec![definitions_entry(0, &definitions(settings()))];
    for (number, events) in beacons.into_iter().enumerate() {
        let at_ms = events.last().map_or(0, |event| event.time_ms - T0);
        log.push(beacon_entry(at_ms, &beacon(&format!("b{number}"), "s", "web", events)));
    }
    let end_ms = log.last().map_or(0, |entry| entry.append_ms - T0);
    log.extend((1..=60).map(|second| tick(end_ms + second * 2_000)));
    let totals = totals(&play(&log, Resume::default()));
    let lines: Vec<String> = totals.iter().map(|(key, count)| format!("{key} {count}")).collect();
    for line in expect {
        assert!(lines.iter().any(|found| found == line), "`{line}` is not in\n{}", lines.join("\n"));
    }
    let attempts: u64 = totals
        .iter()
        .filter(|(key, _)| key.starts_with(journey) && key.ends_with(" attempts"))
        .map(|(_, n)| n)
        .sum();
    let expected = expect.iter().filter(|line| line.contains(" attempts ")).count();
    assert!(
        expected > 0 || attempts == 0,
        "{attempts} attempts that nobody expects in\n{}",
        lines.join("\n")
    );
}

fn declared(at_ms: i64, what: &str, attributes: &[(&str, &str)]) -> Event<'static> {
    event(at_ms, what, &[&[("journey", "watch")], attributes].concat())
}

#[test]
fn success_and_its_latency() {
    check(
        "watch",
        vec![vec![event(1_000, "open", &[])], vec![event(1_153, "video", &[])]],
        &["watch  0 attempts 1", "watch  0 success 1", "watch  0 153ms 1", "objective watch fast valid 1"],
    );
    check(
        "watch",
        vec![vec![event(0, "open", &[]), event(3_000, "video", &[])]],
        &[
            "watch  0 attempts 1",
            "watch  0 success 1",
            "objective watch fast bad 1",
            "objective watch works valid 1",
        ],
    );
}

#[test]
fn the_clients_own_duration_wins_over_the_difference_of_times() {
    check(
        "watch",
        vec![vec![declared(0, "journey.start", &[]), declared(151, "journey.success", &[("value", "153")])]],
        &["watch  0 attempts 1", "watch  0 153ms 1"],
    );
}

#[test]
fn declared_failure_carries_its_reason() {
    check(
        "watch",
        vec![vec![
            declared(0, "journey.start", &[]),
            event(1, "http.client", &[("status", "503"), ("route", "/api")]),
            declared(9, "journey.failure", &[("reason", "no luck")]),
        ]],
        &["watch  0 attempts 1", "watch  0 failure 1", "watch  0 because no luck 1", "watch  0 hurt 1"],
    );
}

#[test]
fn a_recoverable_failure_counts_only_without_success() {
    let call = |at_ms| event(at_ms, "http.client", &[("status", "503"), ("route", "/api")]);
    check(
        "watch",
        vec![vec![event(0, "open", &[]), call(10)], vec![event(900, "video", &[])]],
        &["watch  0 attempts 1", "watch  0 success 1"],
    );
    check(
        "watch",
        vec![vec![event(0, "open", &[]), call(10)]],
        &["watch  0 attempts 1", "watch  0 failure 1", "watch  0 because http 503 /api 1"],
    );
}

#[test]
fn a_deadline_with_a_session_that_goes_on_is_a_timeout() {
    check(
        "watch",
        vec![vec![event(0, "open", &[]), event(100, "page", &[])], vec![event(31_000, "click", &[])]],
        &[
            "watch  0 attempts 1",
            "watch  0 timeout 1",
            "watch  0 because timeout at video 1",
            "step watch page success 1",
            "step watch video attempts 1",
        ],
    );
}

#[test]
fn leaving_is_abandoned_and_bad_only_after_patience() {
    for (left_at_ms, valid) in [(1_999, false), (2_001, true)] {
        let valid_line = "watch  0 valid 1";
        let mut expect = vec!["watch  0 attempts 1", "watch  0 abandoned 1", "watch  0 because abandoned 1"];
        if valid {
            expect.push(valid_line);
        }
        check(
            "watch",
            vec![vec![event(0, "open", &[])], vec![event(left_at_ms, "page.hidden", &[])]],
            &expect,
        );
    }
}

#[test]
fn a_crash_interrupts_what_is_open_and_a_standstill_what_does_not_succeed() {
    for (event_name, reason) in [("app.crash", "crash oom"), ("app.kill", "kill oom"), ("app.anr", "anr oom")]
    {
        check(
            "watch",
            vec![vec![event(0, "open", &[]), event(700, event_name, &[("type", "oom")])]],
            &[
                "watch  0 attempts 1",
                "watch  0 interrupted 1",
                "watch  0 valid 1",
                &format!("watch  0 because {reason} 1"),
            ],
        );
    }
    check(
        "watch",
        vec![vec![event(0, "open", &[]), event(700, "app.anr", &[])], vec![event(900, "video", &[])]],
        &["watch  0 attempts 1", "watch  0 success 1"],
    );
    check(
        "watch",
        vec![vec![event(0, "open", &[]), event(700, "app.hang", &[]), event(900, "video", &[])]],
        &["watch  0 attempts 1", "watch  0 success 1"],
    );
}

#[test]
fn a_standstill_is_held_as_long_as_the_attempt_is_open() {
    let pings = (1..14).map(|number| vec![event(number * 2_000 + 1_000, "ping", &[])]);
    let mut beacons = vec![vec![event(0, "open", &[]), event(700, "app.anr", &[])]];
    beacons.extend(pings);
    beacons.push(vec![event(31_000, "ping", &[])]);
    check("watch", beacons, &["watch  0 attempts 1", "watch  0 interrupted 1", "watch  0 because anr 1"]);
}

#[test]
fn a_session_is_an_attempt_and_bad_once() {
    check(
        "unbroken",
        vec![vec![event(0, "open", &[]), event(100, "video", &[])]],
        &[
            "unbroken  0 attempts 1",
            "unbroken  0 valid 1",
            "unbroken  0 sessions 1",
            "objective unbroken works valid 1",
        ],
    );
    let fatal = |at_ms, kind| event(at_ms, "exception", &[("fatal", "true"), ("type", kind)]);
    check(
        "unbroken",
        vec![
            vec![event(0, "ping", &[])],
            vec![fatal(70_000, "Later")],
            vec![event(65_000, "app.crash", &[("type", "First"), ("session", "s")])],
            vec![fatal(200_000, "Last")],
        ],
        &[
            "unbroken  0 attempts 1",
            "unbroken  0 valid 1",
            "unbroken  0 failure 1",
            "unbroken  0 hurt 1",
            "unbroken  0 because crash First 1",
            "objective unbroken works bad 1",
        ],
    );
}

#[test]
fn hidden_and_back_again_is_not_leaving() {
    check(
        "watch",
        vec![vec![
            event(0, "open", &[]),
            event(500, "page.hidden", &[]),
            event(900, "page.visible", &[]),
            event(1_400, "video", &[]),
        ]],
        &["watch  0 attempts 1", "watch  0 success 1"],
    );
}

#[test]
fn silence_is_unknown_and_not_valid() {
    check("watch", vec![vec![event(0, "open", &[])]], &["watch  0 attempts 1", "watch  0 unknown 1"]);
}

#[test]
fn cancelled_is_not_valid() {
    check(
        "watch",
        vec![vec![event(0, "open", &[]), event(5, "close", &[])]],
        &["watch  0 attempts 1", "watch  0 cancelled 1", "watch  0 because cancelled 1"],
    );
}

#[test]
fn starting_again_abandons_or_is_ignored() {
    check(
        "watch",
        vec![vec![event(0, "open", &[]), event(5_000, "open", &[]), event(5_100, "video", &[])]],
        &["watch  0 attempts 2", "watch  0 because restarted 1", "watch  0 success 1", "watch  0 valid 2"],
    );
    check(
        "keep",
        vec![vec![
            event(0, "keep.start", &[]),
            event(5_000, "keep.start", &[]),
            event(5_100, "keep.done", &[]),
        ]],
        &["keep  0 attempts 1", "keep  0 success 1"],
    );
}

#[test]
fn attempts_with_ids_run_beside_each_other() {
    check(
        "watch",
        vec![vec![
            declared(0, "journey.start", &[("attempt", "1")]),
            declared(10, "journey.start", &[("attempt", "2")]),
            declared(20, "journey.success", &[("attempt", "2")]),
            declared(40, "journey.end", &[("attempt", "1"), ("outcome", "success")]),
        ]],
        &[
            "watch  0 attempts 2",
            "watch  0 success 2",
            "watch  0 10ms 1",
            "watch  0 40ms 1",
            "watch  0 sessions 1",
        ],
    );
}

#[test]
fn a_failure_that_names_no_attempt_hits_those_with_ids() {
    check(
        "watch",
        vec![vec![
            declared(0, "journey.start", &[("attempt", "1")]),
            event(20, "exception", &[("fatal", "true"), ("type", "TypeError")]),
        ]],
        &["watch  0 attempts 1", "watch  0 failure 1", "watch  0 because exception TypeError 1"],
    );
}

#[test]
fn an_undefined_journey_is_discovered() {
    check(
        "browse",
        vec![vec![
            event(0, "journey.start", &[("journey", "browse")]),
            event(70, "journey.end", &[("journey.name", "browse"), ("outcome", "success")]),
        ]],
        &["browse  0 attempts 1", "browse  0 success 1", "browse  0 70ms 1"],
    );
}

#[test]
fn one_event_is_an_attempt_and_failure_is_looked_at_first() {
    check(
        "calls",
        vec![vec![
            event(0, "http.client", &[("status", "200"), ("route", "/a"), ("value", "125")]),
            event(60_000, "http.client", &[("status", "503"), ("route", "/a"), ("value", "7")]),
        ]],
        &[
            "calls /a 0 attempts 1",
            "calls /a 0 125ms 1",
            "calls /a 60 failure 1",
            "calls /a 60 because http 503 /a 1",
            "calls /a 60 attempts 1",
        ],
    );
}

#[test]
fn the_last_value_of_an_id_counts_on_the_page_that_it_measured() {
    let vital = |at_ms, value| {
        event(
            at_ms,
            "browser.web_vital",
            &[("name", "LCP"), ("id", "v1"), ("navigation", "n1"), ("route", "/next"), ("value", value)],
        )
    };
    check(
        "lcp",
        vec![
            vec![vital(3_000, "250")],
            vec![vital(900, "100")],
            vec![event(0, "browser.navigation", &[("id", "n1"), ("route", "/first")])],
        ],
        &["lcp /first 0 attempts 1", "lcp /first 0 250ms 1"],
    );
}

#[test]
fn what_comes_after_settling_is_late() {
    check(
        "watch",
        vec![
            vec![event(0, "open", &[])],
            vec![event(60_000, "ping", &[])],
            vec![event(700, "video", &[]), event(61_000, "ping", &[])],
        ],
        &["watch  0 attempts 1", "watch  0 unknown 1", "marks late 2"],
    );
}

#[test]
fn an_offline_upload_is_whole_in_its_own_window() {
    let day_ms = 24 * 3_600_000;
    check(
        "watch",
        vec![vec![
            event(-day_ms, "open", &[]),
            event(400 - day_ms, "video", &[]),
            event(-8 * day_ms, "open", &[]),
            event(0, "ping", &[]),
        ]],
        &["watch  -86400 attempts 1", "watch  -86400 400ms 1", "events too_old 1"],
    );
}

#[test]
fn a_repeated_beacon_counts_once() {
    let one = || vec![event(0, "open", &[]), event(5, "video", &[])];
    let mut log = vec![definitions_entry(0, &definitions(settings()))];
    for at_ms in [10, 20, 300_000, 1_200_000] {
        log.push(beacon_entry(at_ms, &beacon("same", "s", "web", one())));
    }
    log.extend((0..60).map(|second| tick(1_200_000 + second * 1_000)));
    let totals = totals(&play(&log, Resume::default()));
    assert_eq!(totals.get("records duplicate"), Some(&2), "{totals:#?}");
    assert_eq!(totals.get("watch  0 attempts"), Some(&2), "beyond the horizon it is new: {totals:#?}");
}

#[test]
fn bots_environments_and_damage_are_counted_by_name() {
    let mut log = vec![definitions_entry(0, &definitions(settings()))];
    let plain = |id: &str| beacon(id, "s", "web", vec![event(0, "open", &[])]);
    let mut bot = plain("bot");
    bot.bot = true;
    let mut staging = plain("staging");
    staging.environment = "staging".into();
    log.push(beacon_entry(1, &bot));
    log.push(beacon_entry(2, &staging));
    log.push(Entry { append_ms: T0 + 3, key: "x".into(), payload: vec![1, 1, 255] });
    log.push(Entry { append_ms: T0 + 3, key: "x".into(), payload: vec![9] });
    log.extend((1..30).map(|second| tick(second * 1_000)));
    let totals = totals(&play(&log, Resume::default()));
    for (reason, count) in [("bot", 1), ("environment", 1), ("undecodable", 2)] {
        assert_eq!(totals.get(&format!("records {reason}")), Some(&count), "{totals:#?}");
    }
    assert!(!totals.contains_key("watch  0 attempts"));
}

#[test]
fn what_comes_before_any_definitions_is_told_and_not_counted() {
    let mut log = vec![beacon_entry(0, &beacon("b", "s", "web", vec![event(0, "open", &[])]))];
    log.extend((1..100).map(|second| tick(second * 1_000)));
    let batches = play(&log, Resume::default());
    assert_eq!(totals(&batches).get("records no_definitions"), Some(&1));
    assert_eq!(batches[0].row.definition_set, "");
}

#[test]
fn what_settles_with_a_definition_record_settles_under_its_set() {
    let first = definitions(settings());
    let mut second = first.clone();
    for journey in &mut second.journeys {
        journey.objectives.reverse();
    }
    let second = DefinitionSet::new(second.settings, second.apps, second.journeys);
    let slow = vec![event(0, "open", &[]), event(3_000, "video", &[])];
    let log = [
        definitions_entry(0, &first),
        beacon_entry(3_000, &beacon("b", "s", "web", slow)),
        definitions_entry(60_000, &second),
        tick(70_000),
    ];
    let totals = totals(&play(&log, Resume::default()));
    let of = |key: &str| totals.get(&format!("objective watch {key}")).copied().unwrap_or_default();
    assert_eq!(
        [of("works valid"), of("works bad"), of("fast valid"), of("fast bad")],
        [1, 0, 1, 1],
        "{totals:#?}"
    );
}

#[test]
fn the_set_of_the_last_batch_goes_on_where_the_log_lost_its_activation() {
    let first = definitions(settings());
    let second = definitions(EngineSettings { grace_ms: 4_000, ..settings() });
    let opened = beacon("b", "s", "web", vec![event(2_000, "open", &[]), event(3_000, "video", &[])]);
    let log = [definitions_entry(0, &first), beacon_entry(3_000, &opened), tick(60_000), tick(90_000)];
    let resume = Resume {
        replay_definitions: Some(Arc::new(first)),
        next_offset: 2,
        log_time_ms: T0 + 10_000,
        definitions: Some(Arc::new(second.clone())),
        ..Resume::default()
    };
    let batches = play(&log, resume);
    let sets: Vec<_> = batches.iter().map(|batch| batch.row.definition_set.as_str()).collect();
    assert_eq!(sets, [second.id]);
    assert!(batches[0].definitions.is_empty(), "it is stored already");
    assert_eq!(totals(&batches)["watch  0 success"], 1, "what was open settles");
}

#[test]
fn what_two_matchers_of_a_list_match_happened_once() {
    let mut set = definitions(settings());
    let watch = set.journeys.iter_mut().find(|journey| journey.name == "watch").unwrap();
    watch.start.push(matcher("open", &[]));
    watch.success.push(matcher("video", &[]));
    let set = DefinitionSet::new(set.settings, set.apps, set.journeys);
    let once = vec![event(0, "open", &[]), event(400, "video", &[])];
    let mut log = vec![definitions_entry(0, &set), beacon_entry(400, &beacon("b", "s", "web", once))];
    log.extend((1..60).map(|second| tick(second * 1_000)));
    let batches = play(&log, Resume::default());
    let totals = totals(&batches);
    assert_eq!(totals.get("watch  0 attempts"), Some(&1), "{totals:#?}");
    assert_eq!(totals.get("watch  0 success"), Some(&1), "{totals:#?}");
    let quality = batches.iter().flat_map(|batch| &batch.quality);
    assert!(quality.clone().all(|row| row.not_counted.is_empty()), "{totals:#?}");
}

#[test]
fn events_that_only_begin_like_a_declaration_are_matched_as_any() {
    let mut set = definitions(settings());
    let watch = set.journeys.iter_mut().find(|journey| journey.name == "watch").unwrap();
    watch.success = vec![matcher("journey.paid", &[])];
    let set = DefinitionSet::new(set.settings, set.apps, set.journeys);
    let paid = vec![event(0, "open", &[]), event(400, "journey.paid", &[])];
    let mut log = vec![definitions_entry(0, &set), beacon_entry(400, &beacon("b", "s", "web", paid))];
    log.extend((1..60).map(|second| tick(second * 1_000)));
    let totals = totals(&play(&log, Resume::default()));
    assert_eq!(totals.get("watch  0 success"), Some(&1), "{totals:#?}");
    assert!(!totals.keys().any(|key| key.starts_with("events ")), "{totals:#?}");
}

#[test]
fn a_sequence_out_of_reach_says_nothing_of_lost_beacons() {
    let numbered = |number: u64, at_ms| {
        let mut beacon = beacon(&format!("b{number}"), "s", "web", vec![event(at_ms, "ping", &[])]);
        beacon.sequence = Some(number);
        beacon_entry(at_ms, &beacon)
    };
    let mut log = vec![definitions_entry(0, &definitions(settings()))];
    log.extend([numbered(0, 0), numbered(3, 10), numbered(u64::MAX, 20)]);
    log.push(tick(60_000));
    let batches = play(&log, Resume::default());
    let quality = batches.iter().flat_map(|batch| &batch.quality);
    let (expected, received) = quality.fold((0, 0), |(expected, received), row| {
        (expected + row.sequence_expected, received + row.sequence_received)
    });
    assert_eq!((expected, received), (5, 3));
}

#[test]
fn a_session_is_measured_from_its_first_numbered_beacon_on() {
    let sent = [
        ("numbered", Some(1)),
        ("numbered", Some(2)),
        ("unnumbered", None),
        ("unnumbered", None),
        ("numbered later", None),
        ("numbered later", Some(7)),
        ("", Some(1)),
    ];
    let mut log = vec![definitions_entry(0, &definitions(settings()))];
    log.extend(sent.iter().zip(0..).map(|((session, sequence), at_ms)| {
        let mut beacon = beacon(&format!("b{at_ms}"), session, "web", vec![event(at_ms, "ping", &[])]);
        beacon.sequence = *sequence;
        beacon_entry(at_ms, &beacon)
    }));
    log.push(tick(60_000));
    let batches = play(&log, Resume::default());
    let quality = batches.iter().flat_map(|batch| &batch.quality);
    let sessions = quality.fold((0, 0), |(sessions, measured), row| {
        (sessions + row.sessions, measured + row.sessions_measured)
    });
    assert_eq!(sessions, (3, 2));
}

#[test]
fn a_session_counts_for_a_bounded_number_of_journeys() {
    let mut log = vec![definitions_entry(0, &definitions(settings()))];
    for number in 0..300 {
        let name = format!("journey-{number}");
        let at_ms = number * 10;
        let events = vec![
            event(at_ms, "journey.start", &[("journey", name.as_str())]),
            event(at_ms + 5, "journey.end", &[("journey", name.as_str()), ("outcome", "success")]),
        ];
        log.push(beacon_entry(at_ms + 5, &beacon(&format!("b{number}"), "s", "web", events)));
    }
    log.extend((1..120).map(|second| tick(3_000 + second * 1_000)));
    let batches = play(&log, Resume::default());
    let beyond: u64 = batches
        .iter()
        .flat_map(|batch| &batch.quality)
        .filter_map(|row| row.not_counted.get("session_limit"))
        .sum();
    assert_eq!(beyond, 300 - 256);
    let attempts: u64 = batches
        .iter()
        .flat_map(|batch| &batch.journey_minutes)
        .filter(|row| row.journey != "unbroken")
        .map(|row| row.counters.attempts)
        .sum();
    assert_eq!(attempts, 300, "the attempts themselves count");
}
