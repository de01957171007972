//! Whether something grows: the straight line that is nearest to what was seen.

/// A straight line through points of time and value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Mean of the values.
    pub mean: f64,
    /// Growth of the line in an hour, in the unit of the values.
    pub per_hour: f64,
}

impl Trend {
    /// The line of least squares through points of seconds and value; `None` for fewer than two moments.
    pub fn of(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean_of = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / count;
        let (mean_s, mean) = (mean_of(|point| point.0), mean_of(|point| point.1));
        let (mut together, mut alone) = (0.0, 0.0);
        for (seconds, value) in points {
            together += (seconds - mean_s) * (value - mean);
            alone += (seconds - mean_s).powi(2);
        }
        (alone > 0.0).then(|| Self { mean, per_hour: together / alone * 3_600.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_by_the_hour() {
        let points: Vec<(f64, f64)> =
            (0..1_800).map(|s| (f64::from(s), 100.0 + f64::from(s) / 360.0)).collect();
        let trend = Trend::of(&points).unwrap();
        assert!((trend.per_hour - 10.0).abs() < 1e-6, "{trend:?}");
        assert!((trend.mean - 102.5).abs() < 0.01, "{trend:?}");
    }

    #[test]
    fn what_goes_up_and_down_does_not_grow() {
        let points: Vec<(f64, f64)> =
            (0..3_600).map(|s| (f64::from(s), f64::from((s % 60 - 30i32).abs()))).collect();
        assert!(Trend::of(&points).unwrap().per_hour.abs() < 0.2);
    }

    #[test]
    fn one_moment_has_no_trend() {
        assert_eq!(Trend::of(&[]), None);
        assert_eq!(Trend::of(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }
}
