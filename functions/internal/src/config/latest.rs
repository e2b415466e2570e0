//! `GET /api/internal/pools/{poolId}/config/latest`: returns a pool's newest configuration, or 304 if the caller has
//! it.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::HeaderMap;
use portcullis_runtime::{ApiError, etag, openapi, tier::PoolMachine};

use super::answer::{Answer, etag_of};
use crate::{app::App, openclaw_version::dialect_of, pool_path::PoolPath};

/// Tries of a poll: it starts again if a credential is replaced while it reads.
const TRIES: usize = 8;

#[utoipa::path(
    get,
    path = "/api/internal/pools/{poolId}/config/latest",
    tag = "runtime",
    params(("poolId" = openapi::Id, Path), ("if-none-match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The configuration, its version and the pool's secrets", body = Answer),
        (status = 304, description = "Not modified: the caller has this version"),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    PoolPath(pool): PoolPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let reach = caller.reach(&pool)?;
    let inputs = app.build_inputs();
    for _ in 0..TRIES {
        let read = app.read_fresh_pool(&pool, reach).await?;
        if let Some(snapshot) = read.current(&inputs.generator_name(dialect_of(&read.pool)?)) {
            let tag = etag_of(&read.pool, snapshot);
            if etag::matches(&headers, &tag) {
                return etag::not_modified(&tag);
            }
        }
        let mut current = app.load_or_build(read, &inputs, reach).await?;
        let tag = etag_of(&current.read.pool, &current.snapshot);
        if etag::matches(&headers, &tag) {
            return etag::not_modified(&tag);
        }
        if let Some((config, secrets)) = app.resolve(&mut current, &inputs).await? {
            return Answer::new(&current, config, secrets).tagged(&tag);
        }
    }
    Err(ApiError::unavailable("a pool's credentials change faster than they are read"))
}
