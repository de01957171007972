//! Where the numbers of a bench go beside the terminal: a file for machines, and a page of the documentation.

use std::path::PathBuf;

use loadtest::page;
use serde::Serialize;

/// The files that are wanted.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Numbers")]
pub(crate) struct Numbers {
    /// File for the same numbers as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Page of Markdown whose part between this command's markers is written anew.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

impl Numbers {
    /// That the page has the markers of `part`, before minutes are spent.
    ///
    /// # Errors
    /// When it has not, or cannot be read.
    pub(crate) fn check(&self, part: &str) -> anyhow::Result<()> {
        self.page.as_deref().map_or(Ok(()), |path| page::check(path, part))
    }

    /// Prints the tables, and writes what is wanted.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(&self, part: &str, report: &impl Serialize, markdown: &str) -> anyhow::Result<()> {
        println!("{markdown}");
        if let Some(path) = &self.json {
            page::write_json(path, report)?;
            eprintln!("numbers in {}", path.display());
        }
        if let Some(path) = &self.page {
            page::write(path, part, markdown)?;
            eprintln!("page {}", path.display());
        }
        Ok(())
    }
}
