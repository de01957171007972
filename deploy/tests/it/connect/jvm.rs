//! A program with OpenTelemetry's Java SDK, as an Android app has it: online, offline with the process ended, started again.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use deploy::stack::Stack;
use tokio::process::Command;

use super::{
    assert_equal, assert_within, clients, counts_of, lines, snippets, stack_of_clients, until, values,
    written,
};

/// Its launches: each with whether ingest can be reached.
const LAUNCHES: [&str; 3] = ["online", "offline", "online"];
/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";
/// Wall clocks tell whole milliseconds, at both ends.
const WALL_CLOCK_MS: f64 = 2.0;
/// Values are kept in ten-thousandths.
const EXACT: f64 = 0.000_1;

/// What all launches did; the one that was offline ended in a crash.
const JOURNEYS: [&str; 12] = [
    "anr-free-sessions  3 3 3 0 ",
    "app-start-cold  1 1 1 0 ",
    "app-start-warm  2 2 2 0 ",
    "crash-free-sessions  3 3 2 1 crash java.lang.IllegalStateException",
    "error-free-sessions  3 3 2 1 crash java.lang.IllegalStateException",
    "http-calls /api/answers/:id 3 3 0 3 http 503 /api/answers/:id",
    "http-calls /api/lectures/:id 3 3 3 0 ",
    "interaction  10 10 10 0 ",
    "screen-load  3 3 3 0 ",
    "submit-answer  3 3 0 3 http 503 /api/answers/:id",
    "take-quiz  1 1 0 0 crash java.lang.IllegalStateException",
    "watch-lecture  6 6 6 0 ",
];

#[tokio::test]
async fn an_app_counts_what_it_did_offline() {
    let stack = stack_of_clients().await;
    let app = App::build(&stack).await;
    let mut lectures = Vec::new();
    for connection in LAUNCHES {
        let address = if connection == "online" { stack.ingest_url() } else { NOWHERE };
        lectures.extend(app.launch(address, connection).await);
    }
    until(&stack, &counts_of("android"), &JOURNEYS).await;
    written(&stack).await;
    let durations = [
        ("app-start-cold", "", vec![1_203.25]),
        ("app-start-warm", "", vec![412.5; 2]),
        ("screen-load", "", vec![96.125; 3]),
        ("http-calls", "/api/lectures/:id", vec![88.5; 3]),
    ];
    for (journey, route, expect) in durations {
        assert_equal(journey, values(&stack, "android", journey, route).await, expect, EXACT);
    }
    let found = values(&stack, "android", "watch-lecture", "").await;
    assert_within("lectures", found, &lectures, WALL_CLOCK_MS);
    let context =
        "SELECT DISTINCT platform, os, release FROM sli.attempt_samples WHERE app = 'school-android'";
    assert_eq!(lines(&stack, context).await, ["android Android 2026.11.3"]);
    assert_eq!(lines(&stack, "SELECT * FROM sli.audit").await, [""; 0]);
    stack.stop().await;
}

/// The compiled program and the disk of the phone.
struct App {
    folder: tempfile::TempDir,
    libraries: PathBuf,
}

impl App {
    async fn build(stack: &Stack) -> Self {
        let folder = tempfile::tempdir().unwrap();
        snippets::write("android", folder.path(), stack.ingest_url(), "key-of-android");
        let libraries = libraries().await;
        let mut javac = Command::new("javac");
        javac.arg("-cp").arg(libraries.join("*")).arg("-d").arg(folder.path());
        javac.arg(folder.path().join("Telemetry.java")).arg(clients().join("jvm/School.java"));
        run(javac, "javac (Debian: apt-get install openjdk-17-jdk-headless)").await;
        Self { folder, libraries }
    }

    /// One life of the process; how long each lecture took at least and at most by its own clock, ms.
    async fn launch(&self, address: &str, connection: &str) -> Vec<(f64, f64)> {
        let classes = format!("{}:{}/*", self.folder.path().display(), self.libraries.display());
        let mut java = Command::new("java");
        java.args(["-Xmx128m", "-cp", &classes, "School"]).arg(self.folder.path().join("disk"));
        java.args([address, connection]);
        let output = run(java, "java").await;
        output
            .lines()
            .filter_map(|line| line.strip_prefix("lecture ")?.split_once(' '))
            .map(|(least, most)| (least.parse().unwrap(), most.parse().unwrap()))
            .collect()
    }
}

/// Folder of the libraries that `pom.xml` names, kept in the target folder for as long as it says the same.
async fn libraries() -> PathBuf {
    let pom = clients().join("jvm/pom.xml");
    let wanted = std::fs::read_to_string(&pom).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("connected-app");
    let complete = folder.join("complete");
    if std::fs::read_to_string(&complete).is_ok_and(|found| found == wanted) {
        return folder.join("jars");
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(&pom).arg("dependency:copy-dependencies");
    maven.arg(format!("-DoutputDirectory={}", folder.join("jars").display()));
    run(maven, "mvn (Debian: apt-get install maven)").await;
    std::fs::write(&complete, wanted).unwrap();
    folder.join("jars")
}

/// What a program prints; it must end well.
async fn run(mut command: Command, program: &str) -> String {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap_or_else(|error| panic!("{program} is missing: {error}"));
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program}: {}{}", printed(&output.stdout), printed(&output.stderr));
    printed(&output.stdout)
}
