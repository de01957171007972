//! The one place where a run is written down: the ledger first, then the numbers, then what people see of it.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::seconds::Outcome;
use crate::client::{Answer, NoAnswer};
use crate::ledger::{AnswerLine, End, Fate, Line, SessionLine, Writer};
use crate::summary::Measured;

const REDRAW: Duration = Duration::from_millis(250);
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// What the sendings tell.
#[derive(Debug)]
pub(super) enum Report {
    /// A session begins.
    Session(SessionLine),
    /// One try of a beacon.
    Try(Result<Answer, NoAnswer>),
    /// A sending has come to its end.
    Ended(Ended),
    /// Nothing more will be sent, only tried again.
    AllSent(End),
}

/// The end of a sending.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) line: AnswerLine,
    /// Intended time, ns after the run's beginning.
    pub(super) due_ns: u64,
    pub(super) latency: Duration,
    pub(super) service: Duration,
    pub(super) slip: Duration,
}

/// Records until every sending has ended; `expected` sendings are what the progress is measured by, if known.
pub(super) fn record(
    reports: &Receiver<Report>,
    mut ledger: Writer,
    expected: Option<u64>,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::new()?;
    let mut shown = Shown::new(expected);
    let mut end = None;
    loop {
        match reports.recv_timeout(REDRAW) {
            Ok(Report::Session(line)) => ledger.write(&Line::Session(line))?,
            Ok(Report::Try(Ok(answer))) => *measured.answers.entry(answer.status).or_default() += 1,
            Ok(Report::Try(Err(cause))) => *measured.no_answers.entry(cause.as_str()).or_default() += 1,
            Ok(Report::Ended(ended)) => {
                ledger.write(&Line::Answer(ended.line.clone()))?;
                count(&mut measured, &ended)?;
            }
            Ok(Report::AllSent(line)) => end = Some(line),
            Err(RecvTimeoutError::Timeout) => ledger.flush()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        shown.refresh(&measured);
    }
    if let Some(end) = end {
        ledger.write(&Line::End(end))?;
    }
    ledger.flush()?;
    shown.finish();
    Ok(measured)
}

fn count(measured: &mut Measured, ended: &Ended) -> anyhow::Result<()> {
    measured.retries += u64::from(ended.line.tries - 1);
    measured.slip.saturating_record(micros(ended.slip));
    measured.seconds.add(Outcome {
        due_ns: ended.due_ns,
        fate: ended.line.fate,
        tries: ended.line.tries,
        latency_us: micros(ended.latency),
        slip_us: micros(ended.slip),
    });
    match ended.line.fate {
        Fate::Accepted => {
            measured.accepted += 1;
            measured.latency.saturating_record(micros(ended.latency));
            measured.service.saturating_record(micros(ended.service));
        }
        Fate::Refused => measured.refused += 1,
        Fate::Unanswered => measured.unanswered += 1,
    }
    Ok(())
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

/// Progress: a bar on a terminal, a line every so often elsewhere.
struct Shown {
    bar: Option<ProgressBar>,
    next: Instant,
}

impl Shown {
    fn new(expected: Option<u64>) -> Self {
        let bar = expected.filter(|_| std::io::stderr().is_terminal()).map(|expected| {
            let style = ProgressStyle::with_template(
                "{elapsed_precise} {wide_bar} {pos}/{len} beacons, {per_sec} {msg}",
            );
            ProgressBar::new(expected).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let first = if bar.is_some() { REDRAW } else { PLAIN_LINE_EVERY };
        Self { bar, next: Instant::now() + first }
    }

    fn refresh(&mut self, measured: &Measured) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        let (p50, p99) = measured.latency_ms();
        let text = format!(
            "{} accepted, {} refused, {} unanswered, {} retries, p50 {p50:.1} p99 {p99:.1} ms",
            measured.accepted, measured.refused, measured.unanswered, measured.retries
        );
        match &self.bar {
            Some(bar) => {
                bar.set_length(bar.length().unwrap_or(0).max(measured.ended()));
                bar.set_position(measured.ended());
                bar.set_message(text);
                self.next = now + REDRAW;
            }
            None => {
                eprintln!("{text}");
                self.next = now + PLAIN_LINE_EVERY;
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
