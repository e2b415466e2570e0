//! Client of a stack in another process on this machine.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use std::{net::Ipv4Addr, time::Duration};

use jiff::Timestamp;
use portcullis_auth::{PoolId, SigningSecret};
use reqwest::{RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::sign;

/// Time-out of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reason why a running stack did not carry out a task.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// Nothing answers at this address.
    #[error("nothing answers at {0}: start `cargo local`, or name its port with --port")]
    Away(String),
    /// The control plane refused.
    #[error("the control plane answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Message of the answer.
        message: String,
    },
    /// The answer has another shape than expected.
    #[error("{0} did not answer as a control plane does")]
    Unexpected(String),
}

/// A stack on a port of this machine.
pub struct Running {
    base_url: String,
    client: reqwest::Client,
}

impl Running {
    /// Client of the stack at this port of 127.0.0.1.
    ///
    /// # Errors
    /// Where no HTTP client can be built.
    pub fn at(port: u16) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { base_url: format!("http://{}:{port}", Ipv4Addr::LOCALHOST), client })
    }

    /// Requests a token for the machine of `pool`, valid for `seconds`.
    ///
    /// # Errors
    /// [`RunningError`].
    pub async fn runtime_token(
        &self,
        pool: &PoolId,
        seconds: u32,
        internal_token: &SecretString,
    ) -> Result<SecretString, RunningError> {
        let unexpected = || RunningError::Unexpected(self.base_url.clone());
        let mut url = Url::parse(&self.base_url).map_err(|_| unexpected())?;
        let id = pool.to_string();
        // An id may contain characters that need percent-encoding.
        url.path_segments_mut().map_err(|()| unexpected())?.extend(["api", "internal", "pools", &id, "runtime-tokens"]);
        let request = self.client.post(url);
        let request = request.header("x-internal-token", internal_token.expose_secret());
        let request = request.header("content-type", "application/json");
        let answer = self.answer(request.body(json!({ "ttlSeconds": seconds }).to_string())).await?;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        let token = answer["token"].as_str().ok_or_else(unexpected)?;
        Ok(token.into())
    }

    /// Sends a Slack event, signed at `now`, and returns the answer's body.
    ///
    /// # Errors
    /// [`RunningError`].
    pub async fn send_event(
        &self,
        body: String,
        secret: &SigningSecret,
        now: Timestamp,
    ) -> Result<String, RunningError> {
        let mut request = self.client.post(format!("{}{}", self.base_url, sign::EVENTS_PATH));
        for (name, value) in sign::headers(body.as_bytes(), secret, now) {
            request = request.header(name, value);
        }
        self.answer(request.header("content-type", "application/json").body(body)).await
    }

    /// Sends a request and returns the body of a successful answer.
    async fn answer(&self, request: RequestBuilder) -> Result<String, RunningError> {
        let away = |_| RunningError::Away(self.base_url.clone());
        let answer = request.send().await.map_err(away)?;
        let (status, body) = (answer.status(), answer.text().await.map_err(away)?);
        if status.is_success() {
            return Ok(body);
        }
        let message =
            serde_json::from_str(&body).ok().and_then(|body: Value| Some(body["message"].as_str()?.to_owned()));
        Err(RunningError::Refused { status, message: message.unwrap_or(body) })
    }
}
