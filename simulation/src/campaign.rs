//! Many seeds, on every core.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::broken::Broken;
use crate::scenario::{Overrides, Scenario};
use crate::world::{Report, Stats, run};

/// What many seeds came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Of all worlds that ran.
    pub stats: Stats,
    /// The first seed whose world does not hold the law, with its report.
    pub failed: Option<(u64, Report)>,
}

/// Runs the worlds of `count` seeds from `first` on with `threads` threads, up to the first that fails. What each came to
/// is told to `done` as it comes.
pub fn run_seeds(
    (first, count): (u64, u64),
    broken: Option<Broken>,
    threads: usize,
    is_caught: impl Fn(&Report) -> bool + Sync,
    done: impl Fn(&Stats) + Sync,
) -> Summary {
    let next = AtomicU64::new(first);
    let end = AtomicU64::new(first + count);
    let summary = Mutex::new(Summary::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            let report = run(&Scenario::new(seed, broken, &Overrides::default()), false);
            done(&report.stats);
            let mut summary = summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            summary.stats.add(&report.stats);
            if is_caught(&report) && summary.failed.as_ref().is_none_or(|(former, _)| seed < *former) {
                end.fetch_min(seed, Ordering::Relaxed);
                summary.failed = Some((seed, report));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
