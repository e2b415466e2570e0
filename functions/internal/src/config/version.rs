//! `GET /api/internal/pools/{poolId}/config/versions/{version}`: one version of a pool's configuration.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::request::Parts;
use portcullis_auth::PoolId;
use portcullis_runtime::{ApiError, etag, openapi, params, tier::Runtime};

use crate::{
    App,
    config::{
        Current,
        answer::{Answer, etag_of},
        has, unpacked,
    },
    pool_path::PoolPath,
};

#[utoipa::path(
    get,
    path = "/api/internal/pools/{poolId}/config/versions/{version}",
    tag = "runtime",
    summary = "One version of the pool's configuration",
    params(("poolId" = openapi::Id, Path), ("version" = u64, Path, maximum = 9_007_199_254_740_991_u64), ("if-none-match" = Option<String>, Header)),
    responses((status = 200, description = "done", body = Answer), (status = 304, description = "it is the one that if-none-match names"), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Runtime,
    PoolPath(pool): PoolPath,
    mut parts: Parts,
) -> Result<Response, ApiError> {
    let version: u64 = params::path(&mut parts, "version").await?;
    let generation = caller.reach(&pool)?;
    let (read, snapshot) = tokio::try_join!(app.pool_configuration(&pool, generation), async {
        app.store.snapshot(&pool, version).await.map_err(ApiError::from)
    })?;
    let snapshot = snapshot.ok_or_else(|| not_found(&pool, version))?;
    let tag = etag_of(&read.pool, &snapshot);
    let configuration = unpacked(&snapshot)?;
    // Whether the pool may have what an old version names is decided by today's rows: a channel may be disconnected, its bot
    // another pool's, a credential replaced.
    let generator = app.generator();
    let known = Some(app.filling_of_today(&read, &generator).await?);
    let mut current = Current { read, snapshot, configuration, known };
    let filled = app.filled(&mut current, &generator).await?;
    let (config, secrets) = filled.ok_or_else(|| not_found(&pool, version))?;
    if has(&parts.headers, &tag) {
        return etag::not_modified(&tag);
    }
    Answer::new(&current, config, secrets).tagged(&tag)
}

fn not_found(pool: &PoolId, version: u64) -> ApiError {
    ApiError::not_found(format!("Pool {pool} config version {version} not found"))
}
