//! Error-budget policies of the active set, read from `sli.active_policies` as they stood in their files.

use deploy::error::StackError;
use jiff::civil::Date;
use schema::definition::{Policy, PolicyAction, PolicyException, Severity, Trigger};
use serde::Deserialize;

use super::Numbers;

/// A line of a policy; each repeats what was agreed on for all of it.
#[derive(Debug, Deserialize)]
struct Line {
    policy: String,
    budget_left: f64,
    burn: Option<Severity>,
    action: String,
    role: String,
    capacity: String,
    agreed_by: Vec<String>,
    agreed_on: Option<Date>,
    expires: Option<Date>,
    exceptions: Vec<PolicyException>,
}

impl Line {
    fn action(&self) -> PolicyAction {
        let ppm = (self.budget_left * 1e6).round() as u32;
        let trigger = self.burn.map_or(Trigger::BudgetLeft(ppm), Trigger::Burn);
        PolicyAction { trigger, action: self.action.clone(), role: self.role.clone() }
    }
}

impl Numbers {
    /// Every policy of the active set, in the order of their names.
    pub(crate) async fn policies(&self) -> Result<Vec<Policy>, StackError> {
        let sql = "SELECT policy, budget_left, nullIf(burn, '') AS burn, action, role, capacity, agreed_by, agreed_on, \
            expires, exceptions FROM sli.active_policies ORDER BY policy, place";
        let lines: Vec<Line> = self.rows(sql, &[]).await?;
        let of_one = lines.chunk_by(|a, b| a.policy == b.policy);
        Ok(of_one.map(policy).collect())
    }
}

fn policy(lines: &[Line]) -> Policy {
    let first = &lines[0];
    Policy {
        name: first.policy.clone(),
        actions: lines.iter().map(Line::action).collect(),
        agreed_by: first.agreed_by.clone(),
        agreed_on: first.agreed_on,
        capacity: first.capacity.clone(),
        expires: first.expires,
        exceptions: first.exceptions.clone(),
    }
}
