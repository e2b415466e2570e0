//! Reads processes from `/proc` and signals them through pidfds, so that a reused process id is never hit.

use std::{collections::BTreeMap, fs, io};

use nix::{sys::signal, unistd};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process as listed in `/proc/pid/stat`.
///
/// Source: proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: u32,
    /// Process id of the parent.
    pub parent: u32,
    /// Session id; 0 if the session's leader is outside of this PID namespace.
    pub session: u32,
    /// Start time in clock ticks since the machine's boot.
    pub start_time: u64,
    /// Whether the process has ended and only waits to be reaped. One whose first thread has ended while others run is
    /// alive.
    pub is_zombie: bool,
}

impl Stat {
    /// Reads the process with this id; `None` if it does not exist.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses, which may hold blanks, parentheses and bytes that are not text.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let fields: Vec<&str> = str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let id = |index: usize| number(index).and_then(|id| u32::try_from(id).ok());
        Some(Self {
            pid,
            parent: id(1)?,
            // Negative where it is unknown.
            session: id(3).unwrap_or(0),
            start_time: number(19)?,
            is_zombie: matches!(*fields.first()?, "Z" | "X") && number(17)? <= 1,
        })
    }

    /// Signals this process; does nothing if it has ended, even if another process has its id now.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        let is_same = || Self::of(self.pid).is_some_and(|now| now.start_time == self.start_time);
        match pidfd_open(pid, PidfdFlags::empty()) {
            // A pidfd refers to one process: if the start time is unchanged now, to this one.
            Ok(process) if is_same() => {
                // The process may end between check and signal.
                let _ = pidfd_send_signal(process, signal);
            }
            // A kernel before 5.3, or a container's seccomp filter that does not allow the call.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) if is_same() => {
                if let Ok(signal) = signal::Signal::try_from(signal.as_raw()) {
                    let _ = signal::kill(unistd::Pid::from_raw(pid.as_raw_pid()), signal);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// All visible processes by id.
///
/// # Errors
/// Errors of reading `/proc`.
pub fn all() -> io::Result<BTreeMap<u32, Stat>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        // Processes that end while the folder is read are skipped.
        if let Some(stat) = name.to_str().and_then(|name| name.parse().ok()).and_then(Stat::of) {
            found.insert(stat.pid, stat);
        }
    }
    Ok(found)
}

/// Distance from the last assigned id within which [`newest`] looks for processes.
const NEAR: u32 = 8;

/// Processes with ids near the one that the kernel assigned last. Finds processes that start and end while [`all`]
/// reads.
///
/// Source: proc(5), `/proc/loadavg`, the fifth field.
#[must_use]
pub fn newest() -> Vec<Stat> {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last = load.split_ascii_whitespace().last().and_then(|last| last.parse::<u32>().ok());
    let near = last.map(|last| last.saturating_sub(NEAR).max(1)..=last.saturating_add(NEAR));
    near.into_iter().flatten().filter_map(Stat::of).collect()
}

/// Credentials and capabilities of a process, as listed in `/proc/pid/status`.
///
/// Source: proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Real user id.
    pub uid: u32,
    /// Whether `no_new_privs` is set: programs that the process executes cannot give it more rights.
    pub no_new_privileges: bool,
    /// Effective capabilities.
    pub effective: u64,
    /// All capabilities that the process has or can take without executing a program: effective, permitted and ambient
    /// ones.
    pub capabilities: u64,
}

impl Rights {
    /// Reads the rights of the process with this id, or of `self`; `None` if it does not exist.
    #[must_use]
    pub fn of(process: impl std::fmt::Display) -> Option<Self> {
        let status = fs::read(format!("/proc/{process}/status")).ok()?;
        // The name on the first line may hold bytes that are not text; a line feed in it is escaped.
        let status = String::from_utf8_lossy(&status);
        let word = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_ascii_whitespace().next()
        };
        let capabilities = |name: &str| u64::from_str_radix(word(name)?, 16).ok();
        let effective = capabilities("CapEff")?;
        Some(Self {
            uid: word("Uid")?.parse().ok()?,
            no_new_privileges: word("NoNewPrivs")? == "1",
            effective,
            capabilities: effective | capabilities("CapPrm")? | capabilities("CapAmb")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_read_with_its_parent_session_and_rights() {
        let own = Stat::of(std::process::id()).unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let stat = Stat::of(child.id()).unwrap();
        assert_eq!((stat.parent, stat.session, stat.is_zombie), (own.pid, own.session, false));
        assert!(stat.start_time >= own.start_time && all().unwrap().contains_key(&stat.pid));
        assert_eq!(Rights::of(stat.pid).unwrap().uid, unistd::getuid().as_raw());

        // A process with the same id and another start time is not signalled.
        Stat { start_time: stat.start_time + 1, ..stat }.signal(Signal::KILL);
        assert!(child.try_wait().unwrap().is_none());
        stat.signal(Signal::KILL);
        while !Stat::of(child.id()).unwrap().is_zombie {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(Stat::of(child.id()), None);
    }
}
