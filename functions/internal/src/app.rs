//! State that all endpoints share, and responses that several of them give.

use std::sync::Arc;

use jiff::Timestamp;
use portcullis_auth::{Clock, PoolId};
use portcullis_crypto::{Keyring, Randomness};
use portcullis_openclaw::StateDir;
use portcullis_runtime::{
    ApiError,
    network::PoolNetworks,
    rotating::Rotating,
    secrets::{LiteLlmAccess, SlackClientAccess},
    tier::PoolMachine,
};
use portcullis_store::{PoolError, Store};
use portcullis_upstream::{Discord, Feishu, LiteLlm, Slack};

use crate::{build_inputs::BuildInputs, library_versions::LibraryVersions};

/// State of the function: the store, keys, upstream clients, clock and randomness.
pub struct App {
    pub store: Store,
    pub configuration_keys: Rotating<Keyring>,
    pub runtime_token_keys: Rotating<Keyring>,
    pub skill_token_keys: Rotating<Keyring>,
    pub networks: PoolNetworks,
    pub pool_state_dir: StateDir,
    pub lite_llm: Rotating<LiteLlmAccess>,
    pub lite_llm_client: LiteLlm,
    pub slack: Slack,
    pub discord: Discord,
    pub feishu: Feishu,
    pub slack_client: Rotating<SlackClientAccess>,
    pub library_versions: LibraryVersions,
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
}

impl App {
    /// Returns the inputs of a configuration besides the pool's records, from the current settings.
    pub fn build_inputs(&self) -> BuildInputs {
        BuildInputs::new(&self.lite_llm.cached(), &self.configuration_keys.cached(), self.pool_state_dir.clone())
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Converts the store's refusal of a change of `pool`.
pub fn to_api_error(error: PoolError, pool: &PoolId) -> ApiError {
    match error {
        PoolError::NotFound => pool_not_found(pool),
        PoolError::Revoked => PoolMachine::revoked(),
        PoolError::Store(error) => error.into(),
    }
}

/// Returns a 404 that names the pool.
pub fn pool_not_found(pool: &PoolId) -> ApiError {
    ApiError::not_found(format!("Pool {pool} not found"))
}

/// Response to a deletion.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct Deleted {
    pub ok: bool,
}
