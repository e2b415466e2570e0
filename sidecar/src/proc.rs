//! Reads processes from `/proc` and signals them without ever hitting a process that was given a used id.

use std::{collections::BTreeMap, fs, io};

use nix::{sys::signal, unistd};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process as `/proc/pid/stat` has it.
///
/// Source: proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its session; 0 where the session's leader lives outside of this PID namespace.
    pub session: u32,
    /// When it started, in clock ticks since the machine did.
    pub start_time: u64,
    /// Whether it has ended and only waits to be reaped. A process whose first thread has ended while others run is alive.
    pub is_zombie: bool,
}

impl Stat {
    /// The process with this id; `None` where there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses, which may hold blanks, parentheses and bytes that are no text.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let fields: Vec<&str> = str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let id = |index: usize| number(index).and_then(|id| u32::try_from(id).ok());
        Some(Self {
            pid,
            parent: id(1)?,
            // Negative where it is not known.
            session: id(3).unwrap_or(0),
            start_time: number(19)?,
            is_zombie: matches!(*fields.first()?, "Z" | "X") && number(17)? <= 1,
        })
    }

    /// Sends a signal to this very process; nothing where it has ended, whoever has its id now.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        let is_same = || Self::of(self.pid).is_some_and(|now| now.start_time == self.start_time);
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The descriptor stands for one process: where the start time is still the same, for this one.
            Ok(process) if is_same() => {
                // It may have ended just now.
                let _ = pidfd_send_signal(process, signal);
            }
            // A kernel before 5.3, or a container's filter that does not know the call.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) if is_same() => {
                if let Ok(signal) = signal::Signal::try_from(signal.as_raw()) {
                    let _ = signal::kill(unistd::Pid::from_raw(pid.as_raw_pid()), signal);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// All processes that can be seen, by their ids.
///
/// # Errors
/// Those of reading `/proc`.
pub fn all() -> io::Result<BTreeMap<u32, Stat>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        // Processes that end meanwhile are not there any more.
        if let Some(stat) = name.to_str().and_then(|name| name.parse().ok()).and_then(Stat::of) {
            found.insert(stat.pid, stat);
        }
    }
    Ok(found)
}

/// How far from the id that was given last the newest processes are looked for.
const NEAR: u32 = 8;

/// The processes with the ids next to the one that the kernel gave last: what is born and ends while [`all`] reads is seen here
/// alone.
///
/// Source: proc(5), `/proc/loadavg`, the fifth field.
#[must_use]
pub fn newest() -> Vec<Stat> {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last = load.split_ascii_whitespace().last().and_then(|last| last.parse::<u32>().ok());
    let near = last.map(|last| last.saturating_sub(NEAR).max(1)..=last.saturating_add(NEAR));
    near.into_iter().flatten().filter_map(Stat::of).collect()
}

/// What a process may do, as `/proc/pid/status` has it.
///
/// Source: proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The real user.
    pub uid: u32,
    /// Whether no program that it executes gives it more rights.
    pub no_new_privileges: bool,
    /// The effective capabilities.
    pub effective: u64,
    /// All capabilities that it has or could take without executing a program: effective, permitted and ambient ones.
    pub capabilities: u64,
}

impl Rights {
    /// Those of the process with this id, or of `self`.
    #[must_use]
    pub fn of(process: impl std::fmt::Display) -> Option<Self> {
        let status = fs::read(format!("/proc/{process}/status")).ok()?;
        // The name on the first line may hold bytes that are no text; a line feed in it is escaped.
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

        // Another process of the same id is not hit.
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
