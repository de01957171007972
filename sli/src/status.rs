//! `sli status`: how every promise stands, as a table.

use clap::Args;
use jiff::civil::Date;
use schema::definition::Policy;
use serde_json::json;

use crate::Outcome;
use crate::clickhouse::ClickHouseArgs;
use crate::numbers::{Numbers, Status};
use crate::output::{Format, table};
use crate::policies::{expired, today};

/// Flags of `sli status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    clickhouse: ClickHouseArgs,
    /// Only objectives of this app.
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Only objectives of this owner.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Indicators that nobody has adopted as well.
    #[arg(long)]
    all: bool,
    /// How the answer is written.
    #[arg(long, default_value = "table")]
    format: Format,
}

pub(crate) const EXAMPLES: &str = "Examples:
  sli status
  sli status --owner learning-team
  sli status --all --format json

Ends with 1 when a promise is broken, so that a script can ask.";

/// Says how the promises stand.
pub(crate) async fn run(args: &StatusArgs) -> anyhow::Result<Outcome> {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let numbers = Numbers::new(args.clickhouse.client()?);
    let mut statuses = numbers.statuses().await?;
    statuses.retain(|status| {
        is(&args.app, &status.app)
            && is(&args.owner, &status.owner)
            && (args.all || status.state != "no_objective")
    });
    let warnings = expired_of(&statuses, &numbers.policies().await?, today());
    match args.format {
        Format::Json => {
            let answer = json!({ "slos": statuses, "warnings": warnings });
            println!("{}", serde_json::to_string_pretty(&answer)?);
        }
        Format::Table if statuses.is_empty() => {
            println!("no objectives; --all lists what is measured without one")
        }
        Format::Table => println!("{}", [vec![text(&statuses)], warnings].concat().join("\n")),
    }
    let is_broken = statuses.iter().any(|status| status.state == "broken");
    Ok(if is_broken { Outcome::Wrong } else { Outcome::Right })
}

/// What is to be said of the policies of these promises that have expired.
fn expired_of(statuses: &[Status], policies: &[Policy], today: Date) -> Vec<String> {
    let promised = |policy: &&Policy| {
        statuses.iter().any(|status| status.target.is_some() && status.policy == policy.name)
    };
    policies.iter().filter(promised).filter_map(|policy| expired(policy, today)).collect()
}

fn text(statuses: &[Status]) -> String {
    let percent =
        |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.2} %", share * 100.0));
    let whole = |count: Option<f64>| count.map_or_else(|| "–".to_owned(), |count| format!("{count:.0}"));
    let rows = statuses.iter().map(|status| {
        let between = match (status.low, status.high) {
            (Some(low), Some(high)) => format!("{:.2}–{:.2} %", low * 100.0, high * 100.0),
            (None, _) | (_, None) => "–".to_owned(),
        };
        let title = if status.title.is_empty() { &status.journey } else { &status.title };
        [
            title.clone(),
            status.app.clone(),
            status.objective.clone(),
            status.state.clone(),
            percent(status.ratio),
            percent(status.target),
            between,
            status.valid.to_string(),
            format!("{} of {}", whole(status.budget_left), whole(status.budget_total)),
            status.alert.replace("none", ""),
            status.window.clone(),
        ]
    });
    let header = [
        "journey",
        "app",
        "objective",
        "state",
        "good",
        "target",
        "95 % sure",
        "valid",
        "budget left",
        "alert",
        "window",
    ];
    let until = statuses.iter().filter_map(|status| status.complete_until.as_deref()).min();
    format!("{}\ncomplete until {}", table(header, rows), until.unwrap_or("–"))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn an_expired_policy_is_named_under_the_promises_that_have_it() {
        let policy: Policy =
            serde_json::from_str(r#"{"name": "strict", "actions": [], "expires": "2026-11-30"}"#).unwrap();
        let other = Policy { name: "other".into(), ..policy.clone() };
        let said = |status: Status, today| expired_of(&[status], &[policy.clone(), other.clone()], today);
        let strict =
            "Policy “strict” held until 2026-11-30, has expired, and is not applied: agree on it anew.";
        assert_eq!(said(Status::broken(), date(2026, 12, 1)), [strict]);
        let none: [&str; 0] = [];
        assert_eq!(said(Status::broken(), date(2026, 11, 30)), none);
        let indicator = Status { target: None, ..Status::broken() };
        assert_eq!(said(indicator, date(2026, 12, 1)), none);
    }
}
