use std::path::PathBuf;

use super::*;
use crate::drill::step::Toxic;

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("drills");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect()
}

#[test]
fn every_shipped_drill_is_valid_and_named_as_its_file() {
    let shipped = shipped();
    assert!(shipped.len() >= 16, "{} are shipped", shipped.len());
    for path in shipped {
        let drill = Drill::read(&path, 1).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(drill.name.as_str()));
        assert!(drill.what.ends_with('.'), "{}: {}", drill.name, drill.what);
    }
}

/// A file with these lines in place of its usual ones.
fn file(changed: &str) -> String {
    let key = |line: &str| line.split(':').next().map(str::to_owned);
    let usual = ["drill: one", "what: Ingest is killed.", "steps: [{at: 20s, kill: ingest}]"];
    let kept = usual.into_iter().filter(|line| changed.lines().all(|other| key(other) != key(line)));
    kept.chain(changed.lines()).map(|line| format!("{line}\n")).collect()
}

fn check(changed: &str, expect: &str) {
    let problem = Drill::parse("one.yaml", &file(changed), 1).unwrap_err().to_string();
    assert_eq!(problem, expect);
}

#[test]
fn a_small_file_has_defaults() {
    let drill = Drill::parse("one.yaml", &file(""), 7).unwrap();
    assert_eq!((drill.name.as_str(), drill.aggregators, drill.compare), ("one", 2, Compare::All));
    assert_eq!((drill.traffic.rate, drill.traffic.seconds, drill.traffic.seed), (200.0, 60, 7));
    assert_eq!((drill.grace, drill.session_timeout), (Duration::from_secs(30), Duration::from_secs(6)));
    let step = Step { at: Duration::from_secs(20), lasts: None, action: Action::Kill(PartName::Ingest) };
    assert_eq!(drill.steps, [step]);
}

#[test]
fn a_step_says_one_thing_and_what_belongs_to_it() {
    let steps = "steps:\n- {at: 10s, slow: ingest-kafka, latency: 300ms, jitter: 100ms, for: 20s}\n\
                 - {at: 31s, shift: aggregator, by: -2h, for: 1m}\nlasts: 2m";
    let drill = Drill::parse("one.yaml", &file(steps), 1).unwrap();
    let slow = Toxic::Slow { latency_ms: 300, jitter_ms: 100 };
    assert_eq!(drill.steps[0].action, Action::Spoil(LinkName::IngestKafka, slow));
    assert_eq!(drill.steps[1].action, Action::Shift(ClockName::Aggregator, -7_200_000));
    assert_eq!(drill.steps[1].lasts, Some(Duration::from_secs(60)));
    assert_eq!((drill.links(), drill.clocks()), (vec![LinkName::IngestKafka], vec![ClockName::Aggregator]));
}

#[test]
fn a_mistake_is_refused_with_its_place_and_what_is_allowed() {
    check(
        "rat: 100",
        "one.yaml:4:1: unknown field `rat`, expected one of `drill`, `what`, `rate`, `lasts`, `traffic`, `quiet`, \
         `compare`, `aggregators`, `grace`, `session_timeout`, `steps`; did you mean `rate`?",
    );
    check(
        "steps: [{at: 20s, kill: ingst}]",
        "one.yaml:3:25: steps[0].kill: unknown variant `ingst`, expected one of `ingest`, `aggregator`, `kafka`, \
         `clickhouse`; did you mean `ingest`?",
    );
    check(
        "steps: [{at: 20, kill: ingest}]",
        "one.yaml:3:14: steps[0].at: invalid type: integer `20`, expected a time with its unit, such as 20s, 400ms \
         or 1m30s",
    );
    check(
        "steps: [{at: 20s}]",
        "one.yaml:3:10: the step at 20s does nothing: give it one of `kill`, `restart`, `stop`, `pause`, `slow`, \
         `narrow`, `slice`, `hang`, `reset`, `cut`, `fill`, `shift`, `read_only`, `partitions`, `define`",
    );
    check(
        "steps: [{at: 20s, kill: ingest, stop: kafka, for: 5s}]",
        "one.yaml:3:33: `kill` and `stop` in one step: a step does one thing",
    );
    check(
        "steps: [{at: 20s, stop: kafka}]",
        "one.yaml:3:19: `stop` needs `for`: how long until it is undone",
    );
    check(
        "steps: [{at: 20s, kill: kafka, for: 5s}]",
        "one.yaml:3:32: `kill` takes no `for`: nothing of it is undone",
    );
    check(
        "steps: [{at: 20s, hang: ingest-kafka, latency: 1s, for: 5s}]",
        "one.yaml:3:39: `latency` belongs to `slow`, not to `hang`",
    );
    check("steps: [{at: 20s, slow: ingest-kafka, for: 5s}]", "one.yaml:3:19: `slow` needs `latency`");
}

#[test]
fn what_cannot_hold_is_refused_before_it_is_tried() {
    check(
        "steps: [{at: 20s, stop: kafka, for: 35s}]",
        "one.yaml:1:1: `grace` is 30s, and a step holds beacons up for 35s: those of a session must come within the \
         grace period, so it must be 50s or more",
    );
    check(
        "steps: [{at: 70s, kill: kafka}]",
        "one.yaml:3:1: a step ends after 70s, and no session begins after 60s: make `lasts` longer",
    );
    check(
        "steps: [{at: 30s, kill: kafka}, {at: 20s, kill: ingest}]",
        "one.yaml:3:1: a step at 20s stands behind one at 30s: put them in the order of their times",
    );
    check("grace: 5s", "one.yaml:4:1: `grace` is 5s, sessions are played for 10000 ms or more");
    check("what: ' '", "one.yaml:3:1: `what` is empty: say in a sentence what happens");
    check("drill: One two", "one.yaml:3:1: `One two` is no name: it takes a-z, 0-9 and -");
}

const DOCUMENT: &str = include_str!("../../../../docs/faults.md");

#[test]
fn every_key_is_documented() {
    let refused = Drill::parse("one.yaml", &file("rat: 100"), 1).unwrap_err().message;
    let of_file = refused.split('`').skip(3).step_by(2).filter(|key| *key != "rate");
    let of_steps = ["latency", "jitter", "kb_per_s", "bytes", "delay", "by", "for", "at"];
    for key in of_file.chain(step::ACTIONS) {
        assert!(DOCUMENT.contains(&format!("| `{key}` |")), "docs/faults.md has no row for {key}");
    }
    for key in of_steps {
        assert!(DOCUMENT.contains(&format!("`{key}`")), "docs/faults.md does not name {key}");
    }
}

#[test]
fn the_documented_table_is_about_shipped_drills() {
    let names: Vec<String> =
        shipped().iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let table = DOCUMENT.split("<!-- drills: begin -->").nth(1).unwrap();
    let rows = table.split("<!-- drills: end -->").next().unwrap().lines();
    for row in rows.filter(|line| line.starts_with("| `")) {
        let name = row.split('`').nth(1).unwrap();
        assert!(names.iter().any(|shipped| shipped == name), "{name} is no shipped drill");
    }
}
