use std::collections::BTreeMap;

use super::super::found::{BatchesRow, Totals};
use super::*;

const APP: &str = "studyapp-web";
const JOURNEY: &str = "watch-lecture";
const RELEASE: &str = "2026.11.3";
const HOUR_S: u32 = 1_795_392_000;

fn key() -> (String, String) {
    (APP.to_owned(), JOURNEY.to_owned())
}

/// Three successes, and one attempt of every other outcome.
fn expected() -> Expected {
    let cell = Cell {
        outcomes: [3, 1, 1, 1, 1, 1],
        valid: 6,
        sessions: Some(7),
        reasons: BTreeMap::from([("http 503".to_owned(), 1), ("timeout".to_owned(), 1)]),
        latencies: BTreeMap::from([(100, 2), (200, 1)]),
        latency_sum: 4_000_000,
        steps: vec![("page".to_owned(), 8, 5)],
        releases: BTreeMap::from([(RELEASE.to_owned(), (8, 4_000_000))]),
        past_hours: BTreeMap::from([(HOUR_S, 2)]),
        arrived_late: 2,
        ..Cell::default()
    };
    let totals = AppTotals {
        records: 40,
        events: 200,
        bots: 2,
        environments: 3,
        too_old: 4,
        corrected: 6,
        seen: BTreeMap::from([("http.client".to_owned(), 90)]),
        left_out: BTreeMap::from([("browser_retry".to_owned(), 1)]),
        ..AppTotals::default()
    };
    Expected {
        cells: BTreeMap::from([(key(), cell)]),
        apps: BTreeMap::from([(APP.to_owned(), totals)]),
        sessions: 100,
        duplicates: (5, 5),
        ..Expected::default()
    }
}

/// What an exact pipeline makes of it.
fn found() -> Found {
    let row = JourneyRow {
        app: APP.to_owned(),
        journey: JOURNEY.to_owned(),
        attempts: 8,
        valid: 6,
        success: 3,
        failure: 1,
        timeout: 1,
        abandoned: 1,
        cancelled: 1,
        unknown: 1,
        sessions: 7,
        arrived_late: 2,
        latency_sum: 4_000_000,
        latency_count: 3,
        quantiles: vec![100, 200, 200, 200],
        reasons: BTreeMap::from([("http 503".to_owned(), 1), ("timeout".to_owned(), 1)]),
        ..JourneyRow::default()
    };
    let totals = Totals { attempts: 8, success: 3 };
    let quality = QualityRow {
        beacons: 40,
        events: 200,
        bots: 2,
        environments: 3,
        too_old: 4,
        clock_corrected: 6,
        // What the engine itself did not count is not what a format tells twice.
        not_counted: BTreeMap::from([("browser_retry".to_owned(), 1), ("without_start".to_owned(), 9)]),
        ..QualityRow::default()
    };
    let (app, journey) = key();
    Found {
        journeys: BTreeMap::from([(key(), row)]),
        hours: BTreeMap::from([(key(), totals)]),
        view: BTreeMap::from([(key(), totals)]),
        steps: BTreeMap::from([(
            (APP.to_owned(), JOURNEY.to_owned(), "page".to_owned()),
            Totals { attempts: 8, success: 5 },
        )]),
        releases: BTreeMap::from([((app.clone(), journey.clone(), RELEASE.to_owned()), (8, 4_000_000))]),
        past_hours: BTreeMap::from([((app.clone(), journey, HOUR_S), 2)]),
        quality: BTreeMap::from([(app.clone(), quality)]),
        seen: BTreeMap::from([((app, "http.client".to_owned()), 90)]),
        batches: BatchesRow { duplicates: 5, ..BatchesRow::default() },
        audit: Vec::new(),
        log_time_ms: Some(1),
    }
}

#[test]
fn what_is_exact_is_equal() {
    let comparison = compare(&expected(), &found());
    let differences: Vec<_> = comparison.checks.iter().filter(|check| !check.equal).collect();
    assert!(comparison.is_equal() && comparison.checks.len() > 20, "{differences:?}");
}

/// A count of what was found.
type Count = fn(&mut Found) -> &mut u64;

fn row(found: &mut Found) -> &mut JourneyRow {
    found.journeys.get_mut(&key()).unwrap()
}

fn quality(found: &mut Found) -> &mut QualityRow {
    found.quality.get_mut(APP).unwrap()
}

fn step(found: &mut Found) -> &mut Totals {
    found.steps.values_mut().next().unwrap()
}

#[test]
fn every_count_that_is_off_by_one_is_a_difference() {
    let counts: [(&str, Count); 41] = [
        ("attempts", |found| &mut row(found).attempts),
        ("valid", |found| &mut row(found).valid),
        ("success", |found| &mut row(found).success),
        ("failure", |found| &mut row(found).failure),
        ("timeout", |found| &mut row(found).timeout),
        ("interrupted", |found| &mut row(found).interrupted),
        ("abandoned", |found| &mut row(found).abandoned),
        ("cancelled", |found| &mut row(found).cancelled),
        ("unknown", |found| &mut row(found).unknown),
        ("sessions", |found| &mut row(found).sessions),
        ("measured", |found| &mut row(found).latency_count),
        ("sum of latencies", |found| &mut row(found).latency_sum),
        ("p50", |found| &mut row(found).quantiles[0]),
        ("reason \"http 503\"", |found| row(found).reasons.get_mut("http 503").unwrap()),
        ("reason \"timeout\"", |found| row(found).reasons.get_mut("timeout").unwrap()),
        ("reason \"new\"", |found| row(found).reasons.entry("new".to_owned()).or_default()),
        ("attempts in journey_hours", |found| &mut found.hours.get_mut(&key()).unwrap().attempts),
        ("success in journey_hours", |found| &mut found.hours.get_mut(&key()).unwrap().success),
        ("attempts in view journeys", |found| &mut found.view.get_mut(&key()).unwrap().attempts),
        ("success in view journeys", |found| &mut found.view.get_mut(&key()).unwrap().success),
        ("attempts at step page", |found| &mut step(found).attempts),
        ("reached step page", |found| &mut step(found).success),
        ("duplicates", |found| &mut found.batches.duplicates),
        ("arrived late", |found| &mut row(found).arrived_late),
        ("attempts of release \"2026.11.3\"", |found| &mut found.releases.values_mut().next().unwrap().0),
        ("sum of latencies of release \"2026.11.3\"", |found| {
            &mut found.releases.values_mut().next().unwrap().1
        }),
        ("attempts of release \"new\"", |found| {
            let other = (APP.to_owned(), JOURNEY.to_owned(), "new".to_owned());
            &mut found.releases.entry(other).or_default().0
        }),
        ("attempts of the hour 1795392000", |found| found.past_hours.values_mut().next().unwrap()),
        ("attempts of the hour 7200", |found| {
            found.past_hours.entry((APP.to_owned(), JOURNEY.to_owned(), 7_200)).or_default()
        }),
        ("records", |found| &mut quality(found).beacons),
        ("events", |found| &mut quality(found).events),
        ("records of bots", |found| &mut quality(found).bots),
        ("records of unlisted environments", |found| &mut quality(found).environments),
        ("events too old", |found| &mut quality(found).too_old),
        ("events of wrong clocks", |found| &mut quality(found).clock_corrected),
        ("late", |found| &mut quality(found).late),
        ("left out as browser_retry", |found| quality(found).not_counted.get_mut("browser_retry").unwrap()),
        ("events http.client", |found| found.seen.values_mut().next().unwrap()),
        ("events nobody.sent", |found| {
            found.seen.entry((APP.to_owned(), "nobody.sent".to_owned())).or_default()
        }),
        ("undecodable records", |found| &mut found.batches.undecodable),
        ("attempts", |found| {
            let other = (APP.to_owned(), "nobody-played-it".to_owned());
            &mut found.journeys.entry(other).or_default().attempts
        }),
    ];
    let check = |what: &str, found: &Found| {
        let comparison = compare(&expected(), found);
        let different: Vec<_> = comparison.checks.iter().filter(|check| !check.equal).collect();
        assert_eq!(different.len(), 1, "{what}: {different:?}");
        assert_eq!(different[0].what, what);
    };
    for (what, count) in counts {
        // Quantiles come from buckets and may be off by a percent.
        let by = if what == "p50" { 2 } else { 1 };
        let mut more = found();
        *count(&mut more) += by;
        check(what, &more);
        let mut less = found();
        if *count(&mut less) > 0 {
            *count(&mut less) -= by;
            check(what, &less);
        }
    }
}

#[test]
fn a_row_of_the_audit_is_a_difference() {
    let mut found = found();
    found.audit.push(AuditRow { partition: 1, problem: "gap".to_owned(), detail: "5 to 9".to_owned() });
    assert!(!compare(&expected(), &found).is_equal());
}

#[test]
fn sessions_as_attempts_have_no_successes_in_the_tables() {
    let mut expected = expected();
    expected.cells.get_mut(&key()).unwrap().of_sessions = true;
    let mut found = found();
    assert!(!compare(&expected, &found).is_equal());
    row(&mut found).success = 0;
    found.hours.get_mut(&key()).unwrap().success = 0;
    assert!(compare(&expected, &found).is_equal());
}
