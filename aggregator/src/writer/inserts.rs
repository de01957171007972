//! A batch as inserts: rows as JSON lines, the columns by name, and a token that is the same for whoever makes
//! the same batch. Serialised once; a retry sends the same bytes.

use std::fmt;

use bytes::Bytes;
use schema::rows::{
    BatchRow, DefinitionRow, JourneyDefinitionRow, ObjectiveDefinitionRow, PolicyDefinitionRow,
};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::Serialize;

use crate::clickhouse::Insert;
use crate::engine::Batch;

/// Everything that a batch writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserts {
    /// Rows of the tables that have any; their order does not matter.
    pub tables: Vec<Insert>,
    /// Definition sets that became active, in the order of writing.
    pub definitions: Vec<Insert>,
    /// The batch's own row, to be written when everything else is confirmed.
    pub progress: Insert,
}

/// The inserts of `batch`.
pub fn of_batch(batch: &Batch) -> Inserts {
    let row = &batch.row;
    let tables = [
        insert(row, "journey_minutes", &batch.journey_minutes),
        insert(row, "journey_hours", &batch.journey_hours),
        insert(row, "journey_steps", &batch.journey_steps),
        insert(row, "objective_minutes", &batch.objective_minutes),
        insert(row, "objective_hours", &batch.objective_hours),
        insert(row, "objective_totals", &batch.objective_totals),
        insert(row, "attempt_samples", &batch.attempt_samples),
        insert(row, "seen_events", &batch.seen_events),
        insert(row, "quality", &batch.quality),
    ];
    let activated_at_ms = row.log_time_ms;
    let sets = &batch.definitions;
    let journeys: Vec<_> =
        sets.iter().flat_map(|set| JourneyDefinitionRow::all(set, activated_at_ms)).collect();
    let objectives: Vec<_> =
        sets.iter().flat_map(|set| ObjectiveDefinitionRow::all(set, activated_at_ms)).collect();
    let policies: Vec<_> =
        sets.iter().flat_map(|set| PolicyDefinitionRow::all(set, activated_at_ms)).collect();
    let contents: Vec<_> = sets.iter().map(|set| DefinitionRow::new(set, activated_at_ms)).collect();
    let definitions = [
        insert(row, "journey_definitions", &journeys),
        insert(row, "objective_definitions", &objectives),
        insert(row, "policy_definitions", &policies),
        insert(row, "definitions", &contents),
    ];
    let not_empty = |insert: &Insert| insert.rows > 0;
    Inserts {
        tables: tables.into_iter().filter(not_empty).collect(),
        definitions: definitions.into_iter().filter(not_empty).collect(),
        progress: insert(row, "batches", std::slice::from_ref(row)),
    }
}

/// The same batch has the same token, whoever writes it: `topic/partition/from-to@log time/table`.
///
/// The log time tells apart the batches of a topic that was recreated, whose offsets come again.
fn token(row: &BatchRow, table: &str) -> String {
    let BatchRow { topic, partition, first_offset, next_offset, log_time_ms, .. } = row;
    format!("{topic}/{partition}/{first_offset}-{next_offset}@{log_time_ms}/{table}")
}

fn insert<T: Serialize>(row: &BatchRow, table: &'static str, rows: &[T]) -> Insert {
    let mut body = Vec::new();
    let mut columns = Vec::new();
    for row in rows {
        if let Err(error) = serde_json::to_writer(&mut body, row) {
            unreachable!("rows have only types that JSON encodes: {error}");
        }
        if columns.is_empty() {
            columns = names(&body);
        }
        body.push(b'\n');
    }
    Insert { table, columns, token: token(row, table), body: Bytes::from(body), rows: rows.len() as u64 }
}

/// The field names of a JSON object, in their order.
fn names(object: &[u8]) -> Vec<String> {
    match serde_json::from_slice::<Names>(object) {
        Ok(names) => names.0,
        Err(error) => unreachable!("a row is a JSON object: {error}"),
    }
}

struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;
        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(NamesVisitor)
    }
}

#[cfg(test)]
mod tests;
