//! `POST /api/internal/pools/register`: a pool makes itself known, or says where it is now.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::PoolId;
use portcullis_openclaw::OpenClawVersion;
use portcullis_runtime::{ApiError, fields::optional, json::Json, network::PoolNetworks, openapi, tier::Runtime};
use portcullis_store::{PoolAddress, PoolReport, PoolStatus};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{App, openclaw_version, refuse};

/// What a pool says of itself.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Registration)]
pub struct Request {
    #[schema(value_type = openapi::Id)]
    pool_id: PoolId,
    #[serde(default, deserialize_with = "openclaw_version::version")]
    #[schema(value_type = Option<openapi::OpenClawVersion>)]
    openclaw_version: Option<OpenClawVersion>,
    #[serde(default, deserialize_with = "address")]
    #[schema(value_type = Option<String>)]
    pod_ip: Option<PoolAddress>,
    #[serde(default = "default_status")]
    #[schema(value_type = openapi::PoolStatus)]
    status: PoolStatus,
}

/// An address as text: `ip` or `ip:port`.
///
/// # Errors
/// The deserializer's, which says what an address must be.
pub fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PoolAddress>, D::Error> {
    let text: Option<String> = optional(deserializer)?;
    text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}

/// Status when the request omits it.
pub fn default_status() -> PoolStatus {
    PoolStatus::Active
}

/// The pool is known.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Registered)]
pub struct Response {
    ok: bool,
    #[schema(value_type = openapi::Id)]
    pool_id: PoolId,
}

#[utoipa::path(
    post,
    path = "/api/internal/pools/register",
    tag = "runtime",
    summary = "A pool makes itself known, or says where it is now",
    request_body = Request,
    responses((status = 200, description = "done", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Runtime,
    Json(request): Json<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    check_address(&app.networks, request.pod_ip.as_ref())?;
    let generation = caller.reach(&request.pool_id)?;
    let report = PoolReport {
        address: request.pod_ip,
        status: reported_status(&caller, request.status),
        openclaw: request.openclaw_version.map(openclaw_version::report),
    };
    let pool = app.store.register(&request.pool_id, report, generation).await;
    let pool = pool.map_err(|error| refuse(error, &request.pool_id))?;
    if pool.status == PoolStatus::Terminated {
        app.end_keys_of_terminated(&pool).await?;
    }
    Ok(axum::Json(Response { ok: true, pool_id: request.pool_id }))
}

/// The status that a report of this caller sets. Only the operator ends a pool, and with it the pool's secrets: what a machine
/// says of its own end is that it takes nothing more.
pub fn reported_status(caller: &Runtime, status: PoolStatus) -> PoolStatus {
    match (caller, status) {
        (Runtime::Bound(_), PoolStatus::Terminated) => PoolStatus::Draining,
        (_, status) => status,
    }
}

/// A pool may not have us post to where no pool lives: the relay looks again before it does.
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
