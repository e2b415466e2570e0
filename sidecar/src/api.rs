//! The sidecar's client of the control plane.

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

/// Time-out of a call: the control plane's own deadline is 15 s.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Time-out of opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is read, in bytes: more than Lambda's own limit.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

/// Client of the control plane for one pool.
#[derive(Debug)]
pub struct Api {
    client: Client,
    base: BaseUrl,
    pool: String,
    token: Token,
}

/// Why a call failed. The error holds nothing of a token.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The control plane could not be reached, or did not answer in time.
    #[error("the control plane {0}")]
    Unreached(&'static str),
    /// The control plane answered with an error status.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The answer could not be parsed, or is too large.
    #[error("the control plane's answer is not understood")]
    NotUnderstood,
    /// The pool's token could not be read.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl ApiError {
    /// Facts of a log line.
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

/// Health of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// `OpenClaw` answers its probes.
    Active,
    /// `OpenClaw` has missed some probes, or is not running yet.
    Degraded,
    /// `OpenClaw` does not answer, or does not run.
    Unhealthy,
}

impl Health {
    /// Word of the control plane's contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The pool's state, as registration and heartbeats report it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Address that deliveries reach the pool at.
    pub address: Option<&'a str>,
    /// Health of the pool's `OpenClaw`.
    pub health: Health,
    /// Version of the pool's `OpenClaw`, which its configuration is written for; `None` if it is unknown.
    pub openclaw_version: Option<&'a str>,
}

/// Answer to a heartbeat: the newest versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// Version of the configuration that a request would return now.
    pub config_version: u64,
    /// Version of the active skills.
    pub skills_version: u64,
    /// Version of the active templates.
    pub templates_version: u64,
    /// The pool's generation of skill tokens: tokens of another one are refused. `None` from an older control plane.
    pub skill_tokens_generation: Option<u64>,
}

/// A pool's configuration, as fetched.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Version, which the next heartbeats report as last seen.
    pub version: u64,
    /// Content of `openclaw.json`.
    pub config: Value,
    /// Bot of each agent, by agent id.
    pub agent_meta: BTreeMap<String, AgentMeta>,
}

/// The control plane's facts about an agent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentMeta {
    /// Id of the agent's bot.
    pub bot_id: String,
}

/// All active skills.
#[derive(Debug, Deserialize)]
pub struct Skills {
    /// Version of this set of skills.
    pub version: u64,
    /// Texts of the skills' files, by skill name and path.
    pub skills: BTreeMap<FilePath, BTreeMap<FilePath, String>>,
}

/// All active templates.
#[derive(Debug, Deserialize)]
pub struct Templates {
    /// Version of this set of templates.
    pub version: u64,
    /// Templates by name.
    pub templates: BTreeMap<FilePath, Template>,
}

/// A template of a file in an agent's workspace.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Text of the file or block.
    pub content: String,
    /// Whether the file is written once or kept up to date.
    pub write_mode: WriteMode,
}

impl Template {
    /// Returns whether the template is a managed block of its file.
    #[must_use]
    pub fn is_injected(&self) -> bool {
        self.write_mode == WriteMode::Inject
    }
}

/// Mode of writing a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// Written once: the file is the agent's from then on.
    Seed,
    /// Written whenever it differs.
    Inject,
}

/// A value with its entity tag.
#[derive(Clone, Debug)]
pub struct Tagged<T> {
    /// Value of the `ETag` header; `None` if the answer had none.
    pub tag: Option<String>,
    /// The tagged value.
    pub value: T,
}

impl Api {
    /// Creates a client of the control plane at `base` for `pool`. A loopback address is never called through a proxy.
    /// Any other is called by https, through the proxy that `HTTPS_PROXY` or `ALL_PROXY` names unless `NO_PROXY`
    /// excepts it: TLS ends at the control plane.
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
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

    /// Base URL of the control plane.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Id of the pool.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// Registers the pool.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn register(&self, report: &Report<'_>) -> Result<(), ApiError> {
        let body = self.report(report, None);
        self.post::<Value>(&["api", "internal", "pools", "register"], &body).await.map(drop)
    }

    /// Sends a heartbeat with the version of the configuration on the disk. Returns the newest versions.
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

    /// Fetches the newest configuration; `None` if its tag is still `tag`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn configuration(&self, tag: Option<&str>) -> Result<Option<Tagged<Configuration>>, ApiError> {
        self.tagged(&["api", "internal", "pools", &self.pool, "config", "latest"], tag).await
    }

    /// Fetches the active skills; `None` if their tag is still `tag`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn skills(&self, tag: Option<&str>) -> Result<Option<Tagged<Skills>>, ApiError> {
        self.tagged(&["api", "internal", "skills", "latest"], tag).await
    }

    /// Fetches the active templates; `None` if their tag is still `tag`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn templates(&self, tag: Option<&str>) -> Result<Option<Tagged<Templates>>, ApiError> {
        self.tagged(&["api", "internal", "workspace-templates", "latest"], tag).await
    }

    /// Issues a token for the pool's skills that lasts `lasting`, or until the pool's own token ends if that is sooner.
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

    /// Calls a route. Returns an answer with a status of success, or 304.
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

/// Parses a successful answer from JSON.
///
/// # Errors
/// [`ApiError`].
pub async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, ApiError> {
    let body = read_bytes(response).await?;
    serde_json::from_slice(&body).map_err(|_| ApiError::NotUnderstood)
}

/// Reads a whole answer of at most 8 MiB.
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

/// Describes a failure without reqwest's own text, which would name the URL.
fn unreached(error: &reqwest::Error) -> ApiError {
    ApiError::Unreached(if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "could not be reached"
    } else {
        "broke the connection"
    })
}
