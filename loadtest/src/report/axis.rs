//! From values to places on a plot, and the round values that are written beside it.

/// Ticks of an axis at most, beyond the one at its beginning.
const TICKS_MAX: usize = 8;
/// Steps of a time axis, s: what people divide minutes and hours by.
const TIME_STEPS_S: [f64; 17] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
    21_600.0, 43_200.0,
];

/// How values become places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm: equal factors are equally far apart.
    Logarithmic,
}

/// An axis over a range of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    scale: Scale,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis on which every one of `values` has a place, ends at round values, and, where it is linear, begins at 0.
    pub fn around(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        match scale {
            Scale::Linear => Self::linear(most.max(0.0)),
            Scale::Logarithmic => Self::logarithmic(least, most),
        }
    }

    fn linear(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = round_up(most / 5.0);
        let count = (most / step).ceil().max(1.0) as usize;
        let ticks: Vec<f64> = (0..=count).map(|tick| tick as f64 * step).collect();
        Self { low: 0.0, high: count as f64 * step, scale: Scale::Linear, ticks }
    }

    fn logarithmic(least: f64, most: f64) -> Self {
        // A thousandth of a unit is less than anything that is measured here.
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let least = if least.is_finite() { least.clamp(0.001, most) } else { most };
        let (low, high) = (least.log10().floor(), most.log10().ceil());
        let high = if high > low { high } else { low + 1.0 };
        let ticks = (low as i32..=high as i32).map(|power| 10f64.powi(power)).collect();
        Self { low: 10f64.powf(low), high: 10f64.powf(high), scale: Scale::Logarithmic, ticks }
    }

    /// A time axis from 0 to `seconds`, whose ticks are as far apart as people count.
    pub fn time(seconds: f64, ticks_max: usize) -> Self {
        let high = seconds.max(1.0);
        let fits = |step: &&f64| high / **step <= ticks_max as f64;
        let step = TIME_STEPS_S.iter().find(fits).copied().unwrap_or(86_400.0);
        let ticks = (0..=(high / step) as usize).map(|tick| tick as f64 * step).collect();
        Self { low: 0.0, high, scale: Scale::Linear, ticks }
    }

    /// The axis of a distribution up to `percent`: each tenth of what is left is as wide as the one before.
    pub fn percentiles(percent: f64) -> Self {
        let nines = (-(1.0 - percent / 100.0).max(1e-7).log10()).ceil().max(1.0) as usize;
        let ticks = (0..=nines.min(TICKS_MAX)).map(|nine| nine as f64).collect();
        Self { low: 0.0, high: nines as f64, scale: Scale::Linear, ticks }
    }

    /// Where on an axis of [`Axis::percentiles`] a percentage is.
    pub fn nines(percent: f64) -> f64 {
        -(1.0 - percent / 100.0).max(1e-7).log10()
    }

    /// Place of a value from 0, the beginning, to 1, the end; values beyond are at the nearest end.
    pub fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => {
                let (low, high) = (self.low.log10(), self.high.log10());
                (value.max(self.low).log10() - low) / (high - low)
            }
        };
        share.clamp(0.0, 1.0)
    }

    /// Values that are written beside the axis.
    pub fn ticks(&self) -> &[f64] {
        &self.ticks
    }
}

/// The least of 1, 2, 2.5 and 5 times a power of ten that is not below `value`.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    // A rounding error of the division must not ask for the next step.
    let factor = value / power - 1e-9;
    power * [1.0, 2.0, 2.5, 5.0].into_iter().find(|round| factor <= *round).unwrap_or(10.0)
}

/// A time after the beginning, such as `45 s`, `2:30` or `1:15:00`.
pub fn time(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3_600, whole % 3_600 / 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes}:{rest:02}"),
        (_, _) => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

/// A number with three significant digits and, from a thousand on, its groups apart.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        return grouped(value.round() as i64);
    }
    let decimals = if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis) -> Vec<String> {
        axis.ticks().iter().map(|tick| number(*tick)).collect()
    }

    #[test]
    fn a_linear_axis_begins_at_nothing_and_ends_at_a_round_value() {
        let linear = |values: &[f64]| Axis::around(values.iter().copied(), Scale::Linear);
        assert_eq!(ticks(&linear(&[3.0, 98.0])), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(ticks(&linear(&[0.7])), ["0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(ticks(&linear(&[])), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(linear(&[50.0, 100.0]).place(50.0), 0.5);
        assert_eq!(linear(&[100.0]).place(1e9), 1.0);
    }

    #[test]
    fn a_logarithmic_axis_has_whole_powers_of_ten() {
        let logarithmic = |values: &[f64]| Axis::around(values.iter().copied(), Scale::Logarithmic);
        assert_eq!(ticks(&logarithmic(&[0.4, 250.0])), ["0.1", "1", "10", "100", "1,000"]);
        assert_eq!(ticks(&logarithmic(&[1.0])), ["1", "10"]);
        assert_eq!(ticks(&logarithmic(&[0.0, 2.0])).len(), 5);
        assert_eq!(ticks(&logarithmic(&[])), ["1", "10"]);
        assert_eq!(logarithmic(&[1.0, 100.0]).place(10.0), 0.5);
        assert_eq!(logarithmic(&[1.0, 100.0]).place(0.0), 0.0);
    }

    #[test]
    fn times_are_divided_as_people_count() {
        let times =
            |seconds, max| Axis::time(seconds, max).ticks().iter().map(|s| time(*s)).collect::<Vec<_>>();
        assert_eq!(times(9.0, 8), ["0 s", "2 s", "4 s", "6 s", "8 s"]);
        assert_eq!(times(3_600.0, 6), ["0 s", "10:00", "20:00", "30:00", "40:00", "50:00", "1:00:00"]);
        assert_eq!(times(3_600.0, 4), ["0 s", "15:00", "30:00", "45:00", "1:00:00"]);
    }

    #[test]
    fn percentiles_spread_their_end() {
        let axis = Axis::percentiles(99.99);
        assert_eq!(axis.ticks(), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert!((axis.place(Axis::nines(99.0)) - 0.5).abs() < 1e-9);
        assert_eq!(Axis::percentiles(100.0).ticks().len(), 8);
    }

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.1234, "0.123"),
            (1.5, "1.5"),
            (12.34, "12.3"),
            (99.0, "99"),
            (123.4, "123"),
            (1_234_567.0, "1,234,567"),
            (-1_000.0, "-1,000"),
        ];
        for (value, expect) in cases {
            assert_eq!(number(value), expect);
        }
    }
}
