//! The table of what drills found, as Markdown: one row a drill, in the order of their names.
//!
//! Rows are written between two markers of a document; those of drills that were not carried out this time stay.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};

use super::outcome::{Outcome, Sent, Struck};

/// Where the table begins and ends in a document.
const BEGIN: &str = "<!-- drills: begin -->";
const END: &str = "<!-- drills: end -->";
const HEAD: &str = "| drill | what happens | struck | sent | accepted | refused | unanswered | tried again | sessions uncertain | inserts repeated | \
                    checks equal | audit | recovered | verdict |\n\
                    |---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n";

/// The row of a drill.
pub fn row(outcome: &Outcome) -> String {
    let Outcome { drill, what, verdict, why, steps, sent, inserted, compared, recovered_s, .. } = outcome;
    let step = |step: &Struck| {
        let not = if step.struck { "" } else { "NOT STRUCK: " };
        format!("{:.0} s {}: {not}{}", step.at_s, step.what, step.seen)
    };
    let struck: Vec<String> = steps.iter().map(step).collect();
    let count = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let uncertain =
        sent.map_or_else(String::new, |sent| format!("{} of {}", sent.sessions_uncertain, sent.sessions));
    let sent = |of: fn(&Sent) -> u64| count(sent.as_ref().map(of));
    let equal =
        compared.as_ref().map_or_else(String::new, |found| format!("{} of {}", found.equal, found.checks));
    let audit = match compared.as_ref().map(|found| found.audit_rows) {
        Some(0) => "empty".to_owned(),
        rows => count(rows),
    };
    let verdict = match why.first() {
        None => format!("**{}**", verdict.as_str()),
        Some(first) => format!("**{}**: {first}", verdict.as_str()),
    };
    let cells = [
        format!("`{drill}`"),
        what.clone(),
        struck.join("<br>"),
        sent(|sent| sent.beacons),
        sent(|sent| sent.accepted),
        sent(|sent| sent.refused),
        sent(|sent| sent.unanswered),
        sent(|sent| sent.retries),
        uncertain,
        count(inserted.as_ref().map(|inserted| inserted.repeated)),
        equal,
        audit,
        recovered_s.map_or_else(String::new, |recovered_s| format!("{recovered_s:.1} s")),
        verdict,
    ];
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('\n', " ").replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// `document` with the rows of `outcomes` between its markers.
///
/// # Errors
/// When a marker is missing.
pub fn merged(document: &str, outcomes: &[Outcome]) -> anyhow::Result<String> {
    let Some((before, rest)) = document.split_once(BEGIN) else { bail!("there is no line {BEGIN}") };
    let Some((table, after)) = rest.split_once(END) else { bail!("there is no line {END} behind {BEGIN}") };
    let name_of = |row: &str| row.strip_prefix("| `")?.split('`').next().map(str::to_owned);
    let mut rows: BTreeMap<String, String> =
        table.lines().filter_map(|row| Some((name_of(row)?, format!("{row}\n")))).collect();
    rows.extend(outcomes.iter().map(|outcome| (outcome.drill.clone(), row(outcome))));
    let rows: String = rows.into_values().collect();
    Ok(format!("{before}{BEGIN}\n{HEAD}{rows}{END}{after}"))
}

/// Writes the rows of `outcomes` between the markers of the document at `path`.
///
/// # Errors
/// When it cannot be read or written, or has no markers.
pub fn write(path: &Path, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let document = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let document = merged(&document, outcomes).with_context(|| format!("in {}", path.display()))?;
    std::fs::write(path, document).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::outcome::{Compared, Inserted, Verdict};

    fn held(drill: &str) -> Outcome {
        let mut outcome = Outcome::new(drill, "Kafka is killed | and comes back.");
        outcome.steps.push(Struck::new(
            20.0,
            (0, 5),
            "kill -9 of Kafka".into(),
            Ok("process 1 was killed, 2 went on".into()),
        ));
        outcome.sent = Some(Sent {
            beacons: 12_000,
            accepted: 11_990,
            refused: 0,
            unanswered: 10,
            retries: 31,
            sessions: 4_000,
            sessions_uncertain: 3,
        });
        outcome.inserted = Some(Inserted { inserts: 500, repeated: 4, contradicted: 0 });
        outcome.compared =
            Some(Compared { checks: 1_000, equal: 1_000, audit_rows: 0, differences: Vec::new() });
        outcome.recovered_s = Some(3.21);
        outcome.judge();
        outcome
    }

    #[test]
    fn a_row_says_what_was_done_and_found() {
        let outcome = held("kill-kafka");
        assert_eq!(outcome.verdict, Verdict::Holds);
        assert_eq!(
            row(&outcome),
            "| `kill-kafka` | Kafka is killed \\| and comes back. | 20 s kill -9 of Kafka: process 1 was killed, 2 went \
             on | 12000 | 11990 | 0 | 10 | 31 | 3 of 4000 | 4 | 1000 of 1000 | empty | 3.2 s | **holds** |\n"
        );
    }

    #[test]
    fn a_drill_that_could_not_be_tried_says_why() {
        let mut outcome = Outcome::new("full-disk", "The disk is full.");
        outcome.verdict = Verdict::NotRun;
        outcome.why.push("it takes root".to_owned());
        let row = row(&outcome);
        assert!(row.ends_with("|  |  |  | **not run**: it takes root |\n"), "{row}");
    }

    #[test]
    fn rows_of_other_drills_stay() {
        let document = format!("Before.\n{BEGIN}\n{END}\nAfter.\n");
        let first = merged(&document, &[held("b"), held("a")]).unwrap();
        let names = |document: &str| -> Vec<String> {
            let rows = document.lines().filter(|line| line.starts_with("| `"));
            rows.map(|row| row[3..4].to_owned()).collect()
        };
        assert_eq!(names(&first), ["a", "b"]);
        let mut failed = held("b");
        failed.recovered_s = None;
        failed.judge();
        let second = merged(&first, &[failed]).unwrap();
        assert_eq!(names(&second), ["a", "b"]);
        assert!(second.contains("**FAILS**: it did not recover"), "{second}");
        assert!(second.starts_with("Before.\n") && second.ends_with("\nAfter.\n"));
        assert!(merged("no markers", &[]).is_err());
    }
}
