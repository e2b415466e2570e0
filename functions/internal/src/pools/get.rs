//! `GET /api/internal/pools/{poolId}`: returns a pool.
//!
//! A pool named `register` or `heartbeat` cannot be read here: those paths belong to other endpoints, and answer 405.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Operator};

use super::Response;
use crate::{
    app::{App, pool_not_found},
    pool_path::PoolPath,
};

#[utoipa::path(
    get,
    path = "/api/internal/pools/{poolId}",
    tag = "operator",
    params(("poolId" = openapi::Id, Path)),
    responses((status = 200, description = "The pool", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
) -> Result<Json<Response>, ApiError> {
    let found = app.store.get_pool(&pool).await?.ok_or_else(|| pool_not_found(&pool))?;
    Response::new(found, &app.build_inputs()).map(Json)
}
