//! The stage that starts `OpenClaw`: the sidecar's binary in another mode, which drops all privileges that the child
//! must not have and then executes the child's program.
//!
//! It has one thread and an empty environment, so that no variable that is meant for the child (a library path, for
//! example) affects a process that is still root. Its orders come through its standard input, never on a command line.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::{fs::OpenOptionsExt, net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Command, ExitCode},
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        prctl,
        signal::SigSet,
        stat::{Mode, umask},
    },
    unistd::{self, AccessFlags, Gid, Uid},
};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use serde::{Deserialize, Serialize};

use crate::proc::Rights;

/// First argument that selects the stage.
pub(crate) const ARGUMENT: &str = "launch-as-told-on-stdin";

/// Highest signal number.
///
/// Source: signal(7), Linux.
const LAST_SIGNAL: i32 = 64;

/// The orders of a stage, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// User id and group id to switch to; `None` keeps the current ones.
    pub(crate) user: Option<(u32, u32)>,
    pub(crate) task: Task,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Execute a program.
    Launch {
        cgroup: Option<OsString>,
        folder: OsString,
        command: Vec<OsString>,
        environment: Vec<(OsString, OsString)>,
    },
    /// Try, as the child's user, accesses that must be denied.
    Try { open: Option<OsString>, write: Vec<OsString> },
}

/// One message of a stage's report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The reason why nothing was started.
    Failed(String),
    /// The kernel or the container refuses a session keyring.
    NoKeyring(String),
    /// The child's user can open the file.
    Opened,
    /// The child's user can write to this folder.
    Writable(OsString),
}

/// Entry point of the stage. Returns only if nothing was started.
pub(crate) fn main() -> ExitCode {
    let channel = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let Ok(mut channel) = channel else { return ExitCode::FAILURE };
    match run(&mut channel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { step, error }) => {
            say(&mut channel, &Said::Failed(format!("{step}: {error}")));
            ExitCode::FAILURE
        }
    }
}

/// A failed step with its cause.
struct Failure {
    step: &'static str,
    error: io::Error,
}

/// Attaches the name of the step to an error.
trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, error: error.into() })
    }
}

fn say(channel: &mut UnixStream, said: &Said) {
    // The reader may be gone.
    let _ = serde_json::to_vec(said).map_err(io::Error::other).and_then(|line| channel.write_all(&line));
}

fn run(channel: &mut UnixStream) -> Result<(), Failure> {
    // First of all, before the child's orders and environment are in memory.
    prctl::set_dumpable(false).at("prctl(PR_SET_DUMPABLE)")?;
    let mut orders = Vec::new();
    channel.read_to_end(&mut orders).at("its orders")?;
    let Orders { user, task } = serde_json::from_slice(&orders).map_err(io::Error::other).at("its orders")?;
    // Without a controlling terminal, the child cannot inject input into the sidecar's, and receives no signals from
    // it.
    unistd::setsid().at("setsid")?;
    prctl::set_no_new_privs().at("prctl(PR_SET_NO_NEW_PRIVS)")?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").at("/dev/null")?;
    unistd::dup2_stdin(&null).at("standard input")?;
    drop(null);
    close_all_but(channel.as_raw_fd()).at("closing descriptors")?;
    keep_terminals_for_writing().at("standard output")?;
    join_fresh_keyring(channel).at("keyctl(KEYCTL_JOIN_SESSION_KEYRING)")?;
    if let Task::Launch { cgroup: Some(cgroup), .. } = &task {
        // Without a cgroup the child's descendants are found by session and parent.
        let _ = fs::write(Path::new(cgroup).join("cgroup.procs"), "0");
    }
    inherit_no_capability().at("capset")?;
    if let Some((uid, gid)) = user {
        become_user(Uid::from_raw(uid), Gid::from_raw(gid))?;
    }
    umask(Mode::from_bits_truncate(0o077));
    match task {
        Task::Launch { folder, command, environment, .. } => {
            std::env::set_current_dir(&folder).at("the folder that it starts in")?;
            execute(&command, environment).map(|never| match never {})
        }
        Task::Try { open, write } => {
            let is_open = open.is_some_and(|path| {
                let options = OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits();
                OpenOptions::new().read(true).custom_flags(options).open(path).is_ok()
            });
            if is_open {
                say(channel, &Said::Opened);
            }
            for folder in write {
                if unistd::access(folder.as_os_str(), AccessFlags::W_OK).is_ok() {
                    say(channel, &Said::Writable(folder));
                }
            }
            Ok(())
        }
    }
}

fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    Ok(open.into_iter().filter(|descriptor| *descriptor > 2).collect())
}

/// Closes every descriptor above 2 except `kept`.
fn close_all_but(kept: RawFd) -> io::Result<()> {
    for descriptor in open_descriptors()?.into_iter().filter(|descriptor| *descriptor != kept) {
        // The descriptor of the listing itself is closed already.
        let _ = unistd::close(descriptor);
    }
    // The second listing counts its own descriptor as well.
    let left = open_descriptors()?.into_iter().filter(|descriptor| *descriptor != kept).count();
    if left > 1 { Err(io::Error::other("some stay open")) } else { Ok(()) }
}

/// Reopens a terminal on standard output or error for writing only: with a readable descriptor, a session leader could
/// make the terminal its controlling one.
fn keep_terminals_for_writing() -> io::Result<()> {
    let open = |descriptor: RawFd| {
        let mut options = File::options();
        options.write(true).custom_flags(OFlag::O_NOCTTY.bits());
        // A terminal that cannot be opened has been hung up.
        options.open(format!("/proc/self/fd/{descriptor}")).or_else(|_| options.open("/dev/null"))
    };
    if io::stdout().is_terminal() {
        unistd::dup2_stdout(open(1)?)?;
    }
    if io::stderr().is_terminal() {
        unistd::dup2_stderr(open(2)?)?;
    }
    Ok(())
}

/// Leaves the inherited session keyring, which may be root's. Containers refuse the call with EPERM (Docker's filter
/// does), and kernels without keyrings with ENOSYS: the start continues, and the refusal is reported.
///
/// Source: `keyctl_join_session_keyring(3)`, session-keyring(7).
fn join_fresh_keyring(channel: &mut UnixStream) -> io::Result<()> {
    match keyutils_raw::keyctl_join_session_keyring(None) {
        Ok(_) => Ok(()),
        Err(error) if [Errno::ENOSYS as i32, Errno::EPERM as i32].contains(&error.0) => {
            say(channel, &Said::NoKeyring(error.to_string()));
            Ok(())
        }
        Err(error) => Err(io::Error::from_raw_os_error(error.0)),
    }
}

/// Clears the inheritable capabilities, and thereby the ambient ones.
///
/// Source: capabilities(7), "Ambient".
fn inherit_no_capability() -> rustix::io::Result<()> {
    let sets = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..sets })
}

/// Switches to a user irrevocably, and verifies that no privilege is left.
fn become_user(uid: Uid, gid: Gid) -> Result<(), Failure> {
    unistd::setgroups(&[]).at("setgroups")?;
    unistd::setresgid(gid, gid, gid).at("setresgid")?;
    unistd::setresuid(uid, uid, uid).at("setresuid")?;
    let uids = unistd::getresuid().at("getresuid")?;
    let gids = unistd::getresgid().at("getresgid")?;
    let groups = unistd::getgroups().at("getgroups")?;
    let is_done = [uids.real, uids.effective, uids.saved] == [uid; 3]
        && [gids.real, gids.effective, gids.saved] == [gid; 3]
        && groups.iter().all(|group| *group == gid)
        && !uid.is_root()
        && unistd::setuid(Uid::from_raw(0)).is_err()
        && Rights::of("self").is_some_and(|own| own.capabilities == 0 && own.no_new_privileges);
    if is_done { Ok(()) } else { Err(io::Error::other("something of the sidecar's rights is left")).at("setresuid") }
}

/// Executes the program, with default signal handling.
fn execute(command: &[OsString], environment: Vec<(OsString, OsString)>) -> Result<Infallible, Failure> {
    let (program, arguments) =
        command.split_first().ok_or(io::Error::from(io::ErrorKind::InvalidInput)).at("its command")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().at("signals")?;
    let _entered = runtime.enter();
    // An ignored signal stays ignored across execve, and a handled one is reset to its default. So each gets a handler.
    for signal in 1..=LAST_SIGNAL {
        // SIGKILL, SIGSTOP and a few others cannot be handled.
        let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(signal));
    }
    SigSet::empty().thread_set_mask().at("signals")?;
    let error = Command::new(program).args(arguments).env_clear().envs(environment).exec();
    Err(error).at("its program")
}
