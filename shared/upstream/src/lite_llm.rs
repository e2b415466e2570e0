//! Client of a `LiteLLM` proxy: lists its models, creates and deletes virtual keys.
//!
//! Source: `LiteLLM`, "Virtual Keys" (`/key/generate`, `/key/delete`), and its `key_management_endpoints.py`:
//! `/key/delete` answers 404 with an `error` object if no key has any of the aliases, and 200 if one has.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use std::{fmt, sync::OnceLock};

use reqwest::{Client, Response, StatusCode, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ANSWER_LIMIT, BaseUrl, InvalidBaseUrl, TIMEOUT};

/// Longest key that is accepted from an answer, in bytes; `LiteLLM` makes keys of 25.
const MAXIMUM_KEY_LENGTH: usize = 512;

/// Address of a `LiteLLM` proxy's management interface, with its master key.
pub struct LiteLlmAdmin {
    base: BaseUrl,
    master_key: SecretString,
}

impl LiteLlmAdmin {
    /// Derives the management interface from `models`, the URL at which models are called: with or without `/v1` at its
    /// end.
    ///
    /// # Errors
    /// [`InvalidBaseUrl`]: the master key is never sent unencrypted to another machine.
    pub fn new(models: &str, master_key: SecretString) -> Result<Self, InvalidBaseUrl> {
        let models = models.trim_end_matches('/');
        let root = models.strip_suffix("/v1").unwrap_or(models).trim_end_matches('/');
        Ok(Self { base: format!("{root}/").parse()?, master_key })
    }
}

impl fmt::Debug for LiteLlmAdmin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LiteLlmAdmin").finish_non_exhaustive()
    }
}

/// Why a call to `LiteLLM` failed. No variant holds anything of an answer, a key or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiteLlmError {
    /// `LiteLLM` does not accept the master key.
    #[error("LiteLLM does not know LITELLM_MASTER_KEY ({0})")]
    Unauthorized(u16),
    /// `LiteLLM` rejected the call and did nothing.
    #[error("LiteLLM refused with {0}")]
    Refused(u16),
    /// `LiteLLM` could not be reached, timed out, failed, or gave an answer that could not be parsed. The call may have
    /// been executed.
    #[error("LiteLLM did not answer: {0}")]
    Unanswered(&'static str),
}

/// Client of `LiteLLM` with one connection pool. Opens nothing before the first call.
#[derive(Debug, Default)]
pub struct LiteLlm {
    client: OnceLock<Client>,
}

impl LiteLlm {
    /// Lists the ids of the models that the key may call, in `LiteLLM`'s order.
    ///
    /// # Errors
    /// [`LiteLlmError`].
    pub async fn models(&self, admin: &LiteLlmAdmin) -> Result<Vec<String>, LiteLlmError> {
        #[derive(Deserialize)]
        struct Models {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
        }
        let request = self.client().get(admin.base.join("v1/models")).bearer_auth(admin.master_key.expose_secret());
        let response = request.send().await.map_err(|error| unreached(&error))?;
        let status = response.status();
        let answer = read(response).await?;
        if status != StatusCode::OK {
            return Err(failure(status));
        }
        let models: Models = serde_json::from_slice(&answer).map_err(|_| NOT_UNDERSTOOD)?;
        Ok(models.data.into_iter().map(|model| model.id).collect())
    }

    /// Creates a virtual key for this pool with this alias, which must be new. The key can only call models
    /// (`key_type`): with the default type it could also read and change keys.
    ///
    /// # Errors
    /// [`LiteLlmError`].
    pub async fn generate_key(
        &self,
        admin: &LiteLlmAdmin,
        alias: &str,
        pool: &str,
    ) -> Result<SecretString, LiteLlmError> {
        #[derive(Deserialize)]
        struct Generated {
            key: SecretString,
        }
        let body = json!({ "key_alias": alias, "key_type": "llm_api", "metadata": { "portcullis_pool": pool } });
        let (status, answer) = self.call(admin, "key/generate", &body).await?;
        if status != StatusCode::OK {
            return Err(failure(status));
        }
        let Generated { key } = serde_json::from_slice(&answer).map_err(|_| NOT_UNDERSTOOD)?;
        let text = key.expose_secret();
        let is_key = (1..=MAXIMUM_KEY_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_key { Ok(key) } else { Err(NOT_UNDERSTOOD) }
    }

    /// Deletes the keys with these aliases. A key that does not exist counts as deleted.
    ///
    /// # Errors
    /// [`LiteLlmError`].
    pub async fn delete_keys(&self, admin: &LiteLlmAdmin, aliases: &[String]) -> Result<(), LiteLlmError> {
        if aliases.is_empty() {
            return Ok(());
        }
        let (status, answer) = self.call(admin, "key/delete", &json!({ "key_aliases": aliases })).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        match status {
            // Another server's page at this address must not pass for a deletion.
            StatusCode::OK if answer["deleted_keys"].is_array() => Ok(()),
            // `{"detail": "Not Found"}` means a path that this server does not have; `LiteLLM`'s own errors are an
            // `error` object.
            StatusCode::NOT_FOUND if answer["error"].is_object() => Ok(()),
            StatusCode::OK => Err(NOT_UNDERSTOOD),
            status => Err(failure(status)),
        }
    }

    async fn call(
        &self,
        admin: &LiteLlmAdmin,
        path: &'static str,
        body: &Value,
    ) -> Result<(StatusCode, Vec<u8>), LiteLlmError> {
        let request =
            self.client().post(admin.base.join(path)).bearer_auth(admin.master_key.expose_secret()).json(body);
        let response = request.send().await.map_err(|error| unreached(&error))?;
        let status = response.status();
        Ok((status, read(response).await?))
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).user_agent("portcullis").build();
            client.unwrap_or_else(|error| unreachable!("rustls needs nothing that could be missing: {error}"))
        })
    }
}

const NOT_UNDERSTOOD: LiteLlmError = LiteLlmError::Unanswered("answer_not_understood");

async fn read(mut response: Response) -> Result<Vec<u8>, LiteLlmError> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
        if answer.len() + chunk.len() > ANSWER_LIMIT {
            return Err(NOT_UNDERSTOOD);
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

fn failure(status: StatusCode) -> LiteLlmError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LiteLlmError::Unauthorized(status.as_u16()),
        StatusCode::REQUEST_TIMEOUT => LiteLlmError::Unanswered("request_timeout"),
        status if status.is_client_error() => LiteLlmError::Refused(status.as_u16()),
        _ => LiteLlmError::Unanswered("service_unavailable"),
    }
}

fn unreached(error: &reqwest::Error) -> LiteLlmError {
    LiteLlmError::Unanswered(if error.is_timeout() { "request_timeout" } else { "unreachable" })
}
