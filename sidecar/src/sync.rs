//! Keeping a pool's files as the control plane has them: one heartbeat in 5 s, and what it says has changed.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use portcullis_openclaw::FilePath;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    api::{AgentMeta, Api, ApiError, Configuration, Health, Report, Tagged, Versions},
    keeper::{Keeper, Restored},
    log,
    openclaw::Version,
    pace::{Backoff, Moment, Pace, jittered, pause, unix_seconds},
    skill_token::{Generation, Issued},
    worker::FileError,
};

/// Keeps the pool known to the control plane, and its files as the control plane has them.
pub struct Sync {
    /// The control plane.
    pub api: Rc<Api>,
    /// The times.
    pub pace: Pace,
    /// Where deliveries reach this pool.
    pub address: Option<String>,
    /// The files.
    pub keeper: Rc<Keeper>,
    /// How the child is.
    pub health: watch::Receiver<Health>,
    /// The version of the `OpenClaw` that is started.
    pub version: watch::Receiver<Version>,
    /// Where the pool's generation of skill tokens is told.
    pub generation: watch::Sender<Generation>,
    /// Where the version of a new configuration is told.
    pub configured: watch::Sender<Option<u64>>,
}

/// Why something was not brought up to date. It is tried again.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the control plane's answer could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl SyncError {
    /// The error as facts of a log line.
    fn facts(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Api(error) => error.facts(),
            Self::File(_) | Self::Json(_) => vec![("because", self.to_string().into())],
        }
    }
}

/// The shortest time that a token in the file is taken to last.
const SHORTEST: Duration = Duration::from_mins(2);

/// The token in the file.
#[derive(Clone, Copy)]
struct FileToken {
    issued: Moment,
    /// How long it is left there.
    good_for: Duration,
    /// The pool's generation when it was asked for.
    generation: Option<u64>,
}

/// What is on the disk.
#[derive(Default)]
struct Applied {
    /// Whether an earlier run has left a configuration; `None` where it is not known yet.
    earlier: Option<bool>,
    config: Option<u64>,
    /// Whether it still lies there as it was written.
    is_config_there: bool,
    config_tag: Option<String>,
    agents: BTreeMap<String, AgentMeta>,
    skills: Option<u64>,
    skills_tag: Option<String>,
    templates: Option<u64>,
    /// The agents whose workspaces have them.
    with_templates: BTreeSet<String>,
    /// The token in the file.
    token: Option<FileToken>,
}

impl Applied {
    /// The version of the configuration that lies on the disk: 0 where it was changed and could not be restored, `None` where
    /// none was written yet.
    fn last_seen(&self) -> Option<u64> {
        self.config.map(|version| if self.is_config_there { version } else { 0 })
    }
}

/// What heartbeats and files tell each other.
struct Shared {
    /// [`Applied::last_seen`].
    last_seen: Cell<Option<u64>>,
    /// The newest answer to a heartbeat.
    versions: watch::Sender<Option<Versions>>,
}

impl Sync {
    /// Keeps the files until it is dropped. Heartbeats do not wait for files, which the child can hold up. The first thing that
    /// is told of `configured` is a configuration that an earlier run has left, so that a control plane that is away keeps
    /// nobody from starting.
    pub async fn run(self) {
        let shared = Shared { last_seen: Cell::new(None), versions: watch::Sender::new(None) };
        tokio::join!(self.send_heartbeats(&shared), self.keep_files(&shared));
    }

    async fn send_heartbeats(&self, shared: &Shared) {
        let mut backoff = Backoff::new(self.pace.retry, self.pace.longest_retry);
        let (mut is_registered, mut was_refused) = (false, false);
        loop {
            let wait = match self.heartbeat(shared, is_registered).await {
                Ok(()) => {
                    if !is_registered || was_refused {
                        log::info("the control plane answers", &[("pool", self.api.pool().into())]);
                    }
                    (is_registered, was_refused) = (true, false);
                    backoff.reset();
                    jittered(self.pace.heartbeat)
                }
                Err(error) => {
                    self.generation.send_if_modified(|now| {
                        let is_first = *now == Generation::NotYet;
                        if is_first {
                            *now = Generation::Unknown;
                        }
                        is_first
                    });
                    // A pool that is not known, or not any more, makes itself known.
                    is_registered &= !error.is_not_found();
                    was_refused = true;
                    let wait = backoff.next_wait();
                    tell("no heartbeat", error.facts(), wait);
                    wait
                }
            };
            self.wait(wait).await;
        }
    }

    async fn heartbeat(&self, shared: &Shared, is_registered: bool) -> Result<(), ApiError> {
        // The configuration is written for this version: none is asked for before it is known.
        let mut version = self.version.clone();
        let version = version.wait_for(|version| *version != Version::NotYet).await.map(|version| version.clone());
        let version = version.unwrap_or(Version::None);
        let health = *self.health.borrow();
        let report = Report { address: self.address.as_deref(), health, openclaw_version: version.known() };
        if !is_registered {
            self.api.register(&report).await?;
        }
        let versions = self.api.heartbeat(&report, shared.last_seen.get()).await?;
        let told = versions.skill_tokens_generation.map_or(Generation::Unknown, Generation::Known);
        self.generation.send_if_modified(|now| std::mem::replace(now, told) != told);
        shared.versions.send_replace(Some(versions));
        Ok(())
    }

    /// Waits, but not past a change of the child's health, which the control plane should know of.
    async fn wait(&self, wait: Duration) {
        let mut health = self.health.clone();
        health.mark_unchanged();
        tokio::select! {
            () = pause(wait) => {}
            changed = health.changed() => if changed.is_err() { pause(wait).await },
        }
    }

    async fn keep_files(&self, shared: &Shared) {
        let mut versions = shared.versions.subscribe();
        let mut applied = Applied::default();
        let mut backoff = Backoff::new(self.pace.retry, self.pace.longest_retry);
        loop {
            let newest = *versions.borrow_and_update();
            match self.round(&mut applied, newest, shared).await {
                Ok(()) => {
                    backoff.reset();
                    // The child changes files as well while the control plane is away.
                    tokio::select! {
                        _ = versions.changed() => {}
                        () = pause(2 * self.pace.heartbeat) => {}
                    }
                }
                Err(error) => {
                    let wait = backoff.next_wait();
                    tell("not up to date", error.facts(), wait);
                    // Revoked tokens are replaced at once, whatever else fails.
                    let generation = newest.and_then(|versions| versions.skill_tokens_generation);
                    let is_raised = |newest: &Option<Versions>| {
                        let now = newest.and_then(|versions| versions.skill_tokens_generation);
                        now.is_some() && now != generation
                    };
                    tokio::select! {
                        Ok(_) = versions.wait_for(is_raised) => {}
                        () = pause(wait) => {}
                    }
                }
            }
        }
    }

    async fn round(&self, applied: &mut Applied, versions: Option<Versions>, shared: &Shared) -> Result<(), SyncError> {
        if applied.earlier.is_none() {
            let found = self.keeper.has_config().await?;
            if found {
                log::info("there is a configuration of before", &[]);
                self.configured.send_replace(Some(0));
            }
            applied.earlier = Some(found);
        }
        let Restored { is_config_there, error } = self.keeper.restore().await;
        applied.is_config_there = is_config_there;
        shared.last_seen.set(applied.last_seen());
        let restored = error.map_or(Ok(()), |error| Err(error.into()));
        let Some(versions) = versions else { return restored };
        // The token first: what starts next may need it.
        let token = self.renew_token(applied, versions.skill_tokens_generation).await;
        let others = self.apply(applied, versions).await;
        shared.last_seen.set(applied.last_seen());
        restored.and(token).and(others)
    }

    async fn apply(&self, applied: &mut Applied, versions: Versions) -> Result<(), SyncError> {
        // Skills and templates before the configuration that tells agents of them. `OpenClaw` makes files of its own in a
        // workspace that it first sees, and a template that comes later would not seed over them.
        let skills = self.apply_skills(applied, versions.skills_version).await;
        let config = self.fetch_config(applied, versions.config_version).await;
        let templates = match &config {
            Ok(config) => self.apply_templates(applied, versions.templates_version, config.as_ref()).await,
            Err(_) => Ok(()),
        };
        // Before the first start all of it is there; where a file of the child's own making is in the way, the rest is.
        let is_lacking = |outcome: &Result<(), SyncError>| matches!(outcome, Err(SyncError::Api(_)));
        let is_first = applied.config.is_none() && applied.earlier != Some(true);
        let config = match config {
            Ok(_) if is_first && (is_lacking(&skills) || is_lacking(&templates)) => Ok(()),
            // Later, what fails keeps nothing else back.
            Ok(Some(found)) => self.write_config(applied, found).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        skills.and(config).and(templates)
    }

    /// The configuration, where it is another than the one on the disk.
    async fn fetch_config(&self, applied: &Applied, version: u64) -> Result<Option<Tagged<Configuration>>, SyncError> {
        if applied.config == Some(version) {
            return Ok(None);
        }
        // `None` where the control plane thought that there would be a new one, and there is none.
        let found = self.api.configuration(applied.config_tag.as_deref()).await?;
        let is_folder =
            |agent: &String| FilePath::try_from(agent.clone()).is_ok_and(|path| path.folders().count() == 0);
        match found {
            Some(found) if !found.value.config.is_object() || !found.value.agent_meta.keys().all(is_folder) => {
                Err(ApiError::NotUnderstood.into())
            }
            found => Ok(found),
        }
    }

    async fn write_config(&self, applied: &mut Applied, found: Tagged<Configuration>) -> Result<(), SyncError> {
        let configuration = found.value;
        let context = json!({
            "apiUrl": self.api.base().as_str().trim_end_matches('/'),
            "poolId": self.api.pool(),
            "agents": configuration.agent_meta,
        });
        // Not known until it is written: half of the way leaves a file that is neither.
        (applied.config, applied.config_tag) = (None, None);
        self.keeper.keep_config(pretty(&configuration.config)?, pretty(&context)?).await?;
        applied.agents = configuration.agent_meta;
        (applied.config, applied.config_tag) = (Some(configuration.version), found.tag);
        applied.is_config_there = true;
        log::info(
            "wrote a configuration",
            &[("version", configuration.version.into()), ("agents", applied.agents.len().into())],
        );
        self.configured.send_replace(Some(configuration.version));
        Ok(())
    }

    async fn apply_skills(&self, applied: &mut Applied, version: u64) -> Result<(), SyncError> {
        if applied.skills == Some(version) {
            return Ok(());
        }
        let Some(found) = self.api.skills(applied.skills_tag.as_deref()).await? else { return Ok(()) };
        let (version, count) = (found.value.version, found.value.skills.len());
        self.keeper.keep_skills(found.value).await?;
        log::info("wrote skills", &[("version", version.into()), ("skills", count.into())]);
        (applied.skills, applied.skills_tag) = (Some(version), found.tag);
        Ok(())
    }

    /// Writes the templates into the workspaces of the agents that there are, and of those of a configuration that is about to
    /// be written.
    async fn apply_templates(
        &self,
        applied: &mut Applied,
        version: u64,
        coming: Option<&Tagged<Configuration>>,
    ) -> Result<(), SyncError> {
        let coming = coming.map(|found| &found.value.agent_meta);
        let agents: BTreeSet<String> =
            applied.agents.keys().chain(coming.into_iter().flat_map(BTreeMap::keys)).cloned().collect();
        let is_done = applied.templates == Some(version) && agents.is_subset(&applied.with_templates);
        if is_done || (applied.config.is_none() && coming.is_none()) {
            return Ok(());
        }
        // A new agent's workspace needs all of them, which are in memory.
        let found = if applied.templates == Some(version) { None } else { self.api.templates(None).await? };
        let version = found.as_ref().map_or(version, |found| found.value.version);
        self.keeper.keep_templates(found.map(|found| found.value), &agents).await?;
        log::info("wrote templates", &[("version", version.into()), ("agents", agents.len().into())]);
        (applied.templates, applied.with_templates) = (Some(version), agents);
        Ok(())
    }

    /// Renews the token in the file when half of its time is over, and at once when those of the pool were revoked. A control plane that
    /// tells no generation changes nothing.
    async fn renew_token(&self, applied: &mut Applied, generation: Option<u64>) -> Result<(), SyncError> {
        let is_good = applied.token.is_some_and(|token| {
            token.issued.age() < token.good_for && (generation.is_none() || generation == token.generation)
        });
        if is_good {
            return Ok(());
        }
        let issued = Moment::now();
        let Issued { token, ends } = self.api.skill_token(self.pace.file_token).await?;
        self.keeper.keep_token(token).await?;
        let good_for = good_for(Duration::from_secs(ends.saturating_sub(unix_seconds())), self.pace.file_token);
        applied.token = Some(FileToken { issued, good_for, generation });
        Ok(())
    }
}

/// How long a token is left in the file that still lasts this long: half of that. One that ends with the pool's own is not asked for
/// again and again as that end comes near.
fn good_for(lasts: Duration, asked: Duration) -> Duration {
    lasts.max(SHORTEST).min(asked) / 2
}

fn pretty(value: &serde_json::Value) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

fn tell(message: &str, mut facts: Vec<(&'static str, Value)>, wait: Duration) {
    facts.push(("againInSeconds", log::seconds(wait)));
    log::warn(message, &facts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_at_half_of_the_time_that_it_lasts() {
        let hour = Duration::from_hours(1);
        for (lasts, expected) in [(60, 30), (10, 5), (1, 1), (0, 1), (600, 30)] {
            assert_eq!(good_for(Duration::from_mins(lasts), hour), Duration::from_mins(expected), "{lasts} minutes");
        }
        assert_eq!(good_for(Duration::ZERO, Duration::from_secs(2)), Duration::from_secs(1));
    }
}
