//! Syncs a pool's files from the control plane: a heartbeat every 5 s returns the newest versions, and what changed is
//! fetched.

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

/// Sends heartbeats and syncs the files.
pub struct Sync {
    /// Client of the control plane.
    pub api: Rc<Api>,
    /// Intervals and time-outs.
    pub pace: Pace,
    /// Address that deliveries of the control plane reach this pool at.
    pub address: Option<String>,
    /// Writes and restores the files.
    pub keeper: Rc<Keeper>,
    /// The child's health.
    pub health: watch::Receiver<Health>,
    /// Version of the child's `OpenClaw`.
    pub version: watch::Receiver<Version>,
    /// Publishes the pool's generation of skill tokens.
    pub generation: watch::Sender<Generation>,
    /// Publishes the version of each new configuration.
    pub configured: watch::Sender<Option<u64>>,
}

/// Why something could not be synced. It is retried.
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

/// Lower limit of the remaining lifetime that the token in the file is assumed to have.
const SHORTEST: Duration = Duration::from_mins(2);

/// State of the token in the file.
#[derive(Clone, Copy)]
struct FileToken {
    issued: Moment,
    /// Time after which it is replaced.
    good_for: Duration,
    /// The pool's generation when it was requested.
    generation: Option<u64>,
}

/// State of the files on the disk.
#[derive(Default)]
struct Applied {
    /// Whether an earlier run has left a configuration; `None` before the first check.
    earlier: Option<bool>,
    config: Option<u64>,
    /// Whether the configuration on the disk is as it was written.
    is_config_there: bool,
    config_tag: Option<String>,
    agents: BTreeMap<String, AgentMeta>,
    skills: Option<u64>,
    skills_tag: Option<String>,
    templates: Option<u64>,
    /// Agents whose workspaces have these templates.
    with_templates: BTreeSet<String>,
    /// The token in the file.
    token: Option<FileToken>,
}

impl Applied {
    /// Version of the configuration on the disk: 0 if it was changed and could not be restored, `None` if this run has
    /// not written one yet.
    fn last_seen(&self) -> Option<u64> {
        self.config.map(|version| if self.is_config_there { version } else { 0 })
    }
}

/// State that the heartbeat loop and the file loop share.
struct Shared {
    /// [`Applied::last_seen`].
    last_seen: Cell<Option<u64>>,
    /// The newest answer to a heartbeat.
    versions: watch::Sender<Option<Versions>>,
}

impl Sync {
    /// Runs until it is dropped. Heartbeats do not wait for files, which the child can hold up. The first version sent
    /// to `configured` is 0 if an earlier run has left a configuration, so that the child starts even while the control
    /// plane is unreachable.
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
                    // An unknown or deleted pool registers again.
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
        // The configuration depends on the `OpenClaw` version: no heartbeat is sent before it is known.
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

    /// Waits, but returns early when the child's health changes, so that the control plane learns it at once.
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
                    // The child can change files while the control plane is unreachable as well.
                    tokio::select! {
                        _ = versions.changed() => {}
                        () = pause(2 * self.pace.heartbeat) => {}
                    }
                }
                Err(error) => {
                    let wait = backoff.next_wait();
                    tell("not up to date", error.facts(), wait);
                    // Revoked tokens are replaced at once, even while something else fails.
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
                log::info("a configuration of an earlier run is in place", &[]);
                self.configured.send_replace(Some(0));
            }
            applied.earlier = Some(found);
        }
        let Restored { is_config_there, error } = self.keeper.restore().await;
        applied.is_config_there = is_config_there;
        shared.last_seen.set(applied.last_seen());
        let restored = error.map_or(Ok(()), |error| Err(error.into()));
        let Some(versions) = versions else { return restored };
        // The token first, because a child that starts next may need it.
        let token = self.renew_token(applied, versions.skill_tokens_generation).await;
        let others = self.apply(applied, versions).await;
        shared.last_seen.set(applied.last_seen());
        restored.and(token).and(others)
    }

    async fn apply(&self, applied: &mut Applied, versions: Versions) -> Result<(), SyncError> {
        // Skills and templates before the configuration that refers to them. `OpenClaw` creates its own files in a new
        // workspace, and a template that comes later would not overwrite them.
        let skills = self.apply_skills(applied, versions.skills_version).await;
        let config = self.fetch_config(applied, versions.config_version).await;
        let templates = match &config {
            Ok(config) => self.apply_templates(applied, versions.templates_version, config.as_ref()).await,
            Err(_) => Ok(()),
        };
        // The first start waits until all of it could be fetched. A file of the child that is in the way delays nothing
        // else.
        let is_lacking = |outcome: &Result<(), SyncError>| matches!(outcome, Err(SyncError::Api(_)));
        let is_first = applied.config.is_none() && applied.earlier != Some(true);
        let config = match config {
            Ok(_) if is_first && (is_lacking(&skills) || is_lacking(&templates)) => Ok(()),
            // After the first start, one failure does not hold back the rest.
            Ok(Some(found)) => self.write_config(applied, found).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        skills.and(config).and(templates)
    }

    /// Fetches the configuration if its version differs from the one on the disk.
    async fn fetch_config(&self, applied: &Applied, version: u64) -> Result<Option<Tagged<Configuration>>, SyncError> {
        if applied.config == Some(version) {
            return Ok(None);
        }
        // `None` if the control plane expected a new version but the content is unchanged.
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
        // Cleared until the write succeeds: a write that fails half-way leaves neither version.
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

    /// Writes the templates into the workspaces of all current agents, and of those in the coming configuration.
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
        // For a new agent alone, the templates in memory are written again.
        let found = if applied.templates == Some(version) { None } else { self.api.templates(None).await? };
        let version = found.as_ref().map_or(version, |found| found.value.version);
        self.keeper.keep_templates(found.map(|found| found.value), &agents).await?;
        log::info("wrote templates", &[("version", version.into()), ("agents", agents.len().into())]);
        (applied.templates, applied.with_templates) = (Some(version), agents);
        Ok(())
    }

    /// Renews the token in the file when half of its time is over, and at once when the pool's tokens were revoked. A
    /// control plane that sends no generation triggers no renewal.
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

/// Time after which a token with this remaining lifetime is replaced: half of it. The minimum prevents a request loop
/// near the end of the pool's own token, which limits the lifetime.
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
