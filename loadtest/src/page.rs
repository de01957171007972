//! Pages of the documentation whose numbers come from a run: what stands between two markers is written by its command.

use std::path::Path;

use anyhow::{Context, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::report::machine::Machine;

/// What stands where there is no number.
pub const NONE: &str = "–";

/// The lines that a command owns in a page.
fn markers(name: &str) -> (String, String) {
    (format!("<!-- {name}: written by loadtest -->"), format!("<!-- {name}: end -->"))
}

/// Puts `text` between the markers of `name` in the page at `path`.
///
/// # Errors
/// When the page cannot be read or written, or does not have the markers once each, in their order.
pub fn write(path: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let page = replaced(&page, name, text).with_context(|| format!("page {}", path.display()))?;
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))
}

/// That `path` can be written, before minutes are spent.
///
/// # Errors
/// As [`write()`].
pub fn check(path: &Path, name: &str) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    replaced(&page, name, "").map(drop).with_context(|| format!("page {}", path.display()))
}

/// What stands between the markers of `name` in the page at `path`.
///
/// # Errors
/// As [`write()`].
pub fn part(path: &Path, name: &str) -> anyhow::Result<String> {
    check(path, name)?;
    let page = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let (begin, end) = markers(name);
    let (_, rest) = page.split_once(&begin).context("the beginning is missing")?;
    let (text, _) = rest.split_once(&end).context("the end is missing")?;
    Ok(text.trim().to_owned())
}

/// Writes what a page is made from as JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json(path: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Reads it again.
///
/// # Errors
/// When the file cannot be read, or is something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// A table of Markdown.
pub fn table<S: AsRef<str>>(header: &[S]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header.iter().map(AsRef::as_ref));
    table
}

/// Aligns columns of numbers.
pub fn align_right(table: &mut Table, columns: std::ops::RangeInclusive<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// What every table says first: the command, what took part, and the machine that all of it shares.
pub fn measured_on(command: &str, versions: &str, machine: &Machine) -> String {
    let Machine { processor, cores, memory_bytes, system, load_1m } = machine;
    format!(
        "`{command}`, {versions}; {processor}, {cores} cores that the generator and all servers share, {:.0} GiB, {system}, \
         load before {load_1m:.2}.",
        *memory_bytes as f64 / f64::from(1 << 30)
    )
}

fn replaced(page: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = markers(name);
    for marker in [&begin, &end] {
        let found = page.matches(marker.as_str()).count();
        if found != 1 {
            bail!("{marker:?} must stand there once, and stands there {found} times");
        }
    }
    let Some(((before, rest), (_, after))) = page.split_once(&begin).zip(page.split_once(&end)) else {
        bail!("the markers of {name} are missing");
    };
    if !rest.contains(&end) {
        bail!("the end of {name} stands before its beginning");
    }
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n<!-- t: written by loadtest -->\nold\n<!-- t: end -->\nafter\n";

    #[test]
    fn what_stands_between_the_markers_is_replaced_and_nothing_else() {
        let once = replaced(PAGE, "t", "| new |\n").unwrap();
        assert_eq!(once, "# A\n<!-- t: written by loadtest -->\n\n| new |\n\n<!-- t: end -->\nafter\n");
        assert_eq!(replaced(&once, "t", "| new |\n").unwrap(), once);
    }

    #[test]
    fn a_page_without_its_markers_is_refused() {
        for page in ["", "<!-- t: written by loadtest -->", "<!-- t: end --><!-- t: written by loadtest -->"]
        {
            assert!(replaced(page, "t", "x").is_err(), "{page}");
        }
        assert!(replaced(&format!("{PAGE}{PAGE}"), "t", "x").unwrap_err().to_string().contains("2 times"));
    }
}
