//! Runs against a server whose behaviour is known: what the ledger says is what the server did.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use loadtest::drive::{Settings, run};
use loadtest::ledger::{AnswerLine, Fate, Line, SessionLine, read};
use loadtest::scenario::Profile;
use loadtest::schedule::{Arrivals, Traffic};
use loadtest::summary::Summary;
use tempfile::TempDir;

use crate::server::{Behaviour, Server};

struct Played {
    summary: Summary,
    sessions: Vec<SessionLine>,
    answers: Vec<AnswerLine>,
    _folder: TempDir,
}

fn settings(server: &Server, ledger: PathBuf) -> Settings {
    Settings {
        ingest: server.url(),
        traffic: Traffic {
            rate: 200.0,
            seconds: 2,
            seed: 11,
            profile: Profile::Mixed,
            arrivals: Arrivals::Constant,
        },
        ledger,
        connections: 16,
        timeout: Duration::from_secs(10),
        drain: Duration::from_secs(30),
    }
}

async fn play(server: &Server, change: impl FnOnce(&mut Settings)) -> Played {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let mut settings = settings(server, path.clone());
    change(&mut settings);
    let summary = run(settings).await.unwrap();
    let (mut sessions, mut answers) = (Vec::new(), Vec::new());
    let (_, end) = read(&path, |line| match line {
        Line::Session(line) => sessions.push(line),
        Line::Answer(line) => answers.push(line),
        Line::Run(_) | Line::End(_) => {}
    })
    .unwrap();
    assert_eq!(end.unwrap().sendings, answers.len() as u64);
    Played { summary, sessions, answers, _folder: folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_beacon_of_every_session_is_answered_once_or_twice() {
    let server = Server::start(|_, _| Behaviour::Answer(202)).await;
    let played = play(&server, |_| {}).await;
    assert!(played.summary.is_complete());
    let mut of_session: BTreeMap<u64, std::collections::BTreeSet<u64>> = BTreeMap::new();
    for answer in &played.answers {
        assert_eq!((answer.fate, answer.status, answer.tries), (Fate::Accepted, Some(202), 1));
        of_session.entry(answer.session).or_default().insert(answer.sequence);
    }
    for session in &played.sessions {
        assert_eq!(of_session[&session.number].len() as u64, session.beacons, "session {}", session.number);
    }
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.requests, played.answers.len() as u64);
    let twice = seen.taken.values().filter(|count| **count == 2).count();
    assert!(twice > 0, "no beacon was sent twice");
    assert_eq!(seen.taken.len() + twice, played.answers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_tried_again_until_it_is() {
    // Each beacon is first refused for now, then lost on the way back, then taken.
    let server = Server::start(|_, tries| match tries {
        0 => Behaviour::Answer(503),
        1 => Behaviour::TakeAndHangUp,
        _ => Behaviour::Answer(202),
    })
    .await;
    let played = play(&server, |settings| settings.traffic.profile = Profile::Tidy).await;
    assert!(played.summary.is_complete());
    assert!(played.answers.iter().all(|answer| answer.tries == 3), "{:?}", played.answers);
    assert_eq!(played.summary.retries, 2 * played.summary.sendings);
    assert_eq!(played.summary.answers[&503], played.summary.sendings);
    assert_eq!(played.summary.no_answers["connection broken"], played.summary.sendings);
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.taken.len(), played.answers.len());
    assert!(seen.taken.values().all(|taken| *taken == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_and_no_success() {
    let server = Server::start(|number, _| Behaviour::Answer(if number % 10 == 0 { 413 } else { 202 })).await;
    let played = play(&server, |settings| settings.traffic.profile = Profile::Tidy).await;
    assert!(!played.summary.is_complete());
    assert_eq!(played.summary.retries, 0);
    assert_eq!(played.summary.refused, played.summary.answers[&413]);
    assert_eq!(played.summary.accepted, played.summary.answers[&202]);
    let refused = played.answers.iter().filter(|answer| answer.fate == Fate::Refused);
    assert_eq!(refused.count() as u64, played.summary.refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_without_an_answer_is_told_from_what_was_never_taken() {
    let down = Server::start(|_, _| Behaviour::TakeLate(Duration::from_secs(60))).await;
    let short = |settings: &mut Settings| {
        settings.traffic.rate = 10.0;
        settings.timeout = Duration::from_millis(300);
        settings.drain = Duration::from_secs(1);
    };
    let played = play(&down, short).await;
    assert_eq!(played.summary.unanswered, played.summary.sendings);
    assert!(played.answers.iter().all(|answer| answer.status.is_none()));

    let overloaded = Server::start(|_, _| Behaviour::Answer(429)).await;
    let played = play(&overloaded, short).await;
    assert_eq!(played.summary.refused, played.summary.sendings);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_sent_and_known_by_its_answers() {
    use loadtest::scenario::Format;
    let server = Server::start(|_, _| Behaviour::Answer(202)).await;
    let played = play(&server, |settings| settings.traffic.profile = Profile::Full).await;
    assert!(played.summary.is_complete());
    let formats: std::collections::BTreeSet<Format> =
        played.answers.iter().map(|answer| answer.format).collect();
    assert_eq!(formats.len(), Format::ALL.len(), "{formats:?}");
    assert!(played.sessions.iter().any(|session| session.place > 0), "no gateway sent for others");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_connections_stay_open() {
    const CONNECTIONS: usize = 2_000;
    let server = Server::start(|_, _| Behaviour::Answer(202)).await;
    let played = play(&server, |settings| {
        settings.connections = CONNECTIONS;
        settings.traffic = Traffic { rate: 700.0, seconds: 4, ..settings.traffic.clone() };
    })
    .await;
    assert!(played.summary.is_complete());
    let seen = server.seen.lock().unwrap();
    assert!(seen.requests > CONNECTIONS as u64);
    // Each is opened once, but for those that were opened at the same moment as the last.
    assert!(
        (CONNECTIONS as u64..CONNECTIONS as u64 + 50).contains(&seen.connections),
        "{}",
        seen.connections
    );
}
