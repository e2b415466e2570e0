//! Typed settings, read once at start.
//!
//! A faulty setting is noted and reading goes on, so that an operator learns about every missing or malformed setting
//! at once. A function never starts with partial settings, and no default is a secret.

#![expect(clippy::missing_errors_doc, reason = "each reading's error is `AlreadyReported`, which says what it means")]

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use portcullis_auth::{Email, SessionCookie, SessionSecret, StaticToken};
use portcullis_crypto::{Domain, Keyring};
use portcullis_store::{ClientOptions, Store};
use secrecy::ExposeSecret;

use crate::{
    Environment, aws,
    mail::{Mailer, SesMailer},
    network::PoolNetworks,
    origins::{BaseOrigin, OriginList, Origins},
    queue::{EventQueue, SqsQueue},
    rotating::{Rotating, StoreKeys},
    secrets::{ComposioAccess, FromSecret, LiteLlmAccess, SecretId, SlackApp, SlackClientAccess},
    tier::TokenMode,
};

/// Settings that keep a function from starting: all that are missing or malformed, without their values.
#[derive(Debug, thiserror::Error)]
pub struct SettingsError {
    problems: Vec<String>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.problems.join("; "))
    }
}

impl SettingsError {
    /// Merges the errors of several functions, without repeating a problem.
    #[must_use]
    pub fn of_all(errors: impl IntoIterator<Item = Self>) -> Self {
        let mut problems = Vec::new();
        for problem in errors.into_iter().flat_map(|error| error.problems) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        Self { problems }
    }

    /// Returns one line per faulty setting.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// A setting that could not be read; its problem has been noted.
#[derive(Clone, Copy, Debug)]
pub struct AlreadyReported;

/// Reads settings and collects their problems.
pub struct SettingsReader<'a> {
    environment: &'a Environment,
    problems: Mutex<Vec<String>>,
}

impl<'a> SettingsReader<'a> {
    /// Creates a reader of this environment's settings.
    #[must_use]
    pub fn new(environment: &'a Environment) -> Self {
        Self { environment, problems: Mutex::default() }
    }

    /// Finishes the reading and returns the result of `build`.
    ///
    /// # Errors
    /// [`SettingsError`] with all problems, if any was noted.
    pub fn finish<T>(self, build: impl FnOnce() -> Result<T, AlreadyReported>) -> Result<T, SettingsError> {
        let outcome = build();
        let problems = self.problems.into_inner().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(value) if problems.is_empty() => Ok(value),
            _ => Err(SettingsError { problems }),
        }
    }

    /// Records a problem once: keys of several domains may come from a single setting.
    fn report(&self, problem: String) -> AlreadyReported {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if !problems.contains(&problem) {
            problems.push(problem);
        }
        AlreadyReported
    }

    fn note<T, E: fmt::Display>(&self, name: &str, result: Result<T, E>) -> Result<T, AlreadyReported> {
        result.map_err(|error| self.report(format!("{name} {error}")))
    }

    fn optional<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, AlreadyReported> {
        match self.environment.variables.get(name).map(|value| value.expose_secret().trim()) {
            None | Some("") => Ok(None),
            Some(text) => self.note(name, text.parse()).map(Some),
        }
    }

    fn required<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, AlreadyReported> {
        let value = self.optional(name)?;
        self.note(name, value.ok_or("is not set"))
    }

    async fn secret<T: FromSecret>(&self, id: SecretId) -> Result<Rotating<T>, AlreadyReported> {
        let environment = self.environment;
        let source = Arc::clone(&environment.secrets);
        // Boxed: the AWS client's future is large, and a function starts with several of them.
        let started =
            Box::pin(Rotating::start(source, id, Arc::clone(&environment.clock), environment.metrics.clone())).await;
        started.map_err(|problem| self.report(problem))
    }

    /// Looks up the encryption keys of a domain.
    pub async fn keyring(&self, domain: Domain) -> Result<Rotating<Keyring>, AlreadyReported> {
        self.secret(SecretId::Keys(domain)).await
    }

    /// Looks up the operator's static token.
    pub async fn internal_token(&self) -> Result<Rotating<StaticToken>, AlreadyReported> {
        self.secret(SecretId::InternalToken).await
    }

    /// Looks up the shared skill token.
    pub async fn skill_token(&self) -> Result<Rotating<StaticToken>, AlreadyReported> {
        self.secret(SecretId::SkillToken).await
    }

    /// Looks up the signing secret of the platform's own Slack app.
    pub async fn slack_app(&self) -> Result<Rotating<SlackApp>, AlreadyReported> {
        self.secret(SecretId::Slack).await
    }

    /// Looks up the platform's own Slack app as an OAuth client, if it is configured.
    pub async fn slack_client(&self) -> Result<Rotating<SlackClientAccess>, AlreadyReported> {
        self.secret(SecretId::SlackClient).await
    }

    /// Looks up the access to the pools' models, if it is configured.
    pub async fn lite_llm(&self) -> Result<Rotating<LiteLlmAccess>, AlreadyReported> {
        self.secret(SecretId::LiteLlm).await
    }

    /// Looks up the project at Composio, if it is configured.
    pub async fn composio(&self) -> Result<Rotating<ComposioAccess>, AlreadyReported> {
        self.secret(SecretId::Composio).await
    }

    /// Looks up the secret that signs session cookies.
    pub async fn session_secret(&self) -> Result<Rotating<SessionSecret>, AlreadyReported> {
        self.secret(SecretId::Session).await
    }

    /// Reads the origins whose pages may use the session cookie: `BETTER_AUTH_URL`, `WEB_URL` (default: the same) and
    /// `TRUSTED_ORIGINS`.
    pub fn origins(&self) -> Result<Arc<Origins>, AlreadyReported> {
        let api: Result<BaseOrigin, AlreadyReported> = self.required("BETTER_AUTH_URL");
        let web: Result<Option<BaseOrigin>, AlreadyReported> = self.optional("WEB_URL");
        let others: Result<Option<OriginList>, AlreadyReported> = self.optional("TRUSTED_ORIGINS");
        let api = api?;
        if self.environment.is_on_aws() && !api.is_secure() {
            return self.note("BETTER_AUTH_URL", Err("must be an https URL"));
        }
        let web = web?.unwrap_or_else(|| api.clone());
        Ok(Arc::new(Origins::new(api, web, &others?.unwrap_or_default())))
    }

    /// Builds the session cookie of the API at `origins`; `COOKIE_DOMAIN` shares the cookie with the domain's other
    /// hosts.
    pub fn session_cookie(
        &self,
        origins: &Result<Arc<Origins>, AlreadyReported>,
    ) -> Result<SessionCookie, AlreadyReported> {
        let domain: Option<String> = self.optional("COOKIE_DOMAIN")?;
        let api = origins.as_ref().map_err(|noted| *noted)?.api();
        if let Some(domain) = &domain {
            let host = api.url().host_str().unwrap_or_default();
            let is_above = host == domain || host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
            if !is_above || !domain.contains('.') || domain.starts_with('.') {
                return self.note("COOKIE_DOMAIN", Err("must be BETTER_AUTH_URL's host or a domain above it"));
            }
        }
        Ok(SessionCookie::new(api.is_secure(), domain))
    }

    /// Returns the environment's mailer, or else SES with the sender `MAIL_FROM`.
    pub fn mailer(&self) -> Result<Arc<dyn Mailer>, AlreadyReported> {
        if let Some(mailer) = &self.environment.mailer {
            return Ok(Arc::clone(mailer));
        }
        let from: Email = self.required("MAIL_FROM")?;
        Ok(Arc::new(SesMailer::new(&self.environment.aws, from)))
    }

    /// Notes a problem if two tiers share a token: a skill could then act as the operator.
    pub fn tokens_must_differ(
        &self,
        internal: &Result<Rotating<StaticToken>, AlreadyReported>,
        skill: &Result<Rotating<StaticToken>, AlreadyReported>,
    ) {
        if let (Ok(internal), Ok(skill)) = (internal, skill)
            && internal.cached().shares_a_value_with(&skill.cached())
        {
            self.report("SKILL_API_TOKEN must be unlike INTERNAL_API_TOKEN".to_owned());
        }
    }

    /// Builds the store on the tables with the prefix `TABLE_PREFIX`, with the keys of this function's domains.
    pub fn store<'k>(
        &self,
        keyrings: impl IntoIterator<Item = (Domain, &'k Result<Rotating<Keyring>, AlreadyReported>)>,
    ) -> Result<Store, AlreadyReported> {
        let prefix: Result<String, AlreadyReported> = self.required("TABLE_PREFIX");
        for name in aws::missing(&self.environment.aws) {
            self.report(format!("{name} is not set"));
        }
        let keyrings = keyrings.into_iter().map(|(domain, keyring)| Ok((domain, keyring.clone()?)));
        let keys = StoreKeys::new(keyrings.collect::<Result<Vec<_>, AlreadyReported>>()?);
        let environment = self.environment;
        let client =
            portcullis_store::client_with(&environment.aws, &ClientOptions::with_patience(environment.patience));
        let (clock, randomness) = (Arc::clone(&environment.clock), Arc::clone(&environment.randomness));
        Ok(Store::new(client, prefix?, Arc::new(keys), clock, randomness))
    }

    /// Builds the store with the keys of every domain. Only for programs that replace all functions, never for a
    /// function.
    pub async fn store_with_all_keys(&self) -> Result<Store, AlreadyReported> {
        let mut keyrings = Vec::new();
        for domain in Domain::ALL {
            keyrings.push((domain, self.keyring(domain).await));
        }
        self.store(keyrings.iter().map(|(domain, keyring)| (*domain, keyring)))
    }

    /// Returns the environment's queue, or else SQS at `EVENT_QUEUE_URL` with dead letters at `DEAD_LETTER_QUEUE_URL`.
    pub fn queue(&self) -> Result<Arc<dyn EventQueue>, AlreadyReported> {
        if let Some(queue) = &self.environment.queue {
            return Ok(Arc::clone(queue));
        }
        let url: Result<String, AlreadyReported> = self.required("EVENT_QUEUE_URL");
        let dead_letters: Result<Option<String>, AlreadyReported> = self.optional("DEAD_LETTER_QUEUE_URL");
        Ok(Arc::new(SqsQueue::new(&self.environment.aws, url?, dead_letters?)))
    }

    /// Reads the networks in which pools may live (`POOL_CIDRS`).
    pub fn pool_networks(&self) -> Result<PoolNetworks, AlreadyReported> {
        let networks: PoolNetworks = self.required("POOL_CIDRS")?;
        Ok(if self.environment.is_on_aws() { networks } else { networks.with_loopback() })
    }

    /// Reads the state folder of an `OpenClaw` that takes a workspace's path literally (`POOL_STATE_DIR`), on a pool's
    /// machine, as the function's own type.
    pub fn pool_state_dir<T: FromStr<Err: fmt::Display>>(&self) -> Result<Option<T>, AlreadyReported> {
        self.optional("POOL_STATE_DIR")
    }

    /// Reads an upstream's base URL from the setting `name`, with a default.
    pub fn upstream<T: FromStr<Err: fmt::Display>>(&self, name: &str, default: &str) -> Result<T, AlreadyReported> {
        match self.optional(name)? {
            Some(base) => Ok(base),
            None => self.note(name, default.parse()),
        }
    }

    /// Reads the mode of the static internal token (`INTERNAL_TOKEN_MODE`).
    pub fn internal_token_mode(&self) -> Result<TokenMode, AlreadyReported> {
        self.optional("INTERNAL_TOKEN_MODE").map(Option::unwrap_or_default)
    }

    /// Reads the mode of the static skill token (`SKILL_TOKEN_MODE`).
    pub fn skill_token_mode(&self) -> Result<TokenMode, AlreadyReported> {
        self.optional("SKILL_TOKEN_MODE").map(Option::unwrap_or_default)
    }

    /// Reads the commit that the binary was built from (`COMMIT_HASH`), if it is set.
    pub fn commit_hash(&self) -> Result<Option<String>, AlreadyReported> {
        self.optional("COMMIT_HASH")
    }
}
