//! Error-budget policies in words: what is done now, whether what was agreed on still holds, and what is exempt.
//!
//! An expired policy is named as that wherever it would be applied. [`today`] is the one place that asks a clock.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schema::definition::{Policy, PolicyAction, PolicyException, Severity, Trigger};

use crate::check::percent;

/// The day in UTC.
pub(crate) fn today() -> Date {
    jiff::Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// What `sli explain` says of a policy, a line each.
pub(crate) fn explained(policy: &Policy, today: Date) -> Vec<String> {
    let mut lines: Vec<String> = expired(policy, today).into_iter().collect();
    if let Some(agreed_on) = policy.agreed_on {
        let until = policy.expires.map_or_else(String::new, |last| format!("; it holds until {last}"));
        let (name, people) = (&policy.name, policy.agreed_by.join(", "));
        lines.push(format!("Policy “{name}” was agreed on {agreed_on} by {people}{until}."));
    } else if let Some(last) = policy.expires {
        lines.push(format!("Policy “{}” holds until {last}.", policy.name));
    }
    if !policy.capacity.is_empty() {
        lines.push(format!("Set aside for it: {}.", policy.capacity));
    }
    lines.extend(policy.actions.iter().map(|action| match action.trigger {
        Trigger::BudgetLeft(ppm) => {
            format!("When {} of the budget is left: {}", percent(ppm), who_does(action))
        }
        Trigger::Burn(severity) => format!("{}: {}", at(severity), who_does(action)),
    }));
    lines.extend(policy.exceptions.iter().map(|exception| exempt(exception, today)));
    lines
}

/// That a policy is not applied any more, where it is not.
pub(crate) fn expired(policy: &Policy, today: Date) -> Option<String> {
    let last = policy.expires.filter(|_| policy.has_expired(today))?;
    Some(format!(
        "Policy “{}” held until {last}, has expired, and is not applied: agree on it anew.",
        policy.name
    ))
}

/// What has expired of these policies, for who checks their files.
pub(crate) fn warnings(policies: &[Policy], today: Date) -> Vec<String> {
    let of = |policy: &Policy| {
        let over = policy.exceptions.iter().filter(|exception| exception.has_expired(today));
        let over = over.map(|exception| {
            format!(
                "Policy “{}”: the exception “{}” held until {}; take it out, or agree on it anew.",
                policy.name, exception.exempt, exception.until
            )
        });
        expired(policy, today).into_iter().chain(over).collect::<Vec<_>>()
    };
    policies.iter().flat_map(of).collect()
}

/// What is done when so much of the budget is left (a share) and it burns so fast: the line that the budget has reached, and
/// those of the alert. While more is left than a policy speaks of, and it says nothing of alerts, its first line.
pub(crate) fn reached(policy: &Policy, left: f64, alert: Severity) -> Vec<String> {
    let of_budget = policy.actions.iter().filter_map(|action| match action.trigger {
        Trigger::BudgetLeft(ppm) => Some((f64::from(ppm) / 1e6, action)),
        Trigger::Burn(_) => None,
    });
    let budget = of_budget.clone().rfind(|(share, _)| left <= *share);
    let mut lines: Vec<_> = policy
        .actions
        .iter()
        .filter_map(|action| match action.trigger {
            Trigger::Burn(severity) if severity <= alert => {
                Some(format!("{}: {}", at(severity), who_does(action)))
            }
            Trigger::Burn(_) | Trigger::BudgetLeft(_) => None,
        })
        .collect();
    let first = || of_budget.clone().next().filter(|_| lines.is_empty());
    if let Some((share, action)) = budget.or_else(first) {
        lines.push(format!("From {:.0} % of the budget on: {}", share * 100.0, who_does(action)));
    }
    lines
}

/// What is exempt from a policy today.
pub(crate) fn exemptions(policy: &Policy, today: Date) -> Vec<String> {
    let holds = policy.exceptions.iter().filter(|exception| !exception.has_expired(today));
    holds.map(|exception| exempt(exception, today)).collect()
}

fn exempt(exception: &PolicyException, today: Date) -> String {
    let PolicyException { exempt, reason, until } = exception;
    let held = if exception.has_expired(today) { "Was exempt" } else { "Exempt" };
    format!("{held} until {until}: {exempt} ({reason})")
}

fn at(severity: Severity) -> &'static str {
    match severity {
        Severity::Ticket => "When the budget burns fast enough for a ticket",
        Severity::Page => "When the budget burns fast enough for a page",
    }
}

fn who_does(action: &PolicyAction) -> String {
    format!("{} ({})", action.action, action.role)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn policy(more: &str) -> Policy {
        let text = format!(
            "policy: strict\nactions:\n\
             - {{burn: page, action: Call., role: on duty}}\n\
             - {{burn: ticket, action: Look., role: owner}}\n\
             - {{budget_left: 50%, action: Talk., role: owner}}\n\
             - {{budget_left: 0%, action: Stop., role: lead}}\n{more}"
        );
        let files = [("strict.yaml".to_owned(), text)];
        let set = schema::definition::load(&files, Default::default()).unwrap();
        set.policies.into_iter().next().unwrap()
    }

    #[test]
    fn budget_and_alert_each_reach_their_lines() {
        let check = |left, alert, expect: &[&str]| {
            let lines = reached(&policy(""), left, alert);
            let actions: Vec<_> = lines
                .iter()
                .map(|line| line.split_once(": ").unwrap().1.split('.').next().unwrap())
                .collect();
            assert_eq!(actions, expect, "{lines:?}");
        };
        check(0.9, Severity::Ticket, &["Look"]);
        check(0.9, Severity::Page, &["Call", "Look"]);
        check(0.5, Severity::Ticket, &["Look", "Talk"]);
        check(-0.2, Severity::Page, &["Call", "Look", "Stop"]);
    }

    #[test]
    fn a_policy_that_says_nothing_of_alerts_says_its_first_line() {
        let mut policy = policy("");
        policy.actions.retain(|action| matches!(action.trigger, Trigger::BudgetLeft(_)));
        assert_eq!(reached(&policy, 0.9, Severity::Page), ["From 50 % of the budget on: Talk. (owner)"]);
    }

    #[test]
    fn what_has_expired_is_named() {
        let more = "agreed_by: [owner, lead]\nagreed_on: 2026-11-02\ncapacity: a day a week\nexpires: 2026-12-31\n\
            exceptions: [{exempt: Exams, reason: They are rehearsed., until: 2026-11-30}]\n";
        let policy = [policy(more)];
        let check = |today, expect: &[&str]| assert_eq!(warnings(&policy, today), expect);
        let exams =
            "Policy “strict”: the exception “Exams” held until 2026-11-30; take it out, or agree on it anew.";
        let all = "Policy “strict” held until 2026-12-31, has expired, and is not applied: agree on it anew.";
        check(date(2026, 11, 30), &[]);
        check(date(2026, 12, 1), &[exams]);
        check(date(2027, 1, 1), &[all, exams]);
        assert_eq!(exemptions(&policy[0], date(2026, 11, 30)).len(), 1);
        assert_eq!(exemptions(&policy[0], date(2026, 12, 1)).len(), 0);
        insta::assert_snapshot!(explained(&policy[0], date(2027, 1, 1)).join("\n"));
    }
}
