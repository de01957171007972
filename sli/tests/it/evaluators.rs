//! Exports as their evaluators take them: OpenSLO's own validator, and slo-generator computing from our backend.

use std::path::{Path, PathBuf};
use std::process::Command;

use deploy::cache::Cache;
use serde_json::Value;

use crate::stand::{Attempts, Stand, definitions};

/// Folder of the pinned evaluators.
fn pins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evaluators")
}

/// Programs of Go: `sloth` and `oslo`.
pub(crate) fn programs() -> PathBuf {
    let packages = ["github.com/slok/sloth/cmd/sloth", "github.com/OpenSLO/oslo/cmd/oslo"];
    Cache::of_user().unwrap().go_programs(&pins(), &packages).unwrap()
}

/// What the command writes to its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Writes an export of the tests' definitions into `dir`.
pub(crate) fn export(format: &str, dir: &Path, flags: &[&str]) {
    let mut sli = Command::new(env!("CARGO_BIN_EXE_sli"));
    succeed(sli.args(["export", format]).arg(definitions()).arg("--output").arg(dir).args(flags));
}

#[test]
fn openslo_documents_are_valid() {
    let dir = tempfile::tempdir().unwrap();
    export("openslo", dir.path(), &[]);
    let mut oslo = Command::new(programs().join("oslo"));
    let said = succeed(oslo.args(["validate", "-f"]).arg(dir.path().join("studyapp-web.yaml")));
    assert!(said.contains("Valid!"), "{said}");
}

#[tokio::test]
async fn slo_generator_computes_the_ratio_of_the_status() {
    let stand = Stand::start().await;
    let works = Attempts { journey: "watch-lecture", objective: "works", minute: 10, valid: 1_234, bad: 5 };
    stand.count(works).await;
    stand.count(Attempts { minute: 75, valid: 766, bad: 12, ..works }).await;
    stand.complete_until(90).await;
    let serve = stand.serve(&[]);
    let dir = tempfile::tempdir().unwrap();
    export("slo-generator", dir.path(), &["--serve-url", &serve.url]);

    let compute = "import json, sys\n\
        from slo_generator import compute, utils\n\
        config = utils.load_config('config.yaml')\n\
        slo = utils.load_config(sys.argv[1], kind='ServiceLevelObjective')\n\
        print(json.dumps(compute.compute(slo, config)))";
    let packages = Cache::of_user().unwrap().python_packages(&pins().join("requirements.txt")).unwrap();
    let paths = std::env::join_paths([dir.path().to_owned(), packages]).unwrap();
    let mut python = Command::new("python3");
    python
        .args(["-c", compute, "slos/studyapp-web-watch-lecture-works.yaml"])
        .env("PYTHONPATH", paths)
        .current_dir(dir.path());
    let said = tokio::task::spawn_blocking(move || succeed(&mut python)).await.unwrap();
    let reports: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let report = &reports[0];
    let status = &stand.rows("SELECT good, valid, ratio FROM sli.slo_status WHERE objective = 'works' AND journey = 'watch-lecture'").await[0];
    assert_eq!(report["good_events_count"], status["good"], "{report:#}");
    assert_eq!(report["events_count"], status["valid"], "{report:#}");
    assert_eq!(report["goal"], 0.99);
    // It rounds to six digits.
    let difference = report["sli_measurement"].as_f64().unwrap() - status["ratio"].as_f64().unwrap();
    assert!(difference.abs() <= 5e-7, "{difference}");
    stand.stop().await;
}
