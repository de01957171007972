//! What nearly was part of an attempt: the mistakes in definitions that counts alone do not show.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schema::beacon::Event;
use schema::definition::{DefinitionSet, Journey, Matcher};
use schema::rows::AttemptSample;
use serde::Serialize;

use crate::explain;
use crate::output::table;
use crate::recording::Recording;

/// Texts that are shown of what an attribute was instead.
const INSTEAD_MAX: usize = 3;

/// The near misses of a definition.
#[derive(Debug, Serialize)]
pub(super) struct Nearly {
    matchers: Vec<Looked>,
    /// Timeouts whose success came all the same, and how late the latest was after the deadline, ms.
    too_late: usize,
    latest_ms: i64,
    /// Sessions with a success and without any attempt.
    without_start: usize,
    /// Valid attempts within a tenth of the limit of an objective, on its wrong side.
    just_over_limit: usize,
}

/// One matcher over the events.
#[derive(Debug, Serialize)]
struct Looked {
    place: String,
    matcher: String,
    matched: u64,
    /// Events of its name that all conditions but one hold for: what the attribute was, and how often.
    nearly: BTreeMap<String, u64>,
}

/// Looks at every event of the journey's apps.
pub(super) fn look(
    recording: &Recording,
    set: &DefinitionSet,
    journey: &Journey,
    attempts: &[&AttemptSample],
) -> Nearly {
    let matchers = places(journey);
    let mut looked: Vec<(u64, BTreeMap<String, u64>)> = vec![Default::default(); matchers.len()];
    let mut successes: HashMap<(String, String), Vec<i64>> = HashMap::new();
    for beacon in recording.beacons() {
        let counts = set.app(&beacon.app).is_some_and(|app| app.counts(&beacon.environment, beacon.bot));
        if !counts || !journey.runs_on(&beacon.platform) {
            continue;
        }
        for event in &beacon.events {
            for ((_, matcher), (matched, nearly)) in matchers.iter().zip(&mut looked) {
                if matcher.matches(event) {
                    *matched += 1;
                } else if let Some(instead) = instead(matcher, event) {
                    *nearly.entry(instead).or_default() += 1;
                }
            }
            if !beacon.session.is_empty() && journey.success.iter().any(|matcher| matcher.matches(event)) {
                let session = (beacon.app.to_string(), beacon.session.to_string());
                successes.entry(session).or_default().push(event.time_ms);
            }
        }
    }
    let (too_late, latest_ms) = too_late(journey, attempts, &successes);
    let tried: BTreeSet<(&str, &str)> =
        attempts.iter().map(|attempt| (attempt.app.as_str(), attempt.session.as_str())).collect();
    let began = |(app, session): &(String, String)| tried.contains(&(app.as_str(), session.as_str()));
    Nearly {
        matchers: matchers
            .into_iter()
            .zip(looked)
            .map(|((place, matcher), (matched, nearly))| Looked {
                place,
                matcher: explain::matcher(matcher),
                matched,
                nearly: most(nearly),
            })
            .collect(),
        too_late,
        latest_ms,
        without_start: if journey.is_single_event() {
            0
        } else {
            successes.keys().filter(|session| !began(session)).count()
        },
        just_over_limit: attempts.iter().filter(|attempt| is_just_over(journey, attempt)).count(),
    }
}

/// Every matcher with the place that it has in the definition.
fn places(journey: &Journey) -> Vec<(String, &Matcher)> {
    let named = |place: &'static str| move |matcher| (place.to_owned(), matcher);
    let steps = journey
        .steps
        .iter()
        .flat_map(|step| step.done.iter().map(move |matcher| (format!("step {}", step.name), matcher)));
    let failures = journey.failure.iter().map(|failure| &failure.matcher);
    journey
        .start
        .iter()
        .map(named("start"))
        .chain(steps)
        .chain(journey.success.iter().map(named("success")))
        .chain(failures.map(named("failure")))
        .chain(journey.cancel.iter().map(named("cancel")))
        .collect()
}

/// The one attribute that keeps `event` from matching, and its text; none where two do, or the name is another.
fn instead(matcher: &Matcher, event: &Event<'_>) -> Option<String> {
    if matcher.event != event.name {
        return None;
    }
    let mut wrong = matcher.conditions.iter().filter(|condition| !condition.holds(event));
    let (condition, None) = (wrong.next()?, wrong.next()) else { return None };
    let text = match event.attribute(&condition.attribute) {
        Some(text) => format!("{} is {text}", condition.attribute),
        None => format!("no {}", condition.attribute),
    };
    Some(text)
}

/// The most frequent ones.
fn most(counts: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.into_iter().take(INSTEAD_MAX).collect()
}

/// Timeouts after whose deadline, but within twice the time, a success came; and by how much the latest was late.
fn too_late(
    journey: &Journey,
    attempts: &[&AttemptSample],
    successes: &HashMap<(String, String), Vec<i64>>,
) -> (usize, i64) {
    let timeout_ms = journey.timeout_ms as i64;
    let late = attempts.iter().filter(|attempt| attempt.outcome == "timeout").filter_map(|attempt| {
        let times = successes.get(&(attempt.app.clone(), attempt.session.clone()))?;
        let after = times.iter().map(|time_ms| time_ms - attempt.start_ms - timeout_ms);
        after.filter(|after_ms| (1..=timeout_ms).contains(after_ms)).min()
    });
    late.fold((0, 0), |(count, latest), after_ms| (count + 1, latest.max(after_ms)))
}

/// Whether a success took up to a tenth longer than an objective allows.
fn is_just_over(journey: &Journey, attempt: &AttemptSample) -> bool {
    let latency = attempt.latency.as_deref().and_then(|text| text.parse::<f64>().ok());
    let limits = journey.objectives.iter().filter_map(|objective| objective.rule.limit_on(&attempt.platform));
    let Some(latency) = latency.filter(|_| attempt.valid) else { return false };
    limits.into_iter().any(|limit| latency > limit && latency <= limit * 1.1)
}

impl Nearly {
    /// For people.
    pub(super) fn text(&self) -> String {
        let rows = self.matchers.iter().map(|looked| {
            let nearly: Vec<_> =
                looked.nearly.iter().map(|(instead, count)| format!("{count} whose {instead}")).collect();
            [looked.place.clone(), looked.matcher.clone(), looked.matched.to_string(), nearly.join("; ")]
        });
        let mut lines = vec![table(["", "looks for", "events", "nearly"], rows)];
        let mut tell = |count: usize, what: String| {
            if count > 0 {
                lines.push(format!("{count} {what}"));
            }
        };
        let late_s = self.latest_ms as f64 / 1_000.0;
        tell(
            self.too_late,
            format!("timeouts succeeded after all, the latest {late_s} s after the deadline"),
        );
        tell(self.without_start, "sessions have a success, but nothing that began an attempt".to_owned());
        tell(
            self.just_over_limit,
            "attempts were less than a tenth over the limit of an objective".to_owned(),
        );
        lines.join("\n")
    }
}
