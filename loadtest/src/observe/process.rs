//! What the kernel says that a process uses, from `/proc`.

use std::path::Path;

use nix::unistd::{SysconfVar, sysconf};

use super::sample::ProcessSample;

const KIB: u64 = 1_024;

/// What `pid` uses now; `None` where there is no such process.
pub fn read(pid: u32) -> Option<ProcessSample> {
    let folder = Path::new("/proc").join(pid.to_string());
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let ticks_per_s = sysconf(SysconfVar::CLK_TCK).ok().flatten()?.unsigned_abs();
    Some(ProcessSample {
        pid,
        cpu_ms: cpu_ticks(&stat)? * 1_000 / ticks_per_s,
        rss_bytes: kib(&status, "VmRSS")? * KIB,
        anon_bytes: kib(&status, "RssAnon")? * KIB,
    })
}

/// User and system time in the ticks of `proc(5)`: the 14th and 15th field, the second of which is a name that may
/// hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 700 30 0 0 20 0 9 0 1";
        assert_eq!(cpu_ticks(&format!("12 (java) {rest}")), Some(730));
        assert_eq!(cpu_ticks(&format!("12 (a) b) {rest}")), Some(730));
        assert_eq!(cpu_ticks("12 (java) S 1"), None);
    }

    #[test]
    fn memory_is_read_by_its_own_name() {
        let status = "Name:\tx\nVmRSS:\t  2048 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!(kib(status, "VmRSS"), Some(2_048));
        assert_eq!(kib(status, "RssAnon"), Some(1_024));
        assert_eq!(kib(status, "Rss"), None);
    }

    #[test]
    fn this_process_uses_memory_and_no_process_has_the_largest_id() {
        let own = read(std::process::id()).unwrap();
        assert!(own.rss_bytes >= own.anon_bytes && own.anon_bytes > 0, "{own:?}");
        assert_eq!(read(u32::MAX), None);
    }
}
