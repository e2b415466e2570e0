//! The sidecar, from its settings to its end.

use std::{ffi::OsString, process::ExitCode, rc::Rc};

use tokio::{
    signal::unix::{SignalKind, signal},
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

/// Runs the sidecar until it is told to stop. `arguments` are the child's command, if they are any.
#[must_use]
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error("the sidecar cannot run", &[("because", error.to_string().into())]);
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: impl Iterator<Item = OsString>) -> Result<(), Box<dyn std::error::Error>> {
    // Before anything secret is looked at: no other process of this user may read this one's memory or environment.
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    #[expect(clippy::disallowed_methods, reason = "settings are read once, here")]
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let token = Token::take(&environment)?;
    let settings = Settings::read(&environment, arguments)?;
    if settings.user.is_another() {
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
    runtime.block_on(LocalSet::new().run_until(run(settings, token)))
}

async fn run(settings: Settings, token: Token) -> Result<(), Box<dyn std::error::Error>> {
    let pace = Pace::default();
    let api = Rc::new(Api::new(settings.api, settings.pool, token)?);
    let (health, health_seen) = watch::channel(Health::Degraded);
    let (configured, configured_seen) = watch::channel(None);
    let stop = Rc::new(Notify::new());
    let folder = settings.state.clone();
    let made = settings.user.act(|| std::fs::create_dir_all(&folder));
    made.map_err(|error| format!("OpenClaw's user cannot make {}: {error}", folder.display()))?;
    let made = std::fs::create_dir_all(&settings.run);
    made.map_err(|error| format!("{} cannot be made: {error}", settings.run.display()))?;
    let supervisor = Supervisor {
        api: Rc::clone(&api),
        pace,
        command: settings.command,
        user: settings.user.clone(),
        folder,
        config: settings.config.clone(),
        environment: settings.environment,
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
        user: settings.user,
        state: settings.state,
        config: settings.config,
        health: health_seen,
        configured,
    };
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let supervised = tokio::task::spawn_local(supervisor.run());
    let synced = tokio::task::spawn_local(sync.run());
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    log::info("stopping", &[]);
    synced.abort();
    stop.notify_one();
    supervised.await?;
    Ok(())
}
