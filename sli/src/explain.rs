//! `sli explain`: a journey in plain words, for those who did not write its file.

use clap::Args;
use jiff::civil::Date;
use schema::definition::{
    AttemptKind, Condition, DefinitionSet, EngineSettings, Inherited, Journey, LoadedFolder, Matcher,
    Objective, Restart, Test, Unit,
};

use crate::Outcome;
use crate::check::percent;
use crate::definitions::FolderArgs;
use crate::policies::{explained, today};

/// Flags of `sli explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Journey to explain.
    journey: String,
    #[command(flatten)]
    folder: FolderArgs,
}

pub(crate) const EXAMPLES: &str = "Examples:
  sli explain watch-lecture
  sli explain web-vital-lcp team/definitions";

/// Explains the journey.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<Outcome> {
    let LoadedFolder { set, inherited } = args.folder.load_folder(EngineSettings::default())?;
    let Some(journey) = set.journeys.iter().find(|journey| journey.name == args.journey) else {
        let names: Vec<_> = set.journeys.iter().map(|journey| journey.name.as_str()).collect();
        eprintln!("no journey is called {}; there are {}", args.journey, names.join(", "));
        return Ok(Outcome::Wrong);
    };
    println!("{}", text(journey, &set, today()));
    if let Some(inherited) = inherited.get(&journey.name).filter(|inherited| !inherited.is_empty()) {
        println!("\n{}", origins(inherited));
    }
    Ok(Outcome::Right)
}

/// The explanation.
fn text(journey: &Journey, set: &DefinitionSet, today: Date) -> String {
    let mut lines = vec![
        format!("{} ({})", journey.title, journey.name),
        format!("  {}", journey.promise),
        String::new(),
    ];
    let mut say = |line: String| lines.push(line);
    let apps = if journey.apps.is_empty() { "every app".to_owned() } else { journey.apps.join(", ") };
    let platforms = if journey.platforms.is_empty() {
        String::new()
    } else {
        format!(", on {}", journey.platforms.join(" and "))
    };
    say(format!("Measured in {apps}{platforms}."));
    let owner = if journey.owner.is_empty() { "nobody yet" } else { &journey.owner };
    say(format!("Owned by {owner}; its error-budget policy is “{}”.", journey.policy));
    match journey.attempt {
        AttemptKind::Journey => start_to_end(journey, &mut say),
        AttemptKind::Event => {
            say(format!("One event is one attempt: {}.", any_of(&journey.success)));
            if !journey.failure.is_empty() {
                say(format!("It is bad when it is {}.", failures(journey)));
            }
            if let Some(attribute) = &journey.revised_by {
                say(format!(
                    "An event with the same `{attribute}` revises the one before: the last value counts."
                ));
            }
        }
        AttemptKind::Session => {
            say("A session is one attempt. It counts as good from its start.".to_owned());
            say(format!(
                "It is bad once, when this arrives, even if the next launch tells of it: {}.",
                failures(journey)
            ));
        }
    }
    say(String::new());
    for one in &journey.objectives {
        say(objective(one, journey.unit));
        if !one.source.is_empty() {
            say(format!("  Where that comes from: {}.", one.source));
        }
    }
    let is_promised = journey.objectives.iter().any(|one| one.target_ppm.is_some());
    let policy = set.policies.iter().find(|policy| policy.name == journey.policy && is_promised);
    for line in policy.into_iter().flat_map(|policy| explained(policy, today)) {
        say(line);
    }
    lines.join("\n")
}

/// What the journey's own file does not say, and where it stands.
fn origins(inherited: &[Inherited]) -> String {
    let places: Vec<_> =
        inherited.iter().map(|Inherited { key, path, line }| format!("`{key}` from {path}:{line}")).collect();
    format!("Inherited: {}.", places.join(", "))
}

fn start_to_end(journey: &Journey, say: &mut impl FnMut(String)) {
    if journey.start.is_empty() {
        say("The app itself says when an attempt begins and how it ends (journey.start, journey.end)."
            .to_owned());
    } else {
        say(format!("An attempt begins with {}.", any_of(&journey.start)));
    }
    for step in &journey.steps {
        say(format!("It has reached “{}” with {}.", step.name, any_of(&step.done)));
    }
    if !journey.success.is_empty() {
        say(format!("It is a success with {}.", any_of(&journey.success)));
    }
    if !journey.failure.is_empty() {
        say(format!("It fails with {}.", failures(journey)));
    }
    if !journey.cancel.is_empty() {
        say(format!("It is cancelled, and does not count, with {}.", any_of(&journey.cancel)));
    }
    say(format!(
        "After {} without an end it has run into its deadline, which is bad. Who leaves after more than {} had waited too long, \
         which is bad as well; who leaves earlier does not count.",
        seconds(journey.timeout_ms),
        seconds(journey.patience_ms)
    ));
    say(match journey.restart {
        Restart::New => "Starting again ends the open attempt as abandoned and begins another.".to_owned(),
        Restart::Continue => "Starting again while an attempt is open changes nothing.".to_owned(),
    });
}

fn objective(objective: &Objective, unit: Unit) -> String {
    let rule = objective.rule.description(unit);
    match objective.target_ppm {
        Some(ppm) => {
            let bad = f64::from(1_000_000 - ppm) / 1_000.0;
            format!(
                "Objective “{}”: {} of the valid attempts of {}: {rule}. Of 1,000 attempts at most {bad} may be otherwise.",
                objective.name,
                percent(ppm),
                objective.window.description()
            )
        }
        None => format!(
            "Indicator “{}”: the share of valid attempts with {rule}. Nobody has promised a target yet.",
            objective.name
        ),
    }
}

fn failures(journey: &Journey) -> String {
    let one = |failure: &schema::definition::FailureMatcher| {
        let unless = if failure.recoverable { ", unless a success follows in time" } else { "" };
        format!("{}{unless}", matcher(&failure.matcher))
    };
    journey.failure.iter().map(one).collect::<Vec<_>>().join("; or ")
}

fn any_of(matchers: &[Matcher]) -> String {
    matchers.iter().map(matcher).collect::<Vec<_>>().join("; or ")
}

/// A matcher in words.
pub(crate) fn matcher(matcher: &Matcher) -> String {
    let conditions: Vec<_> = matcher.conditions.iter().map(condition).collect();
    let event = format!("`{}`", matcher.event);
    if conditions.is_empty() { event } else { format!("{event} whose {}", conditions.join(" and ")) }
}

/// What an attribute must be, in words.
pub(crate) fn condition(condition: &Condition) -> String {
    let tests: Vec<_> = condition
        .any_of
        .iter()
        .map(|test| match test {
            Test::Equals(text) => text.clone(),
            Test::Compares(comparison, limit) => format!("{} {limit}", comparison.sign()),
            Test::Route(template) => template.as_str().to_owned(),
        })
        .collect();
    format!("{} is {}", condition.attribute, tests.join(" or "))
}

fn seconds(ms: u64) -> String {
    format!("{} s", ms as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_kind_of_journey_is_explained() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../definitions");
        let set = deploy::definitions::load(&folder, EngineSettings::default()).unwrap();
        let names = ["watch-lecture", "web-vital-lcp", "http-calls", "error-free-sessions"];
        let of = |name| set.journeys.iter().find(|journey| journey.name == name).unwrap();
        let today = jiff::civil::date(2026, 11, 27);
        let texts: Vec<_> = names.map(|name| text(of(name), &set, today)).into();
        insta::assert_snapshot!(texts.join("\n\n"));
    }

    #[test]
    fn what_is_inherited_has_its_place() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../definitions");
        let loaded = deploy::definitions::load_folder(&folder, EngineSettings::default()).unwrap();
        assert_eq!(
            origins(&loaded.inherited["sign-in"]),
            "Inherited: `policy` from defaults.yaml:3, `apps` from products/high-school.yaml:6, \
             `timeout` from products/high-school.yaml:7, `window` from defaults.yaml:4."
        );
    }
}
