//! `/api/internal/pools`: the operator's view of pools.

pub mod check_slack_tokens;
pub mod get;
pub mod heartbeat;
pub mod list;
pub mod list_secrets;
pub mod put_secrets;
pub mod register;

use portcullis_auth::{BotId, PoolId};
use portcullis_contract::SafeInteger;
use portcullis_runtime::{ApiError, network::PoolNetworks, tier::PoolMachine};
use portcullis_store::{Pool, PoolAddress, PoolStatus};
use serde::Serialize;

use crate::{build_inputs::BuildInputs, openclaw_version::dialect_of};

/// A pool without its secrets.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Pool)]
pub struct Response {
    id: PoolId,
    status: PoolStatus,
    #[schema(required)]
    pod_ip: Option<String>,
    #[schema(required)]
    openclaw_version: Option<String>,
    config_version: SafeInteger,
    #[schema(required)]
    last_seen_version: Option<SafeInteger>,
    secrets_revision: SafeInteger,
    bot_ids: Vec<BotId>,
    last_seen_at: String,
    created_at: String,
    updated_at: String,
}

impl Response {
    /// Converts a pool; `inputs` decide whether its next poll builds a new configuration version.
    fn new(pool: Pool, inputs: &BuildInputs) -> Result<Self, ApiError> {
        let generator = inputs.generator_name(dialect_of(&pool)?);
        Ok(Self {
            config_version: pool.expected_config_version(&generator).into(),
            id: pool.id,
            status: pool.status,
            pod_ip: pool.address.map(|address| address.to_string()),
            openclaw_version: pool.openclaw_version,
            last_seen_version: pool.last_seen_version.map(SafeInteger::from),
            secrets_revision: pool.secrets_revision.into(),
            bot_ids: pool.bots,
            last_seen_at: format!("{:.3}", pool.last_seen_at),
            created_at: format!("{:.3}", pool.created_at),
            updated_at: format!("{:.3}", pool.updated_at),
        })
    }
}

/// Status when the request omits it.
pub fn default_status() -> PoolStatus {
    PoolStatus::Active
}

/// Returns the status that a caller's report sets. Only the operator terminates a pool and with it the pool's secrets,
/// so a pool's own report of `terminated` becomes `draining`.
pub fn reported_status(caller: &PoolMachine, status: PoolStatus) -> PoolStatus {
    match (caller, status) {
        (PoolMachine::Bound(_), PoolStatus::Terminated) => PoolStatus::Draining,
        (_, status) => status,
    }
}

/// Rejects an address outside the pools' networks, to which a pool could otherwise direct posts (SSRF). The relay
/// checks again before each post.
///
/// # Errors
/// 400.
pub fn check_address(networks: &PoolNetworks, address: Option<&PoolAddress>) -> Result<(), ApiError> {
    match address {
        Some(address) if !networks.allow(address.socket()) => {
            Err(ApiError::invalid_field("podIp", "must be an address where pools may live, with a port from 1024 on"))
        }
        _ => Ok(()),
    }
}
