//! What people see on standard error while something takes its time: bars on a terminal, plain lines
//! elsewhere.
//!
//! Standard output belongs to results: the `ready` line and the demo's table.

use std::fmt::Display;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a bar is drawn.
const TICK: Duration = Duration::from_millis(120);

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Moving bars.
    Terminal,
    /// A line when something begins and one when it is done.
    Lines,
    /// Only what takes long (downloads, builds) or is wrong (a part that was restarted).
    Quiet,
}

impl Progress {
    /// Bars when standard error is a terminal, else lines.
    pub fn detect() -> Self {
        if std::io::stderr().is_terminal() { Self::Terminal } else { Self::Lines }
    }

    /// Says a line whatever the mode.
    pub fn say(self, line: impl Display) {
        eprintln!("{line}");
    }

    /// Says a line unless quiet.
    pub fn note(self, line: impl Display) {
        if self != Self::Quiet {
            eprintln!("{line}");
        }
    }

    /// Begins something that takes a few seconds.
    pub fn step(self, what: &str) -> Step {
        self.begin(what, self == Self::Quiet)
    }

    /// Begins something that may take minutes: it is said in quiet mode as well.
    pub fn long_step(self, what: &str) -> Step {
        self.begin(what, false)
    }

    fn begin(self, what: &str, silent: bool) -> Step {
        let bar = match self {
            Self::Terminal => {
                let bar = ProgressBar::new_spinner();
                bar.set_style(style("{spinner} {msg} {elapsed}"));
                bar.set_message(what.to_owned());
                bar.enable_steady_tick(TICK);
                Some(bar)
            }
            Self::Lines | Self::Quiet => {
                if !silent {
                    eprintln!("{what} …");
                }
                None
            }
        };
        Step { what: what.to_owned(), bar, silent }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Something under way. Dropping it without [`Step::done`] clears its bar: an error follows.
#[derive(Debug)]
pub struct Step {
    what: String,
    bar: Option<ProgressBar>,
    silent: bool,
}

impl Step {
    /// Changes what is shown behind the name.
    pub fn detail(&self, detail: impl Display) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} ({detail})", self.what));
        }
    }

    /// Shows how much of `total_bytes` has arrived in `dir`, as long as `work` runs.
    pub fn while_filling<T>(&self, dir: &Path, total_bytes: u64, work: impl FnOnce() -> T) -> T {
        let Some(bar) = &self.bar else { return work() };
        bar.set_style(style("{spinner} {msg} {bar:24} {bytes}/{total_bytes} {elapsed}"));
        bar.set_length(total_bytes);
        let (done, is_done) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while is_done.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    bar.set_position(bytes_in(dir).min(total_bytes));
                }
            });
            let result = work();
            drop(done);
            result
        })
    }

    /// Ends it well.
    pub fn done(self, result: impl Display) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
            eprintln!("{}: {result}", self.what);
        } else if !self.silent {
            eprintln!("{}: {result}", self.what);
        }
    }
}

/// Size of everything below `dir`; what vanishes meanwhile counts nothing.
fn bytes_in(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
