//! The report of a real run in a real Chromium: everything is there, nothing is fetched, and a phone shows it as well.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use loadtest::drive::{self, Settings};
use loadtest::observe::{Observer, Process, Targets};
use loadtest::report::{FaultMark, RunReport, judge};
use loadtest::scenario::Profile;
use loadtest::schedule::{Arrivals, Traffic};
use serde::Deserialize;
use tokio::process::Command;

use crate::server::{Behaviour, Server};

/// Where Debian has it.
const CHROMIUM: &str = "/usr/bin/chromium";
/// How long looking may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// WCAG 2.2, 1.4.3 and 1.4.11: contrast of letters, and of what a drawing is understood by.
const LETTERS_CONTRAST_MIN: f64 = 4.5;
const LINES_CONTRAST_MIN: f64 = 3.0;

#[derive(Debug, Deserialize)]
struct Look {
    name: String,
    verdict: String,
    sections: Vec<String>,
    plots: Vec<Plot>,
    plots_drawn: Vec<f64>,
    letters_contrast: f64,
    tables: usize,
    scrolls_sideways: bool,
    picture: Picture,
    requests: Vec<String>,
    complaints: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Plot {
    section: String,
    lines: usize,
    words: String,
    letters_px: f64,
    bands: usize,
    cut: usize,
    covered: usize,
    contrast: f64,
}

#[derive(Debug, Deserialize)]
struct Picture {
    width: u32,
    height: u32,
    colours: usize,
    drawn: f64,
}

/// Sections of a report that was observed, disturbed and judged, with the least number of lines of its plot.
const SECTIONS: [(&str, usize); 12] = [
    ("claims", 0),
    ("faults", 0),
    ("latency", 3),
    ("percentiles", 1),
    ("throughput", 2),
    ("freshness", 1),
    ("lag", 1),
    ("memory", 2),
    ("cpu", 2),
    ("slip", 1),
    ("answers", 0),
    ("run", 0),
];
/// Of them over time.
const OVER_TIME: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn the_report_is_seen_whole_on_a_desk_and_on_a_phone() {
    let folder = tempfile::tempdir().unwrap();
    let report = disturbed_run(folder.path()).await;
    let (page, json) = (folder.path().join("report.html"), folder.path().join("report.json"));
    report.write_json(&json).unwrap();
    // The page is made of the file alone.
    RunReport::read(&json).unwrap().write_page(&page).unwrap();

    let looks = look_at(&page, folder.path()).await;
    assert_eq!(looks.len(), 4);
    for look in looks {
        check(&look, &report);
    }
}

fn check(look: &Look, report: &RunReport) {
    let Look { name, .. } = look;
    assert_eq!(look.requests, [""; 0], "{name}");
    assert_eq!(look.complaints, [""; 0], "{name}");
    assert!(!look.scrolls_sideways, "{name}");
    assert!(look.verdict.contains(&report.sentence()), "{name}: {}", look.verdict);
    assert_eq!(look.sections, SECTIONS.map(|(section, _)| section), "{name}");
    let plotted: Vec<(&str, usize)> = SECTIONS.into_iter().filter(|(_, lines)| *lines > 0).collect();
    assert_eq!(look.plots.len(), plotted.len(), "{name}");
    assert_eq!(look.tables, plotted.len(), "{name}: a table for each plot");
    for ((plot, drawn), (section, lines)) in look.plots.iter().zip(&look.plots_drawn).zip(plotted) {
        assert_eq!(plot.section, section, "{name}");
        assert!(plot.lines >= lines, "{name}: {plot:?}");
        assert!(!plot.words.is_empty(), "{name}: {plot:?}");
        assert!(plot.letters_px >= 10.0, "{name}: {plot:?}");
        assert_eq!((plot.cut, plot.covered), (0, 0), "{name}: {plot:?}");
        assert!(plot.contrast >= LINES_CONTRAST_MIN, "{name}: {plot:?}");
        assert!(*drawn > 0.01, "{name}: {section} is empty, {drawn} of it is drawn");
    }
    let with_bands = look.plots.iter().filter(|plot| plot.bands == report.marks.len());
    assert_eq!(with_bands.count(), OVER_TIME, "{name}");
    assert!(look.letters_contrast >= LETTERS_CONTRAST_MIN, "{name}: {}", look.letters_contrast);
    let Picture { width, height, colours, drawn } = look.picture;
    assert_eq!(width, if name.starts_with("phone") { 390 } else { 1_280 }, "{name}");
    assert!(height > 2_000 && colours > 50 && drawn > 0.03, "{name}: {:?}", look.picture);
}

/// A run against a server that stalls for a second, observed as a stack would be.
async fn disturbed_run(folder: &Path) -> RunReport {
    let (from, until) = (Duration::from_secs(2), Duration::from_secs(3));
    let began = tokio::time::Instant::now();
    let server = Server::start(move |_, _| match began.elapsed() {
        now if (from..until).contains(&now) => Behaviour::TakeLate(until - now),
        _ => Behaviour::Answer(202),
    })
    .await;
    let traffic =
        Traffic { rate: 200.0, seconds: 5, seed: 3, profile: Profile::Tidy, arrivals: Arrivals::Poisson };
    let targets = Targets {
        processes: vec![Process::own(), Process::with_pid("ingest", std::process::id())],
        ..Targets::default()
    };
    let observer = Observer::start(targets).unwrap();
    let began_ms = Timestamp::now().as_millisecond();
    let summary = drive::run(Settings {
        ingest: server.url(),
        traffic: traffic.clone(),
        ledger: folder.join("ledger.jsonl"),
        connections: 16,
        timeout: Duration::from_secs(10),
        drain: Duration::from_secs(30),
    })
    .await
    .unwrap();
    assert!(summary.is_complete() && summary.latency_ms.max > 500.0, "{summary:?}");
    let mut report = RunReport::new("Run with a stall", &traffic, &summary);
    report.samples = observer.finish().await.unwrap().samples;
    assert!(report.samples.len() >= 5, "{:?}", report.samples);
    // No stack is behind this server: what it would tell is made up.
    for (sample, place) in report.samples.iter_mut().zip(1..) {
        sample.freshness_ms = Some(1_000 + 500 * (place % 3));
        sample.aggregator.get_or_insert_default().lag_records = 40 * place.unsigned_abs();
        sample.ingest.get_or_insert_default().queued_records = 3;
    }
    report.marks = vec![FaultMark {
        at_ms: began_ms + from.as_millis() as i64,
        until_ms: began_ms + until.as_millis() as i64,
        what: "the server answers nothing".into(),
    }];
    report.claims = [judge::traffic(&report), judge::soak(&report)].concat();
    report
}

async fn look_at(page: &Path, folder: &Path) -> Vec<Look> {
    assert!(
        Path::new(CHROMIUM).exists(),
        "{CHROMIUM} is missing, in which the report is looked at: apt-get install --no-install-recommends chromium"
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = modules(&root.join("../deploy/tests/clients/web")).await;
    let mut node = Command::new("node");
    node.arg(root.join("tests/browser/look.mjs")).arg(modules).arg(CHROMIUM).arg(page).arg(folder);
    let output = tokio::time::timeout(PATIENCE, node.kill_on_drop(true).output()).await;
    let output = output.expect("looking comes to an end").expect("node.js is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if let Some(kept) = std::env::var_os("KEEP_SCREENSHOTS") {
        for name in ["desk", "desk-dark", "phone", "phone-dark"] {
            let name = format!("{name}.png");
            std::fs::copy(folder.join(&name), Path::new(&kept).join(&name)).unwrap();
        }
    }
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The folder whose lock file has playwright, with what that says installed.
async fn modules(folder: &Path) -> PathBuf {
    let changed = |path: PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    let installed = changed(folder.join("node_modules/.package-lock.json"));
    if installed.is_none() || installed < changed(folder.join("package-lock.json")) {
        let npm = Command::new("npm")
            .args(["ci", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder)
            .status();
        assert!(npm.await.expect("npm is installed").success(), "npm ci failed in {}", folder.display());
    }
    folder.to_owned()
}
