//! `POST /api/internal/pools/heartbeat`: records a pool's heartbeat and returns the current versions.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::PoolId;
use portcullis_contract::{SafeInteger, Time};
use portcullis_openclaw::OpenClawVersion;
use portcullis_runtime::{ApiError, fields::optional, json::StrictJson, openapi, tier::PoolMachine};
use portcullis_store::{Heartbeat, PoolAddress, PoolStatus};
use serde::{Deserialize, Serialize};

use super::{check_address, default_status, reported_status};
use crate::{
    app::{App, to_api_error},
    openclaw_version,
};

/// A pool's report of its status, address and version.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Heartbeat)]
pub struct Request {
    pool_id: PoolId,
    #[serde(default, deserialize_with = "openclaw_version::version")]
    #[schema(value_type = Option<openapi::OpenClawVersion>)]
    openclaw_version: Option<OpenClawVersion>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<String>)]
    pod_ip: Option<PoolAddress>,
    #[serde(default = "default_status")]
    status: PoolStatus,
    #[serde(default, deserialize_with = "optional")]
    last_seen_version: Option<SafeInteger>,
    /// Validated and ignored: only the server's own clock decides when a pool was last seen.
    #[serde(rename = "timestamp", default, deserialize_with = "optional")]
    _timestamp: Option<Time>,
}

/// Current versions, which the pool compares with its own so that it fetches only what changed.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HeartbeatAnswer)]
pub struct Response {
    ok: bool,
    pool_id: PoolId,
    status: PoolStatus,
    config_version: SafeInteger,
    secrets_revision: SafeInteger,
    skills_version: SafeInteger,
    templates_version: SafeInteger,
    skill_tokens_generation: SafeInteger,
}

#[utoipa::path(
    post,
    path = "/api/internal/pools/heartbeat",
    tag = "runtime",
    request_body = Request,
    responses((status = 200, description = "The pool's versions and revisions", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    check_address(&app.networks, request.pod_ip.as_ref())?;
    let reach = caller.reach(&request.pool_id)?;
    let heartbeat = Heartbeat {
        status: reported_status(&caller, request.status),
        address: request.pod_ip,
        last_seen_version: request.last_seen_version.map(SafeInteger::get),
        openclaw: request.openclaw_version.map(openclaw_version::report),
    };
    let beat = async {
        let beat = app.store.heartbeat(&request.pool_id, heartbeat, reach).await;
        beat.map_err(|error| to_api_error(error, &request.pool_id))
    };
    let (pool, (skills_version, templates_version)) = tokio::try_join!(beat, app.library_versions())?;
    if pool.status == PoolStatus::Terminated {
        app.end_keys_of_terminated(&pool).await?;
    }
    let generator = app.build_inputs().generator_name(openclaw_version::dialect_of(&pool)?);
    // A due bot token is replaced by the next poll, so announce a new version.
    let is_to_poll = pool.has_due_tokens(app.now());
    let config_version = if is_to_poll { pool.config_version + 1 } else { pool.expected_config_version(&generator) };
    Ok(axum::Json(Response {
        ok: true,
        pool_id: request.pool_id,
        status: pool.status,
        config_version: config_version.into(),
        secrets_revision: pool.secrets_revision.into(),
        skills_version: skills_version.into(),
        templates_version: templates_version.into(),
        skill_tokens_generation: pool.skill_generation.0.into(),
    }))
}
