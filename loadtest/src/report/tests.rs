//! Reports of runs that were made up, so that every verdict is known.

use std::collections::BTreeMap;

use super::*;
use crate::drive::seconds::{Percentile, Second};
use crate::observe::{AggregatorSample, IngestSample, ProcessSample};

const T0: i64 = 1_795_400_000_000;
const MIB: u64 = 1 << 20;

/// A run of `seconds` in which everything went well.
fn soaked(seconds: u64) -> RunReport {
    let quantiles = Quantiles { p50: 1.0, p90: 2.0, p99: 5.0, p999: 9.0, max: 20.0 };
    let second = |second| Second {
        second,
        sent: 100,
        accepted: 100,
        latency_p50_ms: 1.0,
        latency_p99_ms: 5.0,
        latency_max_ms: 20.0,
        ..Second::default()
    };
    let sample = |second: u64| Sample {
        at_ms: T0 + second as i64 * 1_000,
        processes: ["loadtest", "kafka", "clickhouse", "ingest", "aggregator"]
            .into_iter()
            .zip(1..)
            .map(|(name, pid)| {
                let used =
                    ProcessSample { pid, cpu_ms: second * 100, rss_bytes: 300 * MIB, anon_bytes: 200 * MIB };
                (name.to_owned(), used)
            })
            .collect(),
        ingest: Some(IngestSample::default()),
        aggregator: Some(AggregatorSample { lag_records: 20, state_bytes: 10 * MIB, ..Default::default() }),
        freshness_ms: Some(2_000),
        silent: Vec::new(),
    };
    let mut report = RunReport {
        version: VERSION,
        title: "Soak <of> a test".into(),
        command: "loadtest soak".into(),
        machine: Machine::default(),
        versions: BTreeMap::new(),
        traffic: serde_json::Map::from_iter([("seed".to_owned(), 7.into())]),
        sent: Sent {
            fingerprint: "00ff".into(),
            seconds: seconds as f64,
            sessions: 10,
            beacons: 100 * seconds,
            accepted: 100 * seconds,
            refused: 0,
            unanswered: 0,
            retries: 0,
            answers: BTreeMap::from([("202".into(), 100 * seconds)]),
            latency_ms: quantiles.clone(),
            service_ms: quantiles.clone(),
            slip_ms: quantiles,
            cpu_cores: 0.1,
            generator_was_the_bottleneck: false,
        },
        timeline: Timeline {
            started_ms: T0,
            seconds: (0..seconds).map(second).collect(),
            percentiles: vec![
                Percentile { percent: 50.0, latency_ms: 1.0 },
                Percentile { percent: 100.0, latency_ms: 20.0 },
            ],
        },
        samples: (0..seconds).map(sample).collect(),
        marks: Vec::new(),
        verified: Some(Verified {
            equal: true,
            run_ended: true,
            checks: 90,
            different: 0,
            audit_rows: Some(0),
            sentence: "all 90 checks are equal".into(),
            differences: Vec::new(),
        }),
        claims: Vec::new(),
    };
    judge_again(&mut report);
    report
}

fn judge_again(report: &mut RunReport) {
    report.claims = [judge::traffic(report), judge::soak(report)].concat();
}

/// What is said of a soak of an hour after `change`: claims that do not hold, and those that were not judged.
fn check(change: impl FnOnce(&mut RunReport), expect: &[&str], unknown: &[&str]) -> RunReport {
    let mut report = soaked(3_600);
    change(&mut report);
    judge_again(&mut report);
    let with = |holds| {
        let claims = report.claims.iter().filter(move |claim| claim.holds == holds);
        claims.map(|claim| format!("{}: {}", claim.what, claim.found)).collect::<Vec<_>>()
    };
    assert_eq!((with(Some(false)), with(None)), (owned(expect), owned(unknown)));
    assert_eq!(report.holds(), expect.is_empty());
    report
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Lets a part's memory grow evenly, bytes an hour.
fn grow(report: &mut RunReport, part: &str, bytes_per_hour: u64) {
    for (sample, second) in report.samples.iter_mut().zip(0..) {
        let used = sample.processes.get_mut(part).unwrap();
        used.anon_bytes += bytes_per_hour * second / 3_600;
    }
}

#[test]
fn a_run_in_which_everything_went_well_holds() {
    let report = check(|_| {}, &[], &[]);
    assert_eq!(report.sentence(), "All 10 claims hold");
}

#[test]
fn what_was_lost_or_counted_twice_is_said() {
    check(
        |report| report.sent.accepted -= 1,
        &["Every beacon was accepted: 359,999 of 360,000 were, 0 after more than one try"],
        &[],
    );
    let different = |report: &mut RunReport| {
        let verified = report.verified.as_mut().unwrap();
        (verified.equal, verified.different, verified.audit_rows) = (false, 2, Some(3));
    };
    let report = check(
        different,
        &[
            "Every count equals what was sent: 2 of 90 checks differ",
            "The audit lists no gap and no overlap: it has 3 rows",
        ],
        &[],
    );
    assert_eq!(
        report.sentence(),
        "2 of 10 claims do not hold, the first: every count equals what was sent, but 2 of 90 checks differ"
    );
}

#[test]
fn tables_that_are_behind_or_not_seen_are_said() {
    let behind = |seconds: usize| {
        move |report: &mut RunReport| {
            report.samples[..seconds].iter_mut().for_each(|sample| sample.freshness_ms = Some(15_000));
        }
    };
    let what = "ClickHouse holds what was appended shortly before";
    check(behind(36), &[], &[]);
    check(behind(37), &[&format!("{what}: 99 % of the time it was at most 15 s behind")], &[]);
    let unseen = |seconds: usize| {
        move |report: &mut RunReport| {
            report.samples[..seconds].iter_mut().for_each(|sample| sample.freshness_ms = None);
        }
    };
    check(unseen(181), &[], &[]);
    let seldom =
        format!("{what}: 99 % of the time it was at most 2 s behind, seen in only 3418 of 3600 seconds");
    check(unseen(182), &[&seldom], &[]);
    check(unseen(3_600), &[&format!("{what}: its progress was never seen")], &[]);
}

#[test]
fn memory_that_grows_is_said() {
    // Of 200 MiB, which become more meanwhile.
    check(|report| grow(report, "kafka", 10 * MIB), &[], &[]);
    check(
        |report| grow(report, "kafka", 12 * MIB),
        &["Memory of kafka does not grow: +12.0 MiB an hour (+5.7 %) on 209 MiB"],
        &[],
    );
    let small = |bytes: u64| {
        move |report: &mut RunReport| {
            let kafka = report.samples.iter_mut().map(|sample| sample.processes.get_mut("ingest").unwrap());
            kafka.for_each(|used| used.anon_bytes = 20 * MIB);
            grow(report, "ingest", bytes);
        }
    };
    check(small(4 * MIB - 40_000), &[], &[]);
    check(
        small(4 * MIB + 40_000),
        &["Memory of ingest does not grow: +4.0 MiB an hour (+17.6 %) on 23 MiB"],
        &[],
    );
    // While caches fill it may.
    check(
        |report| {
            report.samples[..1_800].iter_mut().for_each(|sample| {
                sample.processes.get_mut("clickhouse").unwrap().anon_bytes = MIB;
            })
        },
        &[],
        &[],
    );
    // Nor is a moment's use at the very end, whenever the run began.
    let mut report = soaked(3_601);
    report.samples[3_600].processes.get_mut("clickhouse").unwrap().anon_bytes *= 2;
    judge_again(&mut report);
    assert!(report.holds(), "{}", report.sentence());
    // And ever longer queries are no growth, as long as there are moments between them.
    check(
        |report| {
            for (sample, second) in report.samples.iter_mut().zip(0..).filter(|(_, second)| second % 30 > 0) {
                sample.processes.get_mut("clickhouse").unwrap().anon_bytes += MIB * second / 36;
            }
        },
        &[],
        &[],
    );
}

#[test]
fn sessions_explain_the_memory_of_an_aggregator() {
    let remember = |report: &mut RunReport, bytes_per_hour: u64| {
        for (sample, second) in report.samples.iter_mut().zip(0..) {
            sample.aggregator.as_mut().unwrap().state_bytes += bytes_per_hour * second / 3_600;
        }
    };
    let explained = |report: &mut RunReport| {
        remember(report, 100 * MIB);
        grow(report, "aggregator", 150 * MIB);
    };
    check(explained, &[], &[]);
    let more = |report: &mut RunReport| {
        remember(report, 100 * MIB);
        grow(report, "aggregator", 200 * MIB);
    };
    check(
        more,
        &[
            "Memory of aggregator does not grow: +50.0 MiB an hour (+14.4 %) on 347 MiB, +200.0 MiB with the sessions \
           that it remembers",
        ],
        &[],
    );
}

#[test]
fn a_part_that_ended_is_said() {
    let restarted = |report: &mut RunReport| {
        let last = report.samples.last_mut().unwrap();
        last.processes.get_mut("ingest").unwrap().pid = 99;
    };
    check(restarted, &["No part ended: ingest ended and came back"], &[]);
    let gone = |report: &mut RunReport| {
        report.samples.last_mut().unwrap().processes.remove("kafka");
    };
    check(gone, &["No part ended: kafka ended"], &[]);
}

#[test]
fn a_short_run_says_nothing_about_growth() {
    let judged = |seconds| {
        let report = soaked(seconds);
        (report.claims.iter().filter(|claim| claim.holds.is_none()).count(), report.sentence())
    };
    // Twenty minutes after half an hour.
    assert_eq!(judged(3_001), (0, "All 10 claims hold".into()));
    assert_eq!(judged(3_000), (4, "6 of 10 claims hold, and 4 could not be judged".into()));
}

#[test]
fn the_file_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let report = soaked(30);
    report.write_json(&path).unwrap();
    assert_eq!(RunReport::read(&path).unwrap(), report);

    let later = std::fs::read_to_string(&path).unwrap().replacen("\"version\":1", "\"version\":2", 1);
    std::fs::write(&path, later).unwrap();
    let refused = RunReport::read(&path).unwrap_err().to_string();
    assert!(refused.ends_with("version 2 is not known, this build reads 1"), "{refused}");
    std::fs::write(&path, "[]").unwrap();
    let refused = RunReport::read(&path).unwrap_err().to_string();
    assert!(refused.ends_with("is not a report of loadtest"), "{refused}");
}

#[test]
fn the_page_says_the_verdict_and_shows_only_what_there_is() {
    let sections = |report: &RunReport| {
        let page = page::html(report);
        let ids = page.split("<section id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), page)
    };
    let mut report = soaked(60);
    report.marks.push(FaultMark {
        at_ms: T0 + 5_000,
        until_ms: T0 + 9_000,
        what: "kill -9 of <ingest>".into(),
    });
    let (ids, page) = sections(&report);
    let all = [
        "claims",
        "faults",
        "latency",
        "percentiles",
        "throughput",
        "freshness",
        "lag",
        "memory",
        "cpu",
        "slip",
        "answers",
        "run",
    ];
    assert_eq!(ids, all);
    assert!(page.contains("Soak &lt;of&gt; a test") && page.contains("kill -9 of &lt;ingest&gt;"), "{page}");
    assert!(page.contains("Passed. 6 of 10 claims hold"), "{page}");

    report.verified.as_mut().unwrap().differences.push("studyapp-web x: expected 1, found 2".into());
    (report.samples, report.marks) = (Vec::new(), Vec::new());
    let (ids, page) = sections(&report);
    assert_eq!(
        ids,
        ["claims", "differences", "latency", "percentiles", "throughput", "slip", "answers", "run"]
    );
    assert!(page.contains("expected 1, found 2"), "{page}");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page::html(&soaked(60));
    for word in
        ["http://", "https://", "<script", "<link rel=\"stylesheet", "@import", "url(", "<img", "<iframe"]
    {
        assert!(!page.contains(word), "{word}");
    }
}
