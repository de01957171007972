//! `sli test`: a definition over recorded or recent beacons, before anyone activates it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use schema::definition::{DefinitionSet, Journey, Objective};
use schema::rows::AttemptSample;
use serde::Serialize;

use crate::Outcome;
use crate::definitions::with_file;
use crate::output::{Format, share, table};
use crate::play::{Played, play};
use crate::recording::{Recording, RecordingArgs};

mod compare;
mod near;

use compare::Comparison;
use near::Nearly;

/// Flags of `sli test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// File of a journey.
    file: PathBuf,
    /// Folder with the other files: apps, policies.
    #[arg(long, default_value = "definitions", value_name = "DIR")]
    definitions: PathBuf,
    /// Another file of a journey: say which attempts the two judge differently.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Bad attempts that are listed.
    #[arg(long, default_value_t = 10, value_name = "N")]
    examples: usize,
    #[command(flatten)]
    recording: RecordingArgs,
    /// How the answer is written.
    #[arg(long, default_value = "table")]
    format: Format,
}

pub(crate) const EXAMPLES: &str = "Examples:
  sli test definitions/journeys/sign-in.yaml                         over the last hour of the log
  sli test sign-in.yaml --minutes 600 --save beacons.jsonl           over ten hours, kept in a file
  sli test sign-in.yaml --beacons beacons.jsonl                      over that file
  sli test sign-in.yaml --against definitions/journeys/sign-in.yaml  what a change would change

The file is played through the engine that counts in production, with a state that begins where the beacons do: what
began before them is not seen. Nothing is activated. Ends with 1 when there was no attempt, or when two files differ.";

/// What came of it.
#[derive(Debug, Serialize)]
struct Tested {
    journey: String,
    beacons: usize,
    attempts: usize,
    valid: usize,
    outcomes: BTreeMap<String, usize>,
    p50: Option<f64>,
    p95: Option<f64>,
    objectives: Vec<Judged>,
    nearly: Nearly,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Comparison>,
}

/// An objective over the recording.
#[derive(Debug, Serialize)]
struct Judged {
    name: String,
    rule: String,
    target: Option<f64>,
    valid: u64,
    good: u64,
}

/// Plays the definition.
pub(crate) async fn run(args: &TestArgs) -> anyhow::Result<Outcome> {
    let (set, journey) = with_file(&args.definitions, &args.file)?;
    let other = args.against.as_ref().map(|file| with_file(&args.definitions, file)).transpose()?;
    let recording = args.recording.read(&journey.apps).await?;
    let played = play(&recording, &set);
    let attempts = attempts_of(&played, &journey);
    let mut tested = Tested::new(&recording, &played, &attempts, &set, &journey);
    tested.against = other.map(|(set, other)| {
        let played = play(&recording, &set);
        compare::compare((&other, &attempts_of(&played, &other)), (&journey, &attempts))
    });
    match args.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&tested)?),
        Format::Table => println!("{}", tested.text(&args.recording.source(), &attempts, args.examples)),
    }
    let differs = tested.against.as_ref().is_some_and(|comparison| !comparison.is_equal());
    Ok(if attempts.is_empty() || differs { Outcome::Wrong } else { Outcome::Right })
}

fn attempts_of<'p>(played: &'p Played, journey: &Journey) -> Vec<&'p AttemptSample> {
    played.attempts.iter().filter(|attempt| attempt.journey == journey.name).collect()
}

/// The value below which `share` of the sorted latencies lie.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Latencies of the attempts that have one, sorted.
pub(crate) fn latencies(attempts: &[&AttemptSample]) -> Vec<f64> {
    let texts = attempts.iter().filter_map(|attempt| attempt.latency.as_deref());
    let mut latencies: Vec<f64> = texts.filter_map(|text| text.parse().ok()).collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

impl Tested {
    fn new(
        recording: &Recording,
        played: &Played,
        attempts: &[&AttemptSample],
        set: &DefinitionSet,
        journey: &Journey,
    ) -> Self {
        let mut outcomes = BTreeMap::new();
        for attempt in attempts {
            *outcomes.entry(attempt.outcome.clone()).or_default() += 1;
        }
        let latencies = latencies(attempts);
        let judged = |objective: &Objective| {
            let key = (journey.name.clone(), objective.name.clone());
            let (valid, bad) = played.objectives.get(&key).copied().unwrap_or_default();
            Judged {
                name: objective.name.clone(),
                rule: objective.rule.description(journey.unit),
                target: objective.target_ppm.map(|ppm| f64::from(ppm) / 1e6),
                valid,
                good: valid.saturating_sub(bad),
            }
        };
        Self {
            journey: journey.name.clone(),
            beacons: recording.records().len(),
            attempts: attempts.len(),
            valid: attempts.iter().filter(|attempt| attempt.valid).count(),
            outcomes,
            p50: quantile(&latencies, 0.5),
            p95: quantile(&latencies, 0.95),
            objectives: journey.objectives.iter().map(judged).collect(),
            nearly: near::look(recording, set, journey, attempts),
            against: None,
        }
    }

    fn text(&self, source: &str, attempts: &[&AttemptSample], examples: usize) -> String {
        let mut parts = vec![format!("{} over {} beacons of {source}", self.journey, self.beacons)];
        if self.attempts == 0 {
            parts.push("No attempt: nothing began one.".to_owned());
        } else {
            parts.push(self.outcomes());
            parts.push(self.objectives());
        }
        parts.push(self.nearly.text());
        let bad: Vec<_> = attempts.iter().filter(|attempt| attempt.outcome != "success").collect();
        if !bad.is_empty() && examples > 0 {
            let shown = bad.len().min(examples);
            parts.push(format!(
                "Attempts without success ({shown} of {})\n{}",
                bad.len(),
                list(&bad[..shown])
            ));
        }
        parts.extend(self.against.as_ref().map(Comparison::text));
        parts.join("\n\n")
    }

    fn outcomes(&self) -> String {
        let rows = self.outcomes.iter().map(|(outcome, count)| {
            [outcome.clone(), count.to_string(), share(Some(*count as f64 / self.attempts as f64))]
        });
        let ms = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
        format!(
            "{}\n{} attempts, {} valid; p50 {}, p95 {}",
            table(["outcome", "attempts", "share"], rows),
            self.attempts,
            self.valid,
            ms(self.p50),
            ms(self.p95)
        )
    }

    fn objectives(&self) -> String {
        let ratio = |judged: &Judged| (judged.valid > 0).then(|| judged.good as f64 / judged.valid as f64);
        let rows = self.objectives.iter().map(|judged| {
            [
                judged.name.clone(),
                judged.rule.clone(),
                share(judged.target),
                share(ratio(judged)),
                format!("{} of {}", judged.good, judged.valid),
            ]
        });
        table(["objective", "good is", "target", "good", "valid attempts"], rows)
    }
}

fn list(attempts: &[&&AttemptSample]) -> String {
    let rows = attempts.iter().map(|attempt| {
        let steps: Vec<_> = attempt.steps.iter().map(|(step, ms)| format!("{step} after {ms} ms")).collect();
        [
            attempt.session.clone(),
            time(attempt.start_ms),
            attempt.outcome.clone(),
            attempt.reason.clone(),
            attempt.route.clone(),
            steps.join(", "),
        ]
    });
    table(["session", "start", "outcome", "reason", "route", "steps"], rows)
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
