//! The sidecar's main flow, from reading settings to shutdown.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    os::unix::fs::OpenOptionsExt,
    process::ExitCode,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use nix::fcntl::OFlag;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, watch},
    task::LocalSet,
};

use crate::{
    api::{Api, ApiError, Health},
    keeper::Keeper,
    launcher::Launcher,
    log,
    notify::Notifier,
    openclaw::{OpenClaw, Version},
    own_program::OwnProgram,
    pace::Pace,
    path,
    probe::Prober,
    program,
    record::Record,
    settings::{ChildSettings, Settings, SettingsErrors},
    skill_token::Generation,
    supervisor::Supervisor,
    sync::Sync,
    token::Token,
    tree::{self, Tree},
    user::User,
    worker::{FileError, Worker},
};

/// Runs the sidecar until a signal stops it. `command` is the child's; if it is empty, `openclaw gateway run`.
#[must_use]
pub fn main(command: impl Iterator<Item = OsString>) -> ExitCode {
    report(start(command, Settings::read), "the sidecar cannot run")
}

/// Runs the sidecar as [`main`] does, with one of our own programs as the child: it may run as the sidecar's own user,
/// even root.
#[must_use]
pub fn main_for_trusted_child(command: impl Iterator<Item = OsString>) -> ExitCode {
    report(start(command, Settings::read_for_trusted_child), "the sidecar cannot run")
}

/// Logs a failure, each fault on its own line, and waits until the log is written. Returns the exit code.
#[must_use]
pub(crate) fn report(outcome: Result<(), Failure>, what: &str) -> ExitCode {
    let code = if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    match outcome {
        Ok(()) => {}
        Err(Failure::Settings(faults)) => {
            for fault in &faults {
                log::error(fault, &[]);
            }
            log::error(what, &[("faults", faults.len().into())]);
        }
        Err(Failure::Api(error)) => log::error(what, &error.facts()),
        Err(Failure::Other(error)) => log::error(what, &[("because", error.to_string().into())]),
    }
    log::flush();
    code
}

/// Why a command failed.
pub(crate) enum Failure {
    /// Messages of all faulty settings.
    Settings(Vec<String>),
    /// A failed call of the control plane.
    Api(ApiError),
    Other(Box<dyn std::error::Error>),
}

impl Failure {
    pub(crate) fn from_settings(errors: SettingsErrors) -> Self {
        Self::Settings(errors.0.into_iter().map(|error| error.to_string()).collect())
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// Implements the conversion of other errors into a [`Failure`].
macro_rules! others {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Other(error.into())
            }
        })*
    };
}

others!(String, &str, std::io::Error, nix::Error, reqwest::Error, tokio::task::JoinError, FileError);

/// Protects this process's memory and environment from other processes of its user, and returns the environment.
pub(crate) fn guarded_environment() -> Result<Vec<(OsString, OsString)>, Failure> {
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    #[expect(clippy::disallowed_methods, reason = "settings are read once, here")]
    let environment = std::env::vars_os().collect();
    Ok(environment)
}

/// Reads the settings and the token, and reports the errors of both.
pub(crate) fn settings_and_token<Command: Iterator<Item = OsString>>(
    environment: &[(OsString, OsString)],
    command: Command,
    read: impl FnOnce(&[(OsString, OsString)], Command) -> Result<Settings, SettingsErrors>,
) -> Result<(Settings, Token), Failure> {
    // The token first, which takes it out of the environment.
    let token = Token::take(environment).and_then(|token| token.read().map(|_| token));
    match (read(environment, command), token) {
        (Ok(settings), Ok(token)) => Ok((settings, token)),
        (settings, token) => {
            let of_settings = settings.err().into_iter().flat_map(|errors| errors.0).map(|error| error.to_string());
            Err(Failure::Settings(of_settings.chain(token.err().map(|error| error.to_string())).collect()))
        }
    }
}

fn start<Command: Iterator<Item = OsString>>(
    command: Command,
    read: impl FnOnce(&[(OsString, OsString)], Command) -> Result<Settings, SettingsErrors>,
) -> Result<(), Failure> {
    // Before anything secret is read.
    let environment = guarded_environment()?;
    let (mut settings, token) = settings_and_token(&environment, command, read)?;
    refuse_what_child_could_reach(&settings.child.user, Some(&token))?;
    if settings.child.user.is_another() {
        // Root's supplementary groups are dropped: the child's files do not need them.
        nix::unistd::setgroups(&[])?;
    } else {
        log::warn(
            "OpenClaw runs as the sidecar's own user: only the kernel's ptrace rules keep it from the pool's token. Run the \
             sidecar as root and set PORTCULLIS_CHILD_USER",
            &[],
        );
    }
    let _lock = match lock(&mut settings)? {
        Taken::Locked(lock) => lock,
        Taken::ByAnother => {
            return Err(format!(
                "PORTCULLIS_RUN_DIR: another sidecar runs with {}: one pool has one sidecar, and two pools on a machine have a \
                 folder each",
                settings.run.display()
            )
            .into());
        }
    };
    let notifier = Notifier::of(&environment);
    // As a child subreaper the sidecar becomes the parent of orphans, and can end them with the child that started
    // them.
    nix::sys::prctl::set_child_subreaper(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(run(settings, token, notifier)))
}

/// Rejects settings with which the child could reach the sidecar's own files.
pub(crate) fn refuse_what_child_could_reach(user: &User, token: Option<&Token>) -> Result<(), Failure> {
    let file = match token {
        Some(Token::File(path)) => Some(path.as_path()),
        Some(Token::Held(_)) | None => None,
    };
    let faults = Launcher::own().faults(user, file)?;
    if faults.is_empty() { Ok(()) } else { Err(Failure::Settings(faults)) }
}

/// Outcome of locking the run folder.
pub(crate) enum Taken {
    /// Locked for this process for as long as the file lives.
    Locked(File),
    ByAnother,
}

/// Locks the run folder for this process, before anything else is touched.
pub(crate) fn lock(settings: &mut Settings) -> Result<Taken, Failure> {
    let owner = nix::unistd::Uid::effective().as_raw();
    let folder = path::private_folder(&settings.run, owner).map_err(|fault| format!("PORTCULLIS_RUN_DIR: {fault}"))?;
    // The standard library opens files with O_CLOEXEC: child processes do not inherit the lock.
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let lock = options.open(folder.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Taken::ByAnother),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    settings.run = folder;
    Ok(Taken::Locked(lock))
}

/// Worker that handles this child's files.
pub(crate) fn worker(child: &ChildSettings, pace: &Pace) -> Worker {
    Worker::new(OwnProgram::running(child.user.clone()), &child.state, pace.files)
}

/// Creates the state folder and looks for the child's program. A time-out is only logged, since it may be temporary.
pub(crate) async fn check_folder_and_program(worker: &Worker, child: &ChildSettings) -> Result<(), Failure> {
    let ChildSettings { state, config, command, environment, .. } = child;
    let is_passing = |error: &FileError| matches!(error, FileError::TooLate(_) | FileError::Ended);
    match worker.make_state().await {
        Err(error) if is_passing(&error) => {
            log::warn("the state folder could not be inspected", &[("because", error.to_string().into())]);
        }
        Err(error) => return Err(format!("OpenClaw's user cannot make {}: {error}", state.display()).into()),
        Ok(()) => {}
    }
    let Some(program) = command.first() else { return Ok(()) };
    match worker.find(program::candidates(program, environment, state), config).await {
        Ok(ground) if ground.program.is_none() => Err(Failure::Settings(vec![program::fault(program)])),
        Ok(_) => Ok(()),
        Err(error) => {
            log::warn("OpenClaw's program could not be searched for", &[("because", error.to_string().into())]);
            Ok(())
        }
    }
}

/// Longest time that shutdown takes beyond the child's own: to kill what remains, and strays.
const END_MARGIN: Duration = Duration::from_secs(90);

/// Notifies systemd of the child's health whenever it changes.
async fn tell_status(notifier: Rc<Notifier>, mut health: watch::Receiver<Health>) {
    loop {
        let status = match *health.borrow_and_update() {
            Health::Active => "STATUS=active: OpenClaw answers",
            Health::Degraded => "STATUS=degraded: OpenClaw is starting, or does not answer",
            Health::Unhealthy => "STATUS=unhealthy: OpenClaw does not run",
        };
        notifier.send(&[status]);
        if health.changed().await.is_err() {
            return;
        }
    }
}

async fn run(settings: Settings, token: Token, notifier: Notifier) -> Result<(), Failure> {
    let notifier = Rc::new(notifier);
    let pace = Pace { termination: settings.stop, ..Pace::default() };
    let child = settings.child;
    let uid = child.user.uid();
    let api = Rc::new(Api::new(settings.api, settings.pool.clone(), token)?);
    let (health, health_seen) = watch::channel(Health::Degraded);
    let (configured, configured_seen) = watch::channel(None);
    let (version, version_seen) = watch::channel(Version::NotYet);
    let (generation, generation_seen) = watch::channel(Generation::NotYet);
    let stop = Rc::new(Notify::new());
    let folder = child.state.clone();
    let worker = worker(&child, &pace);
    check_folder_and_program(&worker, &child).await?;
    let status = tell_status(Rc::clone(&notifier), health_seen.clone());
    let keeper = Rc::new(Keeper::new(worker, &child.state, &child.config, &settings.run));
    let supervisor = Supervisor {
        api: Rc::clone(&api),
        pace,
        openclaw: OpenClaw {
            launcher: Launcher::own(),
            command: child.command,
            user: child.user,
            folder,
            environment: child.environment,
        },
        config: child.config,
        keeper: Rc::clone(&keeper),
        record: Record::in_folder(&settings.run, &settings.pool),
        prober: Prober::new(settings.gateway, &pace)?,
        health,
        configured: configured_seen,
        generation: generation_seen,
        version,
        notifier: Rc::clone(&notifier),
        stop: Rc::clone(&stop),
    };
    let (address, version) = (settings.address, version_seen);
    let sync = Sync { api, pace, address, keeper, health: health_seen, version, generation, configured };
    let mut ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()]
        .into_iter()
        .map(signal)
        .collect::<Result<Vec<Signal>, _>>()?;
    let reaped = tokio::task::spawn_local(tree::keep_reaping(signal(SignalKind::child())?, tree::FORGOTTEN));
    let supervised = tokio::task::spawn_local(supervisor.run());
    let synced = tokio::task::spawn_local(sync.run());
    notifier.send(&["READY=1"]);
    let status = tokio::task::spawn_local(status);
    std::future::poll_fn(|context| {
        let is_received = ends.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if is_received { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    log::info("stopping", &[]);
    status.abort();
    notifier.stopping(pace.termination + END_MARGIN);
    synced.abort();
    stop.notify_one();
    supervised.await?;
    reaped.abort();
    // Processes of an interrupted start.
    Tree::strays(uid).end().await;
    Ok(())
}
