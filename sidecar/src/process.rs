//! A running child: one that this sidecar started, or one that a sidecar before it did.

use std::{
    collections::BTreeMap, ffi::OsString, io, os::unix::process::CommandExt, path::PathBuf, process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::{
    drain::Drain,
    own_program::OwnProgram,
    pace::pause,
    record::{Identity, Record, Started},
    user::User,
};

/// How often a process that is not our child is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What is to be started.
#[derive(Debug)]
pub struct Launch<'a> {
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
}

/// A child.
#[derive(Debug)]
pub struct Process {
    started: Started,
    /// `None` where it is not this process's child.
    child: Option<Child>,
    /// `None` where an earlier sidecar has started it; it ends with the child.
    drain: Option<Drain>,
}

impl Process {
    /// Starts a child in a process group of its own, without input, and with a drain that reads its output. The record names it
    /// before this returns.
    ///
    /// # Errors
    /// Those of starting a process, and of writing the record: the child is then ended.
    pub async fn start(launch: Launch<'_>, record: &Record) -> io::Result<Self> {
        let (program, arguments) = launch.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = std::process::Command::new(program);
        command.args(arguments).env_clear().envs(launch.environment).current_dir(launch.folder).process_group(0);
        let (drain, output, errors) = Drain::start(launch.drain)?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        if let Some((uid, gid)) = launch.user.ids() {
            // Of a process that is given another user, the standard library drops all further groups.
            command.uid(uid).gid(gid);
        }
        let child = Command::from(command).spawn()?;
        let Some(pid) = child.id() else { return Err(io::Error::other("it has no process id")) };
        let Some(identity) = Identity::of(pid) else {
            // It has ended already, with a code that counts as any other. No process is known by this identity.
            let identity = Identity { pid, start_time: 0, boot_id: String::new() };
            let started = Started { identity, token_ends: launch.token_ends };
            return Ok(Self { started, child: Some(child), drain: Some(drain) });
        };
        let started = Started { identity, token_ends: launch.token_ends };
        let mut process = Self { started, child: Some(child), drain: Some(drain) };
        if let Err(error) = record.write(&process.started) {
            process.end(Duration::ZERO).await;
            return Err(error);
        }
        Ok(process)
    }

    /// The child that a sidecar before this one started and that still runs.
    #[must_use]
    pub fn adopt(record: &Record) -> Option<Self> {
        Some(Self { started: record.running()?, child: None, drain: None })
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

    /// Waits until it has ended. Returns its exit code; `None` where a signal ended it, and for an adopted process, whose code
    /// only its parent is told.
    pub async fn wait(&mut self) -> Option<i32> {
        if let Some(child) = &mut self.child {
            // A failure to wait is one of a child that is not there.
            return child.wait().await.ok()?.code();
        }
        while self.started.identity.is_alive() {
            pause(LOOK).await;
        }
        None
    }

    /// Ends it: SIGTERM, and SIGKILL to all of its process group where it has not ended after `patience`.
    pub async fn end(&mut self, patience: Duration) {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(patience, self.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
            self.wait().await;
        }
        self.end_drain().await;
    }

    /// Lets the last lines of a child that has ended be written, for a few seconds.
    pub async fn end_drain(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.end().await;
        }
    }

    fn signal(&self, signal: Signal) {
        let identity = &self.started.identity;
        let Ok(pid) = i32::try_from(identity.pid).map(Pid::from_raw) else { return };
        if !identity.is_alive() {
            return;
        }
        // It may end just now.
        let _ = if signal == Signal::SIGKILL { killpg(pid, signal) } else { kill(pid, signal) };
    }
}
