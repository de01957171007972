//! Documents of OpenSLO v1, one file an app. <https://github.com/OpenSLO/OpenSLO>

use schema::definition::{Calendar, Window};
use serde_json::{Value, json};

use super::{File, Promised};

/// A Monday and the first day of a month and a quarter: periods of any calendar are aligned with it. Written as `oslo` demands.
const FIRST_PERIOD: &str = "2024-01-01T00:00:00Z";

/// The files: a service for each app, and its objectives.
pub(super) fn files(promised: &[Promised<'_>]) -> anyhow::Result<Vec<File>> {
    promised
        .chunk_by(|a, b| a.app == b.app)
        .map(|of_app| {
            let app = of_app[0].app;
            let mut documents = vec![service(app)];
            documents.extend(of_app.iter().map(slo));
            let texts: Result<Vec<_>, _> = documents.iter().map(serde_yaml_ng::to_string).collect();
            Ok(File { path: format!("{app}.yaml"), text: texts?.join("---\n") })
        })
        .collect()
}

fn service(app: &str) -> Value {
    json!({
        "apiVersion": "openslo/v1",
        "kind": "Service",
        "metadata": {"name": app, "displayName": app},
        "spec": {"description": format!("What users of {app} live through, measured at the client")},
    })
}

fn slo(one: &Promised<'_>) -> Value {
    let selector = one.selector();
    let source = |counter: &str| json!({"metricSource": {"type": "Prometheus", "spec": {"query": format!("{counter}{{{selector}}}")}}});
    json!({
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": one.name(), "displayName": one.title()},
        "spec": {
            "description": one.journey.promise,
            "service": one.app,
            "indicator": {
                "metadata": {"name": one.name(), "displayName": one.title()},
                "spec": {"ratioMetric": {
                    "counter": true,
                    "bad": source("sli_bad_total"),
                    "total": source("sli_valid_total"),
                }},
            },
            "timeWindow": [time_window(one.objective.window)],
            "budgetingMethod": "Occurrences",
            "objectives": [{"displayName": one.objective.name, "target": one.target_percent / 100.0}],
        },
    })
}

fn time_window(window: Window) -> Value {
    let period = match window {
        Window::Rolling { days } => return json!({"duration": format!("{days}d"), "isRolling": true}),
        Window::Calendar(Calendar::Week) => "1w",
        Window::Calendar(Calendar::Month) => "1M",
        Window::Calendar(Calendar::Quarter) => "1Q",
    };
    json!({
        "duration": period,
        "isRolling": false,
        "calendar": {"startTime": FIRST_PERIOD, "timeZone": "UTC"},
    })
}
