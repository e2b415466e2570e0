//! Starts `OpenClaw` through a stage of its own ([`crate::stage`]), which drops the sidecar's privileges and then
//! executes the child's program.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read, Write},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Once,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
};

use crate::{
    cgroup::Cgroup,
    log, path,
    proc::{Rights, Stat},
    stage::{ARGUMENT, Orders, Said, Task},
    tree::{Tree, leaders},
    user::User,
};

/// Time-out of a start, up to the execution of the child's program.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Longest report of a stage, in bytes.
const REPORT_LIMIT: u64 = 64 * 1024;

/// `CAP_KILL`: without it, root cannot signal the processes of another user.
///
/// Source: linux/capability.h.
const CAP_KILL: u64 = 1 << 5;

/// Parameters of a program to start.
#[derive(Debug)]
pub struct Start<'a> {
    /// The program and its arguments, without secrets.
    pub command: &'a [OsString],
    /// User that the process runs as.
    pub user: &'a User,
    /// Working directory.
    pub folder: &'a Path,
    /// The whole environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
}

/// The binary that contains the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    program: PathBuf,
}

impl Launcher {
    /// Binary of the running sidecar, even if its file has been replaced.
    #[must_use]
    pub fn own() -> Self {
        Self::at("/proc/self/exe")
    }

    /// Sidecar binary at this path.
    #[must_use]
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Starts a program. It has been executed when this returns.
    ///
    /// # Errors
    /// Errors of starting a process, and of the stage's steps.
    pub async fn start(&self, start: &Start<'_>, output: Stdio, errors: Stdio) -> io::Result<(Child, Tree)> {
        self.start_noted(start, output, errors, |_| Ok(())).await
    }

    /// Starts a program as [`Self::start`] does, and calls `note` before the stage gets its orders. If the sidecar is
    /// killed before, the stage ends itself for lack of orders; afterwards, the program is noted already. If `note`
    /// fails, nothing is started.
    ///
    /// # Errors
    /// Errors of [`Self::start`], and of `note`.
    pub async fn start_noted(
        &self,
        start: &Start<'_>,
        output: Stdio,
        errors: Stdio,
        note: impl FnOnce(&Tree) -> io::Result<()>,
    ) -> io::Result<(Child, Tree)> {
        let cgroup = Cgroup::create();
        let task = Task::Launch {
            cgroup: cgroup.as_ref().map(|cgroup| cgroup.folder().into()),
            folder: start.folder.into(),
            command: start.command.to_vec(),
            environment: start.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        };
        let orders = serde_json::to_vec(&Orders { user: start.user.ids(), task }).map_err(io::Error::other)?;
        let (channel, mut command) = self.stage()?;
        command.stdout(output).stderr(errors);
        let mut command = tokio::process::Command::from(command);
        let spawned = {
            let mut leaders = leaders();
            let spawned = command.spawn();
            // Not reaped yet: the id is not reused, and `/proc` lists the process even if it has ended.
            let leader = spawned.as_ref().ok().and_then(|child| Stat::of(child.id()?));
            leaders.extend(leader.map(|leader| leader.pid));
            spawned.map(|child| (child, leader))
        };
        // The command holds the stage's end of the channel.
        drop(command);
        let (child, leader) = match spawned {
            Ok((child, Some(leader))) => (child, leader),
            other => {
                cgroup.inspect(Cgroup::remove);
                return Err(other.err().unwrap_or_else(|| io::Error::other("it is not to be found in /proc")));
            }
        };
        let mut tree = Tree::new(leader, start.user.uid(), cgroup);
        if let Err(error) = note(&tree) {
            drop(channel);
            tree.end().await;
            return Err(error);
        }
        let told = tokio::time::timeout(PATIENCE, converse(channel, &orders)).await;
        let failure = match told {
            Ok(Ok(said)) => said.into_iter().find_map(|said| match said {
                Said::Failed(why) => Some(why),
                Said::NoKeyring(why) => {
                    warn_of_keyring(&why);
                    None
                }
                Said::Opened | Said::Writable(_) => None,
            }),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the program could not be executed in time".to_owned()),
        };
        if let Some(why) = failure {
            tree.end().await;
            return Err(io::Error::other(why));
        }
        tree.check_cgroup();
        Ok((child, tree))
    }

    /// Checks what a child of this user could reach of the sidecar's own: the token file, and folders on its path.
    /// Returns messages of faulty settings; none for the sidecar's own user, which can read all of that anyway.
    ///
    /// # Errors
    /// Errors of starting a process.
    pub fn faults(&self, user: &User, token: Option<&Path>) -> io::Result<Vec<String>> {
        let Some((uid, _)) = user.ids() else { return Ok(Vec::new()) };
        let mut faults = Vec::new();
        if Rights::of("self").is_some_and(|own| own.effective & CAP_KILL == 0) {
            faults.push(
                "PORTCULLIS_CHILD_USER: without the capability CAP_KILL its processes cannot be ended".to_owned(),
            );
        }
        let token = token.map(std::path::absolute).transpose()?;
        let looked_up = token.as_deref().map(path::lookups).unwrap_or_default();
        let task = Task::Try {
            open: token.clone().map(PathBuf::into_os_string),
            write: looked_up.iter().map(|step| step.folder.clone().into()).collect(),
        };
        let orders = serde_json::to_vec(&Orders { user: user.ids(), task }).map_err(io::Error::other)?;
        let (mut channel, mut command) = self.stage()?;
        let mut stage = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        drop(command);
        channel.write_all(&orders)?;
        channel.shutdown(Shutdown::Write)?;
        let mut report = Vec::new();
        channel.take(REPORT_LIMIT).read_to_end(&mut report)?;
        let ended = stage.wait()?;
        let said = parse(&report)?;
        let failed = said.iter().find_map(|said| if let Said::Failed(why) = said { Some(why.clone()) } else { None });
        let failed = failed.or_else(|| (!ended.success()).then(|| "the attempt broke off".to_owned()));
        faults.extend(failed.map(|why| format!("PORTCULLIS_CHILD_USER: a process cannot become this user: {why}")));
        let Some(token) = token else { return Ok(faults) };
        let is_childs_own = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.uid() == uid);
        if said.iter().any(|said| matches!(said, Said::Opened)) || is_childs_own(&token) {
            faults.push(format!(
                "PORTCULLIS_TOKEN_FILE: OpenClaw's user can open {}: give the file to root, with mode 0600",
                token.display()
            ));
        }
        let writable: Vec<&OsStr> = said
            .iter()
            .filter_map(|said| if let Said::Writable(folder) = said { Some(folder.as_os_str()) } else { None })
            .collect();
        let open = looked_up.iter().find(|step| {
            let is_writable = writable.contains(&step.folder.as_os_str());
            // In a sticky folder only the owner of an entry can replace it.
            is_childs_own(&step.folder)
                || is_writable
                    && !(step.is_sticky && fs::symlink_metadata(&step.entry).is_ok() && !is_childs_own(&step.entry))
                || is_childs_own(&step.entry)
        });
        faults.extend(open.map(|step| {
            format!(
                "PORTCULLIS_TOKEN_FILE: OpenClaw's user can replace {}, since it can write to {}",
                token.display(),
                step.folder.display()
            )
        }));
        Ok(faults)
    }

    /// Command of a stage process, with the sidecar's end of its channel.
    fn stage(&self) -> io::Result<(UnixStream, Command)> {
        let (ours, its) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command.arg0("portcullis-sidecar").arg(ARGUMENT).env_clear().stdin(Stdio::from(OwnedFd::from(its)));
        Ok((ours, command))
    }
}

/// Logs once that children share the sidecar's session keyring.
fn warn_of_keyring(why: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::warn(
            "OpenClaw has no session keyring of its own: the kernel, or this container, refuses it",
            &[("because", why.into())],
        );
    });
}

async fn converse(channel: UnixStream, orders: &[u8]) -> io::Result<Vec<Said>> {
    channel.set_nonblocking(true)?;
    let mut channel = tokio::net::UnixStream::from_std(channel)?;
    // If the stage ended before it read everything, its report says why.
    let written = match channel.write_all(orders).await {
        Ok(()) => channel.shutdown().await,
        error => error,
    };
    let mut report = Vec::new();
    // The channel is closed when the stage executes the program.
    let read = channel.take(REPORT_LIMIT).read_to_end(&mut report).await;
    let said = parse(&report)?;
    if said.iter().any(|said| matches!(said, Said::Failed(_))) {
        return Ok(said);
    }
    written.and(read).map(|_| said)
}

fn parse(report: &[u8]) -> io::Result<Vec<Said>> {
    serde_json::Deserializer::from_slice(report).into_iter().collect::<Result<_, _>>().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn orders_and_reports_keep_bytes_that_are_no_text() {
        let odd = OsStr::from_bytes(b"/\xff/x").to_owned();
        let task = Task::Launch {
            cgroup: None,
            folder: odd.clone(),
            command: vec![odd.clone()],
            environment: vec![("A".into(), odd.clone())],
        };
        let text = serde_json::to_vec(&Orders { user: Some((1, 2)), task }).unwrap();
        let Orders { user, task } = serde_json::from_slice(&text).unwrap();
        assert_eq!(user, Some((1, 2)));
        assert!(matches!(task, Task::Launch { command, .. } if command == [odd.clone()]));
        let mut report = serde_json::to_vec(&Said::Opened).unwrap();
        report.extend(serde_json::to_vec(&Said::Writable(odd.clone())).unwrap());
        let said = parse(&report).unwrap();
        assert!(matches!(&said[..], [Said::Opened, Said::Writable(folder)] if *folder == odd), "{said:?}");
        assert!(parse(b"else").is_err());
    }
}
