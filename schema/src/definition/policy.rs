//! Error-budget policies: what was agreed to be done when a budget is spent, by whom, and until when that holds.
//!
//! The engine does not look at them. Which day it is, and so whether an agreement still holds, callers say.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an error budget is for: when it is spent to a level, or fast, who does what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Name, as journeys refer to it.
    pub name: String,
    /// What was agreed on, in the order of the file.
    pub actions: Vec<PolicyAction>,
    /// Names or roles of those who agreed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreed_by: Vec<String>,
    /// The day on which they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed_on: Option<Date>,
    /// What is set aside for it, for people; empty where the file does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub capacity: String,
    /// The last day on which it holds, in UTC; `None`: until it is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Date>,
    /// What it does not apply to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<PolicyException>,
}

/// One line of an error-budget policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyAction {
    /// When it is done.
    #[serde(flatten)]
    pub trigger: Trigger,
    /// What is done.
    pub action: String,
    /// Role that does it.
    pub role: String,
}

/// When an action of a policy is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// From this share of the budget on, in millionths.
    #[serde(rename = "budget_left_ppm")]
    BudgetLeft(u32),
    /// At a burn alert of this severity, or of a stronger one.
    #[serde(rename = "burn")]
    Burn(Severity),
}

/// How strong a burn alert is, the weaker first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Someone looks at it on a working day.
    Ticket,
    /// Someone is woken.
    Page,
}

impl Severity {
    /// The name in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

/// What a policy does not apply to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyException {
    /// What is exempt.
    pub exempt: String,
    /// Why.
    pub reason: String,
    /// The last day on which it is, in UTC.
    pub until: Date,
}

impl Policy {
    /// Whether it holds no more on `today`, a day in UTC.
    pub fn has_expired(&self, today: Date) -> bool {
        self.expires.is_some_and(|last| is_past(last, today))
    }
}

impl PolicyException {
    /// Whether it holds no more on `today`, a day in UTC.
    pub fn has_expired(&self, today: Date) -> bool {
        is_past(self.until, today)
    }
}

/// Whether a last day has passed: it belongs to what it ends.
pub fn is_past(last: Date, today: Date) -> bool {
    today > last
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn policy(json: &str) -> Policy {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_last_day_belongs_to_a_policy() {
        let policy = policy(r#"{"name":"p","actions":[],"expires":"2026-11-30"}"#);
        let days = [date(2026, 11, 29), date(2026, 11, 30), date(2026, 12, 1)];
        assert_eq!(days.map(|today| policy.has_expired(today)), [false, false, true]);
        let forever = Policy { expires: None, ..policy };
        assert!(!forever.has_expired(date(9999, 12, 31)));
    }

    #[test]
    fn a_policy_of_the_log_stays_what_it_was() {
        let json = r#"{"name":"p","actions":[{"budget_left_ppm":250000,"action":"Look.","role":"owner"}]}"#;
        let policy = policy(json);
        assert_eq!(policy.actions[0].trigger, Trigger::BudgetLeft(250_000));
        assert_eq!(serde_json::to_string(&policy).unwrap(), json);
    }

    #[test]
    fn everything_of_a_policy_comes_back() {
        let json = concat!(
            r#"{"name":"p","actions":[{"burn":"page","action":"Look.","role":"owner"}],"agreed_by":["owner"],"#,
            r#""agreed_on":"2026-11-02","capacity":"a day a week","expires":"2027-11-02","#,
            r#""exceptions":[{"exempt":"tests","reason":"Nobody waits.","until":"2027-01-31"}]}"#
        );
        assert_eq!(serde_json::to_string(&policy(json)).unwrap(), json);
    }
}
