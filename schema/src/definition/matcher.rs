//! Matching an event against the conditions of a definition.

use serde::{Deserialize, Serialize};

use super::Comparison;
use crate::beacon::Event;
use crate::route::Template;

/// An event name and what its attributes must satisfy, all of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matcher {
    /// Name of the event.
    pub event: String,
    /// Conditions, sorted by attribute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What one attribute must satisfy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Attribute of the event; `value` is the event's own value where it has no such attribute.
    pub attribute: String,
    /// Any of these must hold.
    pub any_of: Vec<Test>,
}

/// One test of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The text is this.
    Equals(String),
    /// The text is a number that stands in this relation to the limit.
    Compares(Comparison, f64),
    /// The text is a route under this template.
    Route(Template),
}

impl Matcher {
    /// Whether `event` has the name and satisfies every condition.
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.event == event.name && self.conditions_hold(event)
    }

    /// The conditions alone, for callers that looked the name up already.
    pub fn conditions_hold(&self, event: &Event<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(event))
    }
}

impl Condition {
    /// Whether `event` has the attribute with such a text.
    pub fn holds(&self, event: &Event<'_>) -> bool {
        match event.attribute(&self.attribute) {
            Some(text) => self.any_of.iter().any(|test| test.holds(text)),
            None if self.attribute == "value" => event.value.is_some_and(|value| {
                let text = value.to_string();
                self.any_of.iter().any(|test| test.holds(&text))
            }),
            None => false,
        }
    }
}

impl Test {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => wanted == text,
            Self::Compares(comparison, limit) => {
                text.parse::<f64>().is_ok_and(|number| comparison.holds(number, *limit))
            }
            Self::Route(template) => template.matches(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beacon::TimeMethod;
    use crate::value::Value;

    fn check(any_of: Vec<Test>, attributes: &[(&'static str, &'static str)], expect: bool) {
        let matcher = Matcher {
            event: "http.client".into(),
            conditions: vec![Condition { attribute: "status".into(), any_of }],
        };
        let event = Event {
            name: "http.client".into(),
            time_ms: 0,
            time_method: TimeMethod::AsSent,
            time_correction_ms: 0,
            value: Some(Value::from_units(7).unwrap()),
            attributes: attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        assert_eq!(matcher.matches(&event), expect, "{attributes:?}");
    }

    #[test]
    fn any_of_the_tests_must_hold() {
        let bad = || vec![Test::Equals("0".into()), Test::Compares(Comparison::GreaterOrEqual, 500.0)];
        check(bad(), &[("status", "0")], true);
        check(bad(), &[("status", "503")], true);
        check(bad(), &[("status", "499")], false);
        check(bad(), &[("status", "nonsense")], false);
        check(bad(), &[], false);
    }

    #[test]
    fn routes_match_by_template() {
        let route = Template::try_from("/api/**".to_owned()).unwrap();
        check(vec![Test::Route(route)], &[("status", "/api/x/y")], true);
    }
}
