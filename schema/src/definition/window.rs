//! Windows of objectives: over which time good and valid attempts are summed.
//!
//! Where a window ends, and so where it begins, follows from how far the data is complete: that say the views.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};

/// Days of the longest rolling window: as long as minutes are kept.
const ROLLING_DAYS_MAX: u16 = 90;

/// Over which time good and valid attempts are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WindowFields", into = "WindowFields")]
pub enum Window {
    /// The last days, as many as this.
    Rolling {
        /// How many.
        days: u16,
    },
    /// The period of the calendar that is not over yet, in UTC.
    Calendar(Calendar),
}

/// A period of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// From Monday.
    Week,
    /// From the first.
    Month,
    /// From the first of January, April, July or October.
    Quarter,
}

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no window; write whole days from 1d to {ROLLING_DAYS_MAX}d, such as 28d, or `week`, `month` or `quarter` of the calendar"
)]
pub struct NoWindow(String);

/// A window as a set's JSON has it: who knows nothing of calendars reads a rolling window of the longest length.
#[derive(Serialize, Deserialize)]
struct WindowFields {
    window_days: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calendar: Option<Calendar>,
}

impl From<WindowFields> for Window {
    fn from(fields: WindowFields) -> Self {
        fields.calendar.map_or(Self::Rolling { days: fields.window_days }, Self::Calendar)
    }
}

impl From<Window> for WindowFields {
    fn from(window: Window) -> Self {
        Self { window_days: window.days_max(), calendar: window.calendar() }
    }
}

impl Window {
    /// Its length in days, of a calendar's period the longest.
    pub fn days_max(self) -> u16 {
        match self {
            Self::Rolling { days } => days,
            Self::Calendar(calendar) => calendar.days_max(),
        }
    }

    /// The calendar's period that it is, unless it is a rolling one.
    pub fn calendar(self) -> Option<Calendar> {
        match self {
            Self::Rolling { .. } => None,
            Self::Calendar(calendar) => Some(calendar),
        }
    }

    /// What it is, for people: `28 days` or `a calendar month (UTC)`.
    pub fn description(self) -> String {
        match self {
            Self::Rolling { days: 1 } => "1 day".to_owned(),
            Self::Rolling { days } => format!("{days} days"),
            Self::Calendar(calendar) => format!("a calendar {} (UTC)", calendar.as_str()),
        }
    }
}

/// As files and tables have it: `28d`, or `week`, `month`, `quarter`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling { days } => write!(f, "{days}d"),
            Self::Calendar(calendar) => f.write_str(calendar.as_str()),
        }
    }
}

impl FromStr for Window {
    type Err = NoWindow;

    fn from_str(text: &str) -> Result<Self, NoWindow> {
        if let Some(calendar) = Calendar::ALL.into_iter().find(|calendar| calendar.as_str() == text) {
            return Ok(Self::Calendar(calendar));
        }
        let days = text.strip_suffix('d').and_then(|number| number.parse().ok());
        days.filter(|days| (1..=ROLLING_DAYS_MAX).contains(days))
            .map(|days| Self::Rolling { days })
            .ok_or_else(|| NoWindow(text.to_owned()))
    }
}

impl Calendar {
    /// Every one, the shortest first.
    pub const ALL: [Self; 3] = [Self::Week, Self::Month, Self::Quarter];

    /// The name in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
        }
    }

    /// Days of its longest period.
    pub fn days_max(self) -> u16 {
        match self {
            Self::Week => 7,
            Self::Month => 31,
            Self::Quarter => 92,
        }
    }

    /// The first day of the period that `day` is in.
    pub fn first_day(self, day: Date) -> Date {
        match self {
            Self::Week => {
                let after_monday = i64::from(day.weekday().since(Weekday::Monday));
                day.saturating_sub(after_monday.days())
            }
            Self::Month => day.first_of_month(),
            Self::Quarter => {
                let after_first = i64::from((day.month() - 1) % 3);
                day.first_of_month().saturating_sub(after_first.months())
            }
        }
    }

    /// The first day of the period after that of `day`.
    pub fn next_first_day(self, day: Date) -> Date {
        let length = match self {
            Self::Week => 7.days(),
            Self::Month => 1.month(),
            Self::Quarter => 3.months(),
        };
        self.first_day(day).saturating_add(length)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn windows_are_whole_days_or_periods_of_the_calendar() {
        let check = |text: &str, expect: Option<Window>| {
            assert_eq!(text.parse::<Window>().ok(), expect, "{text}");
            assert_eq!(expect.map(|window| window.to_string()).unwrap_or_else(|| text.to_owned()), text);
        };
        check("1d", Some(Window::Rolling { days: 1 }));
        check("90d", Some(Window::Rolling { days: 90 }));
        check("week", Some(Window::Calendar(Calendar::Week)));
        check("quarter", Some(Window::Calendar(Calendar::Quarter)));
        for text in ["0d", "91d", "28", "4w", "Month", "months", ""] {
            check(text, None);
        }
    }

    #[test]
    fn a_period_begins_on_its_first_day() {
        let check = |calendar: Calendar, day: Date, first: Date, next: Date| {
            assert_eq!((calendar.first_day(day), calendar.next_first_day(day)), (first, next), "{day}");
            assert_eq!(calendar.first_day(first), first);
        };
        check(Calendar::Week, date(2026, 11, 27), date(2026, 11, 23), date(2026, 11, 30));
        check(Calendar::Week, date(2027, 1, 3), date(2026, 12, 28), date(2027, 1, 4));
        check(Calendar::Month, date(2028, 2, 29), date(2028, 2, 1), date(2028, 3, 1));
        check(Calendar::Month, date(2026, 12, 31), date(2026, 12, 1), date(2027, 1, 1));
        check(Calendar::Quarter, date(2026, 11, 27), date(2026, 10, 1), date(2027, 1, 1));
        check(Calendar::Quarter, date(2026, 3, 31), date(2026, 1, 1), date(2026, 4, 1));
    }

    #[test]
    fn no_period_is_longer_than_its_longest() {
        for calendar in Calendar::ALL {
            let mut day = date(2026, 1, 1);
            let mut longest = 0;
            while day < date(2030, 1, 1) {
                let next = calendar.next_first_day(day);
                longest = longest.max(calendar.first_day(day).until(next).unwrap().get_days());
                day = next;
            }
            assert_eq!(longest, i32::from(calendar.days_max()), "{calendar:?}");
        }
    }

    #[test]
    fn a_set_says_both_and_older_ones_stay_what_they_were() {
        let check = |window: Window, json: &str| {
            assert_eq!(serde_json::to_string(&window).unwrap(), json);
            assert_eq!(serde_json::from_str::<Window>(json).unwrap(), window);
        };
        check(Window::Rolling { days: 28 }, r#"{"window_days":28}"#);
        check(Window::Calendar(Calendar::Quarter), r#"{"window_days":92,"calendar":"quarter"}"#);
    }
}
