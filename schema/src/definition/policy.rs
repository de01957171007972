//! Error-budget policies: what was agreed to be done when a budget is spent.
//!
//! The engine does not look at them. Which day it is, and so whether an agreement still holds, callers say.

use serde::{Deserialize, Serialize};

/// What an error budget is for: when it is spent to a level, who does what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Name, as journeys refer to it.
    pub name: String,
    /// What was agreed on, in the order of the file.
    pub actions: Vec<PolicyAction>,
}

/// One line of an error-budget policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyAction {
    /// Share of the budget that is left, in millionths: from there on it is done.
    pub budget_left_ppm: u32,
    /// What is done.
    pub action: String,
    /// Role that does it.
    pub role: String,
}
