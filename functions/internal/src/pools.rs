//! Pools, as the operator sees them.

pub mod get;
pub mod list;
pub mod list_secrets;

use portcullis_auth::{BotId, PoolId};
use portcullis_runtime::{ApiError, openapi};
use portcullis_store::{Pool, PoolStatus};
use serde::Serialize;

use crate::{config::generator::Generator, openclaw_version::dialect_of};

/// A pool, without its secrets.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Pool)]
pub struct Response {
    #[schema(value_type = openapi::Id)]
    id: PoolId,
    #[schema(value_type = openapi::PoolStatus)]
    status: PoolStatus,
    #[schema(required)]
    pod_ip: Option<String>,
    #[schema(required)]
    openclaw_version: Option<String>,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    config_version: u64,
    #[schema(maximum = 9_007_199_254_740_991_u64, required)]
    last_seen_version: Option<u64>,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    secrets_revision: u64,
    #[schema(value_type = Vec<openapi::Id>)]
    bot_ids: Vec<BotId>,
    last_seen_at: String,
    created_at: String,
    updated_at: String,
}

impl Response {
    /// The pool as an operator is told of it, whose next configuration `generator` would build.
    fn new(pool: Pool, generator: &Generator) -> Result<Self, ApiError> {
        let generator = generator.name(dialect_of(&pool)?);
        Ok(Self {
            config_version: pool.expected_config_version(&generator),
            id: pool.id,
            status: pool.status,
            pod_ip: pool.address.map(|address| address.to_string()),
            openclaw_version: pool.openclaw_version,
            last_seen_version: pool.last_seen_version,
            secrets_revision: pool.secrets_revision,
            bot_ids: pool.bots,
            last_seen_at: format!("{:.3}", pool.last_seen_at),
            created_at: format!("{:.3}", pool.created_at),
            updated_at: format!("{:.3}", pool.updated_at),
        })
    }
}
