//! What is wrong with definition files, said so that the reader can mend it.

use std::fmt;

use super::spelling::nearest;

/// Why a definitions folder was refused: every problem that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct DefinitionError {
    /// The problems, sorted by file and line.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong in one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path of the file, relative to the folder.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

impl Problem {
    /// A problem on the first line of `text` that holds `needle`.
    pub(super) fn at(path: &str, text: &str, needle: &str, message: String) -> Self {
        let line = text.lines().position(|line| line.contains(needle)).map_or(1, |at| at + 1);
        Self { path: path.to_owned(), line, message }
    }

    /// A problem that the YAML reader found, with the nearest right spelling where it lists what it expected.
    pub(super) fn of_yaml(path: &str, text: &str, error: &serde_yaml_ng::Error) -> Self {
        let line = error.location().map_or(1, |location| location.line());
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or(&said);
        let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
        let message = match quoted.split_first() {
            Some((wrong, allowed)) if said.contains("unknown") => {
                let hint = nearest(wrong, allowed.iter().copied())
                    .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let line_of_key = text.lines().position(|line| line.contains(&format!("{wrong}:")));
                return Self {
                    path: path.to_owned(),
                    line: line_of_key.map_or(line, |at| at + 1),
                    message: format!("{said}{hint}"),
                };
            }
            Some(_) | None => said.to_owned(),
        };
        Self { path: path.to_owned(), line, message }
    }
}
