//! Policy files: what is done when a budget is spent, who agreed to it, and until when.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use super::matching::Found;
use super::quantity::{date, share_ppm};
use super::text::check_text;
use crate::definition::{Policy, PolicyAction, PolicyException, Severity, Trigger};

/// Entries of each list of a policy.
const ENTRIES_MAX: usize = 50;

/// A `policy:` file: what is done when an error budget is spent.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    /// Name, as journeys refer to it.
    pub(super) policy: String,
    /// What was agreed on, by falling budget.
    actions: Vec<ActionFile>,
    /// Names or roles of those who agreed.
    #[serde(default)]
    agreed_by: Vec<String>,
    /// The day on which they did, such as `2026-11-02`.
    #[schemars(extend("format" = "date"))]
    agreed_on: Option<String>,
    /// What is set aside for it, such as `20 % of the team's time`.
    capacity: Option<String>,
    /// The last day on which it holds (UTC), such as `2027-11-02`; until it is changed without it.
    #[schemars(extend("format" = "date"))]
    expires: Option<String>,
    /// What it does not apply to.
    #[serde(default)]
    exceptions: Vec<ExceptionFile>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    /// Share of the budget that is left, from there on it is done; such as `25%`.
    budget_left: Option<String>,
    /// Instead of a budget: the burn alert at which it is done, or a stronger one.
    burn: Option<Severity>,
    /// What is done.
    action: String,
    /// Who does it.
    role: String,
}

/// What a policy does not apply to.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExceptionFile {
    /// What is exempt.
    exempt: String,
    /// Why.
    reason: String,
    /// The last day on which it is (UTC), such as `2027-06-30`.
    #[schemars(extend("format" = "date"))]
    until: String,
}

impl PolicyFile {
    /// The policy, or everything that is wrong with it.
    pub(super) fn resolve(&self) -> Result<Policy, Vec<Found>> {
        let mut found = Vec::new();
        self.check_lists(&mut found);
        let agreed_on = optional_date("agreed_on", &self.agreed_on, &mut found);
        let expires = optional_date("expires", &self.expires, &mut found);
        let actions: Vec<_> = self.actions.iter().filter_map(|line| line.resolve(&mut found)).collect();
        if actions.len() == self.actions.len() {
            check_order(&self.actions, &actions, &mut found);
        }
        let exceptions: Vec<_> =
            self.exceptions.iter().filter_map(|exception| exception.resolve(&mut found)).collect();
        if let Some(capacity) = &self.capacity {
            text("capacity", capacity, &mut found);
        }
        if self.agreed_by.is_empty() != self.agreed_on.is_none() {
            let (given, missing) = if self.agreed_by.is_empty() {
                ("agreed_on", "agreed_by")
            } else {
                ("agreed_by", "agreed_on")
            };
            let message = format!("`{given}` needs `{missing}`: an agreement has people and a day");
            found.push((given.to_owned(), message));
        }
        let ends = expires
            .iter()
            .map(|date| ("expires", *date))
            .chain(exceptions.iter().map(|one| ("until", one.until)));
        for (key, end) in ends {
            if let Some(agreed_on) = agreed_on.filter(|agreed_on| end < *agreed_on) {
                let message = format!("`{key}` is {end}, before it was agreed on {agreed_on}");
                found.push((end.to_string(), message));
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok(Policy {
            name: self.policy.clone(),
            actions,
            agreed_by: self.agreed_by.clone(),
            agreed_on,
            capacity: self.capacity.clone().unwrap_or_default(),
            expires,
            exceptions,
        })
    }

    fn check_lists(&self, found: &mut Vec<Found>) {
        if self.actions.is_empty() {
            let message = "`actions` lists nothing: a policy says what is done, such as {budget_left: 0%, action: TEXT, role: TEXT}";
            found.push(("actions".to_owned(), message.to_owned()));
        }
        let lists = [
            ("actions", self.actions.len()),
            ("agreed_by", self.agreed_by.len()),
            ("exceptions", self.exceptions.len()),
        ];
        for (key, entries) in lists.into_iter().filter(|(_, entries)| *entries > ENTRIES_MAX) {
            let message = format!("`{key}` has {entries} entries; at most {ENTRIES_MAX} are allowed");
            found.push((key.to_owned(), message));
        }
        for name in &self.agreed_by {
            text("agreed_by", name, found);
        }
    }
}

impl ActionFile {
    fn resolve(&self, found: &mut Vec<Found>) -> Option<PolicyAction> {
        let trigger = match (&self.budget_left, self.burn) {
            (Some(share), None) => match share_ppm(share) {
                Some(ppm) => Some(Trigger::BudgetLeft(ppm)),
                None => {
                    let message = format!("`budget_left` is `{share}`, but must be a share from 0% to 100%");
                    found.push((share.clone(), message));
                    None
                }
            },
            (None, Some(severity)) => Some(Trigger::Burn(severity)),
            (Some(_), Some(_)) | (None, None) => {
                let message = "an action has one trigger: give `budget_left`, such as 25%, or `burn`, which is `page` or `ticket`";
                found.push((self.action.clone(), message.to_owned()));
                None
            }
        };
        text("action", &self.action, found);
        text("role", &self.role, found);
        trigger.map(|trigger| PolicyAction { trigger, action: self.action.clone(), role: self.role.clone() })
    }
}

impl ExceptionFile {
    fn resolve(&self, found: &mut Vec<Found>) -> Option<PolicyException> {
        text("exempt", &self.exempt, found);
        text("reason", &self.reason, found);
        let until = date("until", &self.until).map_err(|message| found.push((self.until.clone(), message)));
        until.ok().map(|until| PolicyException {
            exempt: self.exempt.clone(),
            reason: self.reason.clone(),
            until,
        })
    }
}

/// The line that a budget has reached is the last one that speaks of as much: they come by falling budget.
fn check_order(lines: &[ActionFile], actions: &[PolicyAction], found: &mut Vec<Found>) {
    let budgets = actions.iter().filter_map(|action| match action.trigger {
        Trigger::BudgetLeft(ppm) => Some(ppm),
        Trigger::Burn(_) => None,
    });
    let texts = lines.iter().filter_map(|line| line.budget_left.as_ref());
    let budgets: Vec<_> = budgets.zip(texts).collect();
    for pair in budgets.windows(2) {
        let [(before, text_before), (after, text)] = pair else { continue };
        if after >= before {
            let message =
                format!("`budget_left` is {text} after {text_before}: list the actions by falling budget");
            found.push(((*text).clone(), message));
        }
    }
}

fn optional_date(key: &str, text: &Option<String>, found: &mut Vec<Found>) -> Option<Date> {
    let text = text.as_ref()?;
    date(key, text).map_err(|message| found.push((text.clone(), message))).ok()
}

fn text(key: &str, text: &str, found: &mut Vec<Found>) {
    if let Err(message) = check_text(key, text) {
        found.push((key.to_owned(), message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(more: &str) -> Vec<String> {
        let text = format!("policy: p\nactions: [{{budget_left: 0%, action: Stop., role: lead}}]\n{more}");
        let file: PolicyFile = serde_yaml_ng::from_str(&text).unwrap();
        file.resolve().map_or_else(|found| found.into_iter().map(|(_, said)| said).collect(), |_| Vec::new())
    }

    #[test]
    fn lists_are_bounded() {
        let names = |count: usize| {
            let names: Vec<_> = (0..count).map(|number| format!("role {number}")).collect();
            problems(&format!("agreed_on: 2026-11-02\nagreed_by: [{}]\n", names.join(", ")))
        };
        assert_eq!(names(ENTRIES_MAX), Vec::<String>::new());
        assert_eq!(names(ENTRIES_MAX + 1), ["`agreed_by` has 51 entries; at most 50 are allowed"]);
    }

    #[test]
    fn an_end_may_be_the_day_of_the_agreement() {
        let ends_on =
            |day: &str| problems(&format!("agreed_by: [lead]\nagreed_on: 2026-11-02\nexpires: {day}\n"));
        assert_eq!(ends_on("2026-11-02"), Vec::<String>::new());
        assert_eq!(ends_on("2026-11-01"), ["`expires` is 2026-11-01, before it was agreed on 2026-11-02"]);
    }
}
