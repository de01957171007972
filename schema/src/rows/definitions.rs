//! The rows of a definition set: what the views join titles, promises and targets from.
//!
//! They are written when a set becomes active on a partition. Every partition writes the same rows, and they
//! replace each other by their key. Which set is active is read from `definitions`, so its row is written last.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Serialize;

use crate::definition::{Calendar, DefinitionSet, Journey, PolicyException, Trigger};

/// App of a journey that is defined for every app.
pub const EVERY_APP: &str = "*";

/// What a line has as `budget_left` that a burn alert triggers, whatever is left.
const WHOLE_BUDGET: f64 = 1.0;

/// Tables of a definition set, in the order of writing.
pub const DEFINITION_TABLES: [&str; 4] =
    ["journey_definitions", "objective_definitions", "policy_definitions", "definitions"];

/// A row of `definitions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct DefinitionRow {
    pub set_id: String,
    /// Seconds since the epoch with three decimals.
    pub activated_at: String,
    pub grace_ms: i64,
    pub timeout_ms_max: u64,
    pub windows_days: BTreeSet<u16>,
    pub content: String,
}

/// A row of `journey_definitions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct JourneyDefinitionRow {
    pub set_id: String,
    /// Seconds since the epoch with three decimals.
    pub activated_at: String,
    pub app: String,
    pub journey: String,
    pub title: String,
    pub promise: String,
    pub product: String,
    pub owner: String,
    pub unit: &'static str,
    pub attempt: &'static str,
    pub standard: bool,
    pub timeout_ms: u64,
    pub policy: String,
}

/// A row of `objective_definitions`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct ObjectiveDefinitionRow {
    pub set_id: String,
    /// Seconds since the epoch with three decimals.
    pub activated_at: String,
    pub app: String,
    pub journey: String,
    pub objective: String,
    pub version: String,
    pub target: Option<f64>,
    pub window_days: u16,
    pub description: String,
    pub source: String,
    pub calendar: &'static str,
    pub title: String,
    pub promise: String,
    pub product: String,
    pub owner: String,
    pub policy: String,
    pub timeout_ms: u64,
}

/// A row of `policy_definitions`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the columns are documented in the DDL")]
pub struct PolicyDefinitionRow {
    pub set_id: String,
    /// Seconds since the epoch with three decimals.
    pub activated_at: String,
    pub policy: String,
    /// Place in the policy, from 1.
    pub place: u16,
    pub budget_left: f64,
    pub action: String,
    pub role: String,
    pub burn: &'static str,
    pub capacity: String,
    pub agreed_by: Vec<String>,
    pub agreed_on: Option<Date>,
    pub expires: Option<Date>,
    pub exceptions: Vec<PolicyException>,
}

impl PolicyDefinitionRow {
    /// The rows of `set`, activated at a log time in ms: one for each action of each policy.
    pub fn all(set: &DefinitionSet, activated_at_ms: i64) -> Vec<Self> {
        let activated_at = seconds(activated_at_ms);
        let actions = set.policies.iter().flat_map(|policy| {
            (1..).zip(&policy.actions).map(move |(place, action)| (policy, place, action))
        });
        actions
            .map(|(policy, place, action)| Self {
                set_id: set.id.clone(),
                activated_at: activated_at.clone(),
                policy: policy.name.clone(),
                place,
                budget_left: match action.trigger {
                    Trigger::BudgetLeft(ppm) => f64::from(ppm) / 1_000_000.0,
                    Trigger::Burn(_) => WHOLE_BUDGET,
                },
                action: action.action.clone(),
                role: action.role.clone(),
                burn: match action.trigger {
                    Trigger::BudgetLeft(_) => "",
                    Trigger::Burn(severity) => severity.as_str(),
                },
                capacity: policy.capacity.clone(),
                agreed_by: policy.agreed_by.clone(),
                agreed_on: policy.agreed_on,
                expires: policy.expires,
                exceptions: policy.exceptions.clone(),
            })
            .collect()
    }
}

impl DefinitionRow {
    /// The row of `set`, activated at a log time in ms.
    pub fn new(set: &DefinitionSet, activated_at_ms: i64) -> Self {
        let content = match serde_json::to_string(set) {
            Ok(json) => json,
            Err(error) => unreachable!("definitions have only types that JSON encodes: {error}"),
        };
        let objectives = set.journeys.iter().flat_map(|journey| &journey.objectives);
        Self {
            set_id: set.id.clone(),
            activated_at: seconds(activated_at_ms),
            grace_ms: set.settings.grace_ms,
            timeout_ms_max: set.journeys.iter().map(|journey| journey.timeout_ms).max().unwrap_or(0),
            windows_days: objectives.map(|objective| objective.window.days_max()).collect(),
            content,
        }
    }
}

impl JourneyDefinitionRow {
    /// The rows of `set`, activated at a log time in ms: one for each journey and app.
    pub fn all(set: &DefinitionSet, activated_at_ms: i64) -> Vec<Self> {
        let activated_at = seconds(activated_at_ms);
        journeys_of_apps(set)
            .map(|(app, journey)| Self {
                set_id: set.id.clone(),
                activated_at: activated_at.clone(),
                app: app.to_owned(),
                journey: journey.name.clone(),
                title: journey.title.clone(),
                promise: journey.promise.clone(),
                product: journey.product.clone(),
                owner: journey.owner.clone(),
                unit: journey.unit.as_str(),
                attempt: journey.attempt.as_str(),
                standard: journey.standard,
                timeout_ms: journey.timeout_ms,
                policy: journey.policy.clone(),
            })
            .collect()
    }
}

impl ObjectiveDefinitionRow {
    /// The rows of `set`, activated at a log time in ms: one for each objective and app.
    pub fn all(set: &DefinitionSet, activated_at_ms: i64) -> Vec<Self> {
        let activated_at = seconds(activated_at_ms);
        journeys_of_apps(set)
            .flat_map(|(app, journey)| {
                journey.objectives.iter().map(move |objective| (app, journey, objective))
            })
            .map(|(app, journey, objective)| Self {
                set_id: set.id.clone(),
                activated_at: activated_at.clone(),
                app: app.to_owned(),
                journey: journey.name.clone(),
                objective: objective.name.clone(),
                version: objective.version.clone(),
                target: objective.target_ppm.map(|ppm| f64::from(ppm) / 1_000_000.0),
                window_days: objective.window.days_max(),
                description: objective.rule.description(journey.unit),
                source: objective.source.clone(),
                calendar: objective.window.calendar().map_or("", Calendar::as_str),
                title: journey.title.clone(),
                promise: journey.promise.clone(),
                product: journey.product.clone(),
                owner: journey.owner.clone(),
                policy: journey.policy.clone(),
                timeout_ms: journey.timeout_ms,
            })
            .collect()
    }
}

fn journeys_of_apps(set: &DefinitionSet) -> impl Iterator<Item = (&str, &Journey)> {
    set.journeys.iter().flat_map(|journey| {
        let every = journey.apps.is_empty().then_some(EVERY_APP);
        every.into_iter().chain(journey.apps.iter().map(String::as_str)).map(move |app| (app, journey))
    })
}

/// What `DateTime64(3)` reads without a time zone.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::date;

    use super::*;
    use crate::definition::{
        AttemptKind, Comparison, EngineSettings, Objective, Policy, PolicyAction, Restart, Rule, Severity,
        Unit, Window,
    };
    use crate::value::Value;

    fn ms(units: u64) -> Value {
        Value::from_units(units).unwrap()
    }

    fn journey(name: &str, apps: &[&str], objectives: Vec<Objective>) -> Journey {
        Journey {
            name: name.into(),
            title: format!("Title of {name}"),
            product: "high-school".into(),
            owner: "learning-team".into(),
            promise: "It works.".into(),
            apps: apps.iter().map(|app| (*app).to_owned()).collect(),
            platforms: Vec::new(),
            standard: false,
            attempt: AttemptKind::Event,
            start: Vec::new(),
            steps: Vec::new(),
            success: Vec::new(),
            failure: Vec::new(),
            cancel: Vec::new(),
            timeout_ms: 30_000,
            patience_ms: 30_000,
            restart: Restart::New,
            unit: Unit::Ms,
            revised_by: None,
            objectives,
            policy: "default".into(),
        }
    }

    fn set() -> DefinitionSet {
        let works = Objective::new("works".into(), Rule::Works, Some(995_000), 28);
        let seen = Objective::new("seen".into(), Rule::Works, None, 7);
        let journeys = vec![
            journey("watch-lecture", &["studyapp-web", "studyapp-ios"], vec![works, seen]),
            journey("page-load", &[], vec![Objective::new("fast".into(), Rule::Works, None, 28)]),
        ];
        DefinitionSet::new(EngineSettings::default(), Vec::new(), journeys)
    }

    #[test]
    fn a_journey_has_a_row_for_each_of_its_apps() {
        let rows = JourneyDefinitionRow::all(&set(), 1_795_405_626_034);
        let keys: Vec<_> = rows.iter().map(|row| (row.app.as_str(), row.journey.as_str())).collect();
        let expect =
            [("*", "page-load"), ("studyapp-web", "watch-lecture"), ("studyapp-ios", "watch-lecture")];
        assert_eq!(keys, expect);
        assert!(rows.iter().all(|row| row.activated_at == "1795405626.034" && row.set_id == set().id));
    }

    #[test]
    fn an_objective_has_a_row_for_each_app_of_its_journey() {
        let rows = ObjectiveDefinitionRow::all(&set(), 0);
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.app.as_str(), row.objective.as_str(), row.target, row.window_days))
            .collect();
        let expect = [
            ("*", "fast", None, 28),
            ("studyapp-web", "works", Some(0.995), 28),
            ("studyapp-web", "seen", None, 7),
            ("studyapp-ios", "works", Some(0.995), 28),
            ("studyapp-ios", "seen", None, 7),
        ];
        assert_eq!(found, expect);
    }

    #[test]
    fn a_period_of_the_calendar_is_a_column_beside_its_longest_length() {
        let monthly = Objective::over(Window::Calendar(Calendar::Month), "m".into(), Rule::Works, None);
        let journeys =
            vec![journey("page-load", &[], vec![monthly.with_source("Chosen: rent is due".into())])];
        let set = DefinitionSet::new(EngineSettings::default(), Vec::new(), journeys);
        let row = ObjectiveDefinitionRow::all(&set, 0).remove(0);
        assert_eq!(
            (row.window_days, row.calendar, row.source.as_str()),
            (31, "month", "Chosen: rent is due")
        );
        let rolling = ObjectiveDefinitionRow::all(&self::set(), 0);
        assert!(rolling.iter().all(|row| row.calendar.is_empty() && row.source.is_empty()));
    }

    #[test]
    fn a_policy_has_a_row_for_each_action() {
        let action = |trigger| PolicyAction { trigger, action: "Look.".into(), role: "owner".into() };
        let policy = Policy {
            name: "strict".into(),
            actions: vec![action(Trigger::Burn(Severity::Page)), action(Trigger::BudgetLeft(250_000))],
            agreed_by: vec!["owner".into()],
            agreed_on: Some(date(2026, 11, 2)),
            capacity: "a day a week".into(),
            expires: Some(date(2027, 11, 2)),
            exceptions: vec![PolicyException {
                exempt: "exams".into(),
                reason: "They are rehearsed.".into(),
                until: date(2027, 6, 30),
            }],
        };
        let rows = PolicyDefinitionRow::all(&set().with_policies(vec![policy]), 0);
        let found: Vec<_> = rows.iter().map(|row| (row.place, row.budget_left, row.burn)).collect();
        assert_eq!(found, [(1, 1.0, "page"), (2, 0.25, "")]);
        let row = serde_json::to_value(&rows[1]).unwrap();
        assert_eq!(
            row["exceptions"],
            serde_json::json!([{"exempt": "exams", "reason": "They are rehearsed.", "until": "2027-06-30"}])
        );
        assert_eq!((&row["agreed_on"], &row["expires"]), (&"2026-11-02".into(), &"2027-11-02".into()));
    }

    #[test]
    fn the_content_is_the_set() {
        let row = DefinitionRow::new(&set(), 0);
        assert_eq!(serde_json::from_str::<DefinitionSet>(&row.content).unwrap(), set());
    }

    #[test]
    fn rules_are_described_for_people() {
        let within = |default, by_platform: &[(&str, u64)], from: Option<&str>| Rule::Within {
            default,
            by_platform: by_platform
                .iter()
                .map(|(name, limit)| ((*name).to_owned(), ms(*limit)))
                .collect::<BTreeMap<_, _>>(),
            from: from.map(str::to_owned),
        };
        let check = |rule: Rule, unit, expect: &str| assert_eq!(rule.description(unit), expect);
        check(Rule::Works, Unit::Ms, "success");
        check(within(Some(ms(2000)), &[], None), Unit::Ms, "success within 2000 ms");
        check(
            within(Some(ms(2000)), &[("ios", 1500)], Some("page")),
            Unit::Ms,
            "success within 1500 ms on ios, 2000 ms elsewhere, from step page",
        );
        check(
            within(None, &[("ios", 1500), ("web", 2000)], None),
            Unit::Ms,
            "success within 1500 ms on ios, 2000 ms on web",
        );
        let limit = Value::from_f64(0.1).unwrap();
        check(Rule::Value { comparison: Comparison::LessOrEqual, limit }, Unit::Score, "value ≤ 0.1");
    }
}
