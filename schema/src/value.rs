//! The fixed-point number in which durations and scores travel, so that no result depends on floating point.

use serde::{Deserialize, Serialize};

/// Steps of a [`Value`] in one unit.
pub const SCALE: u64 = 10_000;

/// The largest value that an event may carry, in units: seven days in milliseconds.
pub const VALUE_UNITS_MAX: u64 = 7 * 24 * 3600 * 1000;

/// A non-negative number with four decimals: milliseconds for durations, the score itself for CLS.
///
/// ```
/// use schema::value::Value;
/// assert_eq!(Value::from_f64(83.5).unwrap().scaled(), 835_000);
/// assert_eq!(Value::from_f64(83.5).unwrap().to_string(), "83.5");
/// assert!(Value::from_f64(-1.0).is_err() && Value::from_f64(f64::NAN).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Value(u64);

/// Why a number cannot be a [`Value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// NaN or an infinity.
    #[error("not a finite number")]
    NotFinite,
    /// Less than zero.
    #[error("negative")]
    Negative,
    /// Above [`VALUE_UNITS_MAX`].
    #[error("larger than {VALUE_UNITS_MAX}")]
    TooLarge,
}

impl Value {
    /// Rounds `number` (in the event's unit) to four decimals, half away from zero.
    ///
    /// # Errors
    /// When it is not finite, negative, or larger than [`VALUE_UNITS_MAX`].
    pub fn from_f64(number: f64) -> Result<Self, ValueError> {
        if !number.is_finite() {
            Err(ValueError::NotFinite)
        } else if number < 0.0 {
            Err(ValueError::Negative)
        } else if number > VALUE_UNITS_MAX as f64 {
            Err(ValueError::TooLarge)
        } else {
            Ok(Self((number * SCALE as f64).round() as u64))
        }
    }

    /// A whole number of units.
    ///
    /// # Errors
    /// When it is larger than [`VALUE_UNITS_MAX`].
    pub fn from_units(units: u64) -> Result<Self, ValueError> {
        if units > VALUE_UNITS_MAX { Err(ValueError::TooLarge) } else { Ok(Self(units * SCALE)) }
    }

    /// The value from its ten-thousandths, as [`Value::scaled`] gives them.
    ///
    /// # Errors
    /// When it is larger than [`VALUE_UNITS_MAX`].
    pub fn from_scaled(scaled: u64) -> Result<Self, ValueError> {
        if scaled > VALUE_UNITS_MAX * SCALE { Err(ValueError::TooLarge) } else { Ok(Self(scaled)) }
    }

    /// The value in ten-thousandths of its unit.
    pub fn scaled(self) -> u64 {
        self.0
    }

    /// The value rounded to whole units, half up.
    pub fn units(self) -> u64 {
        (self.0 + SCALE / 2) / SCALE
    }
}

impl std::fmt::Display for Value {
    /// The shortest decimal form, such as `83.5`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, fraction) = (self.0 / SCALE, self.0 % SCALE);
        if fraction == 0 {
            write!(f, "{whole}")
        } else {
            write!(f, "{whole}.{}", format!("{fraction:04}").trim_end_matches('0'))
        }
    }
}

impl std::str::FromStr for Value {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::from_f64(text.trim().parse::<f64>().map_err(|_| ValueError::NotFinite)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_inclusive() {
        assert_eq!(Value::from_units(VALUE_UNITS_MAX).map(Value::units), Ok(VALUE_UNITS_MAX));
        assert_eq!(Value::from_units(VALUE_UNITS_MAX + 1), Err(ValueError::TooLarge));
        assert_eq!(Value::from_f64(VALUE_UNITS_MAX as f64 + 1.0), Err(ValueError::TooLarge));
    }

    #[test]
    fn units_round_half_up() {
        assert_eq!(Value::from_f64(83.5).unwrap().units(), 84);
        assert_eq!(Value::from_f64(83.4999).unwrap().units(), 83);
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        for text in ["", "abc", "NaN", "inf", "-3"] {
            assert!(text.parse::<Value>().is_err(), "{text}");
        }
        assert_eq!("0.0421".parse::<Value>().unwrap().to_string(), "0.0421");
    }
}
