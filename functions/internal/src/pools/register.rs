//! `POST /api/internal/pools/register`: registers a pool, or updates its address and status.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::PoolId;
use portcullis_openclaw::OpenClawVersion;
use portcullis_runtime::{ApiError, fields::optional, json::StrictJson, openapi, tier::PoolMachine};
use portcullis_store::{PoolAddress, PoolReport, PoolStatus};
use serde::{Deserialize, Serialize};

use super::{check_address, default_status, reported_status};
use crate::{
    app::{App, to_api_error},
    openclaw_version,
};

/// A pool's registration: its id, version, address and status.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Registration)]
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
}

/// Confirmation of the registration.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Registered)]
pub struct Response {
    ok: bool,
    pool_id: PoolId,
}

#[utoipa::path(
    post,
    path = "/api/internal/pools/register",
    tag = "runtime",
    request_body = Request,
    responses((status = 200, description = "The registered pool", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    check_address(&app.networks, request.pod_ip.as_ref())?;
    let reach = caller.reach(&request.pool_id)?;
    let report = PoolReport {
        address: request.pod_ip,
        status: reported_status(&caller, request.status),
        openclaw: request.openclaw_version.map(openclaw_version::report),
    };
    let pool = app.store.register(&request.pool_id, report, reach).await;
    let pool = pool.map_err(|error| to_api_error(error, &request.pool_id))?;
    if pool.status == PoolStatus::Terminated {
        app.end_keys_of_terminated(&pool).await?;
    }
    Ok(axum::Json(Response { ok: true, pool_id: request.pool_id }))
}
