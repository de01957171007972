//! On what a run was made: the machine, and the versions of what took part.

use serde::{Deserialize, Serialize};

/// A machine, as its kernel describes it. Empty where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: u64,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Operating system and kernel.
    pub system: String,
    /// Load of the last minute before the run: above a fraction of a core, others worked as well.
    pub load_1m: f64,
}

impl Machine {
    /// This one, now.
    pub fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let release = read("/etc/os-release");
        let name = value(&release, "PRETTY_NAME", '=').trim_matches('"');
        let memory_kib =
            value(&read("/proc/meminfo"), "MemTotal", ':').split(' ').next().unwrap_or_default().parse();
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name", ':').to_owned(),
            cores: std::thread::available_parallelism().map_or(0, |cores| cores.get() as u64),
            memory_bytes: memory_kib.unwrap_or(0u64) * 1_024,
            system: format!("{name}, Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            load_1m: read("/proc/loadavg").split(' ').next().unwrap_or_default().parse().unwrap_or_default(),
        }
    }
}

/// What stands behind `name` and a sign on the first line that begins with it.
fn value<'a>(text: &'a str, name: &str, sign: char) -> &'a str {
    text.lines()
        .filter_map(|line| line.split_once(sign))
        .find_map(|(found, value)| (found.trim() == name).then_some(value.trim()))
        .unwrap_or_default()
}

/// This program, and how it was built: numbers of a build that is not optimised are not those of the product.
pub fn program() -> String {
    let build = if cfg!(debug_assertions) { "dev build" } else { "release build" };
    format!("{} ({build})", env!("CARGO_PKG_VERSION"))
}

/// The command that this process was started with; passwords are left out.
pub fn command() -> String {
    shown(std::env::args())
}

fn shown(arguments: impl Iterator<Item = String>) -> String {
    let mut hidden = false;
    let words = arguments.enumerate().map(|(place, argument)| {
        if std::mem::take(&mut hidden) {
            return "…".to_owned();
        }
        hidden = argument == "--password";
        if place == 0 {
            // Where it lies says nothing to anybody else.
            return argument.rsplit('/').next().unwrap_or_default().to_owned();
        }
        match argument.split_once('=') {
            Some(("--password", _)) => "--password=…".to_owned(),
            _ if argument.contains(' ') => format!("'{argument}'"),
            _ => argument,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_memory() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && machine.memory_bytes > 1 << 28, "{machine:?}");
        assert!(machine.system.contains("Linux "), "{machine:?}");
    }

    #[test]
    fn a_password_is_not_in_the_command() {
        let check = |arguments: &[&str], expect: &str| {
            assert_eq!(shown(arguments.iter().map(|text| (*text).to_owned())), expect);
        };
        check(
            &["/a/b/loadtest", "run", "--password", "secret", "--rate", "5"],
            "loadtest run --password … --rate 5",
        );
        check(&["loadtest", "--password=secret", "a b"], "loadtest --password=… 'a b'");
    }
}
