//! Loading definition folders.

use std::fmt::Write;
use std::path::Path;

use schema::definition::file::is_definition_path;
use schema::definition::{EngineSettings, load};

/// Every definition file below `folder`, with its path relative to it.
fn files_below(folder: &Path) -> Vec<(String, String)> {
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

fn shipped() -> Vec<(String, String)> {
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
        let kind = if journey.is_single_event() { "one event" } else { "attempts" };
        let (timeout_ms, patience_ms) = (journey.timeout_ms, journey.patience_ms);
        writeln!(table, "{} | {kind} | {timeout_ms} {patience_ms} | {}", journey.name, objectives.join(", "))
            .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_order_of_files_does_not_matter_and_content_does() {
    let files = shipped();
    let id = |files: &[(String, String)]| load(files, EngineSettings::default()).unwrap().id;
    let reversed: Vec<_> = files.iter().rev().cloned().collect();
    assert_eq!(id(&files), id(&reversed));
    let changed: Vec<_> =
        files.iter().map(|(path, text)| (path.clone(), text.replace("99.5%", "99.6%"))).collect();
    assert_ne!(id(&files), id(&changed));
}

#[test]
fn a_file_adopts_a_standard_journey() {
    let mut files = shipped();
    let adopted =
        "journey: page-load\nowner: web-team\nobjectives: [{name: fast, value: \"<=2000\", target: 90%}]\n";
    files.push(("journeys/page-load.yaml".into(), adopted.into()));
    let set = load(&files, EngineSettings::default()).unwrap();
    let journey = set.journeys.iter().find(|journey| journey.name == "page-load").unwrap();
    assert_eq!(journey.owner, "web-team");
    assert_eq!(journey.objectives[0].target_ppm, Some(900_000));
    assert!(!journey.success.is_empty(), "what it matches stays");
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
