//! `GET /api/internal/pools/{poolId}/tool-policy`: returns the toolkits and actions that a pool may use.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Operator};

use super::PolicyBody;
use crate::{
    app::{App, pool_not_found},
    pool_path::PoolPath,
};

#[utoipa::path(
    get,
    path = "/api/internal/pools/{poolId}/tool-policy",
    tag = "operator",
    params(("poolId" = openapi::Id, Path)),
    responses((status = 200, body = PolicyBody), openapi::Refusals),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
) -> Result<Json<PolicyBody>, ApiError> {
    let (known, policy) = tokio::try_join!(app.store.get_pool(&pool), app.store.tool_policy(&pool))?;
    known.ok_or_else(|| pool_not_found(&pool))?;
    Ok(Json(policy.into()))
}
