//! What an alert says: the promise, what users feel, why, and what was agreed to be done.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schema::definition::{Policy, Severity};

use crate::numbers::{Burn, Reason, Status};
use crate::policies::{exemptions, expired, reached};

use super::notification::Alert;

/// The alert of an objective that burns too fast, with its policy and the day.
pub(super) fn alert(
    burn: &Burn,
    status: &Status,
    reasons: &[Reason],
    policy: Option<(&Policy, Date)>,
) -> Alert {
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
    let exempt = policy.map_or_else(Vec::new, |(policy, today)| exemptions(policy, today));
    let capacity = policy.map_or_else(String::new, |(policy, _)| policy.capacity.clone());
    let mut annotations = BTreeMap::from([
        ("summary", summary(burn, status)),
        ("promise", status.promise.clone()),
        ("users", users(burn, status)),
        ("reasons", reasons.join(", ")),
        ("policy", status.policy.clone()),
        ("action", policy.map_or_else(String::new, |(policy, today)| action(burn, status, policy, today))),
        ("capacity", capacity),
        ("exceptions", exempt.join(" ")),
    ]);
    annotations.retain(|name, text| !(text.is_empty() && ["capacity", "exceptions"].contains(name)));
    Alert { labels, annotations }
}

/// What the policy says for this alert and the budget that is left. One that has expired is not applied, and says so.
fn action(burn: &Burn, status: &Status, policy: &Policy, today: Date) -> String {
    let left = match (status.budget_left, status.budget_total) {
        (Some(left), Some(total)) if total > 0.0 => left / total,
        (_, _) => 0.0,
    };
    let severity = if burn.severity == Severity::Page.as_str() { Severity::Page } else { Severity::Ticket };
    let lines = reached(policy, left, severity).join(" ");
    match expired(policy, today) {
        Some(expired) => format!("{expired} It said: {lines}"),
        None => lines,
    }
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
    use jiff::civil::date;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expired_policy_is_named_and_not_applied() {
        let burn: Burn = serde_json::from_value(json!({
            "app": "web", "journey": "watch", "objective": "works", "version": "v1", "short_window": "5m",
            "long_window": "1h", "severity": "page", "factor": 13.44, "short_burn": 20.0, "long_burn": 20.0,
            "long_valid": 100, "long_bad": 20, "alert": "page",
        }))
        .unwrap();
        let status = Status::broken();
        let policy: Policy = serde_json::from_value(json!({
            "name": "strict", "actions": [{"budget_left_ppm": 0, "action": "Stop.", "role": "lead"}],
            "capacity": "a day a week", "expires": "2026-11-26",
            "exceptions": [{"exempt": "exams", "reason": "They are rehearsed.", "until": "2026-11-26"}],
        }))
        .unwrap();
        let said = |today| alert(&burn, &status, &[], Some((&policy, today))).annotations;
        let (holds, over) = (said(date(2026, 11, 26)), said(date(2026, 11, 27)));
        assert_eq!(holds["action"], "From 0 % of the budget on: Stop. (lead)");
        assert_eq!(
            (&*holds["capacity"], &*holds["exceptions"]),
            ("a day a week", "Exempt until 2026-11-26: exams (They are rehearsed.)")
        );
        assert_eq!(
            over["action"],
            "Policy \u{201c}strict\u{201d} held until 2026-11-26, has expired, and is not applied: agree on it anew. \
             It said: From 0 % of the budget on: Stop. (lead)"
        );
        assert!(!over.contains_key("exceptions"));
    }

    #[test]
    fn windows_are_hours() {
        assert_eq!(["1h", "6h", "1d", "3d"].map(hours), [1, 6, 24, 72]);
    }
}
