//! How commands write: tables for people, coloured in a terminal, and JSON for programs.

use std::io::IsTerminal;

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table.
    Table,
    /// JSON.
    Json,
}

/// A table of texts; states have their colour where standard output is a terminal.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    if std::io::stdout().is_terminal() {
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(presets::ASCII_MARKDOWN).force_no_tty();
    }
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row.map(|text| match color(&text) {
            Some(color) => Cell::new(text).fg(color),
            None => Cell::new(text),
        }));
    }
    table.to_string()
}

/// A ratio in percent; a dash where there is none.
pub(crate) fn share(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.2} %", ratio * 100.0))
}

fn color(state: &str) -> Option<Color> {
    match state {
        "kept" | "added" => Some(Color::Green),
        "at_risk" | "changed" => Some(Color::Yellow),
        "broken" | "removed" => Some(Color::Red),
        _ => None,
    }
}
