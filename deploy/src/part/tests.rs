//! Real processes that die, hang and are missing.

use super::*;

fn part(dir: &Path, script: &str) -> Part {
    let command = PartCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::new(),
        dir: dir.to_owned(),
        log: dir.join("part.log"),
        stop_by: StopBy::Terminate,
    };
    Part::new("part", command, Launcher::unbound(), Progress::Quiet, OnChange(Arc::new(|| {}))).unwrap()
}

fn is_alive(pid: u32) -> bool {
    kill(Pid::from_raw(pid as i32), None).is_ok()
}

fn wait_until(part: &Part, mut condition: impl FnMut(&State) -> bool) {
    let state = part.shared.lock();
    let (_state, waited) = part
        .shared
        .changed
        .wait_timeout_while(state, Duration::from_secs(20), |state| !condition(state))
        .unwrap();
    assert!(!waited.timed_out());
}

#[test]
fn a_killed_part_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let part = part(dir.path(), "exec sleep 1000");
    part.start().unwrap();
    part.keep_alive(true);
    let first = part.pid().unwrap();
    part.signal(Signal::SIGKILL);
    wait_until(&part, |state| state.process.as_ref().is_some_and(|process| process.id() != first));
    assert!(!is_alive(first));
    let second = part.pid().unwrap();
    drop(part);
    assert!(!is_alive(second));
}

#[test]
fn a_part_that_keeps_dying_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let part = part(dir.path(), "echo because of this; exit 7");
    part.start().unwrap();
    part.keep_alive(true);
    wait_until(&part, |state| state.gave_up.is_some());
    let reason = part.gave_up().unwrap();
    assert!(reason.contains("died 6 times in a row, last: process "), "{reason}");
    assert!(reason.contains("exit code 7; see "), "{reason}");
    assert!(part.check_running().unwrap_err().to_string().contains("because of this"));
}

#[test]
fn a_part_that_ends_while_starting_shows_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let part = part(dir.path(), "echo no such option; exit 2");
    part.start().unwrap();
    wait_until(&part, |state| state.ended.is_some());
    let error = part.check_running().unwrap_err().to_string();
    assert!(error.starts_with("part ended while starting (process "), "{error}");
    assert!(error.contains("exit code 2); its log is"), "{error}");
    assert!(error.ends_with("  no such option"), "{error}");
    part.start().unwrap();
}

#[test]
fn a_part_that_ignores_sigterm_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let part = part(dir.path(), "trap '' TERM; while :; do sleep 1000; done");
    part.start().unwrap();
    let pid = part.pid().unwrap();
    part.stop(Duration::from_millis(50));
    assert_eq!(part.pid(), None);
    assert!(!is_alive(pid));
}

#[test]
fn a_program_that_is_missing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = part(dir.path(), "");
    part = {
        let command = PartCommand { program: "/no/such/program".into(), ..part.shared.command.clone() };
        Part::new("part", command, Launcher::unbound(), Progress::Quiet, OnChange(Arc::new(|| {}))).unwrap()
    };
    assert!(part.start().unwrap_err().to_string().contains("could not start /no/such/program"));
}
