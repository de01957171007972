//! Where the executables of this project are: built from the checkout when this program was built there,
//! else beside this program.
//!
//! In a checkout those that are older than a source are brought up to date by a nested `cargo build` of the same profile,
//! so that nobody ever measures yesterday's `aggregator`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::error::StackError;
use crate::launch::Launcher;
use crate::progress::Progress;
use crate::tool;

/// This program's own name.
const OWN: &str = "deploy";
/// Packages that are built whenever one of the services is needed, and the packages of this project that each one's
/// executable is built from. Always all of them, because Cargo builds a dependency again for every set of packages
/// that asks other features of it.
const BUILT_FROM: [(&str, &[&str]); 4] = [
    ("aggregator", &["aggregator", "schema", "settings"]),
    ("deploy", &["deploy", "schema"]),
    ("ingest", &["ingest", "schema", "settings"]),
    ("loadtest", &["loadtest", "deploy", "schema"]),
];
/// Folders of a package whose files are not in its executable.
const NOT_BUILT_IN: [&str; 5] = ["benches", "drills", "examples", "fuzz", "tests"];
/// The kernel's name of the running program, right even when the file was replaced since.
const RUNNING: &str = "/proc/self/exe";

/// Whether this process has brought the services up to date: once is enough, and asking Cargo again waits for
/// every other build. Held while it builds, so that stacks that start at once build once.
static SERVICES_BUILT: Mutex<bool> = Mutex::new(false);

/// Where executables come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executables {
    /// A checkout whose target folder this program runs from.
    Checkout {
        /// Its root.
        root: PathBuf,
        /// The target folder.
        target_dir: PathBuf,
        /// Folder of the profile in there.
        profile_dir: String,
    },
    /// A folder that has them.
    Beside(PathBuf),
}

impl Executables {
    /// Those that belong to this program.
    ///
    /// # Errors
    /// When the operating system does not say where this program is.
    pub fn locate() -> Result<Self, StackError> {
        let own = std::env::current_exe().map_err(StackError::io("find", Path::new(RUNNING)))?;
        let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest_dir.parent().filter(|root| root.join("Cargo.toml").is_file());
        Ok(Self::of(&own, root, |dir| dir.join(".cargo-lock").exists() || dir.join(".fingerprint").exists()))
    }

    fn of(own: &Path, root: Option<&Path>, is_profile_dir: impl Fn(&Path) -> bool) -> Self {
        let dir = own.parent().unwrap_or(Path::new("."));
        // Tests run from `deps`, examples from `examples`, in the profile's folder.
        let profile = [Some(dir), dir.parent()].into_iter().flatten().find(|dir| is_profile_dir(dir));
        match (root, profile.and_then(|dir| Some((dir.parent()?, dir.file_name()?)))) {
            (Some(root), Some((target_dir, profile_dir))) => Self::Checkout {
                root: root.to_owned(),
                target_dir: target_dir.to_owned(),
                profile_dir: profile_dir.to_string_lossy().into_owned(),
            },
            _ => Self::Beside(dir.to_owned()),
        }
    }

    /// The executables of `packages`, in that order, built first where there is a checkout.
    ///
    /// # Errors
    /// When they don't build, or are not there.
    pub fn get(&self, packages: &[&'static str], progress: Progress) -> Result<Vec<PathBuf>, StackError> {
        let dir = match self {
            Self::Checkout { root, target_dir, profile_dir } => {
                let dir = target_dir.join(profile_dir);
                let mut built = SERVICES_BUILT.lock().unwrap_or_else(PoisonError::into_inner);
                if !*built {
                    // Tests of the whole workspace find them built, with its features: with those of the packages alone
                    // Cargo would compile most dependencies a second time.
                    let together = BUILT_FROM.map(|(package, _)| package);
                    if !together.iter().all(|name| is_up_to_date(&dir.join(name), name, root)) {
                        build(root, target_dir, profile_dir, &together, progress)?;
                    }
                    *built = true;
                }
                dir
            }
            Self::Beside(dir) => dir.clone(),
        };
        Self::paths(&dir, packages)
    }

    fn paths(dir: &Path, packages: &[&'static str]) -> Result<Vec<PathBuf>, StackError> {
        packages
            .iter()
            .map(|package| {
                let path = dir.join(package);
                if path.is_file() {
                    return Ok(path);
                }
                Err(StackError::ToolMissing {
                    tool: path.display().to_string(),
                    purpose: "which belongs to the stack",
                    way_out: "install all executables of the project into one folder, or run from a checkout",
                })
            })
            .collect()
    }

    /// The executable whose subcommands start processes: this program when it is that one.
    ///
    /// # Errors
    /// As [`Executables::get`].
    pub fn launcher(&self, progress: Progress) -> Result<Launcher, StackError> {
        let own = std::env::current_exe().map_err(StackError::io("find", Path::new(RUNNING)))?;
        let name = own.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // The kernel appends " (deleted)" to the name of a file that was replaced.
        if name.trim_end_matches(" (deleted)") == OWN && Path::new(RUNNING).exists() {
            return Ok(Launcher::new(RUNNING.into()));
        }
        let executable = match self {
            Self::Checkout { root, target_dir, profile_dir } => {
                let executable = target_dir.join(profile_dir).join(OWN);
                // Asking Cargo would make a test wait for every build that is under way.
                if !is_up_to_date(&executable, OWN, root) {
                    build(root, target_dir, profile_dir, &[OWN], progress)?;
                }
                executable
            }
            Self::Beside(dir) => dir.join(OWN),
        };
        Ok(Launcher::new(executable))
    }

    /// A folder of the project: in the checkout, else beside the executables.
    pub fn folder(&self, name: &str) -> PathBuf {
        match self {
            Self::Checkout { root, .. } => root.join(name),
            Self::Beside(dir) => dir.join(name),
        }
    }
}

/// Whether the executable of `package` was built after the last change of anything that it is built from.
fn is_up_to_date(executable: &Path, package: &str, root: &Path) -> bool {
    let Some(built) = modified(executable) else { return false };
    let Some((_, packages)) = BUILT_FROM.iter().find(|(name, _)| *name == package) else { return false };
    let is_older = |path: PathBuf| modified(&path).is_some_and(|changed| changed <= built);
    ["Cargo.lock", "Cargo.toml"].into_iter().all(|name| is_older(root.join(name)))
        && packages.iter().all(|name| files(&root.join(name), &NOT_BUILT_IN).into_iter().all(is_older))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The files below `folder`, but for what is in the folders `left_out` right in it.
fn files(folder: &Path, left_out: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        if !entry.path().is_dir() {
            found.push(entry.path());
        } else if !left_out.iter().any(|name| entry.file_name() == *name) {
            found.extend(files(&entry.path(), &[]));
        }
    }
    found
}

fn build(
    root: &Path,
    target_dir: &Path,
    profile_dir: &str,
    packages: &[&'static str],
    progress: Progress,
) -> Result<(), StackError> {
    // Cargo calls the folder of its profile `dev` so.
    let profile = if profile_dir == "debug" { "dev" } else { profile_dir };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--bins", "--profile", profile]).current_dir(root).stdin(Stdio::null());
    cargo.arg("--target-dir").arg(target_dir);
    packages.iter().for_each(|package| {
        cargo.args(["--package", package]);
    });
    if progress != Progress::Quiet {
        // Cargo's own progress is the best one there is.
        cargo.stderr(Stdio::inherit());
    }
    progress.note(format_args!("building {} ({profile})", packages.join(", ")));
    tool::run(
        cargo,
        "which builds the stack's executables",
        "install Rust from https://rustup.rs",
        &format!("building {}", packages.join(", ")),
        "mend what the compiler says",
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn executables_are_built_only_for_programs_of_the_checkout() {
        let check = |own: &str, root: Option<&str>, expect: Executables| {
            let is_profile_dir = |dir: &Path| dir == Path::new("/src/target/debug");
            assert_eq!(Executables::of(Path::new(own), root.map(Path::new), is_profile_dir), expect);
        };
        let checkout = || Executables::Checkout {
            root: "/src".into(),
            target_dir: "/src/target".into(),
            profile_dir: "debug".into(),
        };
        check("/src/target/debug/deploy", Some("/src"), checkout());
        check("/src/target/debug/deps/it-0f", Some("/src"), checkout());
        check("/src/target/debug/deploy", None, Executables::Beside("/src/target/debug".into()));
        check("/usr/bin/deploy", Some("/src"), Executables::Beside("/usr/bin".into()));
    }

    #[test]
    fn an_executable_is_stale_when_a_source_changed_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let executable = dir.path().join("target/debug/deploy");
        let set = |path: &Path, seconds| {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(path).unwrap().set_modified(time).unwrap();
        };
        set(&executable, 2);
        let check = |name: &str, changed, expect| {
            let path = dir.path().join(name);
            set(&path, changed);
            assert_eq!(is_up_to_date(&executable, OWN, dir.path()), expect, "{name} at {changed}");
        };
        check("Cargo.lock", 1, false);
        check("Cargo.toml", 1, true);
        for name in [
            "Cargo.lock",
            "deploy/src/stack/kafka.rs",
            "schema/src/ddl/001_tables.sql",
            "deploy/parts/kafka.sums",
        ] {
            check(name, 3, false);
            check(name, 2, true);
        }
        check("deploy/tests/it/main.rs", 3, true);
        check("deploy/examples/history.rs", 3, true);
        check("ingest/src/main.rs", 3, true);
        assert!(!is_up_to_date(&dir.path().join("none"), OWN, dir.path()));
    }

    #[test]
    fn an_executable_is_built_from_what_its_package_depends_on() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let depends_on = |package: &str| -> BTreeSet<String> {
            let text = std::fs::read_to_string(root.join(package).join("Cargo.toml")).unwrap();
            let dependencies = text.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
            let names = dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
            let own = names.filter(|name| !name.is_empty() && root.join(name).join("Cargo.toml").is_file());
            own.map(str::to_owned).collect()
        };
        for (package, packages) in BUILT_FROM {
            let mut all = BTreeSet::from([package.to_owned()]);
            for name in packages {
                all.extend(depends_on(name));
            }
            assert_eq!(all, packages.iter().map(|name| (*name).to_owned()).collect(), "{package}");
        }
    }

    #[test]
    fn a_missing_executable_says_where_it_should_be() {
        let dir = tempfile::tempdir().unwrap();
        let error =
            Executables::Beside(dir.path().into()).get(&["ingest"], Progress::Quiet).unwrap_err().to_string();
        assert!(error.contains("ingest, which belongs to the stack, was not found"), "{error}");
    }
}
