//! An error-budget policy as the API sends it.

use jiff::civil::Date;
use schema::definition::{Policy, PolicyAction, PolicyException, Trigger};
use schemars::JsonSchema;
use serde::Serialize;

/// An error-budget policy.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Agreed {
    /// Name.
    name: String,
    /// Names or roles of those who agreed.
    agreed_by: Vec<String>,
    /// The day on which they did.
    agreed_on: Option<String>,
    /// What is set aside for it; empty where nothing was said.
    capacity: String,
    /// The last day on which it holds, UTC; null: until it is changed.
    expires: Option<String>,
    /// Whether it holds no more today.
    has_expired: bool,
    /// What is done.
    actions: Vec<Action>,
    /// What it does not apply to.
    exceptions: Vec<Exception>,
}

/// What a policy says is done: of `budget_left` and `burn` one is not null.
#[derive(Debug, Serialize, JsonSchema)]
struct Action {
    /// From this share of the budget on.
    budget_left: Option<f64>,
    /// At a burn alert of this severity, or of a stronger one: `ticket` or `page`.
    burn: Option<String>,
    /// What is done.
    action: String,
    /// Role that does it.
    role: String,
}

/// What a policy does not apply to.
#[derive(Debug, Serialize, JsonSchema)]
struct Exception {
    /// What is exempt.
    exempt: String,
    /// Why.
    reason: String,
    /// The last day on which it is, UTC.
    until: String,
    /// Whether it is no more today.
    has_expired: bool,
}

impl Agreed {
    /// The policy as it stands today.
    pub(super) fn new(policy: &Policy, today: Date) -> Self {
        let action = |action: &PolicyAction| {
            let (budget_left, burn) = match action.trigger {
                Trigger::BudgetLeft(ppm) => (Some(f64::from(ppm) / 1e6), None),
                Trigger::Burn(severity) => (None, Some(severity.as_str().to_owned())),
            };
            Action { budget_left, burn, action: action.action.clone(), role: action.role.clone() }
        };
        let exception = |exception: &PolicyException| Exception {
            exempt: exception.exempt.clone(),
            reason: exception.reason.clone(),
            until: exception.until.to_string(),
            has_expired: exception.has_expired(today),
        };
        Self {
            name: policy.name.clone(),
            agreed_by: policy.agreed_by.clone(),
            agreed_on: policy.agreed_on.map(|date| date.to_string()),
            capacity: policy.capacity.clone(),
            expires: policy.expires.map(|date| date.to_string()),
            has_expired: policy.has_expired(today),
            actions: policy.actions.iter().map(action).collect(),
            exceptions: policy.exceptions.iter().map(exception).collect(),
        }
    }
}
