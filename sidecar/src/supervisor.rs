//! Starting `OpenClaw`, watching it, and starting it again.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, rc::Rc, time::Duration};

use secrecy::ExposeSecret;
use tokio::sync::{Notify, watch};

use crate::{
    api::{Api, Health},
    log,
    pace::{MAXIMUM_RESTARTS, Moment, Pace, pause, unix_seconds},
    probe::{Prober, Pulse},
    process::{Launch, Process},
    record::Record,
    user::User,
};

/// How long the token in a child's environment lasts: 30 days, the longest that there is.
const TOKEN_LASTS: Duration = Duration::from_hours(30 * 24);

/// How long a start waits for a token before it goes on without.
const TOKEN_PATIENCE: Duration = Duration::from_secs(5);

/// What is supervised.
pub struct Supervisor {
    /// The control plane, which issues the child's token.
    pub api: Rc<Api>,
    /// The times.
    pub pace: Pace,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Whose process it is.
    pub user: User,
    /// The folder that it starts in.
    pub folder: PathBuf,
    /// Its environment, but for its token.
    pub environment: BTreeMap<OsString, OsString>,
    /// Where it is written down.
    pub record: Record,
    /// What asks whether it answers.
    pub prober: Prober,
    /// Where its health is told.
    pub health: watch::Sender<Health>,
    /// Whether there is a configuration to start it with; sent again with each new one.
    pub configured: watch::Receiver<Option<u64>>,
    /// Where the end is told.
    pub stop: Rc<Notify>,
}

/// Why a child is not watched any more.
enum End {
    Stopped,
    Exited,
    Unhealthy,
    TokenEnds,
}

impl Supervisor {
    /// Supervises until it is told to stop; the child has ended then.
    pub async fn run(mut self) {
        let mut restarts = 0;
        let stop = Rc::clone(&self.stop);
        loop {
            let mut process = match Process::adopt(&self.record) {
                Some(process) => {
                    log::info("adopted the running OpenClaw", &[("pid", &process.id())]);
                    Some((process, Pulse::of_adopted()))
                }
                None => {
                    tokio::select! {
                        started = self.start() => started.map(|process| (process, Pulse::of_new())),
                        () = stop.notified() => return,
                    }
                }
            };
            let began = Moment::now();
            if let Some((process, pulse)) = &mut process {
                match self.watch(process, pulse).await {
                    End::Stopped => {
                        process.end(self.pace.termination).await;
                        self.record.clear();
                        return;
                    }
                    End::TokenEnds => {
                        log::info("starting OpenClaw anew, before its token ends", &[]);
                        process.end(self.pace.termination).await;
                        self.record.clear();
                        continue;
                    }
                    End::Unhealthy => {
                        log::warn("OpenClaw does not answer: starting it anew", &[("pid", &process.id())]);
                        process.end(self.pace.termination).await;
                    }
                    End::Exited => log::warn("OpenClaw has ended", &[("pid", &process.id())]),
                }
                self.record.clear();
            }
            restarts = if began.age() >= self.pace.restart_reset { 1 } else { restarts + 1 };
            if !self.wait_before(restarts).await {
                return;
            }
            if restarts > MAXIMUM_RESTARTS {
                restarts = 0;
            }
        }
    }

    /// Waits as long as the n-th restart in a row does: for ever after the last one, unless there is a new configuration.
    /// `false` where it is told to stop.
    async fn wait_before(&mut self, restart: u32) -> bool {
        if restart > MAXIMUM_RESTARTS {
            self.health.send_replace(Health::Unhealthy);
            log::warn(
                "OpenClaw was started too often: waiting for a new configuration",
                &[("restarts", &MAXIMUM_RESTARTS)],
            );
            self.configured.mark_unchanged();
            return tokio::select! {
                changed = self.configured.changed() => changed.is_ok(),
                () = self.stop.notified() => false,
            };
        }
        if *self.health.borrow() == Health::Active {
            self.health.send_replace(Health::Degraded);
        }
        let wait = self.pace.restart * restart;
        log::info("starting OpenClaw again", &[("inSeconds", &wait.as_secs_f32()), ("restart", &restart)]);
        tokio::select! {
            () = pause(wait) => true,
            () = self.stop.notified() => false,
        }
    }

    /// Starts the child as soon as there is a configuration; `None` where it could not be started.
    async fn start(&mut self) -> Option<Process> {
        // The sender lives as long as the sidecar does.
        let _ = self.configured.wait_for(Option::is_some).await;
        let mut environment = self.environment.clone();
        let issued = tokio::time::timeout(TOKEN_PATIENCE, self.api.skill_token(TOKEN_LASTS)).await;
        let token_ends = match issued {
            Ok(Ok(token)) => {
                environment.insert("SKILL_API_TOKEN".into(), token.expose_secret().into());
                Some(unix_seconds() + TOKEN_LASTS.as_secs())
            }
            // Skills read the token in the file first, which is renewed as soon as the control plane answers.
            Ok(Err(error)) => {
                log::warn("OpenClaw is started without a token in its environment", &[("because", &error)]);
                None
            }
            Err(_) => {
                log::warn(
                    "OpenClaw is started without a token in its environment",
                    &[("because", &"it took too long")],
                );
                None
            }
        };
        let launch =
            Launch { command: &self.command, user: &self.user, folder: self.folder.clone(), environment, token_ends };
        match Process::start(launch, &self.record).await {
            Ok(process) => {
                log::info("started OpenClaw", &[("pid", &process.id())]);
                Some(process)
            }
            Err(error) => {
                log::warn("OpenClaw could not be started", &[("because", &error)]);
                None
            }
        }
    }

    /// Watches a child until there is something to be done about it.
    async fn watch(&self, process: &mut Process, pulse: &mut Pulse) -> End {
        let token_ends = process.token_ends().map(|ends| ends.saturating_sub(self.pace.token_margin.as_secs()));
        let probing = async {
            loop {
                let health = pulse.note(self.prober.answers().await, &self.pace);
                self.health.send_if_modified(|now| std::mem::replace(now, health) != health);
                if health == Health::Unhealthy {
                    return End::Unhealthy;
                }
                if token_ends.is_some_and(|ends| ends <= unix_seconds()) {
                    return End::TokenEnds;
                }
                pause(self.pace.probe).await;
            }
        };
        tokio::select! {
            end = probing => end,
            () = process.wait() => End::Exited,
            () = self.stop.notified() => End::Stopped,
        }
    }
}
