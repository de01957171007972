//! Every query of the Grafana dashboards, with Grafana's macros and variables filled in, on rows that give it an answer.

use std::path::Path;

use serde_json::Value;

use super::{Database, cookbook};

/// The queries of a dashboard, panels' and variables', with what they are for.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let of_panels = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().expect("targets").iter();
        targets.map(move |target| (text(&panel["title"]), text(&target["rawSql"])))
    });
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
    let of_variables = variables
        .filter(|variable| variable["type"] == "query")
        .map(|variable| (text(&variable["name"]), text(&variable["query"])));
    of_panels.chain(of_variables).collect()
}

/// The query as Grafana would send it for the rows of the cookbook.
fn filled(query: &str) -> String {
    let query = query
        .replace("${app:singlequote}", "'studyapp-web'")
        .replace("${journey:singlequote}", "'watch-lecture'");
    let mut parts = query.split("$__timeFilter(");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (column, rest) = part.split_once(')').expect("a macro ends");
        filled.push_str(&format!("{column} >= now() - INTERVAL 7 DAY AND {column} <= now(){rest}"));
    }
    assert!(!filled.contains('$'), "a macro or variable that nobody fills in: {filled}");
    filled
}

#[tokio::test]
async fn every_panel_has_an_answer() {
    let database = Database::start().await;
    let base = database.recent_hour().await;
    cookbook::fill(&database, base).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let text = std::fs::read_to_string(entry.expect("a file").path()).expect("a text");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        for (title, query) in queries(&dashboard) {
            let rows = database.read(&filled(&query)).await;
            // What does not add up is not there.
            assert_eq!(rows.is_empty(), query.contains("sli.audit"), "{title}: {rows:?}");
            count += 1;
        }
    }
    assert!(count > 0);
    database.stop().await;
}
