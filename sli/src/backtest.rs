//! `sli backtest`: what an objective would have shown over stored history, and which target would have been kept.

use clap::Args;
use deploy::clickhouse::ClickHouse;
use jiff::ToSpan;
use jiff::civil::Date;
use schema::definition::{Calendar, Window};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Outcome;
use crate::clickhouse::ClickHouseArgs;
use crate::output::{Format, share, table};

/// Days of a week, by which history is shown.
const WEEK: usize = 7;

/// Flags of `sli backtest`.
#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// Journey to look at.
    journey: String,
    /// App to look at.
    #[arg(long, value_name = "NAME")]
    app: String,
    /// Good attempts are at most this, in the unit of the journey (ms, or the score); without it, good ones succeed.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<f64>,
    /// Days of history to look at; hours are kept for 400.
    #[arg(long, default_value_t = 90, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=400))]
    days: u16,
    /// The objective's window: the last days, such as 28d, or the week, month or quarter of the calendar.
    #[arg(long, default_value = "28d", value_name = "WINDOW")]
    window: Window,
    #[command(flatten)]
    clickhouse: ClickHouseArgs,
    /// How the answer is written.
    #[arg(long, default_value = "table")]
    format: Format,
}

pub(crate) const EXAMPLES: &str = "Examples:
  sli backtest watch-lecture --app studyapp-web                  does it work
  sli backtest watch-lecture --app studyapp-web --limit 1500     is it there within 1.5 s
  sli backtest web-vital-cls --app studyapp-web --limit 0.1 --window 7d
  sli backtest watch-lecture --app studyapp-web --window month   by whole months, in UTC

Latencies are read from histograms whose buckets are at most 1 % wide, so a limit is that exact.";

/// Attempts of one day, in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Day {
    day: Date,
    valid: u64,
    good: u64,
}

/// A stretch of whole days.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Stretch {
    from: String,
    until: String,
    valid: u64,
    good: u64,
    ratio: Option<f64>,
}

impl Stretch {
    fn of(days: &[Day]) -> Self {
        let (valid, good) =
            days.iter().fold((0, 0), |(valid, good), day| (valid + day.valid, good + day.good));
        let at = |day: Option<&Day>| day.map_or_else(String::new, |day| day.day.to_string());
        Self {
            from: at(days.first()),
            until: at(days.last()),
            valid,
            good,
            ratio: (valid > 0).then(|| good as f64 / valid as f64),
        }
    }
}

/// Looks back.
pub(crate) async fn run(args: &BacktestArgs) -> anyhow::Result<Outcome> {
    let days = days(&args.clickhouse.client()?, args).await?;
    if days.iter().all(|day| day.valid == 0) {
        eprintln!("no valid attempt of {} in {} in the last {} days", args.journey, args.app, args.days);
        return Ok(Outcome::Wrong);
    }
    let weeks: Vec<Stretch> = days.rchunks(WEEK).rev().map(Stretch::of).collect();
    let worst = worst(&days, args.window);
    match args.format {
        Format::Json => {
            println!("{}", serde_json::to_string_pretty(&json!({"weeks": weeks, "worst_window": worst}))?)
        }
        Format::Table => println!("{}\n{}", by_week(&weeks), verdict(&worst, args.window)),
    }
    Ok(Outcome::Right)
}

/// Every day of the history, those without attempts as well.
async fn days(clickhouse: &ClickHouse, args: &BacktestArgs) -> anyhow::Result<Vec<Day>> {
    let mut parameters =
        vec![("app", args.app.clone()), ("journey", args.journey.clone()), ("days", args.days.to_string())];
    let good = match args.limit {
        None => "sum(j.success)",
        Some(limit) => {
            parameters.push(("limit", limit.to_string()));
            "toUInt64(arraySum(mapValues(mapFilter((key, attempts) -> key <= {limit:Float64} * any(j.keys_per_unit), sumMap(j.latency)))))"
        }
    };
    let sql = format!(
        "SELECT toString(toDate(j.window_start)) AS day, sum(j.valid) AS valid, {good} AS good \
        FROM sli.journeys_by_day AS j \
        WHERE app = {{app:String}} AND journey = {{journey:String}} AND j.window_start > now() - toIntervalDay({{days:UInt16}}) \
        GROUP BY j.window_start \
        ORDER BY j.window_start WITH FILL STEP INTERVAL 1 DAY"
    );
    Ok(clickhouse.query_as(&sql, &parameters).await?)
}

/// The window with the smallest ratio; all of the history where it is shorter than one.
fn worst(days: &[Day], window: Window) -> Stretch {
    let windows: Vec<Stretch> = match window {
        Window::Rolling { days: length } => {
            days.windows(usize::from(length).min(days.len()).max(1)).map(Stretch::of).collect()
        }
        Window::Calendar(calendar) => whole_periods(days, calendar).map(Stretch::of).collect(),
    };
    windows
        .into_iter()
        .min_by(|a, b| a.ratio.unwrap_or(1.0).total_cmp(&b.ratio.unwrap_or(1.0)))
        .unwrap_or_else(|| Stretch::of(days))
}

/// The periods of the calendar of which the history has every day.
fn whole_periods(days: &[Day], calendar: Calendar) -> impl Iterator<Item = &[Day]> {
    let periods = days.chunk_by(move |a, b| calendar.first_day(a.day) == calendar.first_day(b.day));
    periods.filter(move |days| match (days.first(), days.last()) {
        (Some(first), Some(last)) => {
            calendar.first_day(first.day) == first.day
                && calendar.next_first_day(last.day) == last.day.saturating_add(1.day())
        }
        (None, _) | (_, None) => false,
    })
}

fn by_week(weeks: &[Stretch]) -> String {
    let rows = weeks.iter().map(|week| {
        [
            week.from.clone(),
            week.valid.to_string(),
            (week.valid - week.good.min(week.valid)).to_string(),
            share(week.ratio),
        ]
    });
    table(["week from", "valid", "bad", "good"], rows)
}

fn verdict(worst: &Stretch, window: Window) -> String {
    let Some(ratio) = worst.ratio else { return "no window has a valid attempt".to_owned() };
    format!(
        "The worst {}, {} to {}, had {}: a target of {} would always have been kept.",
        window.description().trim_start_matches("a "),
        worst.from,
        worst.until,
        share(Some(ratio)),
        target(ratio)
    )
}

/// The highest target with one digit behind the point that the ratio keeps.
fn target(ratio: f64) -> String {
    format!("{:.1} %", ((ratio * 1_000.0).floor() / 10.0).min(99.9))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn day(number: u32, valid: u64, good: u64) -> Day {
        Day { day: date(2026, 11, 1).saturating_add(i64::from(number - 1).days()), valid, good }
    }

    #[test]
    fn the_worst_window_is_a_ratio_of_sums() {
        let days = [day(1, 10, 5), day(2, 1_000, 990), day(3, 1_000, 980), day(4, 0, 0), day(5, 100, 100)];
        let check = |window_days, from: &str, until: &str, good, valid| {
            let found = worst(&days, Window::Rolling { days: window_days });
            assert_eq!((&*found.from, &*found.until, found.good, found.valid), (from, until, good, valid));
        };
        // The first day alone is worst, but hardly weighs in a longer window.
        check(1, "2026-11-01", "2026-11-01", 5, 10);
        check(2, "2026-11-03", "2026-11-04", 980, 1_000);
        check(28, "2026-11-01", "2026-11-05", 2_075, 2_110);
    }

    #[test]
    fn periods_of_the_calendar_are_judged_when_they_are_whole() {
        // From Sunday, 1 November 2026: four whole weeks, the whole of November, and two days of December.
        let days: Vec<_> = (1..=32)
            .map(|number| day(number, 100, if number == 1 { 0 } else { 100 - u64::from(number) }))
            .collect();
        let check = |calendar, from: &str, until: &str| {
            let found = worst(&days, Window::Calendar(calendar));
            assert_eq!((&*found.from, &*found.until), (from, until));
        };
        check(Calendar::Week, "2026-11-23", "2026-11-29");
        check(Calendar::Month, "2026-11-01", "2026-11-30");
        // No whole quarter: all of the history.
        check(Calendar::Quarter, "2026-11-01", "2026-12-02");
    }

    #[test]
    fn a_target_is_rounded_so_that_it_is_kept() {
        assert_eq!([0.98765, 0.9, 1.0].map(target), ["98.7 %", "90.0 %", "99.9 %"]);
    }
}
