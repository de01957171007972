//! ClickHouse as a part: `clickhouse local` that listens, from the downloaded library or a given program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::StackError;
use crate::launch::CLICKHOUSE_LOCAL;
use crate::part::{PartCommand, StopBy};

/// The users of the local stack.
const USERS: &str = include_str!("../../clickhouse/users.xml");

/// Starts listening, then waits for the end of standard input.
const SERVE: &str = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; \
                     SELECT count() FROM file('-', 'LineAsString') FORMAT Null";

/// What runs `clickhouse local`.
#[derive(Debug, Clone)]
pub(super) enum Program {
    /// The launcher with the shared library.
    Library { launcher: PathBuf, library: PathBuf },
    /// The `clickhouse` program.
    Binary(PathBuf),
}

/// Writes the configuration below `dir` and gives the server's command.
pub(super) fn prepare(
    dir: &Path,
    log: PathBuf,
    program: Program,
    http_port: u16,
    native_port: u16,
) -> Result<PartCommand, StackError> {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).map_err(StackError::io("create", &data))?;
    let write = |name: &str, content: &str| {
        let path = dir.join(name);
        std::fs::write(&path, content).map_err(StackError::io("write", &path)).map(|()| path)
    };
    let users = write("users.xml", USERS)?;
    let config = write("config.xml", &server_config(&users, &log))?;
    let (program, mut args): (PathBuf, Vec<OsString>) = match program {
        Program::Library { launcher, library } => {
            (launcher, vec![CLICKHOUSE_LOCAL.into(), "--library".into(), library.into(), "--".into()])
        }
        Program::Binary(binary) => (binary, vec!["local".into()]),
    };
    args.extend([
        format!("--config-file={}", config.display()).into(),
        format!("--path={}", data.display()).into(),
        format!("--http_port={http_port}").into(),
        format!("--tcp_port={native_port}").into(),
        "--listen_host=127.0.0.1".into(),
        "--multiquery".into(),
        format!("--query={SERVE}").into(),
    ]);
    let env = Default::default();
    Ok(PartCommand { program, args, env, dir: dir.to_owned(), log, stop_by: StopBy::EndOfInput })
}

fn server_config(users: &Path, log: &Path) -> String {
    // Folders come from people's machines: XML needs its five characters escaped.
    let escape = |path: &Path| {
        let text = path.display().to_string();
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    };
    format!(
        "<clickhouse>\n  <users_config>{}</users_config>\n  <logger>\n    <level>warning</level>\n    \
         <log>{}</log>\n  </logger>\n  <mark_cache_size>67108864</mark_cache_size>\n</clickhouse>\n",
        escape(users),
        escape(log)
    )
}
