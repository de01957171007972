//! Specifications for Sloth, one file for each app and window. <https://sloth.dev/specs/default/>
//!
//! A burn alert needs at least [`BAD_MIN`] bad attempts in its long window, as those of `sli.slo_burn` do, so that a single
//! error at night wakes nobody: the query of each short window is zero before. The other windows are plain ratios.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{File, Promised};

/// Bad attempts in the long window without which nothing is an alert.
const BAD_MIN: u32 = 5;
/// What Sloth makes rules with: its own, but long windows as ratios of sums, not as means of short ones.
const PLUGINS: [&str; 4] = ["validate", "sli_rules", "metadata_rules", "alert_rules"];
/// Sloth's pairs of windows, short and long: <https://sre.google/workbook/alerting-on-slos/>.
const PAIRS: [(&str, &str); 4] = [("5m", "1h"), ("30m", "6h"), ("2h", "1d"), ("6h", "3d")];

#[derive(Serialize)]
struct Specification<'a> {
    version: &'static str,
    service: &'a str,
    slo_plugins: Value,
    slos: Vec<Slo<'a>>,
}

#[derive(Serialize)]
struct Slo<'a> {
    name: String,
    objective: f64,
    description: &'a str,
    labels: BTreeMap<&'static str, &'a str>,
    sli: Sli,
    alerting: Alerting<'a>,
}

#[derive(Serialize)]
struct Sli {
    events: Events,
}

#[derive(Serialize)]
struct Events {
    error_query: String,
    total_query: String,
}

#[derive(Serialize)]
struct Alerting<'a> {
    name: &'static str,
    labels: BTreeMap<&'static str, &'a str>,
    annotations: BTreeMap<&'static str, String>,
    page_alert: Severity,
    ticket_alert: Severity,
}

#[derive(Serialize)]
struct Severity {
    labels: BTreeMap<&'static str, &'static str>,
}

/// The files.
pub(super) fn files(promised: &[Promised<'_>]) -> anyhow::Result<Vec<File>> {
    let mut by_window: BTreeMap<(&str, u16), Vec<&Promised<'_>>> = BTreeMap::new();
    for one in promised {
        by_window.entry((one.app, one.days())).or_default().push(one);
    }
    by_window.into_iter().map(|((app, days), promised)| file(app, days, &promised)).collect()
}

fn file(app: &str, window_days: u16, promised: &[&Promised<'_>]) -> anyhow::Result<File> {
    let slos = promised.iter().map(|one| slo(one)).collect();
    let plugin = |name: &str| {
        let mut plugin = json!({"id": format!("sloth.dev/core/{name}/v1")});
        if name == "sli_rules" {
            plugin["config"] = json!({"disableOptimized": true});
        }
        plugin
    };
    let slo_plugins = json!({"overridePrevious": true, "chain": PLUGINS.map(plugin)});
    let specification = Specification { version: "prometheus/v1", service: app, slo_plugins, slos };
    let note = format!("# sloth generate -i THIS -o RULES --default-slo-period {window_days}d\n");
    Ok(File {
        path: format!("{app}-{window_days}d.yaml"),
        text: note + &serde_yaml_ng::to_string(&specification)?,
    })
}

fn slo<'a>(one: &Promised<'a>) -> Slo<'a> {
    let journey = one.journey;
    let mut labels = BTreeMap::from([
        ("app", one.app),
        ("journey", journey.name.as_str()),
        ("objective", one.objective.name.as_str()),
        ("version", one.objective.version.as_str()),
        ("owner", journey.owner.as_str()),
        ("product", journey.product.as_str()),
    ]);
    labels.retain(|_, value| !value.is_empty());
    let selector = one.selector();
    let severity = |name| Severity { labels: BTreeMap::from([("severity", name)]) };
    Slo {
        name: format!("{}-{}", journey.name, one.objective.name),
        objective: one.target_percent,
        description: &journey.promise,
        labels: labels.clone(),
        sli: Sli {
            events: Events {
                error_query: error_query(&selector),
                total_query: format!("sum(rate(sli_valid_total{{{selector}}}[{{{{.window}}}}]))"),
            },
        },
        alerting: Alerting {
            name: "BudgetBurn",
            labels,
            annotations: BTreeMap::from([
                ("summary", format!("{} ({}) uses its budget up too fast", one.title(), one.app)),
                ("promise", journey.promise.clone()),
                ("policy", journey.policy.clone()),
            ]),
            page_alert: severity("page"),
            ticket_alert: severity("ticket"),
        },
    }
}

fn error_query(selector: &str) -> String {
    let mut query = format!("sum(rate(sli_bad_total{{{selector}}}[{{{{.window}}}}]))");
    for (short, long) in PAIRS {
        query.push_str(&format!(
            "{{{{if eq .window \"{short}\"}}}} * (sum(increase(sli_bad_total{{{selector}}}[{long}])) >= bool {BAD_MIN}){{{{end}}}}"
        ));
    }
    query
}
