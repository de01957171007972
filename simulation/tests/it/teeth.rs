//! Every broken edge is caught, by the law that says what is wrong with it, within a stated number of seeds; and
//! the unbroken one holds for the same seeds.

use simulation::campaign::run_seeds;
use simulation::{Broken, Law};

const THREADS: usize = 2;

/// What is broken, the law that catches it, and the seeds within which it does.
const TEETH: [(Broken, Law, u64); 17] = [
    (Broken::ProgressFirst, Law::Tables, 1_000),
    (Broken::WallClockCuts, Law::Tables, 50),
    (Broken::NoToken, Law::Tables, 50),
    (Broken::TokenWithoutTime, Law::Progress, 1_500),
    (Broken::NoHorizon, Law::Truth, 50),
    (Broken::UnsortedRows, Law::Tables, 500),
    (Broken::SplitOnRetry, Law::Tables, 100),
    (Broken::NoReplay, Law::Tables, 50),
    (Broken::SnapshotOfOtherCut, Law::Tables, 500),
    (Broken::ReplayEmits, Law::Tables, 100),
    (Broken::ReplayWithLatestSet, Law::Batches, 500),
    (Broken::ReplayAtLatestTime, Law::Tables, 50),
    (Broken::LeaseIgnored, Law::Tables, 1_000),
    (Broken::NarrowWindow, Law::Tables, 100),
    (Broken::OneLook, Law::Loud, 1_500),
    (Broken::OffsetsOnly, Law::Loud, 1_500),
    (Broken::GivesUp, Law::Tables, 100),
];

#[test]
fn every_broken_edge_is_caught() {
    assert_eq!(TEETH.map(|(broken, ..)| broken).as_slice(), Broken::all());
    let mut escaped = Vec::new();
    for (broken, law, seeds) in TEETH {
        let is_caught =
            |report: &simulation::Report| report.violations.iter().any(|violation| violation.law == law);
        let summary = run_seeds((0, seeds), Some(broken), THREADS, is_caught, |_| {});
        match summary.failed {
            Some((seed, _)) => println!("{broken:?}: caught by {law:?} at seed {seed}, of {seeds} allowed"),
            None => escaped.push(broken),
        }
    }
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}

#[test]
fn what_is_not_broken_holds_for_the_same_seeds() {
    let seeds = TEETH.iter().map(|(.., seeds)| *seeds).max().unwrap_or(0);
    let summary = run_seeds((0, seeds), None, THREADS, |report| !report.violations.is_empty(), |_| {});
    assert!(summary.failed.is_none(), "{:?}", summary.failed);
}
