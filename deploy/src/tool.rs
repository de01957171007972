//! Running the programs that the stack calls once: package clients, cargo, Kafka's formatting tool.
//!
//! Parts that stay running are in [`crate::part`].

use std::process::Command;

use crate::error::StackError;

/// Lines of a failed program's output that an error carries.
const OUTPUT_LINES_MAX: usize = 15;

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// When it is missing (`purpose` and `install` say what to do) or fails (`what` and `way_out` do).
pub fn run(
    mut command: Command,
    purpose: &'static str,
    install: &'static str,
    what: &str,
    way_out: &str,
) -> Result<String, StackError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(StackError::ToolMissing { tool: program, purpose, way_out: install });
        }
        Err(source) => return Err(StackError::Io { action: "run", path: program.into(), source }),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let is_full = ["ENOSPC", "No space left on device"].iter().any(|sign| complaint.contains(sign));
    Err(StackError::ToolFailed {
        what: what.into(),
        status: output.status.to_string(),
        way_out: if is_full { "the disk is full: free some space".into() } else { way_out.into() },
        output: last_lines(&complaint, OUTPUT_LINES_MAX),
    })
}

/// The last `count` lines that say something, indented.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(count);
    lines[from..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn check(command: Command) -> Result<String, String> {
        run(command, "which does it", "install it", "doing it", "do it by hand").map_err(|e| e.to_string())
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let error = check(Command::new("no-such-program-here")).unwrap_err();
        assert_eq!(error, "no-such-program-here, which does it, was not found: install it");
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let error = check(shell("echo reason >&2; exit 3")).unwrap_err();
        assert_eq!(error, "doing it failed (exit status: 3); do it by hand\n  reason");
    }

    #[test]
    fn a_full_disk_is_recognised_in_what_a_program_says() {
        let error = check(shell("echo 'write: No space left on device' >&2; exit 1")).unwrap_err();
        assert!(error.contains("the disk is full"), "{error}");
    }

    #[test]
    fn a_good_program_gives_its_output() {
        assert_eq!(check(shell("echo done")).unwrap(), "done\n");
    }
}
