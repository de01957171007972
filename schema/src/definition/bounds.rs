//! What the numbers of a definition set may be: what is outside cannot be meant, and would stop a partition or count
//! nothing.

use std::ops::RangeInclusive;

use super::{DefinitionSet, EngineSettings};

/// Samples of one journey and kind in one batch, at most.
pub const SAMPLES_MAX: usize = 32;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The tables keep 400 days: what is older has no place.
const RETENTION_MS_MAX: i64 = 400 * DAY_MS;
/// A session is remembered for as long as its longest period.
const PERIOD_MS_MAX: i64 = 31 * DAY_MS;
/// Labels and marks are held in memory.
const COUNT_MAX: i64 = 100_000;

/// A number of a definition set that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, want {} to {}", range.start(), range.end())]
pub struct OutOfBounds {
    /// Which, by its path in the set.
    pub name: String,
    /// What it is; as much as an `i64` holds.
    pub value: i64,
    /// What it may be.
    pub range: RangeInclusive<i64>,
}

impl DefinitionSet {
    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// Names the first that is outside.
    pub fn check_bounds(&self) -> Result<(), OutOfBounds> {
        self.settings.check_bounds()?;
        for journey in &self.journeys {
            for (name, ms) in [("timeout_ms", journey.timeout_ms), ("patience_ms", journey.patience_ms)] {
                check(&format!("journeys.{}.{name}", journey.name), whole(ms), 0..=PERIOD_MS_MAX)?;
            }
        }
        Ok(())
    }
}

impl EngineSettings {
    fn check_bounds(&self) -> Result<(), OutOfBounds> {
        for (name, value, range) in [
            ("flush_interval_ms", self.flush_interval_ms, 1..=HOUR_MS),
            ("idle_flush_intervals", self.idle_flush_intervals, 1..=COUNT_MAX),
            ("grace_ms", self.grace_ms, 0..=DAY_MS),
            ("late_retention_ms", self.late_retention_ms, 0..=RETENTION_MS_MAX),
            ("duplicate_horizon_web_ms", self.duplicate_horizon_web_ms, 0..=PERIOD_MS_MAX),
            ("duplicate_horizon_native_ms", self.duplicate_horizon_native_ms, 0..=PERIOD_MS_MAX),
            ("batch_records_max", whole(self.batch_records_max), 1..=10_000_000),
            ("session_marks_max", whole(self.session_marks_max as u64), 1..=COUNT_MAX),
            ("releases_max", whole(self.releases_max as u64), 0..=COUNT_MAX),
            ("routes_max", whole(self.routes_max as u64), 0..=COUNT_MAX),
            ("discovered_max", whole(self.discovered_max as u64), 0..=COUNT_MAX),
            ("reasons_max", whole(self.reasons_max as u64), 0..=COUNT_MAX),
            ("seen_events_max", whole(self.seen_events_max as u64), 0..=COUNT_MAX),
            ("samples_bad_max", whole(self.samples_bad_max as u64), 0..=SAMPLES_MAX as i64),
            ("samples_good_max", whole(self.samples_good_max as u64), 0..=SAMPLES_MAX as i64),
        ] {
            check(&format!("settings.{name}"), value, range)?;
        }
        Ok(())
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn check(name: &str, value: i64, range: RangeInclusive<i64>) -> Result<(), OutOfBounds> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(OutOfBounds { name: name.to_owned(), value, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(settings: EngineSettings) -> String {
        let set = DefinitionSet::new(settings, Vec::new(), Vec::new());
        set.check_bounds().map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn numbers_that_cannot_be_are_named_with_what_they_may_be() {
        let default = EngineSettings::default;
        assert_eq!(error(default()), "");
        assert_eq!(
            error(EngineSettings { flush_interval_ms: -5_000, ..default() }),
            "settings.flush_interval_ms is -5000, want 1 to 3600000"
        );
        assert_eq!(
            error(EngineSettings { samples_bad_max: 100, ..default() }),
            "settings.samples_bad_max is 100, want 0 to 32"
        );
        assert_eq!(
            error(EngineSettings { batch_records_max: u64::MAX, ..default() }),
            "settings.batch_records_max is 9223372036854775807, want 1 to 10000000"
        );
    }
}
