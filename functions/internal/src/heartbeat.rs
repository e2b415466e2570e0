//! `POST /api/internal/pools/heartbeat`: a pool is alive, and learns what has changed.

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use portcullis_auth::PoolId;
use portcullis_runtime::{ApiError, json::Json, tier::Runtime};
use portcullis_store::{Heartbeat, PoolAddress, PoolStatus};
use serde::{Deserialize, Serialize};

use crate::{
    App, refuse,
    register::{active, address, check_address},
};

/// What a pool says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pool_id: PoolId,
    #[serde(default, deserialize_with = "address")]
    pod_ip: Option<PoolAddress>,
    #[serde(default = "active")]
    status: PoolStatus,
    last_seen_version: Option<u64>,
    /// Checked and not used: only our own clock tells when a pool was last seen.
    #[serde(rename = "timestamp")]
    _timestamp: Option<Timestamp>,
}

/// What the pool compares with what it has, so that it fetches only what changed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    ok: bool,
    pool_id: PoolId,
    status: PoolStatus,
    config_version: u64,
    secrets_revision: u64,
    skills_version: u64,
    templates_version: u64,
}

pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Runtime,
    Json(request): Json<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    check_address(&app.networks, request.pod_ip.as_ref())?;
    let generation = caller.reach(&request.pool_id)?;
    let heartbeat =
        Heartbeat { status: request.status, address: request.pod_ip, last_seen_version: request.last_seen_version };
    let beat = async {
        let beat = app.store.heartbeat(&request.pool_id, heartbeat, generation).await;
        beat.map_err(|error| refuse(error, &request.pool_id))
    };
    let versions = async { app.store.library_versions().await.map_err(ApiError::from) };
    let (pool, (skills_version, templates_version)) = tokio::try_join!(beat, versions)?;
    Ok(axum::Json(Response {
        ok: true,
        pool_id: request.pool_id,
        status: pool.status,
        config_version: pool.expected_config_version(app.generator().name()),
        secrets_revision: pool.secrets_revision,
        skills_version,
        templates_version,
    }))
}
