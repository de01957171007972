//! Exports of a small set, as files.

use super::*;

const JOURNEY: &str = "journey: watch-lecture
title: Watch a lecture
owner: learning-team
promise: A learner who opens a lecture sees it play within two seconds.
apps: [web, ios]
start: {event: user.action, where: {name: lecture.open}}
success: {event: video.first_frame}
objectives:
  - {name: works, target: 99.5%}
  - {name: fast, within: 2s, target: 95%, window: 7d}
";

fn set() -> DefinitionSet {
    set_of(JOURNEY)
}

fn set_of(journey: &str) -> DefinitionSet {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file("watch.yaml", journey),
        file("web.yaml", "app: web\nkeys: [web-key]\norigins: [\"*\"]\n"),
        file("ios.yaml", "app: ios\nkeys: [ios-key]\norigins: [\"*\"]\n"),
        file("team.yaml", "owner: learning-team\n"),
    ];
    schema::definition::load(&files, EngineSettings::default()).unwrap()
}

fn shown(files: &[File]) -> String {
    files.iter().map(|File { path, text }| format!("==> {path}\n{text}")).collect()
}

#[test]
fn objectives_with_a_target_are_promised_once_an_app() {
    let set = set();
    let names: Vec<_> = promised(&set).iter().map(Promised::name).collect();
    let expect = [
        "ios-watch-lecture-fast",
        "ios-watch-lecture-works",
        "web-watch-lecture-fast",
        "web-watch-lecture-works",
    ];
    assert_eq!(names, expect);
}

#[test]
fn sloth() {
    insta::assert_snapshot!(shown(&super::sloth::files(&promised(&set())).unwrap()));
}

#[test]
fn openslo() {
    insta::assert_snapshot!(shown(&super::openslo::files(&promised(&set())).unwrap()));
}

#[test]
fn a_period_of_the_calendar_is_aligned_for_openslo_and_left_out_elsewhere() {
    let set = set_of(&JOURNEY.replace("window: 7d", "window: quarter"));
    let windows: Vec<_> = super::openslo::files(&promised(&set))
        .unwrap()
        .iter()
        .filter(|file| {
            file.text.contains("duration: 1Q") && file.text.contains("startTime: 2024-01-01T00:00:00Z")
        })
        .map(|file| file.path.clone())
        .collect();
    assert_eq!(windows, ["ios.yaml", "web.yaml"]);
    let names: Vec<_> = rolling(promised(&set), "Sloth").unwrap().iter().map(Promised::name).collect();
    assert_eq!(names, ["ios-watch-lecture-works", "web-watch-lecture-works"]);
    let set = set_of(&JOURNEY.replace("7d", "quarter").replace("99.5%", "99.5%, window: month"));
    let error = rolling(promised(&set), "Sloth").unwrap_err().to_string();
    assert_eq!(error, "no objective with a target has a rolling window");
}

#[test]
fn slo_generator() {
    let files = super::slo_generator::files(&promised(&set()), "http://127.0.0.1:8090").unwrap();
    assert_eq!(files[0].path, "client_sli.py");
    insta::assert_snapshot!(shown(&files[1..]));
}
