//! The semantics by example: recorded beacons beside a folder of definitions, and a table of what becomes of them.
//!
//! `tests/semantics/outcomes.md` is both documentation and expectation: each case of `tests/semantics/cases` is
//! played through the engine and compared with its row there. No Kafka and no ClickHouse take part.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

mod case;
mod found;
mod table;

use case::Case;
use table::Row;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/semantics").join(name)
}

/// The files of a folder and those below it, by their path in it.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn rows() -> Vec<Row> {
    table::read(&std::fs::read_to_string(folder("outcomes.md")).unwrap())
}

#[test]
fn every_case_becomes_what_its_row_says() {
    let definitions = files(&folder("definitions"));
    let mut wrong = Vec::new();
    for row in rows() {
        let path = folder("cases").join(format!("{}.jsonl", row.case));
        let case = Case::read(&std::fs::read_to_string(path).unwrap());
        let batches = case.play(&definitions);
        let found = found::row(&row, &batches, &case, &definitions);
        if found != row {
            wrong.push(format!("expected {row}\nfound    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows are not what becomes of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_case_has_one_row_and_every_row_a_case() {
    let rows = rows();
    let named: BTreeSet<String> = rows.iter().map(|row| format!("{}.jsonl", row.case)).collect();
    assert_eq!(named.len(), rows.len(), "a case has two rows");
    let cases: BTreeSet<String> = files(&folder("cases")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, cases);
}

/// Which outcomes and endings the table must show, so that none is forgotten.
#[test]
fn every_outcome_is_shown() {
    let rows = rows();
    let attempts: Vec<&str> = rows.iter().map(|row| row.attempts.as_str()).collect();
    for outcome in ["success", "failure", "timeout", "interrupted", "abandoned", "cancelled", "unknown"] {
        let shown = format!("1 {outcome},");
        assert!(attempts.iter().any(|cell| cell.contains(&shown)), "no case ends as {outcome}");
    }
}
