//! The small programs that the stack's processes begin in: hidden subcommands of the `deploy` executable.
//!
//! `launch` binds a process to the life of the program that started it and then becomes that process, so its
//! id is the part's. `clickhouse-local` loads ClickHouse's shared library into a process of its own.
//! Where the executable is found: [`crate::executable`].

use std::ffi::{CString, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// Name of the subcommand that binds a process to its parent.
pub const LAUNCH: &str = "launch";
/// Name of the subcommand that runs ClickHouse from its library.
pub const CLICKHOUSE_LOCAL: &str = "clickhouse-local";

/// The executable that has these subcommands.
#[derive(Debug, Clone)]
pub struct Launcher {
    executable: Option<PathBuf>,
}

impl Launcher {
    /// Starts processes by way of `executable`.
    pub fn new(executable: PathBuf) -> Self {
        Self { executable: Some(executable) }
    }

    /// Starts processes directly: they outlive a parent that is killed. For tests of what surrounds them.
    #[cfg(test)]
    pub(crate) fn unbound() -> Self {
        Self { executable: None }
    }

    /// A command that runs `program`, killed when the calling thread ends.
    pub fn command(&self, program: &Path) -> Command {
        let Some(executable) = &self.executable else { return Command::new(program) };
        let mut command = Command::new(executable);
        command.arg(LAUNCH).arg("--parent").arg(std::process::id().to_string()).arg("--").arg(program);
        command
    }

    /// The executable itself.
    pub fn executable(&self) -> Option<&Path> {
        self.executable.as_deref()
    }
}

/// Becomes `program`, killed by the kernel when the thread that started this process ends.
///
/// # Errors
/// When the program can't be run, or `parent` has ended already. There is no return otherwise.
pub fn launch(parent: u32, program: &Path, args: &[OsString]) -> anyhow::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("bind the process to its parent")?;
    // The parent may have ended before the line above.
    if getppid() != Pid::from_raw(i32::try_from(parent)?) {
        bail!("the program that started this has ended");
    }
    Err(Command::new(program).args(args).exec()).with_context(|| format!("run {}", program.display()))
}

/// Runs the command line of `clickhouse local` from ClickHouse's shared library, and returns its exit code.
///
/// # Errors
/// When the library can't be loaded or is another one.
pub fn clickhouse_local(library: &Path, args: Vec<OsString>) -> anyhow::Result<i32> {
    let args: Vec<CString> = std::iter::once(OsString::from("clickhouse"))
        .chain(args)
        .map(|arg| CString::new(arg.into_vec()))
        .collect::<Result<_, _>>()
        .context("an argument has a zero byte")?;
    let argument_count = c_int::try_from(args.len())?;
    let mut pointers: Vec<*mut c_char> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
    // C's argv ends with a null pointer.
    pointers.push(std::ptr::null_mut());
    call_library(library, argument_count, &mut pointers).with_context(|| {
        format!("load {}: if it is damaged, remove its folder and start the stack again", library.display())
    })
}

/// Calls `int chdb_query_cmdline(int argc, char **argv)`.
#[expect(unsafe_code, reason = "ClickHouse comes as a C library, and calling it is what this process is for")]
fn call_library(
    library: &Path,
    argument_count: c_int,
    arguments: &mut [*mut c_char],
) -> Result<i32, libloading::Error> {
    // SAFETY: the library was compared with its digest when it was downloaded, and this process does
    // nothing but run it, on its main thread: what its initialisers do concerns nobody else. The signature
    // is the one of ClickHouse's `programs/local/chdb.h`. `arguments` has `argument_count` pointers to
    // zero-terminated strings and a null pointer; they and the strings, which C may read but has no reason
    // to write, live until the call returns. The library stays loaded until the process ends, because its
    // threads and exit handlers may run until then.
    unsafe {
        let library = std::mem::ManuallyDrop::new(libloading::Library::new(library)?);
        let run =
            library.get::<unsafe extern "C" fn(c_int, *mut *mut c_char) -> c_int>(b"chdb_query_cmdline\0")?;
        Ok(run(argument_count, arguments.as_mut_ptr()))
    }
}
