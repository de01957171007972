//! Ports on 127.0.0.1: a given one, a default with a free one as the way out, or any free one.
//!
//! A free port lies below the range that the kernel gives to outgoing connections, and is reserved across
//! processes by a locked file for as long as its [`Port`] lives: two stacks that start at once never choose
//! the same, though their servers bind seconds later.

use std::fs::{File, OpenOptions, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::error::StackError;

/// First port that is tried as a free one.
const FREE_FIRST: u16 = 20_000;
/// Last port that is tried where the kernel's own range is not known.
const FREE_LAST: u16 = 32_000;

/// How a port is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortChoice {
    /// Any free one.
    Free,
    /// This one when it is free, else any.
    Preferred(u16),
    /// This one; that it is in use is an error.
    Given(u16),
}

/// A chosen port, reserved among the stacks of this machine until dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: Option<File>,
}

impl Port {
    /// Chooses a port for `part`, whose flag is `flag`.
    ///
    /// # Errors
    /// When a given port is in use or no port is free.
    pub fn choose(choice: PortChoice, part: &'static str, flag: &'static str) -> Result<Self, StackError> {
        let wanted = match choice {
            PortChoice::Free => return Self::free(),
            PortChoice::Preferred(number) | PortChoice::Given(number) => number,
        };
        match (Self::take(wanted), choice) {
            (Some(port), _) => Ok(port),
            (None, PortChoice::Given(_)) => {
                Err(StackError::PortInUse { port: wanted, part, flag, holder: holder_of(wanted) })
            }
            (None, _) => Self::free(),
        }
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }

    fn free() -> Result<Self, StackError> {
        let last =
            ephemeral_first().map_or(FREE_LAST, |first| first.saturating_sub(1).max(FREE_FIRST + 1_000));
        let span = u32::from(last - FREE_FIRST);
        // Processes begin at different places, so that they seldom meet.
        let begin = std::process::id().wrapping_mul(61) % span;
        (0..span)
            .map(|offset| FREE_FIRST + ((begin + offset) % span) as u16)
            .find_map(Self::take)
            .ok_or(StackError::NoFreePort { first: FREE_FIRST, last })
    }

    /// Reserves `number` if nobody has it.
    fn take(number: u16) -> Option<Self> {
        let reservation = match reserve(number) {
            Reservation::Made(file) => Some(file),
            Reservation::Taken => return None,
            Reservation::Impossible => None,
        };
        is_free(number).then_some(Self { number, _reservation: reservation })
    }
}

enum Reservation {
    Made(File),
    Taken,
    /// The folder of reservations can't be used: go on without one.
    Impossible,
}

fn reserve(number: u16) -> Reservation {
    let dir = std::env::temp_dir().join(format!("client-sli-ports-{}", nix::unistd::getuid()));
    if std::fs::create_dir_all(&dir).is_err() {
        return Reservation::Impossible;
    }
    let options =
        OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(number.to_string()));
    let Ok(file) = options else { return Reservation::Impossible };
    match file.try_lock() {
        Ok(()) => Reservation::Made(file),
        Err(TryLockError::WouldBlock) => Reservation::Taken,
        Err(TryLockError::Error(_)) => Reservation::Impossible,
    }
}

/// Whether a server can listen on `number` now.
pub fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

/// First port that the kernel gives to outgoing connections.
fn ephemeral_first() -> Option<u16> {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Who listens on `number`, as far as the kernel tells this user.
pub fn holder_of(number: u16) -> String {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, number));
    match inode.and_then(process_of_socket) {
        Some((pid, name)) => format!("process {pid} ({name})"),
        None => "another process".into(),
    }
}

/// The socket's inode in the kernel's table (`man 5 proc`): column 1 is the local address, 3 the state (0A:
/// listening), 9 the inode.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let local = u16::from_str_radix(columns.get(1)?.rsplit(':').next()?, 16).ok()?;
        (local == port && *columns.get(3)? == "0A").then(|| columns.get(9)?.parse().ok()).flatten()
    })
}

fn process_of_socket(inode: u64) -> Option<(u32, String)> {
    let target = PathBuf::from(format!("socket:[{inode}]"));
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        has_file(&entry.path(), &target).then(|| {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            (pid, name.trim().to_owned())
        })
    })
}

fn has_file(process: &Path, target: &Path) -> bool {
    std::fs::read_dir(process.join("fd")).is_ok_and(|files| {
        files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link == *target))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_port_in_use_names_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = Port::choose(PortChoice::Given(port), "kafka", "--kafka-port").unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.contains(&format!("port {port} for kafka is in use by process {pid}")), "{error}");
        assert!(error.contains("--kafka-port"), "{error}");
    }

    #[test]
    fn a_preferred_port_in_use_becomes_another() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let port = Port::choose(PortChoice::Preferred(taken), "kafka", "--kafka-port").unwrap();
        assert_ne!(port.number(), taken);
        assert!(is_free(port.number()));
    }

    #[test]
    fn a_reserved_port_is_not_given_twice() {
        let first = Port::choose(PortChoice::Free, "kafka", "--kafka-port").unwrap();
        let second = Port::choose(PortChoice::Free, "kafka", "--kafka-port").unwrap();
        assert_ne!(first.number(), second.number());
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx:rx tr:when retrnsmt uid timeout inode\n\
             0: 0100007F:1F90 0100007F:8000 01 0:0 00:0 0 0 0 41 1\n\
             1: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 42 1\n";
        assert_eq!(listening_inode(table, 8080), Some(42));
        assert_eq!(listening_inode(table, 8081), None);
    }
}
