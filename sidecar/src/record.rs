//! Which child the sidecar started, so that one that outlived it is known again: a file that only the sidecar's own user can
//! write, with the process's id and start time, by which no other process that was given the same id later is taken for it.

use std::{fs, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;

/// A process, told from all others that this machine has run and will run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    ///
    /// Source: proc(5), `/proc/pid/stat`, field 22.
    pub start_time: u64,
    /// Which run of the machine that was.
    ///
    /// Source: random(4), `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// A child that the sidecar started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The process.
    pub identity: Identity,
    /// When its skill token ends, in seconds since the Unix epoch; `None` where it has none.
    pub token_ends: Option<u64>,
}

impl Identity {
    /// The process that has this id now; `None` where there is none, or it is a zombie.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses, which may hold blanks and parentheses of its own.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let is_zombie = matches!(fields.next()?, "Z" | "X");
        let start_time = fields.nth(18)?.parse().ok()?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        (!is_zombie).then_some(Self { pid, start_time, boot_id })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct Record {
    path: PathBuf,
}

impl Record {
    /// A record in this folder.
    #[must_use]
    pub fn in_folder(folder: &std::path::Path) -> Self {
        Self { path: folder.join("openclaw-process.json") }
    }

    /// The child that was started and still runs, if there is one.
    #[must_use]
    pub fn running(&self) -> Option<Started> {
        let text = fs::read(&self.path).ok()?;
        let started: Started = serde_json::from_slice(&text).ok()?;
        started.identity.is_alive().then_some(started)
    }

    /// Writes down a child that was started.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, started: &Started) -> io::Result<()> {
        files::write(&self.path, &serde_json::to_vec(started).map_err(io::Error::other)?)
    }

    /// Forgets the child, which has ended.
    pub fn clear(&self) {
        // Where it stays, the process that it names is not alive.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_known_again_until_it_ends_and_no_other_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::in_folder(folder.path());
        assert_eq!(record.running(), None);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        let started = Started { identity: identity.clone(), token_ends: Some(1) };
        record.write(&started).unwrap();
        assert_eq!(record.running(), Some(started.clone()));
        for other in [
            Identity { start_time: identity.start_time + 1, ..identity.clone() },
            Identity { boot_id: "another".to_owned(), ..identity.clone() },
        ] {
            record.write(&Started { identity: other, token_ends: None }).unwrap();
            assert_eq!(record.running(), None);
        }
        record.write(&started).unwrap();
        child.kill().unwrap();
        // Killed, and not waited for yet: a zombie.
        while identity.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(record.running(), None);
        record.clear();
        record.clear();
    }

    #[test]
    fn a_name_full_of_parentheses_is_read_past() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join(") R 1 2 (");
        fs::copy("/bin/sleep", &odd).unwrap();
        let mut child = Command::new(&odd).arg("60").spawn().unwrap();
        let identity = Identity::of(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(identity.unwrap().start_time > 1000);
    }
}
