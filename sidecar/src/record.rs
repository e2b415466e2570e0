//! Record of the running child, so that the next sidecar can adopt it: a file that only the sidecar's own user can
//! write. It identifies the process by id, start time and boot, so that a reused process id never matches. User,
//! session and cgroup are recorded too, and compared with the kernel's before anything is ended.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use crate::{
    cgroup::Cgroup,
    log,
    proc::{Rights, Stat},
    stage,
};

/// Longest record in bytes.
const LIMIT: u64 = 64 * 1024;

/// Identity of a process, unique across reused process ids and reboots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    ///
    /// Source: proc(5), `/proc/pid/stat`, field 22.
    pub start_time: u64,
    /// Id of the boot that the process was started in.
    ///
    /// Source: random(4), `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// A child that a sidecar started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// Identity of the process.
    pub identity: Identity,
    /// End of its skill token, in seconds since the Unix epoch; `None` without a token.
    pub token_ends: Option<u64>,
    /// The pool's generation of skill tokens when that token was requested; `None` if it was unknown.
    #[serde(default)]
    pub token_generation: Option<u64>,
    /// Id of its pool.
    pub pool: String,
    /// Id of the user that it runs as.
    pub uid: u32,
    /// Id of the session that it leads.
    pub session: u32,
    /// Folder of its cgroup.
    pub cgroup: Option<PathBuf>,
}

impl Identity {
    /// Identifies the process with this id; `None` if it does not exist or is a zombie.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::of(pid).filter(|stat| !stat.is_zombie)?;
        Some(Self { pid, start_time: stat.start_time, boot_id: boot_id()? })
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }
}

/// Id of the current boot.
#[must_use]
pub fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// Recorded child of an earlier sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The child still runs.
    Running(Started),
    /// The child has ended, but its descendants may run.
    Ended(Started),
}

/// The record file of one pool.
#[derive(Clone, Debug)]
pub struct Record {
    path: PathBuf,
    pool: String,
}

impl Record {
    /// Record file of this pool's child in `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path, pool: &str) -> Self {
        Self { path: folder.join("openclaw-process.json"), pool: pool.to_owned() }
    }

    /// Whether the file exists, even an invalid one.
    #[must_use]
    pub fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }

    /// Id of the pool.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// Finds the recorded child, which runs as the user `uid`. A record that others could have written, or that
    /// contradicts the kernel, is rejected.
    #[must_use]
    pub fn find(&self, uid: u32) -> Option<Found> {
        let refuse = |because: &str| {
            let facts = [("file", self.path.display().to_string().into()), ("because", because.into())];
            log::warn(
                "the record of a running OpenClaw is not trusted: the process that it names is left alone",
                &facts,
            );
        };
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                refuse(&error.to_string());
                return None;
            }
        };
        let Ok(started) = serde_json::from_slice::<Started>(&text) else {
            refuse("it is not understood");
            return None;
        };
        if boot_id().as_ref() != Some(&started.identity.boot_id) {
            // After a reboot all that the record names has ended.
            return None;
        }
        let doubt = self.doubt(&started, uid);
        if let Some(doubt) = doubt {
            refuse(doubt);
            return None;
        }
        Some(if started.identity.is_alive() { Found::Running(started) } else { Found::Ended(started) })
    }

    /// Whether the recorded process is still the stage, and not the child yet.
    #[must_use]
    pub fn is_launching(&self) -> bool {
        let started = read(&self.path).ok().and_then(|text| serde_json::from_slice::<Started>(&text).ok());
        started.is_some_and(|Started { identity, .. }| {
            let words = fs::read(format!("/proc/{}/cmdline", identity.pid)).unwrap_or_default();
            words.split(|byte| *byte == 0).nth(1) == Some(stage::ARGUMENT.as_bytes()) && identity.is_alive()
        })
    }

    /// Returns why a record is rejected.
    fn doubt(&self, started: &Started, uid: u32) -> Option<&'static str> {
        if started.pool != self.pool {
            return Some("it belongs to another pool");
        }
        if started.uid != uid {
            return Some("it is of another user's process");
        }
        if started.session != started.identity.pid {
            return Some("its process leads no session");
        }
        let cgroup = started.cgroup.as_deref().map(Cgroup::recorded);
        if cgroup == Some(None) {
            return Some("its cgroup is none of the sidecar's");
        }
        if !started.identity.is_alive() {
            return None;
        }
        let pid = started.identity.pid;
        if Stat::of(pid).is_none_or(|stat| stat.session != pid) {
            return Some("the process leads no session");
        }
        if Rights::of(pid).is_none_or(|rights| rights.uid != uid || !rights.no_new_privileges) {
            return Some("the process is not one that was launched as OpenClaw's user");
        }
        if cgroup.flatten().is_some_and(|cgroup| !cgroup.holds(pid)) {
            return Some("the process is in another cgroup");
        }
        None
    }

    /// Writes the record of a started child, atomically and durably.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&self, started: &Started) -> io::Result<()> {
        let text = serde_json::to_vec(started).map_err(io::Error::other)?;
        // A fixed name suffices: nobody else writes in this folder.
        let temporary = self.path.with_extension("new");
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)
    }

    /// Deletes the record of a child that has ended.
    pub fn clear(&self) {
        // A record that cannot be deleted does no harm: its process is not alive.
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads a file, and rejects it if another user could have written it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write to it"));
    }
    let mut text = Vec::new();
    file.take(LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, process::Command};

    use super::*;

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

    #[test]
    fn a_record_that_others_could_have_written_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw-process.json");
        fs::write(&path, "{}").unwrap();
        for (mode, is_read) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path).is_ok(), is_read, "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read(&link).is_err());
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(read(&folder.path().join("pipe")).is_err(), "and it is not waited for");
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
            assert!(read(&path).is_err());
        }
    }

    #[test]
    fn a_process_that_the_sidecar_did_not_launch_is_not_taken_for_its_child() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::in_folder(folder.path(), "pool-1");
        let uid = nix::unistd::geteuid().as_raw();
        assert_eq!(record.find(uid), None);
        let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = stranger.id();
        let identity = Identity::of(pid).unwrap();
        let started = Started {
            identity,
            token_ends: Some(1),
            token_generation: Some(2),
            pool: "pool-1".to_owned(),
            uid,
            session: pid,
            cgroup: None,
        };
        record.write(&started).unwrap();
        assert_eq!(record.find(uid), None, "it leads no session");
        let old = Identity { start_time: started.identity.start_time + 1, ..started.identity.clone() };
        let ended = Started { identity: old, ..started.clone() };
        record.write(&ended).unwrap();
        assert_eq!(record.find(uid), Some(Found::Ended(ended.clone())));
        for other in [
            Started { pool: "pool-2".to_owned(), ..ended.clone() },
            Started { uid: uid + 1, ..ended.clone() },
            Started { session: 1, ..ended.clone() },
            Started { cgroup: Some("/sys/fs/cgroup".into()), ..ended.clone() },
            Started { identity: Identity { boot_id: "another".to_owned(), ..ended.identity.clone() }, ..ended.clone() },
        ] {
            record.write(&other).unwrap();
            assert_eq!(record.find(uid), None, "{other:?}");
        }
        // Record of an older sidecar, without a generation.
        let older = serde_json::to_string(&ended).unwrap().replace(r#""tokenGeneration":2,"#, "");
        assert!(!older.contains("tokenGeneration"));
        fs::write(&record.path, older).unwrap();
        assert_eq!(record.find(uid), Some(Found::Ended(Started { token_generation: None, ..ended })));
        stranger.kill().unwrap();
        // Killed but not yet reaped: a zombie.
        while started.identity.is_alive() {
            std::thread::yield_now();
        }
        stranger.wait().unwrap();
        record.clear();
        record.clear();
    }
}
