//! A running child: started by this sidecar, or by an earlier one and adopted.

use std::{collections::BTreeMap, ffi::OsString, io, path::PathBuf, time::Duration};

use rustix::process::Signal;
use tokio::process::Child;

use crate::{
    cgroup::Cgroup,
    drain::Drain,
    launcher::{Launcher, PATIENCE, Start},
    log,
    own_program::OwnProgram,
    pace::pause,
    proc::Stat,
    record::{Found, Identity, Record, Started, boot_id},
    tree::{KILL_PATIENCE, Tree},
    user::User,
};

/// Polling interval for a process that is not this sidecar's child.
const LOOK: Duration = Duration::from_millis(500);

/// Polling interval for a process that is still launching.
const LAUNCH_LOOK: Duration = Duration::from_millis(20);

/// Guard of an unfinished start: unless it is forgotten, the record is cleared, since the process has been ended.
struct Unfinished<'a>(&'a Record);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // A sidecar that panics leaves the record, so that the next one adopts the child.
        if !std::thread::panicking() {
            self.0.clear();
        }
    }
}

/// Parameters of a start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Starts the process.
    pub launcher: &'a Launcher,
    /// Program of the drain that reads the child's output.
    pub drain: &'a OwnProgram,
    /// The program and its arguments, without secrets.
    pub command: &'a [OsString],
    /// User that the process runs as.
    pub user: &'a User,
    /// Working directory.
    pub folder: PathBuf,
    /// The whole environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// End of the token in `environment`, in seconds since the Unix epoch.
    pub token_ends: Option<u64>,
    /// The pool's generation of skill tokens when that token was requested.
    pub token_generation: Option<u64>,
}

/// A child with its process tree and the drain of its output.
#[derive(Debug)]
pub struct Process {
    started: Started,
    tree: Tree,
    /// `None` for an adopted process.
    child: Option<Child>,
    /// `None` for an adopted process, whose drain ends with it.
    drain: Option<Drain>,
}

impl Process {
    /// Starts a child in a session of its own, without input, and with a drain that reads its output. The record is
    /// written before the child's program runs, so that a sidecar that is killed at any moment leaves no unrecorded
    /// child.
    ///
    /// # Errors
    /// Errors of starting a process and of writing the record. The child is then ended.
    pub async fn start(launch: Launch<'_>, record: &Record) -> io::Result<Self> {
        let Launch { launcher, drain, command, user, folder, environment, token_ends, token_generation } = launch;
        let start = Start { command, user, folder: &folder, environment: &environment };
        let (drain, output, errors) = Drain::start(drain)?;
        let started = |tree: &Tree| {
            let (pid, start_time) = (tree.id(), tree.start_time());
            let identity = Identity { pid, start_time, boot_id: boot_id().unwrap_or_default() };
            let cgroup = tree.cgroup().map(PathBuf::from);
            let (pool, uid) = (record.pool().to_owned(), user.uid());
            Started { identity, token_ends, token_generation, pool, uid, session: pid, cgroup }
        };
        let unfinished = Unfinished(record);
        let (child, tree) = launcher.start_noted(&start, output, errors, |tree| record.write(&started(tree))).await?;
        let has_cgroup = tree.cgroup().is_some();
        let mut process = Self { started: started(&tree), tree, child: Some(child), drain: Some(drain) };
        // The record must not name a cgroup that the child could not enter.
        let outcome = if has_cgroup { Ok(()) } else { record.write(&process.started) };
        if let Err(error) = outcome {
            process.end(Duration::ZERO).await;
            return Err(error);
        }
        std::mem::forget(unfinished);
        Ok(process)
    }

    /// Adopts the child of an earlier sidecar if it still runs. If it has ended, its descendants are ended and the
    /// record is cleared.
    pub async fn adopt(record: &Record, user: &User) -> Option<Self> {
        let uid = user.uid();
        // Wait for a stage that is launching, and not the child yet. A stage without orders ends itself.
        let launched = async {
            while record.is_launching() {
                pause(LAUNCH_LOOK).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, launched).await;
        let (is_running, started) = match record.find(uid)? {
            Found::Running(started) => (true, started),
            Found::Ended(started) => (false, started),
        };
        let cgroup = started.cgroup.as_deref().and_then(Cgroup::recorded);
        let Identity { pid, start_time, .. } = started.identity;
        // Only the id and the start time of the leader are used.
        let leader = Stat { pid, parent: 0, session: pid, start_time, is_zombie: false };
        let mut tree = Tree::new(leader, uid, cgroup);
        if is_running {
            return Some(Self { started, tree, child: None, drain: None });
        }
        tree.end().await;
        record.clear();
        None
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.started.identity.pid
    }

    /// End of the token in the child's environment, in seconds since the Unix epoch; `None` without a token.
    #[must_use]
    pub fn token_ends(&self) -> Option<u64> {
        self.started.token_ends
    }

    /// The pool's generation of skill tokens when that token was requested; `None` if it was unknown.
    #[must_use]
    pub fn token_generation(&self) -> Option<u64> {
        self.started.token_generation
    }

    /// Waits for the child's end. Returns its exit code; `None` if a signal ended it, and for an adopted process, since
    /// only the parent receives the code.
    pub async fn wait(&mut self) -> Option<i32> {
        if let Some(child) = &mut self.child {
            // Waiting fails only for a child that does not exist.
            return child.wait().await.ok()?.code();
        }
        while self.started.identity.is_alive() {
            // Look for descendants, because orphans of an adopted child do not become this sidecar's children.
            self.tree.look();
            pause(LOOK).await;
        }
        None
    }

    /// Ends the child with all descendants: SIGTERM to the child, and after its end, or `patience`, SIGKILL to all that
    /// remain. Returns in bounded time even if the kernel cannot end a process.
    pub async fn end(&mut self, patience: Duration) {
        self.tree.look();
        self.tree.signal(Signal::TERM);
        let _ = tokio::time::timeout(patience, self.wait()).await;
        self.tree.end().await;
        if tokio::time::timeout(KILL_PATIENCE, self.wait()).await.is_err() {
            log::warn("OpenClaw could not be ended", &[("pid", self.id().into())]);
        }
        self.end_drain().await;
    }

    /// Waits a few seconds for the drain to write the last lines of an ended child.
    pub async fn end_drain(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.end().await;
        }
    }
}
