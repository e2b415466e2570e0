//! `GET /api/internal/pools/{poolId}/config`: a pool's newest `openclaw.json` alone.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Runtime};
use serde_json::Value;

use crate::{App, pool_path::PoolPath};

/// How often it is read again because a credential was replaced meanwhile.
const TRIES: usize = 8;

#[utoipa::path(
    get,
    path = "/api/internal/pools/{poolId}/config",
    tag = "runtime",
    summary = "The pool's openclaw.json",
    params(("poolId" = openapi::Id, Path)),
    responses((status = 200, description = "done", body = Object), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Runtime,
    PoolPath(pool): PoolPath,
) -> Result<Json<Value>, ApiError> {
    let generation = caller.reach(&pool)?;
    let generator = app.generator();
    for _ in 0..TRIES {
        let read = app.pool_configuration(&pool, generation).await?;
        let mut current = app.newest(read, &generator, generation).await?;
        if let Some((config, _)) = app.filled(&mut current, &generator).await? {
            return Ok(Json(config));
        }
    }
    Err(ApiError::unavailable("a pool's credentials change faster than they are read"))
}
