//! The commands on folders and servers: what they say, how they end, and what they must not touch.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::receiver::receiver;
use crate::stand::{Attempts, Stand, definitions};

fn sli(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sli")).args(args).output().unwrap()
}

/// Exit code, standard output and standard error.
pub(crate) async fn said(args: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let output =
        tokio::task::spawn_blocking(move || sli(&args.iter().map(String::as_str).collect::<Vec<_>>()));
    let Output { status, stdout, stderr } = output.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// The tests' definitions, with `from` replaced by `to` in the journey's file.
fn changed(from: &str, to: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&definitions(), dir.path());
    let file = dir.path().join("journeys/watch-lecture.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
    dir
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &place),
            false => assert!(std::fs::copy(entry.path(), place).is_ok()),
        }
    }
}

#[tokio::test]
async fn check_says_what_is_defined_or_what_is_wrong() {
    let folder = definitions();
    let (code, out, _) = said(&["check", folder.to_str().unwrap()]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("Watch a lecture") && out.contains("works 99 %, fast 95 %"), "{out}");

    let wrong = changed("success:", "succes:");
    let (code, out, err) = said(&["check", wrong.path().to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("journeys/watch-lecture.yaml:8:1: unknown field `succes`"), "{err}");
    assert!(err.contains("did you mean `success`?"), "{err}");
    let (code, _, err) = said(&["check", "/nowhere/at-all"]).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("/nowhere/at-all"), "{err}");
}

#[tokio::test]
async fn an_expired_policy_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    copy(&definitions(), dir.path());
    let file = dir.path().join("policies/default.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}expires: 2020-12-31\n")).unwrap();
    let folder = dir.path().to_str().unwrap();
    let (code, out, err) = said(&["check", folder]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("Watch a lecture"), "{out}");
    let expired =
        "Policy “default” held until 2020-12-31, has expired, and is not applied: agree on it anew.";
    assert_eq!(err, format!("warning: {expired}\n"));
    let (_, out, _) = said(&["explain", "watch-lecture", folder]).await;
    assert!(out.contains(expired), "{out}");
}

#[tokio::test]
async fn what_sloth_does_not_know_is_left_out_and_said() {
    let folder = definitions();
    let (code, out, err) = said(&["export", "sloth", folder.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("error-free-sessions-works") && !out.contains("monthly"), "{out}");
    let left_out = "left out: studyapp-web-error-free-sessions-monthly is promised for each calendar month";
    assert!(err.starts_with(left_out), "{err}");
}

#[tokio::test]
async fn explain_says_it_in_words() {
    let folder = definitions();
    let (code, out, _) = said(&["explain", "watch-lecture", folder.to_str().unwrap()]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("An attempt begins with `user.action` whose name is lecture.open."), "{out}");
    assert!(out.contains("Of 1,000 attempts at most 10 may be otherwise."), "{out}");
    let (code, _, err) = said(&["explain", "watch", folder.to_str().unwrap()]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("no journey is called watch; there are "), "{err}");
}

#[tokio::test]
async fn apply_activates_what_changes_and_a_mistake_changes_nothing() {
    let stand = Stand::start().await;
    let (aggregator, posted) = receiver("/definitions");
    let run = async |command: &str, folder: &Path, flags: &[&str]| {
        let mut args = vec![command, folder.to_str().unwrap(), "--clickhouse-url", stand.clickhouse_url()];
        args.extend(flags);
        said(&args).await
    };
    let to = ["--aggregator-url", aggregator.as_str()];

    let same = definitions();
    let (code, out, _) = run("diff", &same, &[]).await;
    assert_eq!((code, out.as_str()), (Some(0), "nothing changes\n"));
    assert_eq!(run("apply", &same, &to).await.0, Some(0));

    let wrong = changed("target: 99%", "target: 0.99");
    let (code, _, err) = run("apply", wrong.path(), &to).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("journeys/watch-lecture.yaml:10:"), "{err}");

    let tighter = changed("target: 99%", "target: 99.5%");
    let (code, out, _) = run("diff", tighter.path(), &["--format", "json"]).await;
    let changes: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &changes[0]["what"]), (Some(1), &Value::from("watch-lecture: works")));
    assert_eq!(changes.as_array().unwrap().len(), 1);
    assert_eq!(
        run("apply", tighter.path(), &["--aggregator-url", &aggregator, "--dry-run"]).await.0,
        Some(0)
    );
    assert_eq!(posted.lock().unwrap().len(), 0);

    let (code, out, _) = run("apply", tighter.path(), &to).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("99.5 % success over 28 days, was 99 % success over 28 days"), "{out}");
    let set = posted.lock().unwrap().pop_front().expect("a set was posted");
    assert_eq!(
        set["journeys"].as_array().unwrap().iter().filter(|one| one["name"] == "watch-lecture").count(),
        1
    );
    stand.stop().await;
}

#[tokio::test]
async fn status_is_a_table_and_an_exit_code() {
    let stand = Stand::start().await;
    let works = Attempts { journey: "watch-lecture", objective: "works", minute: 10, valid: 1_000, bad: 4 };
    stand.count(works).await;
    stand.complete_until(20).await;
    let flags = ["status", "--clickhouse-url", stand.clickhouse_url()];
    let (code, out, err) = said(&flags).await;
    assert_eq!(code, Some(0), "{err}");
    let row = out.lines().find(|line| line.contains("lecture") && line.contains("works")).unwrap();
    let shown = ["Watch a lecture", "kept", "99.60 %", "99.00 %", "6 of 10", "28d"];
    assert!(shown.iter().all(|text| row.contains(text)), "{row}");
    stand.count(Attempts { minute: 11, bad: 50, ..works }).await;
    assert_eq!(said(&flags).await.0, Some(1));
    let (_, out, _) = said(&["status", "--clickhouse-url", stand.clickhouse_url(), "--format", "json"]).await;
    let slos: Value = serde_json::from_str(&out).unwrap();
    assert!(slos["slos"].as_array().unwrap().iter().any(|slo| slo["state"] == "broken"), "{out}");
    stand.stop().await;
}

#[tokio::test]
async fn backtest_says_which_target_would_have_been_kept() {
    let stand = Stand::start().await;
    let works = Attempts { journey: "watch-lecture", objective: "works", minute: 10, valid: 1_000, bad: 13 };
    stand.count(works).await;
    let flags = ["--app", "studyapp-web", "--clickhouse-url", stand.clickhouse_url()];
    let (code, out, err) = said(&[&["backtest", "watch-lecture"][..], &flags].concat()).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("had 98.70 %: a target of 98.7 % would always have been kept."), "{out}");
    // 987 attempts took 800 ms: their bucket's middle is 801.
    for (limit, good) in [("801", 987), ("800", 0)] {
        let args =
            [&["backtest", "watch-lecture", "--limit", limit, "--format", "json"][..], &flags].concat();
        let (_, out, _) = said(&args).await;
        let found: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(found["worst_window"]["good"], good, "{limit}: {out}");
    }
    let (code, _, err) = said(&[&["backtest", "nothing"][..], &flags].concat()).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("no valid attempt of nothing in studyapp-web"), "{err}");
    stand.stop().await;
}
