//! Reading of a drill's file: what is not understood is refused with its line, what is allowed, and the nearest right
//! spelling.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use schema::definition::file::Problem;
use serde::Deserialize;

use super::step::{Action, ClockName, DiskName, LinkName, PartName, Step};
use crate::scenario::{GRACE_MS_MIN, Profile};
use crate::schedule::{Arrivals, Traffic};

mod step;
mod time;

use step::StepFile;
use time::Time;

/// What holds beacons up must be over so long before the grace period is: the rest is for catching up.
const CATCHING_UP: Duration = Duration::from_secs(15);
/// Longest traffic.
const LASTS_MAX: Duration = Duration::from_secs(3_600);

/// A drill.
#[derive(Debug, Clone, PartialEq)]
pub struct Drill {
    /// Its name.
    pub name: String,
    /// What happens, in a sentence.
    pub what: String,
    /// What is played.
    pub traffic: Traffic,
    /// What is compared afterwards.
    pub compare: Compare,
    /// How many aggregators there are.
    pub aggregators: usize,
    /// Grace period of the definitions.
    pub grace: Duration,
    /// After this long without a heartbeat Kafka gives an aggregator's partitions to another.
    pub session_timeout: Duration,
    /// What is done, by its time.
    pub steps: Vec<Step>,
}

/// What is compared after a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// Everything.
    #[default]
    All,
    /// What does not depend on when something happened: records, events by name, duplicates, the audit. For a fault
    /// that makes times wrong.
    Records,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrillFile {
    drill: String,
    what: String,
    #[serde(default = "default_rate")]
    rate: f64,
    #[serde(default = "default_lasts")]
    lasts: Time,
    #[serde(default = "default_profile")]
    traffic: ProfileName,
    quiet: Option<Quiet>,
    #[serde(default)]
    compare: Compare,
    #[serde(default = "default_aggregators")]
    aggregators: usize,
    #[serde(default = "default_grace")]
    grace: Time,
    #[serde(default = "default_session_timeout")]
    session_timeout: Time,
    steps: Vec<StepFile>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProfileName {
    Full,
    Mixed,
    Tidy,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quiet {
    at: Time,
    r#for: Time,
}

fn default_rate() -> f64 {
    200.0
}

fn default_lasts() -> Time {
    Time::of_seconds(60)
}

fn default_profile() -> ProfileName {
    ProfileName::Mixed
}

fn default_aggregators() -> usize {
    2
}

fn default_grace() -> Time {
    Time::of_seconds(30)
}

fn default_session_timeout() -> Time {
    Time::of_seconds(6)
}

/// What is wrong, and the word of the file that it is about.
type Wrong = (String, String);

fn wrong<T>(about: &str, message: impl Into<String>) -> Result<T, Wrong> {
    Err((about.to_owned(), message.into()))
}

impl Drill {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is not valid.
    pub fn read(path: &Path, seed: u64) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let shown = path.display().to_string();
        match Self::parse(&shown, &text, seed) {
            Ok(drill) => Ok(drill),
            Err(problem) => bail!("{problem}"),
        }
    }

    /// Reads the `text` of the file at `path`.
    ///
    /// # Errors
    /// When it is not valid, with its line and what is allowed there.
    pub fn parse(path: &str, text: &str, seed: u64) -> Result<Self, Problem> {
        let file: DrillFile =
            serde_yaml_ng::from_str(text).map_err(|error| Problem::of_yaml(path, text, &error))?;
        file.resolve(seed).map_err(|(about, message)| Problem::at(path, text, &about, message))
    }

    /// The links that its steps are about, each once.
    pub fn links(&self) -> Vec<LinkName> {
        let mut links = Vec::new();
        for step in &self.steps {
            if let Action::Spoil(link, _) = step.action
                && !links.contains(&link)
            {
                links.push(link);
            }
        }
        links
    }

    /// The disks that its steps are about.
    pub fn disks(&self) -> Vec<DiskName> {
        let disks = self.steps.iter().filter_map(|step| {
            let Action::Fill(disk) = step.action else { return None };
            Some(disk)
        });
        disks.collect()
    }

    /// The clocks that its steps are about.
    pub fn clocks(&self) -> Vec<ClockName> {
        let clocks = self.steps.iter().filter_map(|step| {
            let Action::Shift(clock, _) = step.action else { return None };
            Some(clock)
        });
        clocks.collect()
    }
}

impl DrillFile {
    fn resolve(self, seed: u64) -> Result<Drill, Wrong> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.drill.is_empty() || !self.drill.bytes().all(is_name) {
            return wrong("drill", format!("`{}` is no name: it takes a-z, 0-9 and -", self.drill));
        }
        if self.what.trim().is_empty() {
            return wrong("what", "`what` is empty: say in a sentence what happens");
        }
        if !(self.rate > 0.0 && self.rate <= 10_000.0) {
            return wrong(
                "rate",
                format!("`rate` is {} beacons/s, it must be in 0 < rate <= 10000", self.rate),
            );
        }
        if !(1..=8).contains(&self.aggregators) {
            return wrong("aggregators", format!("`aggregators` is {}, it must be 1 to 8", self.aggregators));
        }
        let lasts = self.lasts.forward("lasts")?;
        if lasts < Duration::from_secs(1) || lasts > LASTS_MAX {
            return wrong("lasts", format!("`lasts` is {lasts:?}, it must be 1s to 1h"));
        }
        let grace = self.grace.forward("grace")?;
        if grace < Duration::from_millis(GRACE_MS_MIN) {
            return wrong(
                "grace",
                format!("`grace` is {grace:?}, sessions are played for {GRACE_MS_MIN} ms or more"),
            );
        }
        if self.steps.is_empty() {
            return wrong("steps", "`steps` is empty: a drill does something");
        }
        let steps = self.steps.iter().map(StepFile::resolve).collect::<Result<Vec<Step>, Wrong>>()?;
        check_steps(&steps, lasts, grace, self.aggregators)?;
        let arrivals = match self.quiet {
            None => Arrivals::Constant,
            Some(quiet) => {
                let at_s = quiet.at.forward("quiet")?.as_secs() as u32;
                Arrivals::Pause { at_s, for_s: quiet.r#for.forward("quiet")?.as_secs() as u32 }
            }
        };
        let profile = match self.traffic {
            ProfileName::Full => Profile::Full,
            ProfileName::Mixed => Profile::Mixed,
            ProfileName::Tidy => Profile::Tidy,
        };
        Ok(Drill {
            name: self.drill,
            what: self.what.trim().to_owned(),
            traffic: Traffic { rate: self.rate, seconds: lasts.as_secs(), seed, profile, arrivals },
            compare: self.compare,
            aggregators: self.aggregators,
            grace,
            session_timeout: self.session_timeout.forward("session_timeout")?,
            steps,
        })
    }
}

/// What only all steps together show.
fn check_steps(steps: &[Step], lasts: Duration, grace: Duration, aggregators: usize) -> Result<(), Wrong> {
    if let Some(pair) = steps.windows(2).find(|pair| pair[0].at > pair[1].at) {
        return wrong(
            "steps",
            format!(
                "a step at {:?} stands behind one at {:?}: put them in the order of their times",
                pair[1].at, pair[0].at
            ),
        );
    }
    for step in steps {
        if step.ends() > lasts {
            return wrong(
                "steps",
                format!(
                    "a step ends after {:?}, and no session begins after {lasts:?}: make `lasts` longer",
                    step.ends()
                ),
            );
        }
        let holds_up = match step.action {
            Action::Stop(part) | Action::Pause(part) => matches!(part, PartName::Ingest | PartName::Kafka),
            Action::Spoil(link, toxic) => {
                toxic.stops() && matches!(link, LinkName::ClientsIngest | LinkName::IngestKafka)
            }
            Action::Kill(_)
            | Action::Restart(_)
            | Action::Fill(_)
            | Action::Shift(..)
            | Action::ReadOnly
            | Action::Partitions(_)
            | Action::Define(_) => false,
        };
        let needed = step.lasts.unwrap_or_default() + CATCHING_UP;
        if holds_up && grace < needed {
            return wrong(
                "grace",
                format!(
                    "`grace` is {grace:?}, and a step holds beacons up for {:?}: those of a session must come \
                     within the grace period, so it must be {needed:?} or more",
                    step.lasts.unwrap_or_default()
                ),
            );
        }
        if step.action == Action::Pause(PartName::Aggregator) && aggregators < 2 {
            return wrong(
                "aggregators",
                "nobody can take over from an aggregator that is paused: let there be 2 or more",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
