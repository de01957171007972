//! A proposal: a journey's file with targets that its attempts keep today.

use std::fmt::Write as _;

use schema::rows::AttemptSample;
use serde::Serialize;

use super::sequences::{Kind, What};
use crate::test::{latencies, quantile};

/// Targets that are proposed, in thousandths.
const TARGETS: [u32; 9] = [999, 995, 990, 980, 950, 900, 800, 700, 500];
/// Limits that are proposed, ms.
const LIMITS_MS: [u32; 16] =
    [100, 200, 300, 500, 750, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 7_500, 10_000, 15_000, 20_000];
/// Share of the successes that a limit is proposed for.
const FAST_SHARE: f64 = 0.95;

/// A journey that may be one.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Proposal {
    pub(super) journey: String,
    pub(super) owner: String,
    pub(super) apps: Vec<String>,
    #[serde(skip)]
    pub(super) origin: Origin,
    #[serde(skip)]
    pub(super) steps: Vec<Done>,
    #[serde(skip)]
    pub(super) failed_calls: Vec<String>,
    #[serde(skip)]
    pub(super) fatal: bool,
    #[serde(skip)]
    pub(super) cancel: Vec<What>,
    pub(super) timeout_ms: i64,
    pub(super) attempts: usize,
    pub(super) valid: usize,
    pub(super) successes: usize,
    pub(super) p95_ms: Option<f64>,
    /// Limit and share of the valid attempts that keep it.
    pub(super) fast: Option<(u32, f64)>,
}

/// What tells of its attempts.
#[derive(Debug, Clone, Default)]
pub(super) enum Origin {
    /// The app's own `journey.*` events.
    #[default]
    Declared,
    /// Events that belong together.
    Pair { start: What, success: What },
}

/// A step and what reaches it.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) name: String,
    pub(super) any_of: Vec<Kind>,
}

impl Proposal {
    /// Takes its attempts as the engine counted them; whether there were valid ones.
    pub(super) fn fit(&mut self, attempts: &[&AttemptSample]) -> bool {
        let latencies = latencies(attempts);
        self.attempts = attempts.len();
        self.valid = attempts.iter().filter(|attempt| attempt.valid).count();
        self.successes = attempts.iter().filter(|attempt| attempt.outcome == "success").count();
        self.p95_ms = quantile(&latencies, FAST_SHARE);
        let limit = self.p95_ms.and_then(|p95| LIMITS_MS.into_iter().find(|limit| f64::from(*limit) >= p95));
        self.fast = limit.filter(|limit| i64::from(*limit) <= self.timeout_ms).map(|limit| {
            let within = latencies.iter().filter(|latency| **latency <= f64::from(limit)).count();
            (limit, within as f64 / self.valid.max(1) as f64)
        });
        self.valid > 0
    }

    /// Share of the valid attempts that succeeded.
    pub(super) fn works(&self) -> Option<f64> {
        (self.valid > 0).then(|| self.successes as f64 / self.valid as f64)
    }

    /// Where it begins and ends, for people.
    pub(super) fn how(&self) -> String {
        match &self.origin {
            Origin::Declared => "declared by the app".to_owned(),
            Origin::Pair { start, success } => format!("{} … {}", words(start), words(success)),
        }
    }

    /// The file.
    pub(super) fn yaml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).map_or_else(|error| unreachable!("text takes everything: {error}"), |()| text)
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let promise = match (&self.origin, self.fast) {
            (Origin::Pair { start, success }, Some((limit, _))) => {
                format!("After {}, {} comes within {}.", words(start), words(success), duration(limit))
            }
            (Origin::Pair { start, success }, None) => {
                format!("After {}, {} comes.", words(start), words(success))
            }
            (Origin::Declared, _) => format!("Who begins {} gets there.", self.journey),
        };
        writeln!(
            text,
            "# Proposed from {} attempts. To correct: who owns it, and what users are promised, in their words.",
            self.attempts
        )?;
        writeln!(text, "journey: {}", self.journey)?;
        writeln!(text, "owner: {}", quoted(&self.owner))?;
        writeln!(text, "promise: {}", quoted(&promise))?;
        writeln!(text, "apps: [{}]", self.apps.join(", "))?;
        match &self.origin {
            Origin::Declared => writeln!(text, "start: declared")?,
            Origin::Pair { start, success } => {
                writeln!(text, "start: {}", sign(start))?;
                if !self.steps.is_empty() {
                    writeln!(text, "steps:")?;
                }
                for step in &self.steps {
                    let done: Vec<String> = step.any_of.iter().map(matcher).collect();
                    writeln!(text, "  - {{name: {}, done: [{}]}}", step.name, done.join(", "))?;
                }
                writeln!(text, "success: {}", sign(success))?;
            }
        }
        let fatal = self.fatal.then(|| matcher(&Kind::Fatal));
        let calls = self.failed_calls.iter().map(|route| matcher(&Kind::FailedCall(route.clone())));
        let failures: Vec<String> = fatal.into_iter().chain(calls).collect();
        if !failures.is_empty() {
            writeln!(text, "failure:\n  - {}", failures.join("\n  - "))?;
        }
        if !self.cancel.is_empty() {
            writeln!(text, "cancel: [{}]", self.cancel.iter().map(sign).collect::<Vec<_>>().join(", "))?;
        }
        writeln!(text, "timeout: {}s", self.timeout_ms / 1_000)?;
        writeln!(text, "# Targets that are kept today.\nobjectives:")?;
        writeln!(text, "  - {{name: works, target: {}}}", target(self.works().unwrap_or_default()))?;
        if let Some((limit, share)) = self.fast {
            writeln!(text, "  - {{name: fast, within: {}, target: {}}}", duration(limit), target(share))?;
        }
        writeln!(text, "policy: default")
    }
}

/// The highest of the usual targets that the share keeps.
fn target(share: f64) -> String {
    let kept = TARGETS.into_iter().find(|target| f64::from(*target) <= share * 1_000.0);
    format!("{}%", f64::from(kept.unwrap_or(TARGETS[TARGETS.len() - 1])) / 10.0)
}

fn duration(ms: u32) -> String {
    if ms.is_multiple_of(1_000) { format!("{}s", ms / 1_000) } else { format!("{ms}ms") }
}

fn sign(what: &What) -> String {
    if what.name.is_empty() {
        format!("{{event: {}}}", quoted(&what.event))
    } else {
        format!("{{event: {}, where: {{name: {}}}}}", quoted(&what.event), quoted(&what.name))
    }
}

fn matcher(kind: &Kind) -> String {
    match kind {
        Kind::Sign(what) => sign(what),
        Kind::Place { event, attribute, text } => {
            format!("{{event: {event}, where: {{{attribute}: {}}}}}", quoted(text))
        }
        Kind::FailedCall(route) => {
            format!(
                "{{event: http.client, where: {{route: {}, status: [0, \">=500\"]}}, recoverable: true}}",
                quoted(route)
            )
        }
        Kind::Fatal => "{event: exception, where: {fatal: true}}".to_owned(),
        Kind::Declared(_) | Kind::DeclaredStep(..) => unreachable!("what apps declare needs no matcher"),
    }
}

/// As YAML has it: JSON's strings are YAML's, and plain words stay as they are.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    let is_word = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if is_plain && is_word && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

fn words(what: &What) -> String {
    format!("`{}`", if what.name.is_empty() { &what.event } else { &what.name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_that_are_kept() {
        assert_eq!([1.0, 0.9951, 0.97, 0.2].map(target), ["99.9%", "99.5%", "95%", "50%"]);
    }

    #[test]
    fn what_yaml_would_take_for_something_else_is_quoted() {
        assert_eq!(
            ["plain-name", "no", "12", "a: b", "/x/:id"].map(quoted),
            ["plain-name", "\"no\"", "\"12\"", "\"a: b\"", "\"/x/:id\""]
        );
    }
}
