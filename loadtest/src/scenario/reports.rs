//! What a browser reports of requests that failed, and of some that did not, by Network Error Logging. It belongs to
//! no session and no journey.

use super::population::Client;
use super::session::finish;
use super::{Attribute, Beacon, Event, Format, Session};
use crate::sample::{Sampler, whole_ms};
use crate::truth::Truth;

/// Failures, and the phase that they belong to.
const FAILURES: [(&str, &str, u64); 6] = [
    ("dns.name_not_resolved", "dns", 0),
    ("tcp.reset", "connection", 0),
    ("tcp.timed_out", "connection", 0),
    ("tls.cert.date_invalid", "connection", 0),
    ("http.error", "application", 503),
    ("abandoned", "application", 0),
];
/// Failures are all reported, successes by this share, per cent.
const SUCCESS_PERCENT: u64 = 10;
const PATHS: [&str; 4] = ["/assets/app.js", "/assets/style.css", "/assets/logo.svg", "/api/profile"];
/// How old a report is when it is sent, ms; browsers collect for about a minute.
const AGE_MS_MAX: u64 = 60_000;
/// A browser without a network keeps what it could not send.
const AGE_MS_OFFLINE: (u64, u64) = (2 * super::HOUR_MS, 2 * super::DAY_MS);

/// Plays the reports of one browser.
pub(super) fn play(mut sampler: Sampler, number: u64, client: Client) -> Session {
    let age_ms = if sampler.chance(50) {
        sampler.between(AGE_MS_OFFLINE.0, AGE_MS_OFFLINE.1)
    } else {
        sampler.between(0, AGE_MS_MAX)
    };
    let mut events = Vec::new();
    let count = sampler.between(1, PATHS.len() as u64) as usize;
    // Each has a path of its own, so that none is taken for the repeat of another.
    for path in PATHS.into_iter().take(count) {
        let is_success = sampler.chance(200);
        let (kind, phase, status) =
            if is_success { ("ok", "application", 200) } else { sampler.one_of(&FAILURES) };
        let percent = if is_success { SUCCESS_PERCENT } else { 100 };
        let took_ms = sampler.between(1, 2_000);
        let event = |at_ms: u64, left_out: Option<&'static str>| Event {
            at_ms: -(at_ms as i64),
            name: if is_success { "network.success" } else { "network.error" },
            value: Some(whole_ms(took_ms)),
            attributes: vec![
                ("type", Attribute::from(kind)),
                ("phase", phase.into()),
                ("status", Attribute::Whole(status)),
                ("path", path.into()),
                ("percent", percent.into()),
            ],
            left_out,
        };
        let report_age_ms = age_ms + sampler.between(0, 5_000);
        if !is_success && sampler.chance(200) {
            // The browser tried once more by itself, right after the first attempt had failed.
            let again_after_ms = took_ms + sampler.between(0, 50);
            events.push(event(report_age_ms + again_after_ms, Some("browser_retry")));
        }
        events.push(event(report_age_ms, None));
    }
    let mut rates: Vec<Option<u64>> = events.iter().map(|event| event.whole("percent")).collect();
    rates.sort_unstable();
    rates.dedup();
    let records = rates.len() as u64;
    let beacon = Beacon { records, sequence: 1, ..Beacon::of(Format::NetworkErrors, events, 0) };
    finish(Client { weight: 1, gzip: false, ..client }, number, vec![beacon], Truth::default())
}
