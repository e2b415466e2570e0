//! A running child: one that this sidecar started, or one that a sidecar before it did.

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

/// How often a process that is not our child is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How often a process is looked at that is about to become a child.
const LAUNCH_LOOK: Duration = Duration::from_millis(20);

/// The record of a start that is not finished. Where it is broken off, its process is ended, and forgotten then.
struct Unfinished<'a>(&'a Record);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // A sidecar that breaks leaves its child to the next.
        if !std::thread::panicking() {
            self.0.clear();
        }
    }
}

/// What is to be started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// What starts it.
    pub launcher: &'a Launcher,
    /// What reads the child's output.
    pub drain: &'a OwnProgram,
    /// The program and its arguments, none of them secret.
    pub command: &'a [OsString],
    /// Whose process it is.
    pub user: &'a User,
    /// The folder that it starts in.
    pub folder: PathBuf,
    /// All of its environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// When the token in its environment ends, in seconds since the Unix epoch.
    pub token_ends: Option<u64>,
    /// The pool's generation of skill tokens when that one was asked for.
    pub token_generation: Option<u64>,
}

/// A child.
#[derive(Debug)]
pub struct Process {
    started: Started,
    tree: Tree,
    /// `None` where it is not this process's child.
    child: Option<Child>,
    /// `None` where an earlier sidecar has started it; it ends with the child.
    drain: Option<Drain>,
}

impl Process {
    /// Starts a child in a session of its own, without input, and with a drain that reads its output. The record names it before
    /// its program runs: a sidecar that is killed at any moment leaves no child that the next one does not know.
    ///
    /// # Errors
    /// Those of starting a process, and of writing the record: the child is then ended.
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
        // One that could not be entered is forgotten: the record must not name it.
        let outcome = if has_cgroup { Ok(()) } else { record.write(&process.started) };
        if let Err(error) = outcome {
            process.end(Duration::ZERO).await;
            return Err(error);
        }
        std::mem::forget(unfinished);
        Ok(process)
    }

    /// The child that a sidecar before this one started and that still runs. Where it has ended, what it started ends now.
    pub async fn adopt(record: &Record, user: &User) -> Option<Self> {
        let uid = user.uid();
        // One that has its orders and is not the child yet. It ends itself where it has none.
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
        // Of the leader, its id and start time alone are asked.
        let leader = Stat { pid, parent: 0, session: pid, start_time, is_zombie: false };
        let mut tree = Tree::new(leader, uid, cgroup);
        if is_running {
            return Some(Self { started, tree, child: None, drain: None });
        }
        tree.end().await;
        record.clear();
        None
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.started.identity.pid
    }

    /// When the token in its environment ends, in seconds since the Unix epoch; `None` where it has none.
    #[must_use]
    pub fn token_ends(&self) -> Option<u64> {
        self.started.token_ends
    }

    /// The pool's generation of skill tokens when that one was asked for; `None` where it was not known.
    #[must_use]
    pub fn token_generation(&self) -> Option<u64> {
        self.started.token_generation
    }

    /// Waits until it has ended. Returns its exit code; `None` where a signal ended it, and for an adopted process, whose code
    /// only its parent is told.
    pub async fn wait(&mut self) -> Option<i32> {
        if let Some(child) = &mut self.child {
            // A failure to wait is one of a child that is not there.
            return child.wait().await.ok()?.code();
        }
        while self.started.identity.is_alive() {
            // What it starts does not fall to this sidecar.
            self.tree.look();
            pause(LOOK).await;
        }
        None
    }

    /// Ends it with all that it started: SIGTERM for itself, and after its end, or `patience`, SIGKILL for all that remains.
    /// It returns in bounded time even where the kernel cannot end a process.
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

    /// Lets the last lines of a child that has ended be written, for a few seconds.
    pub async fn end_drain(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.end().await;
        }
    }
}
