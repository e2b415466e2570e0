//! The sidecar, from its settings to its end.

use std::{ffi::OsString, process::ExitCode, rc::Rc, task::Poll};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, watch},
    task::LocalSet,
};

use crate::{
    api::{Api, Health},
    log,
    pace::Pace,
    probe::Prober,
    record::Record,
    settings::Settings,
    supervisor::Supervisor,
    sync::Sync,
    token::Token,
};

/// Runs the sidecar until it is told to stop. `command` is the child's; where it is empty, `openclaw gateway run`.
#[must_use]
pub fn main(command: impl Iterator<Item = OsString>) -> ExitCode {
    match start(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Settings(errors)) => {
            for error in &errors {
                log::error(error, &[]);
            }
            log::error("the sidecar cannot run: its settings are wrong", &[("faults", errors.len().into())]);
            ExitCode::FAILURE
        }
        Err(Failure::Other(error)) => {
            log::error("the sidecar cannot run", &[("because", error.to_string().into())]);
            ExitCode::FAILURE
        }
    }
}

/// Why the sidecar cannot run.
enum Failure {
    /// All that is wrong with its settings.
    Settings(Vec<String>),
    Other(Box<dyn std::error::Error>),
}

impl<E: Into<Box<dyn std::error::Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn start(command: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    // Before anything secret is looked at: no other process of this user may read this one's memory or environment.
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    #[expect(clippy::disallowed_methods, reason = "settings are read once, here")]
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    // The token first, which takes it out of the environment; whatever is wrong with it, the other settings are checked too.
    let token = Token::take(&environment).and_then(|token| token.read().map(|_| token));
    let (settings, token) = match (Settings::read(&environment, command), token) {
        (Ok(settings), Ok(token)) => (settings, token),
        (settings, token) => {
            let of_settings = settings.err().into_iter().flat_map(|errors| errors.0).map(|error| error.to_string());
            let of_token = token.err().map(|error| error.to_string());
            return Err(Failure::Settings(of_settings.chain(of_token).collect()));
        }
    };
    if settings.child.user.is_another() {
        // Of what root's groups could read, the child's files need nothing.
        nix::unistd::setgroups(&[])?;
    } else {
        log::warn(
            "OpenClaw runs as the sidecar's own user: only the kernel's ptrace rules keep it from the pool's token. Run the \
             sidecar as root and set PORTCULLIS_CHILD_USER",
            &[],
        );
    }
    // One thread: files are touched with the child's rights, which Linux holds by thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(run(settings, token))).map_err(Failure::Other)
}

async fn run(settings: Settings, token: Token) -> Result<(), Box<dyn std::error::Error>> {
    let pace = Pace { termination: settings.stop, ..Pace::default() };
    let child = settings.child;
    let api = Rc::new(Api::new(settings.api, settings.pool, token)?);
    let (health, health_seen) = watch::channel(Health::Degraded);
    let (configured, configured_seen) = watch::channel(None);
    let stop = Rc::new(Notify::new());
    let folder = child.state.clone();
    let made = child.user.act(|| std::fs::create_dir_all(&folder));
    made.map_err(|error| format!("OpenClaw's user cannot make {}: {error}", folder.display()))?;
    let made = std::fs::create_dir_all(&settings.run);
    made.map_err(|error| format!("{} cannot be made: {error}", settings.run.display()))?;
    let supervisor = Supervisor {
        api: Rc::clone(&api),
        pace,
        command: child.command,
        user: child.user.clone(),
        folder,
        config: child.config.clone(),
        environment: child.environment,
        record: Record::in_folder(&settings.run),
        prober: Prober::new(settings.gateway, &pace)?,
        health,
        configured: configured_seen,
        stop: Rc::clone(&stop),
    };
    let sync = Sync {
        api,
        pace,
        address: settings.address,
        user: child.user,
        state: child.state,
        config: child.config,
        health: health_seen,
        configured,
    };
    let mut ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()]
        .into_iter()
        .map(signal)
        .collect::<Result<Vec<Signal>, _>>()?;
    let supervised = tokio::task::spawn_local(supervisor.run());
    let synced = tokio::task::spawn_local(sync.run());
    std::future::poll_fn(|context| {
        let is_received = ends.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if is_received { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    log::info("stopping", &[]);
    synced.abort();
    stop.notify_one();
    supervised.await?;
    Ok(())
}
