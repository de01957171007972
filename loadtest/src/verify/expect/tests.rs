use schema::definition::{EngineSettings, load};

use super::*;
use crate::truth::{Outcome, Truth};

const APP: &str = "app: studyapp-web\nkeys: [k]\n";
const JOURNEY: &str = "journey: watch\ntitle: Watch\nproduct: p\nowner: o\npromise: It plays.\n\
    apps: [studyapp-web]\nstart: {event: a}\nsteps:\n  - {name: page, done: {event: b}}\n  \
    - {name: video, done: {event: c}}\nsuccess: {event: c}\ntimeout: 30s\n\
    objectives:\n  - {name: fast, within: 2s, target: 95%}\n";

fn definitions() -> DefinitionSet {
    let files = [
        ("apps/web.yaml", APP),
        ("journeys/watch.yaml", JOURNEY),
        ("products/p.yaml", "product: p\ntitle: P\n"),
        ("owners/o.yaml", "owner: o\ntitle: O\n"),
        ("policies/default.yaml", include_str!("../../../../definitions/policies/default.yaml")),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()));
    load(&files, EngineSettings::default()).unwrap()
}

fn attempt(outcome: Outcome, wait_ms: Option<u64>, reached: &[&'static str]) -> Attempt {
    Attempt {
        journey: "watch".into(),
        single_event: false,
        at_ms: Some(0),
        outcome,
        reason: "".into(),
        latency: None,
        wait_ms,
        reached: reached.iter().map(|step| (*step).into()).collect(),
    }
}

fn session(truth: Truth) -> SessionLine {
    SessionLine {
        number: 0,
        place: 0,
        begins_ms: 0,
        app: "studyapp-web".into(),
        release: "1".into(),
        environment: String::new(),
        weight: 2,
        bot: false,
        clock_error_ms: 0,
        beacons: 2,
        truth,
    }
}

/// A run began here.
const RUN_MS: i64 = 1_795_405_626_000;

fn expect(session: &SessionLine, certain: bool) -> Expected {
    let past_until_s = hour_s(RUN_MS - PAST_MS);
    let mut expected = Expected { past_until_s, ..Expected::default() };
    expected.add_session(session, RUN_MS, certain, &definitions()).unwrap();
    expected
}

fn cell(expected: &Expected) -> &Cell {
    &expected.cells[&("studyapp-web".to_owned(), "watch".to_owned())]
}

#[test]
fn the_definition_says_what_a_player_cannot_know() {
    let attempts = vec![
        attempt(Outcome::Abandoned, Some(2_000), &[]),
        attempt(Outcome::Abandoned, Some(2_001), &["page"]),
        attempt(Outcome::Timeout, None, &["page"]),
        attempt(Outcome::Timeout, None, &["page", "video"]),
    ];
    let expected = expect(&session(Truth { attempts, ..Truth::default() }), true);
    let cell = cell(&expected);
    assert_eq!((cell.attempts(), cell.valid, cell.sessions), (8, 6, Some(2)));
    assert_eq!(cell.reasons["timeout at video"], 2);
    assert_eq!(cell.reasons["timeout"], 2);
    assert_eq!(cell.steps, [("page".to_owned(), 8, 6), ("video".to_owned(), 6, 2)]);
}

#[test]
fn of_an_uncertain_session_every_count_may_be_there_or_not() {
    let truth =
        Truth { attempts: vec![attempt(Outcome::Unknown, None, &[])], records: 3, ..Truth::default() };
    let expected = expect(&session(truth), false);
    assert_eq!((cell(&expected).attempts(), cell(&expected).uncertain), (0, 2));
    assert_eq!(expected.sessions_uncertain, 1);
    let totals = &expected.apps["studyapp-web"];
    assert_eq!((totals.records, totals.records_uncertain), (0, 3));
}

#[test]
fn only_listed_environments_and_people_enter_journeys() {
    let truth = Truth {
        attempts: vec![attempt(Outcome::Success, None, &[])],
        records: 2,
        events: BTreeMap::from([("a".into(), 3)]),
        ..Truth::default()
    };
    let check = |change: fn(&mut SessionLine), cells: usize, bots: u64, environments: u64| {
        let mut session = session(truth.clone());
        change(&mut session);
        let expected = expect(&session, true);
        let totals = &expected.apps["studyapp-web"];
        assert_eq!(expected.cells.len(), cells);
        assert_eq!((totals.records, totals.events, totals.seen.len()), (2, 3, cells));
        assert_eq!((totals.bots, totals.environments), (bots, environments));
    };
    check(|_| {}, 1, 0, 0);
    check(|session| session.environment = "production".into(), 1, 0, 0);
    check(|session| session.environment = "staging".into(), 0, 0, 2);
    // The app's file does not count bots.
    check(|session| session.bot = true, 0, 2, 0);
}

#[test]
fn what_was_offline_belongs_to_its_hour_before_the_run() {
    let at = |at_ms| Attempt { at_ms: Some(at_ms), ..attempt(Outcome::Cancelled, None, &[]) };
    let attempts = vec![at(0), at(-HOUR_MS / 2), at(-30 * HOUR_MS), at(-30 * HOUR_MS - 1)];
    let expected = expect(&session(Truth { attempts, ..Truth::default() }), true);
    let cell = cell(&expected);
    assert_eq!(cell.past_hours, BTreeMap::from([(hour_s(RUN_MS - 30 * HOUR_MS), 4)]));
    assert_eq!((cell.attempts(), cell.arrived_late), (8, 4));
}

#[test]
fn only_windows_that_are_looked_at_are_expected() {
    let at = |at_ms| Attempt { at_ms: Some(at_ms), ..attempt(Outcome::Cancelled, None, &[]) };
    let session = session(Truth { attempts: vec![at(0), at(-30 * HOUR_MS)], ..Truth::default() });
    let since_s = Some((RUN_MS / 1_000) as u32);
    let mut expected = Expected { since_s, ..Expected::default() };
    expected.add_session(&session, RUN_MS, true, &definitions()).unwrap();
    assert_eq!(cell(&expected).attempts(), 2);
}

#[test]
fn only_what_the_web_vitals_library_tells_has_no_release() {
    let check = |journey: &'static str, at_ms, release: &str| {
        let attempt = Attempt { at_ms, journey: journey.into(), ..attempt(Outcome::Cancelled, None, &[]) };
        assert_eq!(release_of(&session(Truth::default()), &attempt), release, "{journey} {at_ms:?}");
    };
    check("web-vital-lcp", None, "");
    check("web-vital-lcp", Some(0), "1");
    // What lay in the future is placed at its receipt too.
    check("http-calls", None, "1");
}
