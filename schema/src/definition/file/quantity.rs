//! Durations, percentages and comparisons as people write them.

use jiff::civil::Date;

use super::spelling::nearest;
use crate::definition::{Calendar, Comparison, NoWindow, Window};
use crate::value::Value;

/// A duration such as `150ms`, `2s`, `1.5s`, `1m` or `4h`.
pub(super) fn duration(text: &str) -> Result<Value, String> {
    let malformed = || format!("`{text}` is no duration; write a number with its unit: 150ms, 1.5s, 2m, 1h");
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
    let (number, unit) = text.split_at(digits_end);
    let unit_ms = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return Err(malformed()),
    };
    let number: f64 = number.parse().map_err(|_| malformed())?;
    Value::from_f64(number * unit_ms).map_err(|error| format!("`{text}` is {error} ms"))
}

/// A window such as `28d` or `month`.
pub(super) fn window(text: &str) -> Result<Window, String> {
    text.parse().map_err(|error: NoWindow| {
        let near = nearest(text, Calendar::ALL.map(Calendar::as_str));
        format!("{error}{}", near.map_or(String::new(), |near| format!("; did you mean `{near}`?")))
    })
}

/// A target such as `99.5%`, in millionths: more than 0 % and less than 100 %, at most four decimals.
pub(super) fn target_ppm(text: &str) -> Result<u32, String> {
    let malformed =
        || format!("`{text}` is no target; write a percentage above 0% and below 100%, such as 99.5%");
    let number = text.strip_suffix('%').ok_or_else(malformed)?.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 4 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let whole: u32 = whole.parse().map_err(|_| malformed())?;
    let fraction: u32 = format!("{fraction:0<4}").parse().map_err(|_| malformed())?;
    let ppm = whole.checked_mul(10_000).and_then(|ppm| ppm.checked_add(fraction)).ok_or_else(malformed)?;
    if ppm == 0 || ppm >= 1_000_000 { Err(malformed()) } else { Ok(ppm) }
}

/// Whether `text` is a share such as `25%`, from 0 % to 100 %.
pub(super) fn share_ppm(text: &str) -> Option<u32> {
    let percent = text.strip_suffix('%')?.trim().parse::<f64>().ok()?;
    (0.0..=100.0).contains(&percent).then(|| (percent * 10_000.0).round() as u32)
}

/// Years that the tables' dates can tell.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2299;

/// The day under `key`, such as `2027-06-30`.
pub(super) fn date(key: &str, text: &str) -> Result<Date, String> {
    let date =
        text.parse::<Date>().ok().filter(|date| YEARS.contains(&date.year()) && date.to_string() == text);
    date.ok_or_else(|| {
        format!(
            "`{key}`: `{text}` is no date; write year, month and day, such as 2027-06-30, from 2000 to 2299"
        )
    })
}

/// A comparison such as `>=500`; `None` when the text begins with no operator.
pub(super) fn comparison(text: &str) -> Option<Result<(Comparison, f64), String>> {
    let (operator, rest) = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ]
    .into_iter()
    .find_map(|(text_operator, operator)| Some((operator, text.strip_prefix(text_operator)?)))?;
    let number = rest.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    Some(number.map(|number| (operator, number)).ok_or_else(|| {
        format!("`{text}` compares with no number; write one of <, <=, >=, > and a number, such as \">=500\"")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, ms) in [("150ms", 150), ("2s", 2_000), ("1.5s", 1_500), ("1m", 60_000), ("4h", 14_400_000)]
        {
            assert_eq!(duration(text).map(Value::units), Ok(ms), "{text}");
        }
        for text in ["", "5", "s", "1d", "-1s", "1..2s", "9999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn targets_are_between_none_and_all() {
        for (text, ppm) in [("99.5%", 995_000), ("75%", 750_000), ("99.9999%", 999_999), ("0.0001%", 1)] {
            assert_eq!(target_ppm(text), Ok(ppm), "{text}");
        }
        for text in ["100%", "0%", "99.5", "99.99999%", "-1%", "x%", "101%", "1.x%"] {
            assert!(target_ppm(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_include_nothing_and_all() {
        assert_eq!(
            ["0%", "25%", "99.5 %", "100%"].map(share_ppm),
            [Some(0), Some(250_000), Some(995_000), Some(1_000_000)]
        );
        assert!(["", "%", "25", "-1%", "101%", "NaN%"].iter().all(|text| share_ppm(text).is_none()));
    }

    #[test]
    fn comparisons_begin_with_an_operator() {
        assert_eq!(comparison(">=500"), Some(Ok((Comparison::GreaterOrEqual, 500.0))));
        assert_eq!(comparison("< 3"), Some(Ok((Comparison::Less, 3.0))));
        assert_eq!(comparison("500"), None);
        assert!(comparison(">=x").is_some_and(|found| found.is_err()));
    }

    #[test]
    fn dates_are_days_of_the_calendar() {
        for text in ["2027-06-30", "2028-02-29", "2000-01-01", "2299-12-31"] {
            assert_eq!(date("until", text).map(|date| date.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "2027-02-29", "2027-6-3", "20270603", "1999-12-31", "2300-01-01", "2027-06-30T00:00"]
        {
            assert!(date("until", text).is_err(), "{text}");
        }
    }
}
