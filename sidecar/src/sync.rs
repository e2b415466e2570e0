//! Keeping a pool's files as the control plane has them: one heartbeat in 5 s, and what it says has changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use portcullis_crypto::Digest;
use portcullis_openclaw::FilePath;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    api::{AgentMeta, Api, ApiError, Configuration, Health, Report, Tagged, Versions},
    files, log,
    openclaw::Version,
    pace::{Backoff, Moment, Pace, jittered, pause},
    user::User,
};

/// The file with the skills' token, in the state's folder.
pub const TOKEN_FILE: &str = "skill-token";

/// The file from which skills learn where they are, in the state's folder.
pub const CONTEXT_FILE: &str = "nexu-context.json";

/// The folder of the agents' workspaces, in the state's folder: each agent's is called as the agent is.
pub const WORKSPACES: &str = "workspaces";

/// What keeps the files.
pub struct Sync {
    /// The control plane.
    pub api: Rc<Api>,
    /// The times.
    pub pace: Pace,
    /// Where deliveries reach this pool.
    pub address: Option<String>,
    /// Whose the files are.
    pub user: User,
    /// The folder of all of `OpenClaw`'s state.
    pub state: PathBuf,
    /// `openclaw.json`.
    pub config: PathBuf,
    /// How the child is.
    pub health: watch::Receiver<Health>,
    /// The version of the `OpenClaw` that is started.
    pub version: watch::Receiver<Version>,
    /// Where the version of a new configuration is told.
    pub configured: watch::Sender<Option<u64>>,
}

/// Why something was not brought up to date. It is tried again.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("a file could not be written: {0}")]
    File(#[from] io::Error),
}

impl SyncError {
    /// The error as facts of a log line.
    fn facts(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Api(error) => error.facts(),
            Self::File(_) => vec![("because", self.to_string().into())],
        }
    }
}

/// What is on the disk.
#[derive(Default)]
struct Applied {
    config: Option<u64>,
    /// Of the configuration's file as it was written.
    config_digest: Option<Digest>,
    config_tag: Option<String>,
    agents: BTreeMap<String, AgentMeta>,
    skills: Option<u64>,
    skills_tag: Option<String>,
    templates: Option<u64>,
    /// The agents whose workspaces have them.
    with_templates: BTreeSet<String>,
    /// When the token in the file was issued.
    token: Option<Moment>,
}

impl Sync {
    /// Keeps the files until it is dropped. The first thing that is told of `configured` is a configuration that an earlier
    /// run has left, so that a control plane that is away keeps nobody from starting.
    pub async fn run(self) {
        if self.user.act(|| self.config.is_file()) {
            log::info("there is a configuration of before", &[]);
            self.configured.send_replace(Some(0));
        }
        let mut applied = Applied::default();
        let mut backoff = Backoff::new(self.pace.retry, self.pace.longest_retry);
        let mut is_registered = false;
        let mut was_refused = false;
        loop {
            let outcome = self.round(&mut applied, is_registered).await;
            let wait = match outcome {
                Ok(()) => {
                    if !is_registered || was_refused {
                        log::info("the control plane answers", &[("pool", self.api.pool().into())]);
                    }
                    (is_registered, was_refused) = (true, false);
                    backoff.reset();
                    jittered(self.pace.heartbeat)
                }
                Err(error) => {
                    // A pool that is not known, or not any more, makes itself known.
                    is_registered &= !matches!(&error, SyncError::Api(error) if error.is_not_found());
                    was_refused = true;
                    let wait = backoff.next_wait();
                    let mut facts = error.facts();
                    facts.push(("againInSeconds", log::seconds(wait)));
                    log::warn("not up to date", &facts);
                    wait
                }
            };
            self.wait(wait).await;
        }
    }

    /// Waits, but not past a change of the child's health, which the control plane should know of.
    async fn wait(&self, wait: std::time::Duration) {
        let mut health = self.health.clone();
        health.mark_unchanged();
        tokio::select! {
            () = pause(wait) => {}
            changed = health.changed() => if changed.is_err() { pause(wait).await },
        }
    }

    async fn round(&self, applied: &mut Applied, is_registered: bool) -> Result<(), SyncError> {
        self.remove_copies();
        // The configuration is written for this version: none is asked for before it is known.
        let mut version = self.version.clone();
        let version = version.wait_for(|version| *version != Version::NotYet).await.map(|version| version.clone());
        let version = version.unwrap_or(Version::None);
        let health = *self.health.borrow();
        let report = Report { address: self.address.as_deref(), health, openclaw_version: version.known() };
        if !is_registered {
            self.api.register(&report).await?;
        }
        let last_seen = self.check_config(applied).await;
        let versions = self.api.heartbeat(&report, last_seen).await?;
        // The token first: what starts next may need it.
        let token = self.renew_token(applied).await;
        let others = self.apply(applied, versions).await;
        token.and(others)
    }

    /// Removes what `OpenClaw` has laid beside its configuration, whether the control plane answers or not.
    fn remove_copies(&self) {
        match files::remove_copies(&self.user, &self.config) {
            Ok(0) => {}
            Ok(removed) => log::info("removed OpenClaw's copies of a configuration", &[("copies", removed.into())]),
            Err(error) => log::warn(
                "copies of a configuration, which hold credentials, could not be removed",
                &[("because", error.to_string().into())],
            ),
        }
    }

    /// Checks that the configuration's file is as it was written, and else writes it again. Returns the version that lies on the
    /// disk: 0 where it was changed and could not be written again, `None` where none was written yet.
    async fn check_config(&self, applied: &mut Applied) -> Option<u64> {
        let version = applied.config?;
        if files::digest(&self.user, &self.config) == applied.config_digest {
            return Some(version);
        }
        log::warn("the configuration was changed on the disk: writing it again", &[("version", version.into())]);
        // Without a tag the control plane answers all of it.
        (applied.config, applied.config_tag) = (None, None);
        let written = match self.fetch_config(applied, version).await {
            Ok(Some(found)) => self.write_config(applied, found),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            log::warn("the configuration could not be written again", &error.facts());
        }
        Some(applied.config.unwrap_or(0))
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
        let is_first = applied.config.is_none() && !self.user.act(|| self.config.is_file());
        let config = match config {
            Ok(_) if is_first && (is_lacking(&skills) || is_lacking(&templates)) => Ok(()),
            // Later, what fails keeps nothing else back.
            Ok(Some(found)) => self.write_config(applied, found),
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

    fn write_config(&self, applied: &mut Applied, found: Tagged<Configuration>) -> Result<(), SyncError> {
        let configuration = found.value;
        let context = json!({
            "apiUrl": self.api.base().as_str().trim_end_matches('/'),
            "poolId": self.api.pool(),
            "agents": configuration.agent_meta,
        });
        files::write(&self.user, &self.state.join(CONTEXT_FILE), pretty(&context)?.as_bytes())?;
        let text = pretty(&configuration.config)?;
        // Not known until it is written: half of the way leaves a file that is neither.
        (applied.config, applied.config_digest) = (None, None);
        files::write(&self.user, &self.config, text.as_bytes())?;
        applied.config_digest = Some(Digest::of(text.as_bytes()));
        applied.agents = configuration.agent_meta;
        (applied.config, applied.config_tag) = (Some(configuration.version), found.tag);
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
        files::sync_skills(&self.user, &self.state.join("skills"), &found.value)?;
        log::info(
            "wrote skills",
            &[("version", found.value.version.into()), ("skills", found.value.skills.len().into())],
        );
        (applied.skills, applied.skills_tag) = (Some(found.value.version), found.tag);
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
        // Not kept in memory, and so without a tag: a new agent's workspace needs all of them.
        let Some(found) = self.api.templates(None).await? else { return Ok(()) };
        for agent in &agents {
            files::sync_templates(&self.user, &self.workspace(agent), &found.value)?;
        }
        log::info("wrote templates", &[("version", found.value.version.into()), ("agents", agents.len().into())]);
        (applied.templates, applied.with_templates) = (Some(found.value.version), agents);
        Ok(())
    }

    fn workspace(&self, agent: &str) -> PathBuf {
        Path::new(&self.state).join(WORKSPACES).join(agent)
    }

    /// Renews the token in the file when half of its time is over.
    async fn renew_token(&self, applied: &mut Applied) -> Result<(), SyncError> {
        if applied.token.is_some_and(|issued| issued.age() < self.pace.file_token / 2) {
            return Ok(());
        }
        let issued = Moment::now();
        let token = self.api.skill_token(self.pace.file_token).await?;
        files::write(&self.user, &self.state.join(TOKEN_FILE), token.expose_secret().as_bytes())?;
        applied.token = Some(issued);
        Ok(())
    }
}

fn pretty(value: &serde_json::Value) -> Result<String, SyncError> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    Ok(text + "\n")
}
