//! Which events an app sends, and which of them no journey of a team looks at yet.

use std::collections::{BTreeMap, BTreeSet};

use deploy::clickhouse::ClickHouse;
use schema::definition::{DefinitionSet, standard};
use serde::Deserialize;

use super::sequences::What;
use crate::play::play;
use crate::recording::Recording;

/// How often each event was seen that no team's journey looks at; the standard ones look at whole kinds of events.
pub(super) type Seen = BTreeMap<What, u64>;

/// A row of `sli.seen_events`, summed up.
#[derive(Debug, Deserialize)]
struct Row {
    event: String,
    name: String,
    seen: u64,
    matched: Vec<String>,
}

/// Those of the last 30 days.
pub(super) async fn of_tables(clickhouse: &ClickHouse, apps: &[String]) -> anyhow::Result<Seen> {
    let sql = "SELECT event, name, sum(seen) AS seen, mapKeys(sumMap(matched)) AS matched FROM sli.seen_events \
        WHERE has(splitByChar(',', {apps:String}), app) GROUP BY event, name ORDER BY event, name";
    let rows = clickhouse.query_as::<Row>(sql, &[("apps", apps.join(","))]).await?;
    Ok(unlooked_at(rows))
}

/// Those of a recording.
pub(super) fn of_recording(recording: &Recording, set: &DefinitionSet) -> Seen {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    for row in play(recording, set).seen {
        let sum = rows.entry((row.event.clone(), row.name.clone())).or_insert_with(|| Row {
            event: row.event,
            name: row.name,
            seen: 0,
            matched: Vec::new(),
        });
        sum.seen += row.seen;
        sum.matched.extend(row.matched.into_keys());
    }
    unlooked_at(rows.into_values())
}

fn unlooked_at(rows: impl IntoIterator<Item = Row>) -> Seen {
    let standard: BTreeSet<String> = standard::journeys().into_iter().map(|journey| journey.name).collect();
    let free = rows.into_iter().filter(|row| row.matched.iter().all(|journey| standard.contains(journey)));
    free.map(|row| (What { event: row.event, name: row.name }, row.seen)).collect()
}
