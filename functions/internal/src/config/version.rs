//! `GET /api/internal/pools/{poolId}/config/versions/{version}`: returns one version of a pool's configuration.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::request::Parts;
use portcullis_auth::PoolId;
use portcullis_contract::SafeInteger;
use portcullis_runtime::{ApiError, etag, openapi, params, tier::PoolMachine};

use super::{
    PoolSnapshot,
    answer::{Answer, etag_of},
    decode,
};
use crate::{app::App, pool_path::PoolPath};

#[utoipa::path(
    get,
    path = "/api/internal/pools/{poolId}/config/versions/{version}",
    tag = "runtime",
    params(
        ("poolId" = openapi::Id, Path),
        ("version" = SafeInteger, Path),
        ("if-none-match" = Option<String>, Header)
    ),
    responses(
        (status = 200, description = "The configuration of that version and the pool's secrets", body = Answer),
        (status = 304, description = "Not modified: the caller has this version"),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    PoolPath(pool): PoolPath,
    mut parts: Parts,
) -> Result<Response, ApiError> {
    let version: u64 = params::path(&mut parts, "version").await?;
    let reach = caller.reach(&pool)?;
    let (read, snapshot) = tokio::try_join!(app.read_fresh_pool(&pool, reach), async {
        app.store.snapshot(&pool, version).await.map_err(ApiError::from)
    })?;
    let snapshot = snapshot.ok_or_else(|| not_found(&pool, version))?;
    let tag = etag_of(&read.pool, &snapshot);
    let configuration = decode(&snapshot)?;
    // Credentials are checked against today's rows, not the version's: since then a channel may have been
    // disconnected, its bot moved to another pool, or a credential replaced.
    let inputs = app.build_inputs();
    let credentials = Some(app.credentials_of_today(&read, &inputs).await?);
    let mut current = PoolSnapshot { read, snapshot, configuration, credentials };
    let resolved = app.resolve(&mut current, &inputs).await?;
    let (config, secrets) = resolved.ok_or_else(|| not_found(&pool, version))?;
    if etag::matches(&parts.headers, &tag) {
        return etag::not_modified(&tag);
    }
    Answer::new(&current, config, secrets).tagged(&tag)
}

fn not_found(pool: &PoolId, version: u64) -> ApiError {
    ApiError::not_found(format!("Pool {pool} config version {version} not found"))
}
