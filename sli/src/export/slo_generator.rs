//! Configuration for Google's slo-generator, and the backend that asks `sli serve`.
//! <https://github.com/google/slo-generator>

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{File, Promised};

/// The backend, a Python module with nothing but the standard library.
const BACKEND: &str = include_str!("slo_generator/client_sli.py");
/// Name of its class, as slo-generator imports it.
const BACKEND_CLASS: &str = "client_sli.ClientSliBackend";
/// Seconds of a day.
const DAY_S: u32 = 86_400;

/// The files: the backend, its configuration, and one for each objective.
pub(super) fn files(promised: &[Promised<'_>], serve_url: &str) -> anyhow::Result<Vec<File>> {
    let mut files = vec![
        File { path: "client_sli.py".into(), text: BACKEND.into() },
        File { path: "config.yaml".into(), text: serde_yaml_ng::to_string(&config(promised, serve_url))? },
    ];
    for one in promised {
        let text = serde_yaml_ng::to_string(&slo(one))?;
        files.push(File { path: format!("slos/{}.yaml", one.name()), text });
    }
    Ok(files)
}

fn config(promised: &[Promised<'_>], serve_url: &str) -> Value {
    let windows: BTreeSet<_> = promised.iter().map(Promised::days).collect();
    let policies: Map<_, _> = windows.into_iter().map(|days| (policy(days), steps(days))).collect();
    json!({
        "backends": {BACKEND_CLASS: {"url": serve_url}},
        "exporters": {},
        "error_budget_policies": policies,
    })
}

fn policy(days: u16) -> String {
    format!("window-{days}d")
}

fn steps(days: u16) -> Value {
    json!({"steps": [{
        "name": format!("{days} days"),
        "window": u32::from(days) * DAY_S,
        "burn_rate_threshold": 1,
        "alert": false,
        "message_alert": "The promise is broken: do what the policy says",
        "message_ok": "The promise is kept",
    }]})
}

fn slo(one: &Promised<'_>) -> Value {
    json!({
        "apiVersion": "sre.google.com/v2",
        "kind": "ServiceLevelObjective",
        "metadata": {
            "name": one.name(),
            "labels": {
                "service_name": one.app,
                "feature_name": one.journey.name,
                "slo_name": one.objective.name,
            },
        },
        "spec": {
            "description": one.journey.promise,
            "backend": BACKEND_CLASS,
            "method": "good_bad_ratio",
            "exporters": [],
            "error_budget_policy": policy(one.days()),
            "service_level_indicator": {
                "app": one.app,
                "journey": one.journey.name,
                "objective": one.objective.name,
            },
            "goal": one.target_percent / 100.0,
        },
    })
}
