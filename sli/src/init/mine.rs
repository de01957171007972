//! From sequences to proposals: which events begin and end what users set out to do.
//!
//! Of two events, *confidence* is the share of the first after which the second follows, and *precision* the share of the
//! second before which the first went: both, as association rules have them (Agrawal, Imieliński, Swami 1993,
//! <https://doi.org/10.1145/170035.170072>). A start and its success have both; what users do by chance has neither.

use std::collections::{BTreeMap, BTreeSet};

use schema::definition::DefinitionSet;

use super::proposal::{Done, Origin, Proposal};
use super::seen::Seen;
use super::sequences::{Kind, Session, What};

/// How far apart a start and its success may be.
const WINDOW_MS: i64 = 300_000;
/// Starts without which nothing is proposed.
const STARTS_MIN: usize = 10;
/// Share of the starts that the success must follow.
const CONFIDENCE_MIN: f64 = 0.5;
/// Share of the successes that the start must precede.
const PRECISION_MIN: f64 = 0.8;
/// Share of the attempts with success on a platform that must pass a place for it to be a step.
const STEP_SHARE_MIN: f64 = 0.6;
/// In how many attempts without success something must be seen, to be proposed as a failure.
const FAILURES_MIN: usize = 3;
/// And how many times as often as in attempts with success: what comes by chance is in both.
const FAILURE_RATIO_MIN: f64 = 1.5;
/// Deadline that is proposed, unless successes take longer.
const TIMEOUT_MS: i64 = 30_000;

/// Words of a name that say that the user changed their mind.
const CANCEL_WORDS: [&str; 5] = ["cancel", "cancelled", "abort", "dismiss", "discard"];

/// A start with its success, and how well they belong together.
struct Pair {
    start: What,
    success: What,
    score: f64,
}

/// How often a second event follows a first one.
#[derive(Default)]
struct Follows {
    /// ms between them.
    delays_ms: Vec<i64>,
}

/// What the attempts of a pair have in common.
struct Traits {
    steps: Vec<Done>,
    failed_calls: Vec<String>,
    fatal: bool,
    cancel: Vec<What>,
    timeout_ms: i64,
    apps: BTreeSet<String>,
}

/// Proposes journeys from events that no team's journey looks at yet.
pub(super) fn proposals(
    seen: &Seen,
    sessions: &[Session],
    set: &DefinitionSet,
    owner: &str,
) -> Vec<Proposal> {
    let defined: BTreeSet<&str> = set.journeys.iter().map(|journey| journey.name.as_str()).collect();
    let mut declared = declared(sessions);
    declared.retain(|name, _| !defined.contains(name.as_str()));
    let mut proposals = Vec::new();
    for pair in pairs(seen, sessions) {
        let traits = Traits::of(&pair, sessions);
        let name = declared_name(&pair, &traits, declared.keys());
        let mut steps = traits.steps.clone();
        let mut apps = traits.apps.clone();
        if let Some(found) = name.as_ref().and_then(|name| declared.remove(name)) {
            apps.extend(found.apps);
            name_steps(&mut steps, &found.steps, &pair.success);
        }
        let journey = name.unwrap_or_else(|| name_of(&pair));
        if defined.contains(journey.as_str()) {
            continue;
        }
        proposals.push(Proposal {
            journey,
            owner: owner.to_owned(),
            apps: apps.into_iter().collect(),
            origin: Origin::Pair { start: pair.start, success: pair.success },
            steps,
            failed_calls: traits.failed_calls,
            fatal: traits.fatal,
            cancel: traits.cancel,
            timeout_ms: traits.timeout_ms,
            ..Proposal::default()
        });
    }
    for (journey, found) in declared {
        if found.starts >= STARTS_MIN {
            proposals.push(Proposal {
                journey,
                owner: owner.to_owned(),
                apps: found.apps.into_iter().collect(),
                origin: Origin::Declared,
                timeout_ms: TIMEOUT_MS,
                ..Proposal::default()
            });
        }
    }
    proposals.sort_by(|a, b| a.journey.cmp(&b.journey));
    proposals
}

/// A journey that an app declares.
#[derive(Default)]
struct Declared {
    starts: usize,
    apps: BTreeSet<String>,
    /// Names of its steps.
    steps: BTreeSet<String>,
}

fn declared(sessions: &[Session]) -> BTreeMap<String, Declared> {
    let mut found: BTreeMap<String, Declared> = BTreeMap::new();
    for session in sessions {
        for (_, kind) in &session.moments {
            match kind {
                Kind::Declared(journey) => {
                    let declared = found.entry(journey.clone()).or_default();
                    declared.starts += 1;
                    declared.apps.insert(session.app.clone());
                }
                Kind::DeclaredStep(journey, step) => {
                    found.entry(journey.clone()).or_default().steps.insert(step.clone());
                }
                Kind::Sign(_) | Kind::Place { .. } | Kind::FailedCall(_) | Kind::Fatal => {}
            }
        }
    }
    found
}

/// The pairs that belong together, each event in one of them at most.
fn pairs(seen: &Seen, sessions: &[Session]) -> Vec<Pair> {
    let mut totals: BTreeMap<&What, usize> = BTreeMap::new();
    let mut follows: BTreeMap<(&What, &What), Follows> = BTreeMap::new();
    for session in sessions {
        let signs: Vec<(i64, &What)> =
            session.moments.iter().filter_map(sign).filter(|(_, what)| seen.contains_key(*what)).collect();
        for (place, (start_ms, start)) in signs.iter().enumerate() {
            *totals.entry(start).or_default() += 1;
            let mut met = BTreeSet::new();
            let rest = signs[place + 1..].iter();
            for (time_ms, next) in
                rest.take_while(|(time_ms, next)| next != start && time_ms - start_ms <= WINDOW_MS)
            {
                if met.insert(next) {
                    follows.entry((start, next)).or_default().delays_ms.push(time_ms - start_ms);
                }
            }
        }
    }
    let count =
        |first, second| follows.get(&(first, second)).map_or(0, |found: &Follows| found.delays_ms.len());
    let mut pairs: Vec<Pair> = follows
        .keys()
        .filter_map(|(start, success)| {
            let (starts, successes, both) = (totals[start], totals[success], count(start, success));
            let confidence = both as f64 / starts as f64;
            let precision = both as f64 / successes as f64;
            let belongs = starts >= STARTS_MIN
                && confidence >= CONFIDENCE_MIN
                && precision >= PRECISION_MIN
                && both > count(success, start);
            let kinship = if shares_a_word(start, success) { 1.0 } else { 0.0 };
            belongs.then(|| Pair {
                start: (*start).clone(),
                success: (*success).clone(),
                score: confidence * precision + kinship,
            })
        })
        .collect();
    pairs.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut used: BTreeSet<What> = BTreeSet::new();
    pairs.retain(|pair| {
        let is_free = !used.contains(&pair.start) && !used.contains(&pair.success);
        if is_free {
            used.extend([pair.start.clone(), pair.success.clone()]);
        }
        is_free
    });
    pairs
}

fn sign((time_ms, kind): &(i64, Kind)) -> Option<(i64, &What)> {
    match kind {
        Kind::Sign(what) => Some((*time_ms, what)),
        _ => None,
    }
}

/// One attempt of a pair as it stands in its session.
struct Window<'s> {
    platform: &'s str,
    /// From behind the start to before the success, or to where nothing more is expected.
    within: &'s [(i64, Kind)],
    took_ms: Option<i64>,
}

fn windows<'s>(pair: &Pair, sessions: &'s [Session], longest_ms: i64) -> Vec<Window<'s>> {
    let mut windows = Vec::new();
    for session in sessions {
        let is = |kind: &Kind, what: &What| matches!(kind, Kind::Sign(found) if found == what);
        for (place, (start_ms, kind)) in session.moments.iter().enumerate() {
            if !is(kind, &pair.start) {
                continue;
            }
            let rest = &session.moments[place + 1..];
            let end = rest
                .iter()
                .position(|(time_ms, kind)| {
                    is(kind, &pair.start) || is(kind, &pair.success) || time_ms - start_ms > longest_ms
                })
                .unwrap_or(rest.len());
            let success = rest
                .get(end)
                .filter(|(time_ms, kind)| is(kind, &pair.success) && time_ms - start_ms <= longest_ms);
            windows.push(Window {
                platform: &session.platform,
                within: &rest[..end],
                took_ms: success.map(|(time_ms, _)| time_ms - start_ms),
            });
        }
    }
    windows
}

impl Traits {
    fn of(pair: &Pair, sessions: &[Session]) -> Self {
        let timeout_ms = timeout_ms(&windows(pair, sessions, WINDOW_MS));
        let windows = windows(pair, sessions, timeout_ms);
        let (good, bad): (Vec<_>, Vec<_>) = windows.iter().partition(|window| window.took_ms.is_some());
        let count = |windows: &[&Window<'_>], wanted: &Kind| {
            windows.iter().filter(|window| window.within.iter().any(|(_, kind)| kind == wanted)).count()
        };
        let in_bad = |wanted: &Kind| {
            let (in_bad, in_good) = (count(&bad, wanted), count(&good, wanted));
            let ratio = (in_bad * good.len()) as f64 / (in_good * bad.len()) as f64;
            in_bad >= FAILURES_MIN && (in_good == 0 || ratio >= FAILURE_RATIO_MIN)
        };
        let kinds = |windows: &[&Window<'_>]| -> BTreeSet<Kind> {
            windows.iter().flat_map(|window| window.within).map(|(_, kind)| kind.clone()).collect()
        };
        let (mut failed_calls, mut cancel) = (Vec::new(), Vec::new());
        for kind in kinds(&bad).into_iter().filter(in_bad) {
            match kind {
                Kind::FailedCall(route) => failed_calls.push(route),
                Kind::Sign(what) if words(&what).any(|word| CANCEL_WORDS.contains(&word.as_str())) => {
                    cancel.push(what)
                }
                _ => {}
            }
        }
        let has_pair =
            |session: &&Session| session.moments.iter().filter_map(sign).any(|(_, what)| *what == pair.start);
        Self {
            steps: steps(&good),
            failed_calls,
            fatal: in_bad(&Kind::Fatal),
            cancel,
            timeout_ms,
            apps: sessions.iter().filter(has_pair).map(|session| session.app.clone()).collect(),
        }
    }
}

/// Ten times what half of the successes take, in whole minutes, but at least [`TIMEOUT_MS`].
fn timeout_ms(windows: &[Window<'_>]) -> i64 {
    let mut took: Vec<i64> = windows.iter().filter_map(|window| window.took_ms).collect();
    took.sort_unstable();
    // Not of the slowest ones: what comes by chance long after a start is among them.
    let enough_ms = took.get(took.len() / 2).map_or(0, |median_ms| median_ms * 10);
    if enough_ms <= TIMEOUT_MS { TIMEOUT_MS } else { (enough_ms / 60_000 + 1) * 60_000 }
}

/// One step of the place that most successes of each platform pass.
fn steps(good: &[&Window<'_>]) -> Vec<Done> {
    let mut by_platform: BTreeMap<&str, (usize, BTreeMap<&Kind, usize>)> = BTreeMap::new();
    for window in good {
        let (count, places) = by_platform.entry(window.platform).or_default();
        *count += 1;
        let passed: BTreeSet<&Kind> = window
            .within
            .iter()
            .map(|(_, kind)| kind)
            .filter(|kind| matches!(kind, Kind::Place { .. }))
            .collect();
        passed.into_iter().for_each(|place| *places.entry(place).or_default() += 1);
    }
    let passed = by_platform.into_values().filter_map(|(count, places)| {
        let (place, passed) = places.into_iter().max_by_key(|(_, passed)| *passed)?;
        (passed as f64 >= count as f64 * STEP_SHARE_MIN).then_some(place)
    });
    let places: BTreeSet<&Kind> = passed.collect();
    if places.is_empty() {
        return Vec::new();
    }
    vec![Done { name: "page".to_owned(), any_of: places.into_iter().cloned().collect() }]
}

/// Names that the app itself gives to steps: what it calls as the success is called, is reached with it.
fn name_steps(steps: &mut Vec<Done>, declared: &BTreeSet<String>, success: &What) {
    let success_words: BTreeSet<String> = words(success).collect();
    for step in declared {
        if success_words.contains(step.as_str()) {
            steps.push(Done { name: step.clone(), any_of: vec![Kind::Sign(success.clone())] });
        }
    }
    let free: Vec<&String> =
        declared.iter().filter(|name| !steps.iter().any(|step| step.name == **name)).collect();
    if let ([only], Some(first)) = (free.as_slice(), steps.first_mut())
        && !declared.contains(&first.name)
    {
        first.name = (*only).clone();
    }
}

/// The journey that the app declares elsewhere for the same: the one most of whose words are in the pair's events, places
/// and calls.
fn declared_name<'d>(
    pair: &Pair,
    traits: &Traits,
    declared: impl Iterator<Item = &'d String>,
) -> Option<String> {
    let mut evidence: Vec<String> = words(&pair.start).chain(words(&pair.success)).collect();
    for place in traits.steps.iter().flat_map(|step| &step.any_of) {
        if let Kind::Place { text, .. } = place {
            evidence.extend(words_of(text));
        }
    }
    evidence.extend(traits.failed_calls.iter().flat_map(|route| words_of(route)));
    let score = |name: &&String| {
        let words: Vec<String> = words_of(name).collect();
        let told =
            words.iter().map(|word| evidence.iter().filter(|known| *known == word).count()).sum::<usize>();
        (told * 100 / words.len().max(1)) as u32
    };
    let best = declared.max_by_key(score)?;
    (score(&best) >= 50).then(|| best.clone())
}

/// `sign-in` of `sign-in.submit` and `sign-in.done`; else the start's words.
fn name_of(pair: &Pair) -> String {
    let text = |what: &What| if what.name.is_empty() { what.event.clone() } else { what.name.clone() };
    let (start, success) = (text(&pair.start), text(&pair.success));
    let common = start.split('.').zip(success.split('.')).take_while(|(a, b)| a == b).map(|(a, _)| a);
    let common = common.collect::<Vec<_>>().join("-");
    let name = if common.is_empty() { start } else { common };
    let allowed =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.chars().map(allowed).take(60).collect::<String>().trim_matches('-').to_owned()
}

fn shares_a_word(a: &What, b: &What) -> bool {
    let first = |what: &What| words(what).next();
    first(a).is_some_and(|word| first(b) == Some(word))
}

fn words(what: &What) -> impl Iterator<Item = String> + use<> {
    words_of(if what.name.is_empty() { &what.event } else { &what.name })
}

/// Words in lower case and in the singular, roughly.
fn words_of(text: &str) -> impl Iterator<Item = String> + use<> {
    let words: Vec<String> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| word.len() > 1)
        .map(|word| word.to_lowercase().trim_end_matches('s').to_owned())
        .collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(name: &str) -> What {
        What { event: "user.action".to_owned(), name: name.to_owned() }
    }

    /// A session with one attempt: its start, a call that failed or none, and its success or none.
    fn session(failed_call: Option<&str>, succeeds: bool) -> Session {
        let mut moments = vec![(0, Kind::Sign(what("pay.open")))];
        moments.extend(failed_call.map(|route| (100, Kind::FailedCall(route.to_owned()))));
        moments.extend(succeeds.then(|| (900, Kind::Sign(what("pay.done")))));
        Session { app: "shop".to_owned(), platform: "web".to_owned(), moments }
    }

    #[test]
    fn a_call_that_fails_by_chance_is_no_failure_and_a_rare_one_that_costs_the_success_is() {
        let mut sessions = Vec::new();
        for number in 0..200 {
            sessions.push(session((number % 20 == 0).then_some("/api/feed"), true));
            sessions.push(session((number % 20 == 0).then_some("/api/feed"), false));
        }
        sessions.extend((0..4).map(|_| session(Some("/api/pay"), false)));
        sessions.extend((0..2).map(|_| session(Some("/api/seen-too-seldom"), false)));
        let pair = Pair { start: what("pay.open"), success: what("pay.done"), score: 1.0 };
        assert_eq!(Traits::of(&pair, &sessions).failed_calls, ["/api/pay"]);
    }
}
