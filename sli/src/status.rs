//! `sli status`: how every promise stands, as a table.

use clap::Args;
use serde_json::json;

use crate::Outcome;
use crate::clickhouse::ClickHouseArgs;
use crate::numbers::{Numbers, Status};
use crate::output::{Format, table};

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
    let mut statuses = Numbers::new(args.clickhouse.client()?).statuses().await?;
    statuses.retain(|status| {
        is(&args.app, &status.app)
            && is(&args.owner, &status.owner)
            && (args.all || status.state != "no_objective")
    });
    match args.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&json!({ "slos": statuses }))?),
        Format::Table if statuses.is_empty() => {
            println!("no objectives; --all lists what is measured without one")
        }
        Format::Table => println!("{}", text(&statuses)),
    }
    let is_broken = statuses.iter().any(|status| status.state == "broken");
    Ok(if is_broken { Outcome::Wrong } else { Outcome::Right })
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
