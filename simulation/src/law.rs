//! The law: what must hold of the tables at the end, whatever happened.
//!
//! | law | what it says |
//! |---|---|
//! | progress | at no time a row of `batches` stood there before the rows that it stands for |
//! | tables | every table sums up to what one undisturbed owner makes of the same log |
//! | batches | `batches` holds the rows of that owner, each once |
//! | ranges | the batches of a partition cover it without gap and overlap |
//! | balance | records = counted + each reason, in every batch |
//! | truth | the tables say what the generator knows, without the engine |
//! | content | what is inserted again under a token has the rows of the first time |
//! | end | everything is written in the end |
//! | loud | a start says that something was lost when it was, and only then |

use std::collections::BTreeMap;
use std::fmt;

use schema::rows::BatchRow;
use serde_json::Value;

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the module's table says what each is")]
pub enum Law {
    Progress,
    Tables,
    Batches,
    Ranges,
    Balance,
    Truth,
    Content,
    End,
    Loud,
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Of which law.
    pub law: Law,
    /// What: where, wanted and found.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.law, self.detail)
    }
}

/// Differences that are told of one law.
const TOLD_MAX: usize = 8;

/// Characters of a row or key that are told.
const TOLD_CHARS_MAX: usize = 200;

/// Tables whose rows are not sums.
const ROW_TABLES: [&str; 5] =
    ["attempt_samples", "batches", "journey_definitions", "objective_definitions", "definitions"];

/// Whether `found` sums up to `wanted`; both are parts of tables.
pub fn compare_tables<'p>(
    wanted: impl Iterator<Item = (&'static str, &'p str)>,
    found: impl Iterator<Item = (&'static str, &'p str)>,
) -> Vec<Violation> {
    let (mut wanted, mut found): (Vec<_>, Vec<_>) = (wanted.collect(), found.collect());
    wanted.sort_unstable();
    found.sort_unstable();
    if wanted == found {
        return Vec::new();
    }
    compare_sums(&sums(&wanted), &sums(&found))
}

fn compare_sums(wanted: &Sums, found: &Sums) -> Vec<Violation> {
    let mut told: BTreeMap<Law, usize> = BTreeMap::new();
    let mut violations = Vec::new();
    for (key, want, got) in differences(wanted, found) {
        let law = if key.0 == "batches" { Law::Batches } else { Law::Tables };
        let told = told.entry(law).or_default();
        *told += 1;
        if *told <= TOLD_MAX {
            let row: String = key.1.chars().take(TOLD_CHARS_MAX).collect();
            let detail = format!("{} {row}: want {want}, got {got}", key.0);
            violations.push(Violation { law, detail });
        }
    }
    violations
}

/// Keys with different counts, with both counts.
pub fn differences<'s, K: Ord>(
    wanted: &'s BTreeMap<K, u64>,
    found: &'s BTreeMap<K, u64>,
) -> impl Iterator<Item = (&'s K, u64, u64)> {
    let of = |counts: &BTreeMap<K, u64>, key: &K| counts.get(key).copied().unwrap_or(0);
    let missing = found.keys().filter(|key| !wanted.contains_key(key));
    wanted.keys().chain(missing).filter_map(move |key| {
        let (want, got) = (of(wanted, key), of(found, key));
        (want != got).then_some((key, want, got))
    })
}

/// Table, and key with column → sum.
type Sums = BTreeMap<(&'static str, String), u64>;

fn sums(parts: &[(&'static str, &str)]) -> Sums {
    let mut sums = Sums::new();
    for (table, rows) in parts {
        for row in rows.lines() {
            if ROW_TABLES.contains(table) {
                *sums.entry((*table, row.to_owned())).or_default() += 1;
            } else {
                add_row(&mut sums, table, row);
            }
        }
    }
    sums
}

/// Texts and windows are a row's key; numbers are sums, and so are the numbers of maps.
fn add_row(sums: &mut Sums, table: &'static str, row: &str) {
    let Ok(Value::Object(row)) = serde_json::from_str(row) else {
        unreachable!("the writer sends JSON objects");
    };
    let is_key = |name: &str| matches!(name, "window_start" | "hour" | "step_number");
    let key: Vec<String> = row
        .iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if is_key(name) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    let key = key.join("|");
    let mut add = |column: String, value: &Value| {
        let count = value.as_u64().unwrap_or(0);
        if count > 0 {
            *sums.entry((table, format!("{key} {column}"))).or_default() += count;
        }
    };
    for (name, value) in row.iter().filter(|(name, _)| !is_key(name)) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(entry, value)| add(format!("{name}[{entry}]"), value))
            }
            Value::Number(_) => add(name.clone(), value),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
        }
    }
}

/// Ranges and balance of the rows of `batches`.
pub fn check_batches<'r>(rows: impl Iterator<Item = &'r BatchRow>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut partitions: BTreeMap<i32, Vec<&BatchRow>> = BTreeMap::new();
    for row in rows {
        partitions.entry(row.partition).or_default().push(row);
        let not_counted: u64 = row.reasons.values().sum();
        let range = (row.next_offset - row.first_offset) as u64;
        if row.records != row.counted + not_counted || range != row.records + row.missing_offsets {
            let detail = format!(
                "batch {}/{}-{}: {} records, {} missing, {} counted, {not_counted} not",
                row.partition,
                row.first_offset,
                row.next_offset,
                row.records,
                row.missing_offsets,
                row.counted
            );
            violations.push(Violation { law: Law::Balance, detail });
        }
    }
    for (partition, mut rows) in partitions {
        rows.sort_by_key(|row| (row.first_offset, row.next_offset));
        for pair in rows.windows(2) {
            if pair[0].next_offset != pair[1].first_offset {
                let what = if pair[0].next_offset < pair[1].first_offset { "a gap" } else { "an overlap" };
                let detail = format!(
                    "partition {partition}: {what} between {}-{} and {}-{}",
                    pair[0].first_offset, pair[0].next_offset, pair[1].first_offset, pair[1].next_offset
                );
                violations.push(Violation { law: Law::Ranges, detail });
            }
        }
    }
    violations.truncate(TOLD_MAX);
    violations
}
