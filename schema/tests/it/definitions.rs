//! Loading definition folders.

use std::fmt::Write;
use std::path::Path;

use proptest::prelude::*;
use schema::definition::file::is_definition_path;
use schema::definition::{
    Calendar, DefinitionSet, EngineSettings, Journey, Restart, Unit, Window, load, load_folder,
};

/// Every definition file below `folder`, with its path relative to it.
pub(crate) fn files_below(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if is_definition_path(&path.to_string_lossy()) {
                let relative = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                files.push((relative, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

pub(crate) fn shipped() -> Vec<(String, String)> {
    files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../definitions"))
}

#[test]
fn the_shipped_folder_loads() {
    let set = load(&shipped(), EngineSettings::default()).unwrap();
    let mut table = String::new();
    for journey in &set.journeys {
        let objectives: Vec<String> = journey
            .objectives
            .iter()
            .map(|objective| format!("{} {:?}", objective.name, objective.target_ppm))
            .collect();
        let kind = journey.attempt.as_str();
        let (timeout_ms, patience_ms) = (journey.timeout_ms, journey.patience_ms);
        writeln!(table, "{} | {kind} | {timeout_ms} {patience_ms} | {}", journey.name, objectives.join(", "))
            .unwrap();
    }
    insta::assert_snapshot!(table);
}

fn load_with(path: &str, text: &str) -> DefinitionSet {
    let mut files = shipped();
    files.push((path.to_owned(), text.to_owned()));
    load(&files, EngineSettings::default()).unwrap()
}

fn journey(set: &DefinitionSet, name: &str) -> Journey {
    set.journeys.iter().find(|journey| journey.name == name).unwrap().clone()
}

proptest! {
    #[test]
    fn the_order_of_files_does_not_matter(files in Just(shipped()).prop_shuffle()) {
        let set = load(&files, EngineSettings::default()).unwrap();
        prop_assert_eq!(set, load(&shipped(), EngineSettings::default()).unwrap());
    }
}

#[test]
fn the_id_changes_with_the_content_and_with_nothing_else() {
    let id = |from: &str, to: &str| {
        let files: Vec<_> =
            shipped().into_iter().map(|(path, text)| (path, text.replace(from, to))).collect();
        load(&files, EngineSettings::default()).unwrap().id
    };
    let shipped_id = id("", "");
    assert_ne!(shipped_id, id("99.5%", "99.6%"), "a target");
    assert_ne!(shipped_id, id("Watch a lecture", "Watch a film"), "a title");
    assert_eq!(shipped_id, id("start:", "# a comment\nstart:"), "a comment");
    let settings = EngineSettings { grace_ms: 1, ..EngineSettings::default() };
    assert_ne!(shipped_id, load(&shipped(), settings).unwrap().id, "a setting");
}

#[test]
fn an_objective_has_a_new_version_when_its_promise_changes() {
    let version = |objective: &str| {
        let text =
            format!("journey: mine\nowner: me\npromise: P.\nstart: declared\nobjectives: [{objective}]\n");
        journey(&load_with("mine.yaml", &text), "mine").objectives[0].version.clone()
    };
    let first = version("{name: fast, within: 2s, target: 95%}");
    assert_eq!(first, version("{name: quick, within: 2000ms, target: 95.0%, window: 28d}"));
    for changed in [
        "{name: fast, within: 3s, target: 95%}",
        "{name: fast, within: 2s, target: 96%}",
        "{name: fast, within: 2s, target: 95%, window: 7d}",
        "{name: fast, within: 2s, target: 95%, window: month}",
    ] {
        assert_ne!(first, version(changed), "{changed}");
    }
}

#[test]
fn a_short_file_gets_the_defaults() {
    let text = "journey: my-thing\nowner: me\npromise: P.\nstart: declared\nobjectives: [{name: works, target: 99%}]\n";
    let mine = journey(&load_with("mine.yaml", text), "my-thing");
    assert_eq!((mine.title.as_str(), mine.policy.as_str()), ("My thing", "default"));
    assert_eq!((mine.timeout_ms, mine.patience_ms), (30_000, 30_000));
    assert_eq!((mine.restart, mine.unit, mine.standard), (Restart::New, Unit::Ms, false));
    assert_eq!(mine.objectives[0].window, Window::Rolling { days: 28 });
    assert!(mine.applies_to("any-app") && !mine.is_single_event());
}

#[test]
fn a_window_may_be_a_period_of_the_calendar() {
    let text = "journey: mine\nowner: me\npromise: P.\nstart: declared\n\
        objectives: [{name: a, target: 99%, window: month}, {name: b, target: 99%, window: 31d}]\n";
    let objectives = journey(&load_with("mine.yaml", text), "mine").objectives;
    assert_eq!(objectives[0].window, Window::Calendar(Calendar::Month));
    assert_eq!(objectives[0].window.days_max(), objectives[1].window.days_max());
    assert_ne!(objectives[0].version, objectives[1].version, "they count over other times");
}

/// What is stored has these versions.
#[test]
fn versions_of_rolling_windows_stay() {
    let set = load(&shipped(), EngineSettings::default()).unwrap();
    let version = |name: &str, at: usize| journey(&set, name).objectives[at].version.clone();
    assert_eq!(
        [version("watch-lecture", 0), version("watch-lecture", 1), version("sign-in", 0)],
        ["fe52d238", "fa8a8b5f", "d0c645b5"]
    );
}

#[test]
fn patience_is_the_largest_within_unless_it_is_given() {
    let patience_ms = |more: &str| {
        let text = format!(
            "journey: mine\nowner: me\npromise: P.\nstart: declared\n{more}objectives: [{{name: fast, within: {{web: 2s, ios: 1.5s}}, target: 95%}}]\n"
        );
        journey(&load_with("mine.yaml", &text), "mine").patience_ms
    };
    assert_eq!(patience_ms(""), 2_000);
    assert_eq!(patience_ms("patience: 800ms\n"), 800);
}

/// What a file says goes before its product, that before the folder, and that before what is built in.
#[test]
fn a_journey_inherits_what_it_does_not_say() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = |mine: &str| {
        [
            file("app.yaml", "app: web\nkeys: [key]\n"),
            file("folder.yaml", "defaults: {owner: all, timeout: 20s, window: 7d, platforms: [web]}\n"),
            file(
                "shop.yaml",
                "product: shop\ndefaults:\n  owner: shop-team\n  apps: [web]\n  patience: 3s\n",
            ),
            file("mine.yaml", mine),
        ]
    };
    let check = |mine: &str, name: &str, expect: &str, places: &str| {
        let folder = load_folder(&files(mine), EngineSettings::default()).unwrap();
        let Journey { owner, policy, apps, platforms, timeout_ms, patience_ms, objectives, .. } =
            journey(&folder.set, name);
        let window = objectives[0].window;
        let found = format!("{owner} {policy} {apps:?} {platforms:?} {timeout_ms} {patience_ms} {window}");
        assert_eq!(found, expect, "{mine}");
        let found: Vec<_> = folder.inherited[name]
            .iter()
            .map(|from| format!("{} {}:{}", from.key, from.path, from.line))
            .collect();
        assert_eq!(found.join(", "), places, "{mine}");
    };
    let rest = "promise: P.\nstart: declared\nobjectives: [{name: works, target: 99%}]\n";
    check(
        &format!("journey: buy\nproduct: shop\n{rest}"),
        "buy",
        r#"shop-team default ["web"] ["web"] 20000 3000 7d"#,
        "owner shop.yaml:3, apps shop.yaml:4, platforms folder.yaml:1, timeout folder.yaml:1, patience shop.yaml:5, window folder.yaml:1",
    );
    check(
        &format!("journey: buy\n{rest}"),
        "buy",
        r#"all default [] ["web"] 20000 20000 7d"#,
        "owner folder.yaml:1, platforms folder.yaml:1, timeout folder.yaml:1, window folder.yaml:1",
    );
    let own = "owner: me\napps: [web]\nplatforms: [ios]\ntimeout: 1s\npatience: 1s\n";
    let own = format!("journey: buy\nproduct: shop\n{own}{rest}").replace("99%", "99%, window: 14d");
    check(&own, "buy", r#"me default ["web"] ["ios"] 1000 1000 14d"#, "");
    // A session has no deadline, a standard journey stays what it is, and one event needs none.
    check(
        &format!("journey: stable\nfailure: {{event: app.crash}}\n{}", rest.replace("declared", "session")),
        "stable",
        r#"all default [] ["web"] 30000 30000 7d"#,
        "owner folder.yaml:1, platforms folder.yaml:1, window folder.yaml:1",
    );
    check(
        "journey: crash-free-sessions\nproduct: shop\nobjectives: [{name: works, target: 99%}]\n",
        "crash-free-sessions",
        r#"shop-team default ["web"] ["android", "ios"] 30000 30000 7d"#,
        "owner shop.yaml:3, apps shop.yaml:4, window folder.yaml:1",
    );
}

#[test]
fn a_folder_without_files_has_the_standard_journeys() {
    let set = load(&[], EngineSettings::default()).unwrap();
    assert!(set.apps.is_empty());
    assert!(set.journeys.iter().all(|journey| journey.standard));
    assert_eq!(set.journeys.len(), 17);
}

/// One folder, two bad files: both are blamed, at every problem, and the good ones do not load without them.
#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let mut files = shipped();
    for bad in ["three-problems.yaml", "target-of-100.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad").join(bad);
        files.push((bad.to_owned(), std::fs::read_to_string(path).unwrap()));
    }
    let error = load(&files, EngineSettings::default()).unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn a_file_adopts_a_standard_journey() {
    let text =
        "journey: page-load\nowner: web-team\nobjectives: [{name: fast, value: \"<=2000\", target: 90%}]\n";
    let journey = journey(&load_with("journeys/page-load.yaml", text), "page-load");
    assert_eq!(journey.owner, "web-team");
    assert_eq!(journey.objectives[0].target_ppm, Some(900_000));
    let standard = self::journey(&load(&[], EngineSettings::default()).unwrap(), "page-load");
    assert_eq!(journey.objectives[0].source, "", "another threshold has another source");
    assert_eq!(
        (journey.promise, journey.success),
        (standard.promise, standard.success),
        "what it matches stays"
    );
}

#[test]
fn an_adopted_threshold_keeps_its_source_unless_the_file_gives_another() {
    let source = |more: &str| {
        let objective = format!("{{name: quick, value: \"<=2500\", target: 75%{more}}}");
        let text = format!("journey: web-vital-lcp\nowner: web-team\nobjectives: [{objective}]\n");
        journey(&load_with("lcp.yaml", &text), "web-vital-lcp").objectives[0].clone()
    };
    let kept = source("");
    assert!(kept.source.starts_with("Published by web.dev"), "{}", kept.source);
    let own = source(", source: A survey of 2026");
    assert_eq!(own.source, "A survey of 2026");
    assert_eq!(own.version, kept.version, "nothing is counted otherwise");
}

#[test]
fn the_standard_indicators_are_documented_with_their_sources() {
    let mut table = String::from("| journey | promise | good | source |\n|---|---|---|---|\n");
    for journey in schema::definition::standard::journeys() {
        for objective in &journey.objectives {
            let good = objective.rule.description(journey.unit);
            let (name, promise, source) = (&journey.name, &journey.promise, &objective.source);
            writeln!(table, "| `{name}`, {} | {promise} | {good} | {source} |", objective.name).unwrap();
        }
    }
    let page = include_str!("../../../docs/definitions.md");
    assert!(page.contains(&table), "docs/definitions.md should have:\n{table}");
}

/// Each bad file is loaded together with the shipped folder: it must be refused, and alone be blamed.
#[test]
fn bad_files_are_told_what_is_wrong_and_allowed() {
    let bad = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad"));
    let mut answers = String::new();
    for (name, text) in bad {
        let file = (format!("team/{name}"), text);
        let mut files = shipped();
        files.push(file.clone());
        let error = load(&files, EngineSettings::default()).expect_err(&file.0);
        assert!(error.problems.iter().all(|problem| problem.path == file.0), "{error}");
        writeln!(answers, "{error}").unwrap();
    }
    insta::assert_snapshot!(answers);
}

/// The keys that a file or objective may have, as the refusal of a wrong one lists them.
fn allowed(text: &str) -> Vec<String> {
    let error = load(&[("wrong.yaml".to_owned(), text.to_owned())], EngineSettings::default()).unwrap_err();
    let problem = &error.problems[0].message;
    let (_, list) = problem.split_once("expected ").unwrap_or_else(|| panic!("{problem}"));
    let list = list.split(';').next().unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_is_documented_and_no_other() {
    let page = include_str!("../../../docs/definitions.md");
    let documented = |section: &str| -> Vec<&str> {
        let (_, rest) = page.split_once(&format!("# {section}\n")).unwrap();
        let rows = rest.split("\n#").next().unwrap().lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| row.split('`').nth(1).unwrap()).collect()
    };
    for (section, text) in [
        ("journey", "journey: a\nwrong: 1\n"),
        ("objectives", "journey: a\nobjectives: [{name: b, wrong: 1}]\n"),
        ("app", "app: a\nwrong: 1\n"),
        ("policy", "policy: a\nwrong: 1\n"),
        ("actions", "policy: a\nactions: [{wrong: 1}]\n"),
        ("product", "product: a\nwrong: 1\n"),
        ("defaults", "defaults: {wrong: 1}\n"),
        ("owner", "owner: a\nwrong: 1\n"),
        ("exceptions", "policy: a\nactions: []\nexceptions: [{wrong: 1}]\n"),
    ] {
        assert_eq!(documented(section), allowed(text), "{section}");
    }
}
