//! The table of outcomes as Markdown: read row by row, and written in the same form.

use std::fmt;

/// What becomes of one case. An empty cell says that there is nothing of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) what_happens: String,
    /// Of each journey, route and minute: outcomes, how many are valid, reasons, latency or wait.
    pub(super) attempts: String,
    /// Of each step: how many reached it, of those that reached the one before.
    pub(super) steps: String,
    /// Of each objective: good of valid.
    pub(super) objectives: String,
    pub(super) sessions: String,
    pub(super) otherwise: String,
}

const COLUMNS: [&str; 7] =
    ["case", "what happens", "attempts", "steps", "objectives", "sessions", "not counted, and why"];

/// The rows of every table in `text` that has these columns.
pub(super) fn read(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let cells = cells(line);
        let is_head = cells == COLUMNS;
        if inside && !cells.is_empty() && !line.starts_with("|---") {
            rows.push(Row::of(&cells));
        }
        inside = is_head || (inside && !cells.is_empty());
        assert!(inside || cells.is_empty(), "a table has the columns {COLUMNS:?}, not {cells:?}");
    }
    rows
}

fn cells(line: &str) -> Vec<&str> {
    match line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
        Some(line) => line.split('|').map(str::trim).collect(),
        None => Vec::new(),
    }
}

impl Row {
    fn of(cells: &[&str]) -> Self {
        let [case, what_happens, attempts, steps, objectives, sessions, otherwise] =
            <[&str; 7]>::try_from(cells).unwrap_or_else(|_| panic!("{} cells: {cells:?}", cells.len()));
        let case = case.trim_matches('`');
        let texts = [case, what_happens, attempts, steps, objectives, sessions, otherwise].map(str::to_owned);
        let [case, what_happens, attempts, steps, objectives, sessions, otherwise] = texts;
        Self { case, what_happens, attempts, steps, objectives, sessions, otherwise }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, what_happens, attempts, steps, objectives, sessions, otherwise } = self;
        write!(
            f,
            "| `{case}` | {what_happens} | {attempts} | {steps} | {objectives} | {sessions} | {otherwise} |"
        )
    }
}
