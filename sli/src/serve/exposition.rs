//! Cumulative counters of every objective in Prometheus' text format.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! They are sums of a table of which nothing expires, so they go on where they were after a restart of any part, and
//! never fall. `sli_valid_total` and `sli_bad_total` are there from an objective's activation on, at 0. Where a session is the
//! attempt it counts as valid at its start and as bad when its failure comes, so its good ones would fall: there
//! is no `sli_good_total` then, and valid less bad says it.

use std::collections::HashMap;
use std::fmt::Write;

use crate::numbers::{Listed, Total};

/// The page for the current objectives.
pub(super) fn page(listed: &[Listed], totals: &[Total]) -> String {
    let totals: HashMap<_, _> = totals.iter().map(|total| (key_of_total(total), total)).collect();
    let counts = |one: &Listed| totals.get(&key(one)).map_or((0, 0), |total| (total.valid, total.bad));
    let mut page = String::new();
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Listed) -> Option<String>| {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for one in listed {
            if let Some(value) = value(one) {
                let _ = writeln!(page, "{name}{{{}}} {value}", labels(one));
            }
        }
    };
    family(
        "sli_valid_total",
        "counter",
        "Attempts that the objective judges, since its activation.",
        &|one| Some(counts(one).0.to_string()),
    );
    family("sli_bad_total", "counter", "Those of them that were not good.", &|one| {
        Some(counts(one).1.to_string())
    });
    family(
        "sli_good_total",
        "counter",
        "Those of them that were good; not where a session is the attempt.",
        &|one| {
            let (valid, bad) = counts(one);
            (one.attempt != "session").then(|| valid.saturating_sub(bad).to_string())
        },
    );
    family("sli_objective_target_ratio", "gauge", "Share of the valid attempts that must be good.", &|one| {
        one.target.map(|target| target.to_string())
    });
    family(
        "sli_complete_until_timestamp_seconds",
        "gauge",
        "Until when every attempt has been counted, seconds since the epoch.",
        &|one| one.complete_until.map(|until| until.to_string()),
    );
    page
}

type ObjectiveKey<'a> = [&'a str; 4];

fn key(one: &Listed) -> ObjectiveKey<'_> {
    [&one.app, &one.journey, &one.objective, &one.version]
}

fn key_of_total(one: &Total) -> ObjectiveKey<'_> {
    [&one.app, &one.journey, &one.objective, &one.version]
}

fn labels(one: &Listed) -> String {
    let names = ["app", "journey", "objective", "version"];
    let labels: Vec<_> = names
        .into_iter()
        .zip(key(one))
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    labels.join(",")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(objective: &str, attempt: &str) -> Listed {
        Listed {
            app: "web".into(),
            journey: "watch \"it\"".into(),
            objective: objective.into(),
            version: "v1".into(),
            target: (attempt == "journey").then_some(0.995),
            complete_until: Some(1_795_405_620),
            attempt: attempt.into(),
        }
    }

    #[test]
    fn an_objective_begins_at_zero_and_sessions_have_no_counter_that_could_fall() {
        let total = Total {
            app: "web".into(),
            journey: "watch \"it\"".into(),
            objective: "works".into(),
            version: "v1".into(),
            valid: 10,
            bad: 3,
        };
        let former = Total { version: "v0".into(), valid: 1_000, ..total.clone() };
        let page = page(
            &[listed("works", "journey"), listed("fast", "journey"), listed("free", "session")],
            &[former, total],
        );
        insta::assert_snapshot!(page);
    }
}
