//! From a failing world to a small one that fails as well: parts of it are left out as long as the same law is
//! broken.

use std::collections::BTreeSet;

use crate::broken::Broken;
use crate::law::Law;
use crate::scenario::{Overrides, Scenario};
use crate::world::{Report, run};

/// Leaves out of the world of `seed` what it does not need to break the laws that `report` says it breaks;
/// returns what stays, and its report with the story.
pub fn shrink(seed: u64, broken: Option<Broken>, report: &Report) -> (Overrides, Report) {
    let laws = laws(report);
    let fails = |overrides: &Overrides| {
        let report = run(&Scenario::new(seed, broken, overrides), false);
        laws.iter().any(|law| self::laws(&report).contains(law))
    };
    let whole = Scenario::new(seed, broken, &Overrides::default());
    let mut kept = Overrides {
        visitors: Some((0..whole.visitors).collect()),
        incidents: Some(whole.incidents.iter().map(|(number, _)| *number).collect()),
        aggregators: Some(whole.aggregators),
        partitions: Some(whole.partitions),
    };
    // Twice: what was needed with many visitors may not be with few.
    for _ in 0..2 {
        for partitions in 1..kept.partitions.unwrap_or(1) {
            let fewer = Overrides { partitions: Some(partitions), ..kept.clone() };
            if fails(&fewer) {
                kept = fewer;
                break;
            }
        }
        for aggregators in 1..kept.aggregators.unwrap_or(1) {
            let fewer = Overrides { aggregators: Some(aggregators), ..kept.clone() };
            if fails(&fewer) {
                kept = fewer;
                break;
            }
        }
        let visitors = smallest(kept.visitors.clone().unwrap_or_default(), |visitors| {
            fails(&Overrides { visitors: Some(visitors.to_vec()), ..kept.clone() })
        });
        kept.visitors = Some(visitors);
        let incidents = smallest(kept.incidents.clone().unwrap_or_default(), |incidents| {
            fails(&Overrides { incidents: Some(incidents.to_vec()), ..kept.clone() })
        });
        kept.incidents = Some(incidents);
    }
    let report = run(&Scenario::new(seed, broken, &kept), true);
    (kept, report)
}

fn laws(report: &Report) -> BTreeSet<Law> {
    report.violations.iter().map(|violation| violation.law).collect()
}

/// The items without those that can be left out, tried in halves, quarters and so on (Zeller's ddmin).
fn smallest(mut items: Vec<usize>, fails: impl Fn(&[usize]) -> bool) -> Vec<usize> {
    let mut size = items.len();
    while size > 0 && !items.is_empty() {
        let mut at = 0;
        while at < items.len() {
            let mut fewer = items.clone();
            fewer.drain(at..(at + size).min(items.len()));
            if fails(&fewer) {
                items = fewer;
            } else {
                at += size;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    items
}
