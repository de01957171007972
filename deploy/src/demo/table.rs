//! The demo's table: rows of the views as text.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use serde_json::Value;

/// Attempts of every app and journey. Ratios are sums divided by sums, quantiles come from merged histograms.
pub(super) const JOURNEYS: &str = "
SELECT
    j.app AS app,
    j.journey AS journey,
    any(j.title) AS title,
    any(j.promise) AS promise,
    any(j.product) AS product,
    any(j.unit) AS unit,
    sum(j.attempts) AS attempt_count,
    sum(j.valid) AS valid_count,
    sum(j.success) AS success_count,
    arrayMap(
        key -> key / if(unit = 'score', 10000, 1),
        quantilesExactWeightedArray(0.5, 0.75, 0.95, 0.99)(mapKeys(j.latency), mapValues(j.latency))
    ) AS quantiles,
    arraySum(mapValues(sumMap(j.latency))) > 0 AS has_latency
FROM sli.journeys AS j
GROUP BY j.app, j.journey
ORDER BY product = '', title, journey, app";

/// Objectives of every app and journey.
pub(super) const STATES: &str = "
SELECT app, journey, objective, target, ratio, state
FROM sli.slo_status
ORDER BY app, journey, objective = 'works' DESC, objective";

/// Colour of an objective's state.
fn color(state: &str) -> Color {
    match state {
        "kept" => Color::Green,
        "at_risk" => Color::Yellow,
        "broken" => Color::Red,
        _ => Color::Grey,
    }
}

/// The table as text, coloured when standard output is a terminal.
pub(super) fn render(journeys: &[Value], states: &[Value]) -> String {
    let is_terminal = std::io::stdout().is_terminal();
    let mut table = Table::new();
    if is_terminal {
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(presets::ASCII_MARKDOWN).force_no_tty();
    }
    let header = ["journey", "app", "attempts", "success", "p50", "p75", "p95", "p99", "objectives"];
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    let states = states_by_journey(states);
    for row in journeys {
        table.add_row(cells(row, &states));
    }
    if journeys.is_empty() {
        return "no journey was seen".into();
    }
    format!("{table}\n\n{}", promises(journeys))
}

fn states_by_journey(states: &[Value]) -> BTreeMap<(&str, &str), Vec<&Value>> {
    let mut by_journey: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for state in states {
        by_journey.entry((text(state, "app"), text(state, "journey"))).or_default().push(state);
    }
    by_journey
}

fn cells(row: &Value, states: &BTreeMap<(&str, &str), Vec<&Value>>) -> Vec<Cell> {
    let right = |content: String| Cell::new(content).set_alignment(CellAlignment::Right);
    let title = match text(row, "title") {
        "" => text(row, "journey"),
        title => title,
    };
    let valid = row["valid_count"].as_f64().unwrap_or_default();
    let ratio = (valid > 0.0).then(|| row["success_count"].as_f64().unwrap_or_default() / valid);
    let mut cells = vec![
        Cell::new(title),
        Cell::new(text(row, "app")),
        right(row["attempt_count"].to_string()),
        right(ratio.map_or_else(no_value, percent)),
    ];
    for index in 0..4 {
        let value = row["quantiles"].get(index).and_then(Value::as_f64);
        cells.push(right(match value {
            Some(value) if row["has_latency"].as_u64() == Some(1) => quantity(value, text(row, "unit")),
            Some(_) | None => no_value(),
        }));
    }
    let objectives =
        states.get(&(text(row, "app"), text(row, "journey"))).map(Vec::as_slice).unwrap_or_default();
    cells.push(objective_cell(objectives));
    cells
}

/// Each objective with its state; the cell has the colour of the worst.
fn objective_cell(objectives: &[&Value]) -> Cell {
    let lines: Vec<_> = objectives.iter().map(|objective| describe(objective)).collect();
    let worst = ["broken", "at_risk", "kept"]
        .into_iter()
        .find(|state| objectives.iter().any(|objective| text(objective, "state") == *state));
    // Rows of a table for pipes stay one line each.
    let cell = Cell::new(lines.join("; "));
    match worst {
        Some(state) => cell.fg(color(state)),
        None => cell,
    }
}

fn describe(objective: &Value) -> String {
    let state = text(objective, "state").replace('_', " ");
    let name = match text(objective, "objective") {
        "" => return state,
        name => name,
    };
    match (objective["ratio"].as_f64(), objective["target"].as_f64()) {
        (Some(ratio), Some(target)) => format!("{name}: {state} ({} of {})", percent(ratio), percent(target)),
        (Some(ratio), None) => format!("{name}: {state} ({})", percent(ratio)),
        (None, _) => format!("{name}: {state}"),
    }
}

/// The promises behind the journeys that have one, once each.
fn promises(journeys: &[Value]) -> String {
    let promises: BTreeMap<_, _> = journeys
        .iter()
        .filter(|row| !text(row, "promise").is_empty() && !text(row, "product").is_empty())
        .map(|row| (text(row, "title"), text(row, "promise")))
        .collect();
    promises.iter().map(|(title, promise)| format!("{title}: {promise}")).collect::<Vec<_>>().join("\n")
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_default()
}

fn no_value() -> String {
    "–".into()
}

/// A share with as many digits as it needs: 99.95 % is not 100 %.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if share == 1.0 || share == 0.0 {
        format!("{percent:.0} %")
    } else {
        // Rounded down, so that nothing below a target reads as the target.
        format!("{:.2} %", (percent * 100.0 + 1e-9).floor() / 100.0)
    }
}

fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "score" => format!("{value:.3}"),
        _ if value >= 10_000.0 => format!("{:.1} s", value / 1_000.0),
        _ => format!("{value:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_and_quantities_read_as_they_are() {
        let check = |got: String, expect: &str| assert_eq!(got, expect);
        check(percent(1.0), "100 %");
        check(percent(0.999_99), "99.99 %");
        check(percent(0.995), "99.50 %");
        check(percent(0.0), "0 %");
        check(quantity(153.0, "ms"), "153 ms");
        check(quantity(12_340.0, "ms"), "12.3 s");
        check(quantity(0.0123, "score"), "0.012");
    }

    #[test]
    fn a_journey_is_one_line_with_its_objectives() {
        let journeys = [json!({
            "app": "web", "journey": "watch", "title": "Watch a lecture", "promise": "It plays.",
            "product": "school", "unit": "ms", "attempt_count": 7, "valid_count": 4, "success_count": 3,
            "quantiles": [100.0, 200.0, 300.0, 400.0], "has_latency": 1,
        })];
        let states = [
            json!({"app": "web", "journey": "watch", "objective": "works", "target": 0.995, "ratio": 0.75, "state": "broken"}),
            json!({"app": "web", "journey": "watch", "objective": "fast", "target": null, "ratio": null, "state": "no_objective"}),
            json!({"app": "ios", "journey": "watch", "objective": "works", "target": 0.9, "ratio": 1.0, "state": "kept"}),
        ];
        let shown = render(&journeys, &states);
        let line = shown.lines().nth(2).unwrap();
        let columns: Vec<_> = line.split('|').map(str::trim).filter(|column| !column.is_empty()).collect();
        assert_eq!(
            columns,
            [
                "Watch a lecture",
                "web",
                "7",
                "75.00 %",
                "100 ms",
                "200 ms",
                "300 ms",
                "400 ms",
                "works: broken (75.00 % of 99.50 %); fast: no objective"
            ]
        );
        assert!(shown.ends_with("Watch a lecture: It plays."), "{shown}");
    }

    #[test]
    fn what_has_no_value_shows_none() {
        let journeys = [json!({
            "app": "web", "journey": "odd", "title": "", "promise": "", "product": "", "unit": "ms",
            "attempt_count": 1, "valid_count": 0, "success_count": 0, "quantiles": [0, 0, 0, 0], "has_latency": 0,
        })];
        let shown = render(&journeys, &[]);
        assert!(shown.contains("| odd "), "{shown}");
        assert_eq!(shown.matches('–').count(), 5, "{shown}");
        assert_eq!(render(&[], &[]), "no journey was seen");
    }
}
