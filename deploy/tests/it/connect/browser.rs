//! Pages with real SDKs in a real Chromium.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use deploy::stack::Stack;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::measured::{Played, Report, Reported, Visit};
use super::{
    assert_equal, assert_within, clients, counts_of, lines, snippets, stack_of_clients, until, values,
    written,
};
use crate::authority::Authority;

/// Where Debian has it.
const CHROMIUM: &str = "/usr/bin/chromium";
/// How long the pages may take to be played on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// Wall clocks tell whole milliseconds, at both ends.
const WALL_CLOCK_MS: f64 = 2.0;
/// Two clocks around one call, one within the other.
const AROUND_A_CALL_MS: f64 = 2.0;
/// Values are kept in ten-thousandths.
const EXACT: f64 = 0.000_1;

/// SDKs that are played: their pages and the pages of `docs/connect` that they are connected by.
const SDKS: [(&str, &str); 4] =
    [("faro", "faro"), ("vitals", "web-vitals"), ("otel", "opentelemetry-web"), ("boomerang", "boomerang")];
/// The page of `docs/connect` for a site of which only the browser tells.
const REPORTED: &str = "network-error-logging";

/// What each learner did with an SDK that tells of everything.
const JOURNEYS: [&str; 7] = [
    "error-free-sessions  1 1 0 1 exception TypeError",
    "exceptions  1 1 0 1 exception TypeError",
    "find-term  1 1 1 0 ",
    "http-calls /api/answers/:id 1 1 0 1 http 503 /api/answers/:id",
    "http-calls /api/lectures/:id 2 2 2 0 ",
    "submit-answer  1 1 0 1 http 503 /api/answers/:id",
    "take-quiz  1 1 0 1 exception TypeError",
];
/// Actions have no duration where the page tells of their moment only.
const ACTIONS: &str = "interaction  4 4 4 0 ";
const PAGE_LOADS: [&str; 2] = ["page-load /lectures 1 1 1 0 ", "page-load /lectures/:id 1 1 1 0 "];
const WATCHED: &str = "watch-lecture  2 2 2 0 ";
const VITALS: [&str; 5] = ["CLS", "FCP", "INP", "LCP", "TTFB"];

#[test]
fn the_journey_of_the_guide_is_the_one_that_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    snippets::write(REPORTED, dir.path(), snippets::ADDRESS, "key-of-nel");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let journey = "reach-server.yaml";
    assert_eq!(read(&dir.path().join(journey)), read(&clients().join("definitions/journeys").join(journey)));
}

#[tokio::test]
async fn pages_count_as_they_were_played() {
    let stack = stack_of_clients().await;
    let (browser, Played { visits, reported }) = play(&stack).await;
    for (sdk, visit) in &visits {
        assert_eq!(visit.errors, ["TypeError"], "{sdk}");
    }
    let vitals = vital_counts();
    let told = JOURNEYS.iter().copied().chain([ACTIONS, WATCHED]);
    let told_with_loads = sorted(told.clone().chain(PAGE_LOADS).collect(), &vitals);
    until(&stack, &counts_of("faro"), &told_with_loads).await;
    until(&stack, &counts_of("vitals"), &sorted(told.collect(), &vitals)).await;
    until(&stack, &counts_of("otel"), &told_with_loads).await;
    let timers_and_calls = format!(
        "SELECT * FROM ({}) WHERE journey NOT LIKE 'web-vital-%' AND journey != 'error-free-sessions'",
        counts_of("boomerang")
    );
    until(&stack, &timers_and_calls, &[&JOURNEYS[2..5], &PAGE_LOADS].concat()).await;
    let requests = request_counts(&reported);
    until(&stack, &counts_of("nel"), &sorted(vec![], &requests)).await;
    drop(browser);
    written(&stack).await;

    faro(&stack, &visits["faro"]).await;
    web_vitals_and_native(&stack, &visits["vitals"]).await;
    opentelemetry(&stack, &visits["otel"]).await;
    boomerang(&stack, &visits["boomerang"]).await;
    network_error_logging(&stack, &reported).await;
    assert_eq!(lines(&stack, "SELECT * FROM sli.audit").await, [""; 0]);
    stack.stop().await;
}

async fn faro(stack: &Stack, visit: &Visit) {
    check_vitals(stack, "faro", visit).await;
    check_latencies(stack, "faro", visit).await;
    for page in &visit.pages {
        let found = values(stack, "faro", "page-load", &page.route()).await;
        // Faro tells of whole milliseconds.
        let load_ms = (page.load.dom_complete - page.load.fetch_start).round();
        assert_equal(&format!("page load of {}", page.route()), found, vec![load_ms], EXACT);
    }
    let calls = visit.calls().into_iter();
    let rounded = calls.map(|(route, ms)| (route, ms.into_iter().map(f64::round).collect()));
    check_calls(stack, "faro", rounded.collect(), EXACT).await;
}

async fn web_vitals_and_native(stack: &Stack, visit: &Visit) {
    check_vitals(stack, "vitals", visit).await;
    check_latencies(stack, "vitals", visit).await;
    check_calls(stack, "vitals", visit.told_calls(), AROUND_A_CALL_MS).await;
}

async fn opentelemetry(stack: &Stack, visit: &Visit) {
    check_vitals(stack, "otel", visit).await;
    check_latencies(stack, "otel", visit).await;
    for page in &visit.pages {
        let found = values(stack, "otel", "page-load", &page.route()).await;
        assert_equal(&format!("page load of {}", page.route()), found, vec![page.load.duration], EXACT);
    }
    check_calls(stack, "otel", visit.told_calls(), EXACT).await;
}

async fn boomerang(stack: &Stack, visit: &Visit) {
    check_calls(stack, "boomerang", visit.told_calls(), EXACT).await;
    let found = values(stack, "boomerang", "find-term", "").await;
    assert_within("boomerang: find-term", found, &visit.latencies("find-term"), WALL_CLOCK_MS);
    for page in &visit.pages {
        let found = values(stack, "boomerang", "page-load", &page.route()).await;
        assert_equal("boomerang: page load", found, vec![page.load.duration], WALL_CLOCK_MS);
        // It tells of a paint if the load ends after it, and of whole milliseconds.
        for name in ["FCP", "LCP", "INP", "TTFB"] {
            let journey = format!("web-vital-{}", name.to_lowercase());
            let found = values(stack, "boomerang", &journey, &page.route()).await;
            let expect = vec![page.vitals[name].floor(); found.len().min(1)];
            assert_equal(&format!("boomerang: {name} of {}", page.route()), found, expect, 1.0);
        }
    }
}

/// What a site is counted by of which only the browser told: by the server's own word where it answered.
fn request_counts(reported: &Reported) -> Vec<String> {
    let mut by_route: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for asked in &reported.asked {
        let Some(status) = asked.status else { continue };
        let (well, badly) = by_route.entry(asked.route()).or_default();
        *(if status < 400 { well } else { badly }) += 1;
    }
    assert_eq!(by_route["/api/answers/:id"], (0, 1));
    // The answer that was lost: what the browser repeated by itself counts once, where it came together.
    let is_lost = |report: &Report| report.kind != "ok" && report.kind != "http.error";
    let lost = reported.requests.iter().filter(|reports| reports.iter().any(is_lost)).count();
    assert!(lost > 0, "{reported:?}");
    by_route.entry("/api/lectures/:id".into()).or_default().1 += lost;
    let line = |(route, (well, badly)): (&String, &(usize, usize))| {
        let attempts = well + badly;
        let reasons = if *badly > 0 { "network.error" } else { "" };
        format!("reach-server {route} {attempts} {attempts} {well} {badly} {reasons}")
    };
    by_route.iter().map(line).collect()
}

async fn network_error_logging(stack: &Stack, reported: &Reported) {
    let mut told: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for report in reported.requests.iter().flatten().filter(|report| report.kind == "ok") {
        told.entry(report.route()).or_default().push(report.ms);
    }
    for (route, expect) in told {
        let found = values(stack, "nel", "reach-server", &route).await;
        assert_equal(&format!("requests of {route}"), found, expect, EXACT);
    }
}

/// A metric of every name for both pages.
fn vital_counts() -> Vec<String> {
    let routes = ["/lectures", "/lectures/:id"];
    let of = |name: &str| routes.map(|route| format!("web-vital-{} {route} 1 1 1 0 ", name.to_lowercase()));
    VITALS.iter().flat_map(|name| of(name)).collect()
}

fn sorted<'a>(mut lines: Vec<&'a str>, more: &'a [String]) -> Vec<&'a str> {
    lines.extend(more.iter().map(String::as_str));
    lines.sort_by_key(|line| line.splitn(3, ' ').map(str::to_owned).collect::<Vec<_>>());
    lines
}

async fn check_vitals(stack: &Stack, app: &str, visit: &Visit) {
    for page in &visit.pages {
        for name in VITALS {
            let journey = format!("web-vital-{}", name.to_lowercase());
            let found = values(stack, app, &journey, &page.route()).await;
            let what = format!("{app}: {name} of {}", page.route());
            assert_equal(&what, found, vec![page.vitals[name]], EXACT);
        }
    }
}

/// Journeys by the wall clock, and the declared one by its own word.
async fn check_latencies(stack: &Stack, app: &str, visit: &Visit) {
    let found = values(stack, app, "watch-lecture", "").await;
    assert_within(&format!("{app}: watch-lecture"), found, &visit.latencies("watch-lecture"), WALL_CLOCK_MS);
    let found = values(stack, app, "find-term", "").await;
    assert_equal(&format!("{app}: find-term"), found, visit.exact_latencies("find-term"), EXACT);
    let late = visit.latencies("watch-lecture").iter().filter(|(least, _)| *least > 1_000.0).count();
    let fast = format!(
        "SELECT sum(valid), sum(valid - good) FROM sli.slo_events \
         WHERE app = 'school-{app}' AND journey = 'watch-lecture' AND objective = 'fast'"
    );
    assert!(late > 0, "one lecture is slow");
    until(stack, &fast, &[&format!("2 {late}")]).await;
}

async fn check_calls(stack: &Stack, app: &str, by_route: BTreeMap<String, Vec<f64>>, tolerance: f64) {
    for (route, expect) in by_route {
        let found = values(stack, app, "http-calls", &route).await;
        assert_equal(&format!("{app}: calls of {route}"), found, expect, tolerance);
    }
}

/// Plays every page. The browser lives as long as the first of what is returned.
async fn play(stack: &Stack) -> (Child, Played) {
    assert!(
        Path::new(CHROMIUM).exists(),
        "{CHROMIUM} is missing, in which the pages are played: apt-get install --no-install-recommends chromium"
    );
    let folder = clients().join("web");
    install(&folder).await;
    let blocks = tempfile::tempdir().unwrap();
    for (sdk, page) in SDKS {
        snippets::write(page, &blocks.path().join(page), stack.ingest_url(), &format!("key-of-{sdk}"));
    }
    // Its address stays: browsers send reports to HTTPS alone, and this one is told where that is.
    snippets::write(REPORTED, &blocks.path().join(REPORTED), snippets::ADDRESS, "key-of-nel");
    let (certificate, key) = Authority::new().certificate_of_this_host();
    std::fs::write(blocks.path().join("certificate.pem"), certificate).unwrap();
    std::fs::write(blocks.path().join("key.pem"), key).unwrap();
    let mut node = Command::new("node");
    node.current_dir(&folder).arg("play.mjs").arg(blocks.path()).arg(CHROMIUM).arg(stack.ingest_url());
    node.args(SDKS.map(|(sdk, _)| sdk)).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut browser = node.spawn().expect("node.js is installed");
    let mut output = BufReader::new(browser.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, output.next_line()).await.expect("the pages come to an end");
    let line = line.unwrap().expect("the player says above why it gave up");
    (browser, serde_json::from_str(&line).unwrap())
}

/// Installs what the lock file says, unless it is there.
async fn install(folder: &Path) {
    let changed = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let installed = changed(&folder.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= changed(&folder.join("package-lock.json")) {
        return;
    }
    let npm = Command::new("npm")
        .args(["ci", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(folder)
        .status();
    assert!(npm.await.expect("npm is installed").success(), "npm ci failed in {}", folder.display());
}
