//! A part of the seeds; `simulate` runs as many as wanted.

use simulation::campaign::run_seeds;
use simulation::shrink::shrink;
use simulation::{Broken, Law, Overrides, Scenario, run};

/// Other seeds than the first ones, which everyone runs.
const FIRST: u64 = 1_000_000;
const SEEDS: u64 = 2_000;
const THREADS: usize = 2;

#[test]
fn the_law_holds_for_every_seed() {
    let summary = run_seeds((FIRST, SEEDS), None, THREADS, |report| !report.violations.is_empty(), |_| {});
    println!("{SEEDS} seeds: {:?}", summary.stats);
    assert!(summary.failed.is_none(), "cargo run -p simulation -- --seed {:?}", summary.failed);
    let stats = summary.stats;
    // A world in which nothing goes wrong would hold as well.
    for (what, count) in [
        ("crashes", stats.crashes),
        ("zombies", stats.zombies),
        ("lost answers", stats.lost_answers),
        ("partial writes", stats.partial_writes),
        ("replays", stats.replays),
        ("lossy worlds", stats.lossy),
        ("repeated parts", stats.dropped),
    ] {
        assert!(count >= SEEDS / 20, "only {count} {what} in {SEEDS} seeds");
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let scenario = Scenario::new(seed, None, &Overrides::default());
        assert_eq!(run(&scenario, true), run(&scenario, true), "seed {seed}");
    }
}

#[test]
fn a_failing_world_shrinks_and_still_fails() {
    let broken = Some(Broken::NoToken);
    let fails = |report: &simulation::Report| report.violations.iter().any(|found| found.law == Law::Tables);
    let (seed, report) = run_seeds((0, 100), broken, THREADS, fails, |_| {}).failed.unwrap();
    let (kept, small) = shrink(seed, broken, &report);
    let whole = Scenario::new(seed, broken, &Overrides::default());
    assert!(fails(&small) || !small.violations.is_empty());
    assert!(kept.visitors.clone().unwrap().len() <= whole.visitors);
    assert!(kept.incidents.clone().unwrap().len() <= whole.incidents.len());
    assert_eq!(run(&Scenario::new(seed, broken, &kept), true), small, "the flags replay the small world");
}
