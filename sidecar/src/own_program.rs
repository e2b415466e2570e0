//! The sidecar's own binary in its other modes: processes of the child's user that hold nothing of the sidecar's.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use nix::{
    sys::{
        prctl,
        signal::{SigSet, Signal},
        stat::{Mode, umask},
    },
    unistd::close,
};

use crate::{drain, stage, user::User, worker};

/// Mode that writes and checks files ([`crate::worker`]).
pub const FILES: &str = "serve-files";

/// Mode that reads the child's output ([`crate::drain`]).
pub const DRAIN: &str = "drain-output";

/// The sidecar's own binary, to be run as the child's user.
#[derive(Clone, Debug)]
pub struct OwnProgram {
    path: PathBuf,
    user: User,
}

impl OwnProgram {
    /// Binary of the running process, even if its file has been replaced.
    #[must_use]
    pub fn running(user: User) -> Self {
        Self::at(Path::new("/proc/self/exe"), user)
    }

    /// Binary at `path`.
    #[must_use]
    pub fn at(path: &Path, user: User) -> Self {
        Self { path: path.to_owned(), user }
    }

    /// Command that runs the binary in this mode, in a process group of its own and with an empty environment.
    #[must_use]
    pub fn command(&self, mode: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0("portcullis-sidecar").arg(mode).env_clear().current_dir("/").process_group(0);
        if let Some((uid, gid)) = self.user.ids() {
            // With another user id, the standard library also drops all supplementary groups.
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// Runs the mode that this process's arguments select; `None` without one. Each program that supervises a child calls
/// this first, since it starts these processes from its own binary.
#[must_use]
pub fn mode() -> Option<ExitCode> {
    let mode = std::env::args_os().nth(1)?;
    if mode == FILES {
        Some(worker::main())
    } else if mode == DRAIN {
        Some(drain::main())
    } else if mode == stage::ARGUMENT {
        Some(stage::main())
    } else {
        None
    }
}

/// Confines a process in one of these modes: the child, whose user it shares, cannot trace it, and only its file
/// descriptors 0 to 2 stay open.
///
/// # Errors
/// Errors of prctl(2), and of reading `/proc/self/fd`.
pub(crate) fn confine() -> std::io::Result<()> {
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    umask(Mode::from_bits_truncate(0o077));
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    for descriptor in open {
        // The descriptor of the listing itself is closed already.
        let _ = close(descriptor);
    }
    Ok(())
}

/// Blocks SIGTERM, SIGINT, SIGQUIT and SIGHUP.
///
/// # Errors
/// Errors of `pthread_sigmask(3)`.
pub(crate) fn block_end_signals() -> std::io::Result<()> {
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP];
    Ok(signals.into_iter().collect::<SigSet>().thread_block()?)
}
