//! `GET /api/internal/pools/{poolId}/config`: returns a pool's newest `openclaw.json` alone.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::PoolMachine};
use serde_json::Value;

use crate::{app::App, pool_path::PoolPath};

/// Tries of a poll: it starts again if a credential is replaced while it reads.
const TRIES: usize = 8;

#[utoipa::path(
    get,
    path = "/api/internal/pools/{poolId}/config",
    tag = "runtime",
    params(("poolId" = openapi::Id, Path)),
    responses((status = 200, description = "The configuration", body = Object), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    PoolPath(pool): PoolPath,
) -> Result<Json<Value>, ApiError> {
    let reach = caller.reach(&pool)?;
    let inputs = app.build_inputs();
    for _ in 0..TRIES {
        let read = app.read_fresh_pool(&pool, reach).await?;
        let mut current = app.load_or_build(read, &inputs, reach).await?;
        if let Some((config, _)) = app.resolve(&mut current, &inputs).await? {
            return Ok(Json(config));
        }
    }
    Err(ApiError::unavailable("a pool's credentials change faster than they are read"))
}
