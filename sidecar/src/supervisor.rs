//! The supervisor of `OpenClaw`: starts, watches and restarts it.

use std::{path::PathBuf, rc::Rc, time::Duration};

use secrecy::ExposeSecret;
use tokio::sync::{Notify, watch};

use crate::{
    api::{Api, ApiError, Health},
    keeper::Keeper,
    log,
    notify::{Notifier, Progress},
    openclaw::{self, OpenClaw, Version},
    pace::{Backoff, MAXIMUM_RESTARTS, Moment, Pace, pause, unix_seconds},
    probe::{Answer, Prober, Pulse},
    process::{Launch, Process},
    program,
    record::Record,
    skill_token::{ChildToken, Generation, Issued},
    worker::{FileError, Ground},
};

/// Lifetime of the token in a child's environment: 30 days, the maximum.
const TOKEN_LASTS: Duration = Duration::from_hours(30 * 24);

/// Supervises the pool's `OpenClaw`.
pub struct Supervisor {
    /// Client of the control plane, which issues the child's token.
    pub api: Rc<Api>,
    /// Intervals and time-outs.
    pub pace: Pace,
    /// The child's command, user, folder and environment.
    pub openclaw: OpenClaw,
    /// Path of `openclaw.json`.
    pub config: PathBuf,
    /// Writes the child's files, and restores them before each start.
    pub keeper: Rc<Keeper>,
    /// Record file of the running child, so that the next sidecar can adopt it.
    pub record: Record,
    /// Health probe of the child.
    pub prober: Prober,
    /// Publishes the child's health.
    pub health: watch::Sender<Health>,
    /// Version of the configuration on the disk, sent again with each new one; `None` before the first.
    pub configured: watch::Receiver<Option<u64>>,
    /// The pool's generation of skill tokens.
    pub generation: watch::Receiver<Generation>,
    /// Publishes the version of the child's `OpenClaw`.
    pub version: watch::Sender<Version>,
    /// Notification socket of systemd.
    pub notifier: Rc<Notifier>,
    /// Signals that the sidecar is to stop.
    pub stop: Rc<Notify>,
}

/// Exit code of an `OpenClaw` that rejects its configuration.
///
/// Source: OpenClaw 2026.9.6, docs/gateway/embedding.md (`EX_CONFIG` of sysexits.h).
const CONFIGURATION_REFUSED: i32 = 78;

/// Why the supervisor stops watching a child.
enum End {
    Stopped,
    /// With the exit code, where it is known.
    Exited(Option<i32>),
    Unhealthy,
    /// The child's token ends soon, or is refused. Holds the token for the next child.
    TokenRenewed(ChildToken),
}

impl Supervisor {
    /// Runs until `stop` is notified, and returns once the child has ended. While the supervisor makes progress,
    /// systemd's watchdog is notified.
    pub async fn run(self) {
        let notifier = Rc::clone(&self.notifier);
        let progress = Progress::new(&notifier, self.pace.progress);
        tokio::select! {
            () = self.supervise(&progress) => {}
            () = progress.tell() => {}
        }
    }

    async fn supervise(mut self, progress: &Progress<'_>) {
        let mut restarts = 0;
        // Token for the next start, if one was issued before the last child was ended for it.
        let mut renewed = None;
        let stop = Rc::clone(&self.stop);
        // An adopted child has a version too, and the pool registers with it.
        tokio::select! {
            () = self.check_version() => {}
            // `stop` is notified again so that the select below sees it as well.
            () = stop.notified() => stop.notify_one(),
        }
        loop {
            progress.step();
            let (ground, mut process) = match Process::adopt(&self.record, &self.openclaw.user).await {
                Some(process) => {
                    log::info("adopted the running OpenClaw", &[("pid", process.id().into())]);
                    let ground = tokio::select! {
                        ground = self.ground() => ground,
                        () = stop.notified() => {
                            // The child is ended below, where it is watched.
                            stop.notify_one();
                            None
                        }
                    };
                    (ground, Some(process))
                }
                None => {
                    tokio::select! {
                        started = self.start(renewed.take(), progress) => started,
                        () = stop.notified() => return,
                    }
                }
            };
            let (began, restorations) = (Moment::now(), self.keeper.restorations());
            if let Some(process) = &mut process {
                let end = self.watch(process, &mut Pulse::new(began), progress).await;
                progress.step();
                match end {
                    End::Stopped => {
                        process.end(self.pace.termination).await;
                        self.record.clear();
                        return;
                    }
                    End::TokenRenewed(token) => {
                        log::info("starting OpenClaw anew with a new token", &[("pid", process.id().into())]);
                        renewed = Some(token);
                        process.end(self.pace.termination).await;
                        self.record.clear();
                        continue;
                    }
                    End::Unhealthy => {
                        let silence = log::seconds(self.pace.silence);
                        log::warn(
                            "OpenClaw does not answer: starting it anew",
                            &[("pid", process.id().into()), ("silentForSeconds", silence)],
                        );
                        process.end(self.pace.termination).await;
                    }
                    End::Exited(code) => {
                        let facts = [("pid", process.id().into()), ("exitCode", code.into())];
                        log::warn("OpenClaw has ended", if code.is_some() { &facts } else { &facts[..1] });
                        // Descendants that survive could still hold the child's port.
                        process.end(Duration::ZERO).await;
                    }
                }
                self.record.clear();
                // A configuration changed on the disk is not the control plane's: the next start has the restored one.
                let is_refused = matches!(end, End::Exited(Some(CONFIGURATION_REFUSED)));
                let is_restored = tokio::select! {
                    is_restored = self.is_restored_since(restorations), if is_refused => is_restored,
                    () = stop.notified(), if is_refused => return,
                    else => false,
                };
                if is_refused && !is_restored {
                    log::warn(
                        "OpenClaw refuses its configuration (exit code 78): it is started again once there is another one",
                        &[("version", (*self.configured.borrow()).into())],
                    );
                    if !self.wait_for_other(ground.as_ref(), progress).await {
                        return;
                    }
                    restarts = 0;
                    continue;
                }
            }
            restarts = if began.age() >= self.pace.restart_reset { 1 } else { restarts + 1 };
            if restarts > MAXIMUM_RESTARTS {
                log::warn(
                    "OpenClaw was started too often: waiting for another configuration",
                    &[("restarts", MAXIMUM_RESTARTS.into())],
                );
                if !self.wait_for_other(ground.as_ref(), progress).await {
                    return;
                }
                restarts = 0;
            } else if !self.wait_before(restarts).await {
                return;
            }
        }
    }

    /// Snapshot of the configuration and the program; `None` if the worker fails, for example because the child's file
    /// system hangs.
    async fn ground(&self) -> Option<Ground> {
        let OpenClaw { command, folder, environment, .. } = &self.openclaw;
        let program = command.first().map(|program| program::candidates(program, environment, folder));
        self.keeper.worker().find(program.unwrap_or_default(), &self.config).await.ok()
    }

    /// Restores the child's files where they were changed. After an error the child starts with the files as they are.
    async fn restore(&self) {
        if let Some(error) = self.keeper.restore().await.error {
            tell_of_files("files could not be restored before a start", &error);
        }
    }

    /// Restores the child's files, and returns whether the count of restorations has changed.
    async fn is_restored_since(&self, restorations: u64) -> bool {
        self.restore().await;
        self.keeper.restorations() != restorations
    }

    /// Waits until the configuration or the program differs from that of the last start; the pool is unhealthy
    /// meanwhile. Returns `false` if `stop` is notified.
    async fn wait_for_other(&mut self, ground: Option<&Ground>, progress: &Progress<'_>) -> bool {
        self.health.send_replace(Health::Unhealthy);
        loop {
            progress.step();
            tokio::select! {
                // A version that came while the child was starting counts as well: the start read the version before
                // it.
                changed = self.configured.changed() => return changed.is_ok(),
                () = self.stop.notified() => return false,
                () = pause(self.pace.probe) => {}
            }
            tokio::select! {
                now = self.ground() => if now.is_some() && now.as_ref() != ground { return true },
                () = self.stop.notified() => return false,
            }
        }
    }

    /// Waits for the back-off of the n-th restart in a row. Returns `false` if `stop` is notified.
    async fn wait_before(&self, restart: u32) -> bool {
        if *self.health.borrow() == Health::Active {
            self.health.send_replace(Health::Degraded);
        }
        let wait = self.pace.restart * restart;
        log::info("starting OpenClaw again", &[("inSeconds", log::seconds(wait)), ("restart", restart.into())]);
        tokio::select! {
            () = pause(wait) => true,
            () = self.stop.notified() => false,
        }
    }

    /// Starts the child as soon as there is a configuration. Returns the snapshot before the start, and the process, or
    /// `None` if it could not be started.
    async fn start(
        &mut self,
        renewed: Option<ChildToken>,
        progress: &Progress<'_>,
    ) -> (Option<Ground>, Option<Process>) {
        // The sender lives as long as the sidecar does.
        while tokio::time::timeout(self.pace.plugins, self.configured.wait_for(Option::is_some)).await.is_err() {
            progress.step();
        }
        self.check_version().await;
        self.wait_for_plugins(progress).await;
        let mut environment = self.openclaw.environment.clone();
        // The generation may have been raised while the supervisor waited for plugins.
        let renewed = renewed.filter(|token| !self.generation.borrow().refuses(token.generation));
        let issued = match renewed {
            Some(token) => Ok(token),
            None => self.first_token().await,
        };
        let (token_ends, token_generation) = match issued {
            Ok(issued) => {
                environment.insert("SKILL_API_TOKEN".into(), issued.token.expose_secret().into());
                (Some(issued.ends), issued.generation)
            }
            // The token in the file, which skills read first, is renewed as soon as the control plane answers.
            Err(because) => {
                log::warn("OpenClaw is started without a token in its environment", &[("because", because.into())]);
                (None, None)
            }
        };
        // Marked only now, because the child reads any configuration that arrived while the token was being issued.
        self.configured.mark_unchanged();
        progress.step();
        self.restore().await;
        progress.step();
        let ground = self.ground().await;
        let OpenClaw { launcher, command, user, folder, .. } = &self.openclaw;
        let drain = self.keeper.worker().program();
        let launch = Launch {
            launcher,
            drain,
            command,
            user,
            folder: folder.clone(),
            environment,
            token_ends,
            token_generation,
        };
        match Process::start(launch, &self.record).await {
            Ok(process) => {
                log::info("started OpenClaw", &[("pid", process.id().into())]);
                (ground, Some(process))
            }
            Err(error) => {
                log::warn("OpenClaw could not be started", &[("because", error.to_string().into())]);
                (ground, None)
            }
        }
    }

    /// Issues the token for a child that is about to start.
    async fn first_token(&self) -> Result<ChildToken, String> {
        let mut generation = self.generation.clone();
        // Wait for the first heartbeat: without its generation a valid token would be taken for a revoked one.
        let _ =
            tokio::time::timeout(self.pace.token_patience, generation.wait_for(|now| *now != Generation::NotYet)).await;
        match tokio::time::timeout(self.pace.token_patience, self.issue()).await {
            Ok(issued) => issued.map_err(|error| error.to_string()),
            Err(_) => Err("it took too long".to_owned()),
        }
    }

    async fn issue(&self) -> Result<ChildToken, ApiError> {
        // Read before the request, so that a generation raised meanwhile marks the token as old.
        let generation = self.generation.borrow().known();
        let Issued { token, ends } = self.api.skill_token(TOKEN_LASTS).await?;
        Ok(ChildToken { token, ends, generation })
    }

    /// Waits until the child's token is refused and can be replaced, or ends soon and one that lasts longer by the
    /// margin is issued. Returns the new token. Until then the child runs on: a restart would mend nothing, and where
    /// the pool's own token is short-lived it would be restarted all day. Its skills read the token file first.
    async fn renewed_token(&self, ends: Option<u64>, issued: Option<u64>) -> ChildToken {
        let Some(ends) = ends else { return std::future::pending().await };
        let margin = self.pace.token_margin;
        let mut generation = self.generation.clone();
        let mut backoff = Backoff::new(self.pace.retry, self.pace.longest_retry);
        loop {
            let is_refused = generation.borrow_and_update().refuses(issued);
            let is_over = ends.saturating_sub(margin.as_secs()) <= unix_seconds();
            if !is_over && !is_refused {
                tokio::select! {
                    changed = generation.changed() => if changed.is_err() { pause(self.pace.probe).await },
                    () = pause(self.pace.probe) => {}
                }
                continue;
            }
            match self.issue().await {
                Ok(token) if is_refused || token.ends >= ends.saturating_add(margin.as_secs()) => return token,
                Ok(_) => tokio::select! {
                    Ok(_) = generation.wait_for(|now| now.refuses(issued)) => {}
                    () = pause(margin / 24) => {}
                },
                Err(error) => {
                    let wait = backoff.next_wait();
                    let mut facts = error.facts();
                    facts.push(("againInSeconds", log::seconds(wait)));
                    log::warn("no new token for OpenClaw, whose own ends soon or was revoked", &facts);
                    pause(wait).await;
                }
            }
        }
    }

    /// Asks the command for its version and publishes it. A known version stays if the command does not answer in time,
    /// so that a busy machine does not look like another `OpenClaw`.
    async fn check_version(&self) {
        let found = self.openclaw.version().await;
        self.version.send_if_modified(|version| {
            let found = match found {
                Some(found) => found,
                None if *version == Version::NotYet => Version::None,
                None => return false,
            };
            let is_other = *version != found;
            if is_other {
                match &found {
                    Version::Known(found) => log::info("found OpenClaw", &[("version", found.as_str().into())]),
                    _ => log::info("what is started does not say which OpenClaw it is", &[]),
                }
            }
            *version = found;
            is_other
        });
    }

    /// Waits until all plugins that the configuration enables are installed. Otherwise `OpenClaw` would try for more
    /// than a minute to install a missing one before it listens, or start without the platform.
    async fn wait_for_plugins(&mut self, progress: &Progress<'_>) {
        let mut told = Vec::new();
        loop {
            progress.step();
            let missing = self.missing_plugins().await;
            if missing.is_empty() {
                return;
            }
            if told != missing {
                let version = self.version.borrow().clone();
                let version = version.known().unwrap_or("VERSION");
                let install = missing.iter().map(|plugin| openclaw::package(plugin, version));
                let install: Vec<_> = install.map(|package| format!("openclaw plugins install {package}")).collect();
                log::warn(
                    "OpenClaw is not started: its configuration enables plugins that are not installed",
                    &[
                        ("plugins", missing.clone().into()),
                        (
                            "toDo",
                            format!("run portcullis-sidecar prepare, or as OpenClaw's user: {}", install.join("; "))
                                .into(),
                        ),
                    ],
                );
                told = missing;
            }
            self.health.send_replace(Health::Unhealthy);
            tokio::select! {
                changed = self.configured.changed() => if changed.is_err() { return },
                () = pause(self.pace.plugins) => {}
            }
        }
    }

    /// Plugins that the configuration enables and `OpenClaw` lacks; empty if `OpenClaw` does not list its plugins.
    async fn missing_plugins(&self) -> Vec<String> {
        if self.version.borrow().known().is_none() {
            return Vec::new();
        }
        let wanted = match self.keeper.worker().enabled(&self.config).await {
            Ok(enabled) => enabled.unwrap_or_default().plugins,
            Err(error) => {
                tell_of_files("the configuration could not be read for the plugins that it enables", &error);
                return Vec::new();
            }
        };
        if wanted.is_empty() {
            return Vec::new();
        }
        match self.openclaw.plugins().await {
            Ok(installed) => wanted.into_iter().filter(|plugin| !installed.contains_key(plugin)).collect(),
            Err(error) => {
                let facts = [("because", error.to_string().into())];
                log::warn("OpenClaw does not say which plugins it has: it is started all the same", &facts);
                Vec::new()
            }
        }
    }

    /// Watches a child until it ends or must be ended.
    async fn watch(&self, process: &mut Process, pulse: &mut Pulse, progress: &Progress<'_>) -> End {
        let renewed = self.renewed_token(process.token_ends(), process.token_generation());
        // Every start begins with silence, which is not logged.
        let (pid, mut last) = (process.id(), Answer::Silent);
        let probing = async {
            loop {
                progress.step();
                let answer = self.prober.ask().await;
                if last != answer {
                    let is_well = matches!(answer, Answer::Ready | Answer::Starting | Answer::Silent);
                    let log = if is_well { log::info } else { log::warn };
                    log(told(answer), &[("pid", pid.into())]);
                    last = answer;
                }
                let health = pulse.note(answer, Moment::now(), &self.pace);
                self.health.send_if_modified(|now| std::mem::replace(now, health) != health);
                if health == Health::Unhealthy {
                    return End::Unhealthy;
                }
                pause(self.pace.probe).await;
            }
        };
        tokio::select! {
            end = probing => end,
            token = renewed => End::TokenRenewed(token),
            code = process.wait() => End::Exited(code),
            () = self.stop.notified() => End::Stopped,
        }
    }
}

fn tell_of_files(message: &str, error: &FileError) {
    log::warn(message, &[("because", error.to_string().into())]);
}

/// Log message of a probe's answer.
fn told(answer: Answer) -> &'static str {
    match answer {
        Answer::Ready => "OpenClaw is ready",
        Answer::NotReady => {
            "OpenClaw answers, but a channel, an agent or a plugin does not work: see its log and its /readyz"
        }
        Answer::Starting => "OpenClaw answers, and is starting or draining",
        Answer::Unwell => "OpenClaw answers its health probe with an error",
        Answer::Silent => "OpenClaw does not answer its health probe",
    }
}
