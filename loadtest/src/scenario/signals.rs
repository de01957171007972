//! Standard signals: page loads, web vitals, HTTP calls, exceptions, app starts, screens. Each is an attempt of
//! a journey that every app has without configuration.

use schema::value::{SCALE, Value};

use super::Attribute;
use super::timeline::{Timeline, Voice};
use crate::sample::scaled;
use crate::truth::Outcome;

const ROUTES: [&str; 4] = ["/lectures/:id", "/lectures/:id/play", "/home", "/settings"];
const API_ROUTES: [&str; 4] = ["/api/lectures/:id", "/api/answers", "/api/profile", "/api/search"];
const SCREENS: [&str; 4] = ["home", "lecture", "quiz", "settings"];
const ERRORS: [&str; 3] = ["TypeError", "RangeError", "NetworkError"];

/// Names of the standard journeys that the signals belong to.
pub(super) mod standard {
    use crate::scenario::App;

    pub(in crate::scenario) const PAGE_LOAD: &str = "page-load";
    pub(in crate::scenario) const HTTP_CALLS: &str = "http-calls";
    pub(in crate::scenario) const EXCEPTIONS: &str = "exceptions";
    pub(in crate::scenario) const INTERACTION: &str = "interaction";
    pub(in crate::scenario) const SCREEN_LOAD: &str = "screen-load";
    pub(in crate::scenario) const ERROR_FREE: &str = "error-free-sessions";
    /// Journeys of sessions that nothing breaks here, by platform.
    pub(in crate::scenario) const UNBROKEN: [(App, &[&str]); 3] = [
        (App::Web, &[]),
        (App::Ios, &["crash-free-sessions", "hang-free-sessions"]),
        (App::Android, &["crash-free-sessions", "anr-free-sessions"]),
    ];
    pub(in crate::scenario) const WEB_VITALS: [(&str, &str); 5] = [
        ("LCP", "web-vital-lcp"),
        ("INP", "web-vital-inp"),
        ("CLS", "web-vital-cls"),
        ("FCP", "web-vital-fcp"),
        ("TTFB", "web-vital-ttfb"),
    ];
}

/// A page load in the browser; returns its route.
pub(super) fn page_load(timeline: &mut Timeline) -> &'static str {
    let route = timeline.sampler.one_of(&ROUTES);
    page_load_of(timeline, route);
    route
}

/// A load of a given page in the browser.
pub(super) fn page_load_of(timeline: &mut Timeline, route: &'static str) {
    let load = timeline.duration(900, 20_000);
    timeline.measured(
        "browser.navigation",
        Some(load),
        vec![("route", route.into()), ("type", "navigate".into())],
    );
    timeline.single(standard::PAGE_LOAD, None, Some(load));
    if timeline.voice == Voice::OtlpPage {
        timeline.event("browser.page_view", vec![("route", route.into())]);
        if timeline.sampler.chance(300) {
            timeline.told_again(
                "other_page_load_source",
                "documentLoad",
                Some(load),
                vec![("route", route.into())],
            );
            timeline.told_again("resource_not_http_call", "resourceFetch", None, Vec::new());
        }
    }
}

/// The web vitals of a page; `id` makes the metrics' ids unique. Revisions repeat an id with a larger value.
pub(super) fn web_vitals(timeline: &mut Timeline, route: &'static str, id: u64) {
    for (position, (metric, journey)) in standard::WEB_VITALS.into_iter().enumerate() {
        if timeline.sampler.chance(200) {
            continue;
        }
        let revisions = if matches!(metric, "FCP" | "TTFB") { 1 } else { timeline.sampler.between(1, 3) };
        let mut value = first_value(timeline, metric);
        let mut first_ms = None;
        for revision in 1..=revisions {
            let rating = rating(metric, value);
            timeline.measured(
                "browser.web_vital",
                Some(value),
                vec![
                    ("name", metric.into()),
                    ("id", format!("v6-{id}-{position}").into()),
                    ("rating", rating.into()),
                    ("route", route.into()),
                ],
            );
            first_ms = first_ms.or(timeline.events.last().map(|event| event.at_ms));
            if revision == revisions {
                timeline.single_at(journey, None, Some(value), first_ms);
            } else {
                value = scaled(value.scaled() + first_value(timeline, metric).scaled() / 2 + 1);
            }
        }
    }
}

fn first_value(timeline: &mut Timeline, metric: &str) -> Value {
    match metric {
        "CLS" => scaled(timeline.sampler.between(0, 3_000)),
        "INP" => timeline.duration(120, 5_000),
        "TTFB" => timeline.duration(300, 10_000),
        "FCP" => timeline.duration(1_200, 20_000),
        _ => timeline.duration(1_800, 20_000),
    }
}

/// The thresholds of <https://web.dev/articles/vitals>.
fn rating(metric: &str, value: Value) -> &'static str {
    let (good, poor) = match metric {
        "CLS" => (1_000, 2_500),
        "INP" => (200 * SCALE, 500 * SCALE),
        "TTFB" => (800 * SCALE, 1_800 * SCALE),
        "FCP" => (1_800 * SCALE, 3_000 * SCALE),
        _ => (2_500 * SCALE, 4_000 * SCALE),
    };
    match value.scaled() {
        value if value <= good => "good",
        value if value <= poor => "needs-improvement",
        _ => "poor",
    }
}

/// A call to the API that belongs to no attempt.
pub(super) fn http_call(timeline: &mut Timeline) {
    let route = timeline.sampler.one_of(&API_ROUTES);
    let no_answer = u32::from(timeline.voice.tells_no_answer());
    let status =
        timeline.sampler.weighted(&[(90, 200), (4, 204), (2, 404), (2, 503), (1, 500), (no_answer, 0)]);
    http_call_with(timeline, route, status);
}

/// A call to the API with a given answer.
pub(super) fn http_call_with(timeline: &mut Timeline, route: &'static str, status: u64) {
    let took = timeline.duration(90, 10_000);
    let attributes: Vec<(&'static str, Attribute)> =
        vec![("method", "GET".into()), ("route", route.into()), ("status", status.into())];
    let told_again = match timeline.voice {
        Voice::Native | Voice::OtlpApp => None,
        Voice::Faro => Some("faro.tracing.fetch"),
        Voice::OtlpPage => Some("browser.resource_timing"),
    };
    timeline.measured("http.client", Some(took), attributes.clone());
    let failure = (status == 0 || status >= 500).then(|| format!("http {status} {route}"));
    timeline.single(standard::HTTP_CALLS, failure, Some(took));
    if let Some(name) = told_again
        && timeline.sampler.chance(300)
    {
        timeline.told_again("other_http_source", name, Some(took), attributes);
    }
}

/// An exception that belongs to no attempt.
pub(super) fn exception(timeline: &mut Timeline) {
    let kind = timeline.sampler.one_of(&ERRORS);
    let fatal = timeline.sampler.chance(300);
    exception_of(timeline, kind, fatal);
}

/// An exception of a given type.
pub(super) fn exception_of(timeline: &mut Timeline, kind: &'static str, fatal: bool) {
    timeline.event(
        "exception",
        vec![("type", kind.into()), ("fatal", fatal.into()), ("message", "answer is undefined".into())],
    );
    timeline.single(standard::EXCEPTIONS, fatal.then(|| format!("exception {kind}")), None);
}

/// The session as an attempt: its first uncaught exception makes it bad.
pub(super) fn whole_session(timeline: &mut Timeline) {
    let error = timeline
        .truth
        .attempts
        .iter()
        .find(|attempt| attempt.journey == standard::EXCEPTIONS && attempt.outcome == Outcome::Failure)
        .map(|attempt| attempt.reason.to_string());
    let begun_ms = timeline.events.iter().map(|event| event.at_ms).min();
    timeline.single_at(standard::ERROR_FREE, error, None, begun_ms);
    for (app, journeys) in standard::UNBROKEN {
        if app == timeline.app {
            journeys.iter().for_each(|journey| timeline.single_at(journey, None, None, begun_ms));
        }
    }
}

/// A start of a native app.
pub(super) fn app_start(timeline: &mut Timeline) {
    let (kind, journey, median_ms) = timeline.sampler.weighted(&[
        (5, ("cold", "app-start-cold", 1_400)),
        (3, ("warm", "app-start-warm", 500)),
        (2, ("hot", "app-start-hot", 150)),
    ]);
    let took = timeline.duration(median_ms, 20_000);
    timeline.measured("app.start", Some(took), vec![("type", kind.into())]);
    timeline.single(journey, None, Some(took));
}

/// A screen of a native app.
pub(super) fn screen(timeline: &mut Timeline) {
    let name = timeline.sampler.one_of(&SCREENS);
    screen_of(timeline, name);
}

/// A given screen of a native app.
pub(super) fn screen_of(timeline: &mut Timeline, name: &'static str) {
    let took = timeline.duration(250, 10_000);
    timeline.measured("app.screen", Some(took), vec![("name", name.into())]);
    timeline.single(standard::SCREEN_LOAD, None, Some(took));
}

/// What a user does, as the app names it.
pub(super) fn user_action(timeline: &mut Timeline, name: &'static str, reason: Option<&'static str>) {
    let mut attributes = vec![("name", name.into())];
    attributes.extend(reason.map(|reason| ("reason", reason.into())));
    timeline.event("user.action", attributes);
    timeline.single(standard::INTERACTION, None, None);
}

/// Something that shows that the session lives: a page or a screen.
pub(super) fn sign_of_life(timeline: &mut Timeline) {
    if timeline.is_web() {
        page_load(timeline);
    } else {
        screen(timeline);
    }
}
