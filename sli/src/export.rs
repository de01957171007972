//! `sli export`: the objectives of a definitions folder in the formats of evaluators.
//!
//! Sloth's rules and OpenSLO's documents query the counters that `sli serve` exposes; slo-generator asks its API. Only
//! objectives with a target are written: an indicator promises nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use schema::definition::{App, Calendar, DefinitionSet, EngineSettings, Journey, Objective};

mod openslo;
mod slo_generator;
mod sloth;

/// Flags of `sli export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Format to write.
    format: Format,
    /// Folder of the definition files.
    #[arg(default_value = "definitions", value_name = "DIR")]
    definitions: PathBuf,
    /// Folder to write files into; standard output without one.
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Base URL of `sli serve`, for evaluators that ask it.
    #[arg(long, default_value = "http://127.0.0.1:8090", value_name = "URL")]
    serve_url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Specifications for Sloth, which makes Prometheus' rules of them.
    Sloth,
    /// Documents of OpenSLO v1.
    Openslo,
    /// Configuration and backend of Google's slo-generator.
    SloGenerator,
}

pub(crate) const EXAMPLES: &str = "Examples:
  sli export sloth definitions -o sloth
  sloth generate -i sloth/studyapp-web-28d.yaml -o rules.yaml --default-slo-period 28d
  sli export openslo | oslo validate -f -
  sli export slo-generator definitions -o slo && PYTHONPATH=slo slo-generator compute -f slo/slos -c slo/config.yaml";

/// A file of an export.
#[derive(Debug, PartialEq, Eq)]
struct File {
    /// Path below the output folder.
    path: String,
    text: String,
}

/// An objective with a target, of one app.
#[derive(Debug, Clone, Copy)]
struct Promised<'a> {
    app: &'a str,
    journey: &'a Journey,
    objective: &'a Objective,
    /// Of a hundred valid attempts.
    target_percent: f64,
}

impl Promised<'_> {
    /// Days of the window.
    fn days(&self) -> u16 {
        self.objective.window.days_max()
    }

    /// Name that is unique among all of them, from letters, digits, dots, underscores and hyphens.
    fn name(&self) -> String {
        format!("{}-{}-{}", self.app, self.journey.name, self.objective.name)
    }

    /// Title for people.
    fn title(&self) -> String {
        format!("{}: {}", self.journey.title, self.objective.name)
    }

    /// What selects the objective's counters in Prometheus. A changed objective counts anew.
    fn selector(&self) -> String {
        format!(
            "app=\"{}\",journey=\"{}\",objective=\"{}\",version=\"{}\"",
            self.app, self.journey.name, self.objective.name, self.objective.version
        )
    }
}

/// Writes the export.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let set = deploy::definitions::load(&args.definitions, EngineSettings::default())?;
    let promised = promised(&set);
    if promised.is_empty() {
        bail!("{} has no objective with a target", args.definitions.display());
    }
    let promised = match args.format {
        Format::Openslo => promised,
        Format::Sloth => rolling(promised, "Sloth")?,
        Format::SloGenerator => rolling(promised, "slo-generator")?,
    };
    let files = match args.format {
        Format::Sloth => sloth::files(&promised)?,
        Format::Openslo => openslo::files(&promised)?,
        Format::SloGenerator => slo_generator::files(&promised, &args.serve_url)?,
    };
    match &args.output {
        Some(dir) => write(dir, &files),
        None if args.format == Format::SloGenerator => {
            bail!("slo-generator needs several files: name a folder with --output")
        }
        None => {
            let texts: Vec<_> = files.iter().map(|file| file.text.as_str()).collect();
            print!("{}", texts.join("---\n"));
            Ok(())
        }
    }
}

/// Those whose window is the last days; of the others it is said that they are left out.
fn rolling<'a>(promised: Vec<Promised<'a>>, evaluator: &str) -> anyhow::Result<Vec<Promised<'a>>> {
    let (rolling, calendar): (Vec<_>, Vec<_>) =
        promised.into_iter().partition(|one| one.objective.window.calendar().is_none());
    for one in &calendar {
        let period = one.objective.window.calendar().map_or("", Calendar::as_str);
        eprintln!(
            "left out: {} is promised for each calendar {period}, and {evaluator} knows rolling windows only; \
             `sli status` judges it, and `sli export openslo` has it",
            one.name()
        );
    }
    if rolling.is_empty() {
        bail!("no objective with a target has a rolling window");
    }
    Ok(rolling)
}

/// Every objective with a target, once an app.
fn promised(set: &DefinitionSet) -> Vec<Promised<'_>> {
    let apps = |journey: &'_ Journey| -> Vec<_> {
        let names = set.apps.iter().map(|App { name, .. }| name.as_str());
        names.filter(|name| journey.applies_to(name)).collect()
    };
    let mut promised = Vec::new();
    for journey in &set.journeys {
        for app in apps(journey) {
            for objective in &journey.objectives {
                let Some(target_ppm) = objective.target_ppm else { continue };
                let target_percent = f64::from(target_ppm) / 10_000.0;
                promised.push(Promised { app, journey, objective, target_percent });
            }
        }
    }
    promised.sort_by_key(|one| (one.app, &one.journey.name, &one.objective.name));
    promised
}

fn write(dir: &Path, files: &[File]) -> anyhow::Result<()> {
    for File { path, text } in files {
        let path = dir.join(path);
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
