//! One long-running process of the stack: started, watched, started again when it dies, stopped by its id and
//! reaped.
//!
//! Each part has a thread of its own that starts the process and waits for it. The process is bound to that
//! thread's life by the kernel (see [`crate::launch`]), so nothing outlives this program, however it ends.
//! When a part is ready, and what it needs, is [`crate::stack`]'s.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::error::StackError;
use crate::launch::Launcher;
use crate::progress::Progress;
use crate::tool;

/// Wait before a dead part is started again; doubles with each death in a row.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// Longest wait before a dead part is started again.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A part that lived this long is not in a loop of restarts.
const STABLE_AFTER: Duration = Duration::from_secs(20);
/// Deaths in a row, none of them after a stable time, until the stack gives up.
const DEATHS_MAX: u32 = 6;
/// Lines of a part's log that an error carries.
const LOG_LINES_MAX: usize = 15;

/// How a part is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopBy {
    /// SIGTERM.
    Terminate,
    /// The end of its standard input.
    EndOfInput,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct PartCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables beside the inherited ones.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub dir: PathBuf,
    /// File that takes its output.
    pub log: PathBuf,
    /// How it is asked to stop.
    pub stop_by: StopBy,
}

/// One process of the stack.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    log: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    command: PartCommand,
    launcher: Launcher,
    progress: Progress,
    state: Mutex<State>,
    changed: Condvar,
    /// Called with the lock released whenever the process id changed.
    on_change: OnChange,
}

/// What is done whenever a part's process id changed.
#[derive(Clone)]
pub struct OnChange(pub Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for OnChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnChange")
    }
}

#[derive(Debug, Default)]
struct State {
    /// Somebody wants it to run.
    wanted: bool,
    /// It is started again when it dies.
    kept_alive: bool,
    /// The thread should end.
    closed: bool,
    process: Option<Child>,
    /// Between the decision to start and the process.
    starting: bool,
    /// Starts so far, failed ones included.
    starts: u32,
    /// How the last process ended.
    ended: Option<String>,
    /// Why it is not started any more.
    gave_up: Option<String>,
}

impl Part {
    /// Prepares a part; nothing runs before [`Part::start`].
    pub fn new(
        name: &'static str,
        command: PartCommand,
        launcher: Launcher,
        progress: Progress,
        on_change: OnChange,
    ) -> Result<Self, StackError> {
        let log = command.log.clone();
        let shared = Arc::new(Shared {
            name,
            command,
            launcher,
            progress,
            state: Mutex::default(),
            changed: Condvar::new(),
            on_change,
        });
        let thread = std::thread::Builder::new()
            .name(format!("part-{name}"))
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run()
            })
            .map_err(StackError::io("start a thread to watch", &log))?;
        Ok(Self { name, log, shared, thread: Some(thread) })
    }

    /// Name in `processes.json`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// File that takes its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Id of the process that runs now.
    pub fn pid(&self) -> Option<u32> {
        self.shared.lock().process.as_ref().map(Child::id)
    }

    /// Starts the process and returns when there is one.
    ///
    /// # Errors
    /// When it can't be started at all. Whether it works is another question: [`Part::check_running`].
    pub fn start(&self) -> Result<(), StackError> {
        let mut state = self.shared.lock();
        if state.process.is_some() {
            return Ok(());
        }
        let starts = state.starts;
        state.gave_up = None;
        state.wanted = true;
        state.ended = None;
        self.shared.changed.notify_all();
        let state = self.shared.wait_while(state, |s| s.starts == starts && s.gave_up.is_none());
        match &state.gave_up {
            Some(reason) => Err(self.ended(reason.clone())),
            None => Ok(()),
        }
    }

    /// Whether it still runs, as far as it was started.
    ///
    /// # Errors
    /// When it ended; the error has the log's last lines.
    pub fn check_running(&self) -> Result<(), StackError> {
        let state = self.shared.lock();
        match (&state.gave_up, &state.process, &state.ended) {
            (Some(reason), _, _) => Err(self.ended(reason.clone())),
            (None, None, Some(ended)) if !state.kept_alive => Err(self.ended(ended.clone())),
            (None, _, _) => Ok(()),
        }
    }

    /// The error for a part that does not answer.
    pub fn silent(&self, waited: Duration, detail: String) -> StackError {
        StackError::PartSilent {
            part: self.name,
            seconds: waited.as_secs(),
            detail,
            log: self.log.clone(),
            tail: self.log_tail(),
        }
    }

    /// From now on (or no longer) the process is started again when it dies.
    pub fn keep_alive(&self, kept: bool) {
        let mut state = self.shared.lock();
        state.kept_alive = kept;
        if kept {
            state.ended = None;
        }
        self.shared.changed.notify_all();
    }

    /// Why the part is not started again any more, if so.
    pub fn gave_up(&self) -> Option<String> {
        self.shared.lock().gave_up.clone()
    }

    /// Sends a signal to the process that runs now. A part that is kept alive is started again if it dies of it.
    pub fn signal(&self, signal: Signal) {
        let state = self.shared.lock();
        if let Some(process) = &state.process {
            send(process, signal);
        }
    }

    /// Asks the process to stop, kills it when it has not by `patience`, and returns when it is reaped.
    pub fn stop(&self, patience: Duration) {
        let mut state = self.shared.lock();
        state.wanted = false;
        self.shared.changed.notify_all();
        let mut state = self.shared.wait_while(state, |s| s.starting);
        if let Some(process) = &mut state.process {
            match self.shared.command.stop_by {
                StopBy::Terminate => send(process, Signal::SIGTERM),
                StopBy::EndOfInput => drop(process.stdin.take()),
            }
        }
        let (mut state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |s| s.process.is_some())
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            if !patience.is_zero() {
                self.shared.progress.say(format_args!(
                    "{} did not stop within {} s and is killed",
                    self.name,
                    patience.as_secs()
                ));
            }
            if let Some(process) = &mut state.process {
                send(process, Signal::SIGKILL);
            }
            drop(self.shared.wait_while(state, |s| s.process.is_some()));
        }
    }

    /// Last lines of its log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        tool::last_lines(&String::from_utf8_lossy(&log), LOG_LINES_MAX)
    }

    fn ended(&self, status: String) -> StackError {
        StackError::PartEnded { part: self.name, status, log: self.log.clone(), tail: self.log_tail() }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed; the process is reaped either way.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, condition).unwrap_or_else(PoisonError::into_inner)
    }

    /// The part's thread: one turn is one life of the process.
    fn run(&self) {
        let mut deaths = 0;
        loop {
            let mut state = self.wait_while(self.lock(), |s| !s.closed && (!s.wanted || s.gave_up.is_some()));
            if state.closed {
                return;
            }
            state.starting = true;
            drop(state);
            #[expect(
                clippy::disallowed_methods,
                reason = "how long a process lived decides how it is restarted"
            )]
            let started = Instant::now();
            let ended = match self.live_once() {
                EndOfLife::Asked => {
                    deaths = 0;
                    continue;
                }
                EndOfLife::Unasked(ended) => ended,
            };
            let state = self.lock();
            if !state.kept_alive {
                drop(self.wait_while(state, |s| s.wanted && !s.closed && !s.kept_alive && s.ended.is_some()));
                continue;
            }
            drop(state);
            deaths = if started.elapsed() > STABLE_AFTER { 1 } else { deaths + 1 };
            if self.after_death(&ended, deaths) == AfterDeath::GivenUp {
                deaths = 0;
            }
        }
    }

    /// Starts the process and waits until it ends.
    fn live_once(&self) -> EndOfLife {
        let spawned = self.spawn();
        let mut state = self.lock();
        state.starts += 1;
        state.starting = false;
        let pid = match spawned {
            Ok(child) => {
                let pid = Pid::from_raw(child.id() as i32);
                state.process = Some(child);
                pid
            }
            Err(error) => {
                state.gave_up = Some(error.to_string());
                self.changed.notify_all();
                return EndOfLife::Unasked(error.to_string());
            }
        };
        self.changed.notify_all();
        drop(state);
        (self.on_change.0)();
        // Waits without reaping: the id stays this process's until the lock is held, so that no signal can
        // go to a stranger.
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            == Err(nix::errno::Errno::EINTR)
        {}
        let mut state = self.lock();
        let status = state.process.as_mut().map(Child::wait);
        let ended = match status {
            Some(Ok(status)) => describe(status),
            Some(Err(error)) => error.to_string(),
            None => "gone".into(),
        };
        let ended = format!("process {pid}, {ended}");
        state.process = None;
        state.ended = Some(ended.clone());
        // Somebody may want it again as soon as the lock is released: decide now whether this was asked for.
        let asked = !state.wanted || state.closed;
        self.changed.notify_all();
        drop(state);
        (self.on_change.0)();
        if asked { EndOfLife::Asked } else { EndOfLife::Unasked(ended) }
    }

    fn after_death(&self, ended: &str, deaths: u32) -> AfterDeath {
        if deaths >= DEATHS_MAX {
            let reason =
                format!("died {deaths} times in a row, last: {ended}; see {}", self.command.log.display());
            self.progress.say(format_args!("{} {reason}; it is not started again", self.name));
            self.lock().gave_up = Some(reason);
            self.changed.notify_all();
            (self.on_change.0)();
            return AfterDeath::GivenUp;
        }
        let wait = (BACKOFF_FIRST * 2u32.pow(deaths - 1)).min(BACKOFF_MAX);
        self.progress.say(format_args!("{} ended ({ended}): starting it again on the same ports", self.name));
        let state = self.lock();
        let woken = self.changed.wait_timeout_while(state, wait, |s| s.wanted && !s.closed);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
        AfterDeath::Again
    }

    fn spawn(&self) -> Result<Child, StackError> {
        let command = &self.command;
        let open = |path: &Path| -> std::io::Result<(File, File)> {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            Ok((file.try_clone()?, file))
        };
        let (stdout, stderr) = open(&command.log).map_err(StackError::io("open the log", &command.log))?;
        let mut process: Command = self.launcher.command(&command.program);
        process
            .args(&command.args)
            .envs(&command.env)
            .current_dir(&command.dir)
            .stdin(match command.stop_by {
                StopBy::Terminate => Stdio::null(),
                StopBy::EndOfInput => Stdio::piped(),
            })
            .stdout(stdout)
            .stderr(stderr)
            // A Ctrl-C in the terminal is for this program, which stops the parts in their order.
            .process_group(0);
        // What is not found is the launcher: the program itself is not found by it, which its log says.
        let program = PathBuf::from(process.get_program());
        process.spawn().map_err(StackError::io("start", &program))
    }
}

#[derive(Debug)]
enum EndOfLife {
    /// Somebody stopped it.
    Asked,
    /// It ended by itself or was killed, so.
    Unasked(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterDeath {
    Again,
    GivenUp,
}

fn send(process: &Child, signal: Signal) {
    // An error can only mean that it has ended meanwhile.
    let _ = kill(Pid::from_raw(process.id() as i32), signal);
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(Ok(signal))) => format!("killed by {signal}"),
        (None, _) => status.to_string(),
    }
}

#[cfg(test)]
mod tests;
