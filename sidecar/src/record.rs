//! Which child the sidecar started, so that one that outlived it is known again: a file that only the sidecar's own user can
//! write, with the process's id and start time, by which no other process that was given the same id later is taken for it. It
//! also has the user, the session and the cgroup, all of which are compared with the kernel's before anything is ended.

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

/// The longest record, in bytes.
const LIMIT: u64 = 64 * 1024;

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
    /// The pool's generation of skill tokens when that one was asked for; `None` where it was not known.
    #[serde(default)]
    pub token_generation: Option<u64>,
    /// The pool that it serves.
    pub pool: String,
    /// The user that it runs as.
    pub uid: u32,
    /// The session that it leads.
    pub session: u32,
    /// The cgroup that was made for it.
    pub cgroup: Option<PathBuf>,
}

impl Identity {
    /// The process that has this id now; `None` where there is none, or it is a zombie.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::of(pid).filter(|stat| !stat.is_zombie)?;
        Some(Self { pid, start_time: stat.start_time, boot_id: boot_id()? })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }
}

/// Which run of the machine this is.
#[must_use]
pub fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// What a record says of a child that a sidecar before this one started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It runs.
    Running(Started),
    /// It has ended, and something that it started may not have.
    Ended(Started),
}

/// The file.
#[derive(Clone, Debug)]
pub struct Record {
    path: PathBuf,
    pool: String,
}

impl Record {
    /// The record of this pool's child in this folder.
    #[must_use]
    pub fn in_folder(folder: &Path, pool: &str) -> Self {
        Self { path: folder.join("openclaw-process.json"), pool: pool.to_owned() }
    }

    /// Whether there is one, whatever it says.
    #[must_use]
    pub fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }

    /// The pool whose child is written down.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// The child that was started, which runs as the user with this id. A record that others could have written, or that says
    /// anything else than the kernel does, is not believed.
    #[must_use]
    pub fn find(&self, uid: u32) -> Option<Found> {
        let refuse = |because: &str| {
            let facts = [("file", self.path.display().to_string().into()), ("because", because.into())];
            log::warn("the record of a running OpenClaw is not believed: whatever it names is left alone", &facts);
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
            // The machine has been started anew since, and all that it names has ended.
            return None;
        }
        let doubt = self.doubt(&started, uid);
        if let Some(doubt) = doubt {
            refuse(doubt);
            return None;
        }
        Some(if started.identity.is_alive() { Found::Running(started) } else { Found::Ended(started) })
    }

    /// Whether the process that is written down is still the stage that becomes the child.
    #[must_use]
    pub fn is_launching(&self) -> bool {
        let started = read(&self.path).ok().and_then(|text| serde_json::from_slice::<Started>(&text).ok());
        started.is_some_and(|Started { identity, .. }| {
            let words = fs::read(format!("/proc/{}/cmdline", identity.pid)).unwrap_or_default();
            words.split(|byte| *byte == 0).nth(1) == Some(stage::ARGUMENT.as_bytes()) && identity.is_alive()
        })
    }

    /// Why a record is not believed.
    fn doubt(&self, started: &Started, uid: u32) -> Option<&'static str> {
        if started.pool != self.pool {
            return Some("it is of another pool");
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

    /// Writes down a child that was started.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, started: &Started) -> io::Result<()> {
        let text = serde_json::to_vec(started).map_err(io::Error::other)?;
        // One name for it: nobody else writes in this folder.
        let temporary = self.path.with_extension("new");
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)
    }

    /// Forgets the child, which has ended.
    pub fn clear(&self) {
        // Where it stays, the process that it names is not alive.
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads a file that nobody else can have written.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write it"));
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
        // An older sidecar's.
        let older = serde_json::to_string(&ended).unwrap().replace(r#""tokenGeneration":2,"#, "");
        assert!(!older.contains("tokenGeneration"));
        fs::write(&record.path, older).unwrap();
        assert_eq!(record.find(uid), Some(Found::Ended(Started { token_generation: None, ..ended })));
        stranger.kill().unwrap();
        // Killed, and not waited for yet: a zombie.
        while started.identity.is_alive() {
            std::thread::yield_now();
        }
        stranger.wait().unwrap();
        record.clear();
        record.clear();
    }
}
