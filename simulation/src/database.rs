//! The database: ClickHouse as it was measured.
//!
//! - An insert becomes one part for each partition of its table (a week), and for each block of so many rows.
//! - A part whose token the table remembers is dropped, whatever it holds; nobody is told.
//! - A table remembers the tokens of its last so many parts, and forgets the oldest.
//! - Killed, the server has written any of the parts of an insert that was under way, in each table by itself.
//!
//! When requests come, and what becomes of the answers, is the world's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use aggregator::clickhouse::Insert;
use schema::definition::DefinitionSet;
use schema::rows::BatchRow;
use xxhash_rust::xxh3::xxh3_64;

use crate::dice::Dice;
use crate::law::{Law, Violation};

const WEEK_S: u64 = 7 * 24 * 3600;

/// One part of an insert.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its partition and place, which its token ends with.
    pub place: String,
    /// Rows as JSON lines.
    pub rows: String,
}

/// An insert, ready to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Table.
    pub table: &'static str,
    /// Deduplication token.
    pub token: String,
    /// The parts that the database makes of it.
    pub parts: Vec<Part>,
    /// The batch that it belongs to.
    pub batch: Arc<BatchRow>,
    /// Definition sets that it stores.
    pub sets: Vec<Arc<DefinitionSet>>,
}

impl Prepared {
    /// Splits `insert` as the database does, at most `block_rows` rows a part.
    pub fn new(
        insert: &Insert,
        batch: &Arc<BatchRow>,
        sets: &[Arc<DefinitionSet>],
        block_rows: usize,
    ) -> Self {
        let body = String::from_utf8_lossy(&insert.body);
        Self {
            table: insert.table,
            token: insert.token.clone(),
            parts: parts(body.lines(), block_rows),
            batch: Arc::clone(batch),
            sets: if insert.table == "definitions" { sets.to_vec() } else { Vec::new() },
        }
    }

    /// The same rows in another order, and the blocks that this makes.
    pub fn shuffled(mut self, dice: &mut Dice, block_rows: usize) -> Self {
        let mut rows: Vec<&str> = self.parts.iter().flat_map(|part| part.rows.lines()).collect();
        dice.shuffle(&mut rows);
        self.parts = parts(rows.into_iter(), block_rows);
        self
    }

    /// The same rows in blocks of half the size.
    pub fn halved(mut self) -> Self {
        let rows: Vec<&str> = self.parts.iter().flat_map(|part| part.rows.lines()).collect();
        let block_rows = rows.len().div_ceil(2).max(1);
        self.parts = parts(rows.into_iter(), block_rows);
        self
    }

    /// Rows of all parts.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows.lines().count()).sum()
    }
}

fn parts<'r>(rows: impl Iterator<Item = &'r str>, block_rows: usize) -> Vec<Part> {
    let mut weeks: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for row in rows {
        weeks.entry(week(row)).or_default().push(row);
    }
    let mut parts = Vec::new();
    for (week, rows) in weeks {
        for (number, block) in rows.chunks(block_rows).enumerate() {
            parts.push(Part { place: format!("{week}/{number}"), rows: block.join("\n") });
        }
    }
    parts
}

/// The table's partition that a row belongs to.
fn week(row: &str) -> u64 {
    let number = |name: &str| {
        let digits = row.split_once(name)?.1;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let time_s = number("\"window_start\":")
        .or_else(|| number("\"hour\":"))
        .or_else(|| number("\"start_ms\":").map(|start_ms| start_ms / 1000));
    time_s.map_or(0, |time_s| time_s / WEEK_S)
}

/// What tells a batch from every other, also of a log that was begun anew.
fn key(batch: &BatchRow) -> (i32, i64, i64, i64) {
    (batch.partition, batch.first_offset, batch.next_offset, batch.log_time_ms)
}

/// What the database did, for the end of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Parts that were dropped since their token was known.
    pub dropped: u64,
    /// Those of them that held something else than the first one.
    pub dropped_other: u64,
    /// Inserts of which only a part of the parts was written.
    pub partial: u64,
}

#[derive(Debug, Default)]
struct Table {
    parts: Vec<String>,
    remembered: BTreeMap<u64, u64>,
    order: VecDeque<u64>,
}

/// See the module.
#[derive(Debug)]
pub struct Database {
    window: usize,
    tables: BTreeMap<&'static str, Table>,
    progress: Vec<Arc<BatchRow>>,
    sets: BTreeMap<String, Arc<DefinitionSet>>,
    /// Rows that were ever written of a batch's table.
    written: BTreeMap<(i32, i64, i64, i64), BTreeMap<&'static str, u64>>,
    counts: Counts,
    violations: Vec<Violation>,
}

impl Database {
    /// An empty one whose tables remember `window` parts each.
    pub fn new(window: usize) -> Self {
        Self {
            window,
            tables: BTreeMap::new(),
            progress: Vec::new(),
            sets: BTreeMap::new(),
            written: BTreeMap::new(),
            counts: Counts::default(),
            violations: Vec::new(),
        }
    }

    /// Writes the whole insert.
    pub fn insert(&mut self, insert: &Prepared) {
        for part in &insert.parts {
            self.write(insert, part);
        }
    }

    /// Writes any of its parts, since the server is killed.
    pub fn insert_partly(&mut self, insert: &Prepared, dice: &mut Dice) {
        let mut written = 0;
        for part in &insert.parts {
            if dice.chance(50) {
                self.write(insert, part);
                written += 1;
            }
        }
        self.counts.partial += u64::from(written > 0 && written < insert.parts.len());
    }

    fn write(&mut self, insert: &Prepared, part: &Part) {
        let table = self.tables.entry(insert.table).or_default();
        let token = xxh3_64(format!("{}#{}", insert.token, part.place).as_bytes());
        let content = xxh3_64(part.rows.as_bytes());
        if let Some(first) = table.remembered.get(&token) {
            self.counts.dropped += 1;
            self.counts.dropped_other += u64::from(*first != content);
            return;
        }
        table.remembered.insert(token, content);
        table.order.push_back(token);
        if table.order.len() > self.window
            && let Some(oldest) = table.order.pop_front()
        {
            table.remembered.remove(&oldest);
        }
        table.parts.push(part.rows.clone());
        let batch = &insert.batch;
        let key = key(batch);
        *self.written.entry(key).or_default().entry(insert.table).or_default() +=
            part.rows.lines().count() as u64;
        for set in &insert.sets {
            self.sets.insert(set.id.clone(), Arc::clone(set));
        }
        if insert.table == "batches" {
            self.note_progress(batch);
        }
    }

    fn note_progress(&mut self, batch: &Arc<BatchRow>) {
        let written = self.written.get(&key(batch));
        for (table, rows) in &batch.rows {
            let written = written.and_then(|tables| tables.get(table.as_str())).copied().unwrap_or(0);
            if written < *rows {
                let range = format!("{}/{}-{}", batch.partition, batch.first_offset, batch.next_offset);
                let detail = format!("batch {range} is progress with {written} of {rows} rows in {table}");
                self.violations.push(Violation { law: Law::Progress, detail });
            }
        }
        self.progress.push(Arc::clone(batch));
    }

    /// The row that says where a partition goes on: the last by log time.
    pub fn last_batch(&self, partition: i32) -> Option<Arc<BatchRow>> {
        let rows = self.progress.iter().filter(|row| row.partition == partition);
        rows.max_by_key(|row| (row.log_time_ms, row.next_offset)).cloned()
    }

    /// A stored definition set.
    pub fn definitions(&self, id: &str) -> Option<Arc<DefinitionSet>> {
        self.sets.get(id).cloned()
    }

    /// Every row of `batches`.
    pub fn progress(&self) -> &[Arc<BatchRow>] {
        &self.progress
    }

    /// The rows of every table, a part each.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.tables.iter().flat_map(|(name, table)| table.parts.iter().map(|rows| (*name, rows.as_str())))
    }

    /// What it did.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Progress that was ahead of its data.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}
