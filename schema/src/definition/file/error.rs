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
    /// Column, from 1.
    pub column: usize,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

impl Problem {
    /// A problem where `needle` stands in `text`: at best as a key or value of its own, else anywhere.
    pub fn at(path: &str, text: &str, needle: &str, message: String) -> Self {
        let (line, column) = place(text, needle).unwrap_or((1, 1));
        Self { path: path.to_owned(), line, column, message }
    }

    /// A problem that the YAML reader found, with the nearest right spelling where it lists what it expected.
    pub fn of_yaml(path: &str, text: &str, error: &serde_yaml_ng::Error) -> Self {
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or(&said);
        let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
        let unknown = quoted.split_first().filter(|_| said.contains("unknown"));
        // The reader tells where the mapping begins, not the key in it.
        let of_key = unknown.and_then(|(wrong, _)| place(text, wrong));
        let of_reader = || error.location().map(|location| (location.line(), location.column()));
        let (line, column) = of_key.or_else(of_reader).unwrap_or((1, 1));
        let hint = unknown
            .and_then(|(wrong, allowed)| nearest(wrong, allowed.iter().copied()))
            .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        Self { path: path.to_owned(), line, column, message: format!("{said}{hint}") }
    }
}

/// Line and column, from 1, of the first `needle` that stands alone as a key or a value; else of the first one
/// at all.
pub(super) fn place(text: &str, needle: &str) -> Option<(usize, usize)> {
    if needle.is_empty() {
        return None;
    }
    let found = || {
        text.lines()
            .enumerate()
            .flat_map(|(at, line)| line.match_indices(needle).map(move |(byte, _)| (at + 1, line, byte)))
    };
    let (line, content, byte) =
        found().find(|(_, line, byte)| stands_alone(line, *byte, needle.len())).or_else(|| found().next())?;
    Some((line, content[..byte].chars().count() + 1))
}

/// Whether what stands at `byte` is a key or a value of its own, not a word of a sentence or a comment.
fn stands_alone(line: &str, byte: usize, length: usize) -> bool {
    let (before, after) = (line[..byte].trim_end(), line[byte + length..].trim_start());
    let begins = before.is_empty() || before.ends_with([':', '{', '[', ',', '-', '"', '\'']);
    let ends = after.is_empty() || after.starts_with([':', ',', '}', ']', '"', '\'', '#']);
    begins && ends && !before.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_or_value_is_found_before_a_word_of_a_sentence() {
        let text = "# fast\npromise: It is fast for all.\nobjectives:\n  - {name: fast, target: 9%}\n";
        assert_eq!(place(text, "fast"), Some((4, 12)));
        assert_eq!(place(text, "promise"), Some((2, 1)));
        assert_eq!(place(text, "for"), Some((2, 21)));
        assert_eq!(place(text, "slow"), None);
    }
}
