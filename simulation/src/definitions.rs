//! The definition sets of the worlds: the same journeys under settings that differ in what cuts and settles.

use std::sync::{Arc, LazyLock};

use schema::definition::{DefinitionSet, EngineSettings, load};

/// Deadline of journey `watch`, as its file says.
pub const TIMEOUT_MS: i64 = 10_000;
/// Deadline of journeys that an app declares and nobody has defined, as the engine has it.
pub const TIMEOUT_MAX_MS: i64 = 30_000;
/// Patience of journey `watch`, as its file says.
pub const PATIENCE_MS: i64 = 4_000;
/// A success of `watch` on the web within this is good by its objective `fast`.
pub const FAST_MS: i64 = 2_000;
/// Grace of the sets: the shortest and the longest.
pub const GRACE_MS: [i64; 2] = [3_000, 5_000];
/// Duplicate horizons, the same in every set: web and native.
pub const HORIZON_MS: [i64; 2] = [20_000, 45_000];
/// Events older than this are too old.
pub const LATE_RETENTION_MS: i64 = 5 * 24 * 3_600_000;
/// How many sets a world can change between.
pub const SETS: usize = 3;

const FILES: [(&str, &str); 5] = [
    ("app.yaml", "app: shop\nkeys: [shop-key]\n"),
    (
        "watch.yaml",
        r#"journey: watch
owner: team
promise: It plays.
start: {event: user.action, where: {name: open}}
steps:
  - {name: page, done: {event: app.screen}}
  - {name: video, done: {event: video.first_frame}}
success: {event: video.first_frame}
failure:
  - {event: exception, where: {fatal: true}}
  - {event: http.client, where: {status: [">=500"]}, recoverable: true}
cancel: {event: user.action, where: {name: close}}
timeout: 10s
patience: 4s
objectives:
  - {name: works, target: 99%}
  - {name: fast, within: {web: 2s}, target: 95%}
"#,
    ),
    (
        "keep.yaml",
        "journey: keep
owner: team
promise: It is kept.
start: {event: user.action, where: {name: begin}}
success: {event: user.action, where: {name: finish}}
restart: continue
objectives: [{name: works, target: 99%}]
",
    ),
    (
        "calls.yaml",
        r#"journey: calls
owner: team
promise: It answers.
success: {event: http.client}
failure: {event: http.client, where: {status: [">=500"]}}
objectives: [{name: works, target: 99%}]
"#,
    ),
    (
        "paint.yaml",
        "journey: paint
owner: team
promise: It paints.
success: {event: browser.web_vital, where: {name: LCP}}
revised_by: id
objectives: [{name: fast, value: \"<=2500\", target: 75%}]
",
    ),
];

static JOURNEYS: LazyLock<DefinitionSet> = LazyLock::new(|| {
    let files = FILES.map(|(path, text)| (path.to_owned(), text.to_owned()));
    match load(&files, EngineSettings::default()) {
        Ok(set) => set,
        Err(error) => unreachable!("the simulation's own definition files are good: {error}"),
    }
});

/// The journeys under `settings`, with other targets in every other set, which makes new objective versions.
pub fn set(settings: EngineSettings, number: usize) -> Arc<DefinitionSet> {
    let mut journeys: Vec<_> =
        JOURNEYS.journeys.iter().filter(|journey| !journey.standard).cloned().collect();
    if number % 2 == 1 {
        for objective in journeys.iter_mut().flat_map(|journey| &mut journey.objectives) {
            objective.version = format!("{}b", objective.version);
        }
    }
    Arc::new(DefinitionSet::new(settings, JOURNEYS.apps.clone(), journeys))
}
