//! The response with a pool's configuration.

use std::collections::BTreeMap;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use portcullis_auth::{BotId, PoolId};
use portcullis_contract::SafeInteger;
use portcullis_crypto::Digest;
use portcullis_runtime::{ApiError, etag, openapi};
use portcullis_store::{Pool, SecretName, Snapshot};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::PoolSnapshot;

/// A version of a pool's configuration, with its agents and secrets.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Configuration)]
pub struct Answer {
    pool_id: PoolId,
    version: SafeInteger,
    #[schema(value_type = openapi::Sha256)]
    config_hash: Digest,
    #[schema(value_type = Object)]
    config: Value,
    agent_meta: BTreeMap<String, AgentMeta>,
    #[schema(value_type = BTreeMap<String, String>)]
    pool_secrets: PoolSecrets,
    #[schema(value_type = openapi::Sha256)]
    secrets_hash: Digest,
    created_at: String,
}

/// The bot behind an agent.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentMeta)]
struct AgentMeta {
    bot_id: BotId,
}

/// The pool's secrets by name, exposed only by their serialization.
struct PoolSecrets(BTreeMap<SecretName, SecretString>);

impl Serialize for PoolSecrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret())))
    }
}

impl Answer {
    pub fn new(current: &PoolSnapshot, config: Value, secrets: BTreeMap<SecretName, SecretString>) -> Self {
        let agents = current.configuration.agents().iter();
        let agent_meta = agents.map(|(agent, bot)| (agent.clone(), AgentMeta { bot_id: bot.clone() }));
        Self {
            pool_id: current.read.pool.id.clone(),
            version: current.snapshot.version.into(),
            config_hash: current.snapshot.hash,
            config,
            agent_meta: agent_meta.collect(),
            pool_secrets: PoolSecrets(secrets),
            secrets_hash: secrets_hash(&current.read.pool),
            created_at: format!("{:.3}", current.snapshot.created_at),
        }
    }

    /// Returns the response with its `ETag`.
    pub fn tagged(self, etag: &str) -> Result<Response, ApiError> {
        Ok(([etag::header(etag)?], Json(self)).into_response())
    }
}

/// Returns a hash that changes when the pool's secrets change and reveals nothing about them: it covers their revision
/// alone.
fn secrets_hash(pool: &Pool) -> Digest {
    Digest::of_parts(&[b"secrets", pool.id.as_str().as_bytes(), &pool.secrets_revision.to_be_bytes()])
}

/// Returns the response's entity tag, which covers the configuration and the secrets' revision.
pub fn etag_of(pool: &Pool, snapshot: &Snapshot) -> String {
    let (version, secrets) = (snapshot.version.to_be_bytes(), secrets_hash(pool));
    Digest::of_parts(&[&version, snapshot.hash.as_bytes(), secrets.as_bytes()]).to_hex()
}
