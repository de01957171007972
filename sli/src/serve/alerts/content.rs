//! What an alert says: the promise, what users feel, why, and what was agreed to be done.

use std::collections::BTreeMap;

use crate::numbers::{Burn, PolicyLine, Reason, Status};

use super::notification::Alert;

/// The alert of an objective that burns too fast.
pub(super) fn alert(burn: &Burn, status: &Status, reasons: &[Reason], policy: &[PolicyLine]) -> Alert {
    let labels = BTreeMap::from([
        ("alertname", "BudgetBurn".to_owned()),
        ("app", burn.app.clone()),
        ("journey", burn.journey.clone()),
        ("objective", burn.objective.clone()),
        ("version", burn.version.clone()),
        ("severity", burn.severity.clone()),
        ("owner", status.owner.clone()),
        ("product", status.product.clone()),
    ]);
    let reasons: Vec<_> =
        reasons.iter().map(|reason| format!("{} ({})", reason.reason, reason.attempts)).collect();
    let annotations = BTreeMap::from([
        ("summary", summary(burn, status)),
        ("promise", status.promise.clone()),
        ("users", users(burn, status)),
        ("reasons", reasons.join(", ")),
        ("policy", status.policy.clone()),
        ("action", action(status, policy)),
    ]);
    Alert { labels, annotations }
}

/// What the policy says for the budget that is left; while more is left than it speaks of, its first line.
fn action(status: &Status, policy: &[PolicyLine]) -> String {
    let left = match (status.budget_left, status.budget_total) {
        (Some(left), Some(total)) if total > 0.0 => left / total,
        (_, _) => 0.0,
    };
    let reached = policy.iter().rfind(|line| left <= line.budget_left).or(policy.first());
    reached.map_or_else(String::new, |line| {
        format!("From {:.0} % of the budget on: {} ({})", line.budget_left * 100.0, line.action, line.role)
    })
}

/// Whole hours of a window as the views name it, such as `6h` or `3d`.
pub(super) fn hours(window: &str) -> u32 {
    let (number, unit_hours) = match window.strip_suffix('d') {
        Some(days) => (days, 24),
        None => (window.trim_end_matches('h'), 1),
    };
    number.parse::<u32>().unwrap_or(1) * unit_hours
}

fn summary(burn: &Burn, status: &Status) -> String {
    format!(
        "{} ({}): \u{201c}{}\u{201d} uses its budget up {:.0} times as fast as it may",
        status.title,
        burn.app,
        burn.objective,
        burn.long_burn.unwrap_or_default()
    )
}

fn users(burn: &Burn, status: &Status) -> String {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let hurt = format!(
        "In the last {} {} of {} attempts were not good ({}).",
        burn.long_window,
        burn.long_bad,
        burn.long_valid,
        percent(burn.long_bad as f64 / burn.long_valid.max(1) as f64)
    );
    match (status.ratio, status.target) {
        (Some(ratio), Some(target)) => format!(
            "{hurt} Over {} {} were good, {} are promised ({}).",
            status.window,
            percent(ratio),
            percent(target),
            status.description
        ),
        (None, _) | (_, None) => hurt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_hours() {
        assert_eq!(["1h", "6h", "1d", "3d"].map(hours), [1, 6, 24, 72]);
    }
}
