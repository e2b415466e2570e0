//! The control plane, as the sidecar calls it.

use std::{collections::BTreeMap, time::Duration};

use portcullis_openclaw::FilePath;
use portcullis_upstream::BaseUrl;
use reqwest::{
    Client, Method, RequestBuilder, StatusCode,
    header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    pace::unix_seconds,
    refusal::Refusal,
    skill_token::Issued,
    token::{Token, TokenError},
};

/// How long a call may take: the control plane's own deadline is 15 s.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes: Lambda's own limit, and some more.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

/// The control plane, for one pool.
#[derive(Debug)]
pub struct Api {
    client: Client,
    base: BaseUrl,
    pool: String,
    token: Token,
}

/// Why a call came to nothing. It holds nothing of a token.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The control plane could not be reached, or did not answer in time.
    #[error("the control plane {0}")]
    Unreached(&'static str),
    /// It answered something else than success.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// It answered what is not understood.
    #[error("the control plane's answer is not understood")]
    NotUnderstood,
    /// The sidecar has no token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl ApiError {
    /// The error as facts of a log line.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, Value)> {
        let mut facts = vec![("because", self.to_string().into())];
        if let Self::Refused(refusal) = self {
            facts.extend(refusal.facts());
        }
        facts
    }

    /// Whether the control plane answered 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }
}

/// How a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// `OpenClaw` answers.
    Active,
    /// It has not answered some probes, or is not running yet.
    Degraded,
    /// It does not answer, or does not run.
    Unhealthy,
}

impl Health {
    /// As the control plane writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What a pool says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Where deliveries reach it.
    pub address: Option<&'a str>,
    /// How it is.
    pub health: Health,
    /// The `OpenClaw` that it runs, for which its configuration is written; `None` where what runs does not say.
    pub openclaw_version: Option<&'a str>,
}

/// What a heartbeat is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// Of the configuration that a poll would find now.
    pub config_version: u64,
    /// Of the active skills.
    pub skills_version: u64,
    /// Of the active templates.
    pub templates_version: u64,
    /// The pool's generation of skill tokens. A token of another one is refused. `None`: an older control plane's answer.
    pub skill_tokens_generation: Option<u64>,
}

/// A pool's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Its version.
    pub version: u64,
    /// `openclaw.json`.
    pub config: Value,
    /// The agents and what is known of each: its bot.
    pub agent_meta: BTreeMap<String, AgentMeta>,
}

/// Whose an agent is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentMeta {
    /// Its bot's id.
    pub bot_id: String,
}

/// All active skills, by name: each file's text by its path.
#[derive(Debug, Deserialize)]
pub struct Skills {
    /// Their version.
    pub version: u64,
    /// The skills.
    pub skills: BTreeMap<FilePath, BTreeMap<FilePath, String>>,
}

/// All active templates, by name.
#[derive(Debug, Deserialize)]
pub struct Templates {
    /// Their version.
    pub version: u64,
    /// The templates.
    pub templates: BTreeMap<FilePath, Template>,
}

/// A file of an agent's workspace.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Its text.
    pub content: String,
    /// When it is written.
    pub write_mode: WriteMode,
}

impl Template {
    /// Whether it is kept as a block of its file.
    #[must_use]
    pub fn is_injected(&self) -> bool {
        self.write_mode == WriteMode::Inject
    }
}

/// When a template is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// Once: it is the agent's from then on.
    Seed,
    /// Whenever it differs.
    Inject,
}

/// Something with its entity tag.
#[derive(Clone, Debug)]
pub struct Tagged<T> {
    /// The tag.
    pub tag: Option<String>,
    /// What it tags.
    pub value: T,
}

impl Api {
    /// The control plane at `base`, for `pool`. One on this machine is never called through a proxy. Any other is called by https,
    /// and through the proxy that `HTTPS_PROXY` or `ALL_PROXY` names unless `NO_PROXY` excepts it: TLS ends at the control plane.
    ///
    /// # Errors
    /// Where the system's root certificates cannot be read.
    pub fn new(base: BaseUrl, pool: String, token: Token) -> Result<Self, reqwest::Error> {
        let builder = if base.is_loopback() { Client::builder().no_proxy() } else { Client::builder() };
        let client = builder
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent("portcullis-sidecar")
            .build()?;
        Ok(Self { client, base, pool, token })
    }

    /// Where the control plane is.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// Makes the pool known.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn register(&self, report: &Report<'_>) -> Result<(), ApiError> {
        let body = self.report(report, None);
        self.post::<Value>(&["api", "internal", "pools", "register"], &body).await.map(drop)
    }

    /// Says that the pool is alive, and which version of the configuration lies on its disk; learns what is new.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn heartbeat(&self, report: &Report<'_>, last_seen_version: Option<u64>) -> Result<Versions, ApiError> {
        let body = self.report(report, last_seen_version);
        self.post(&["api", "internal", "pools", "heartbeat"], &body).await
    }

    fn report(&self, report: &Report<'_>, last_seen_version: Option<u64>) -> Value {
        let fields = [
            ("poolId", Some(json!(self.pool))),
            ("status", Some(json!(report.health.as_str()))),
            ("podIp", report.address.map(Value::from)),
            ("openclawVersion", report.openclaw_version.map(Value::from)),
            ("lastSeenVersion", last_seen_version.map(Value::from)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The newest configuration; `None` where it is the one that `tag` tags.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn configuration(&self, tag: Option<&str>) -> Result<Option<Tagged<Configuration>>, ApiError> {
        self.tagged(&["api", "internal", "pools", &self.pool, "config", "latest"], tag).await
    }

    /// The active skills; `None` where they are those that `tag` tags.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn skills(&self, tag: Option<&str>) -> Result<Option<Tagged<Skills>>, ApiError> {
        self.tagged(&["api", "internal", "skills", "latest"], tag).await
    }

    /// The active templates; `None` where they are those that `tag` tags.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn templates(&self, tag: Option<&str>) -> Result<Option<Tagged<Templates>>, ApiError> {
        self.tagged(&["api", "internal", "workspace-templates", "latest"], tag).await
    }

    /// A token for the pool's skills that lasts this long, or until the pool's own token ends.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn skill_token(&self, lasting: Duration) -> Result<Issued, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            token: SecretString,
            #[serde(default)]
            expires_at: Value,
        }
        let body = json!({ "ttlSeconds": lasting.as_secs() });
        let latest = unix_seconds() + lasting.as_secs();
        let answer: Answer = self.post(&["api", "internal", "pools", &self.pool, "skill-tokens"], &body).await?;
        let told = answer.expires_at.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let ends = told.map_or(latest, |end| u64::try_from(end.as_second()).unwrap_or(0).min(latest));
        Ok(Issued { token: answer.token, ends })
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &Value) -> Result<T, ApiError> {
        let prepare = |request: RequestBuilder| request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        read(self.call(Method::POST, path, prepare).await?).await
    }

    async fn tagged<T: DeserializeOwned>(
        &self,
        path: &[&str],
        tag: Option<&str>,
    ) -> Result<Option<Tagged<T>>, ApiError> {
        let prepare = |request: RequestBuilder| match tag {
            Some(tag) => request.header(IF_NONE_MATCH, tag),
            None => request,
        };
        let response = self.call(Method::GET, path, prepare).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return if tag.is_some() { Ok(None) } else { Err(ApiError::NotUnderstood) };
        }
        let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Some(Tagged { tag, value: read(response).await? }))
    }

    /// Calls a route. The answer is one of success, or says that nothing was modified.
    async fn call(
        &self,
        method: Method,
        path: &[&str],
        prepare: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<reqwest::Response, ApiError> {
        let token = self.token.read()?;
        let url = self.base.below(path);
        let route = format!("{method} {}", url.path());
        let response = send(prepare(self.client.request(method, url).bearer_auth(token.expose_secret()))).await?;
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        Err(ApiError::Refused(Box::new(Refusal::read(route, response, token.expose_secret()).await)))
    }
}

/// Sends a request.
///
/// # Errors
/// [`ApiError::Unreached`].
pub async fn send(request: RequestBuilder) -> Result<reqwest::Response, ApiError> {
    request.send().await.map_err(|error| unreached(&error))
}

/// Reads an answer of success.
///
/// # Errors
/// [`ApiError`].
pub async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, ApiError> {
    let body = read_bytes(response).await?;
    serde_json::from_slice(&body).map_err(|_| ApiError::NotUnderstood)
}

/// Reads a whole answer, of at most 8 MiB.
///
/// # Errors
/// [`ApiError`].
pub async fn read_bytes(mut response: reqwest::Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(ApiError::NotUnderstood);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// reqwest's own text would name the URL.
fn unreached(error: &reqwest::Error) -> ApiError {
    ApiError::Unreached(if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "could not be reached"
    } else {
        "broke the connection"
    })
}
