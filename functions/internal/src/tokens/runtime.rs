//! `POST` and `DELETE /api/internal/pools/{poolId}/runtime-tokens`: issues or revokes tokens of a pool's own machine.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use portcullis_auth::RuntimeGrant;
use portcullis_runtime::{ApiError, json::StrictJson, openapi, tier::Operator};
use portcullis_store::PoolReach;
use serde::Deserialize;

use super::{Issued, Revoked, ttl::Ttl};
use crate::{
    app::{App, to_api_error},
    pool_path::PoolPath,
};

/// Longest life of a runtime token in seconds: 365 days.
const MAXIMUM_TTL: u64 = 31_536_000;

/// Parameters of a runtime token.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RuntimeTokenRequest)]
pub struct Request {
    #[schema(value_type = u64, minimum = 60, maximum = 31_536_000)]
    ttl_seconds: Ttl<MAXIMUM_TTL>,
}

#[utoipa::path(
    post,
    path = "/api/internal/pools/{poolId}/runtime-tokens",
    tag = "operator",
    params(("poolId" = openapi::Id, Path)),
    request_body = Request,
    responses((status = 201, description = "The token", body = Issued), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn issue(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
    StrictJson(request): StrictJson<Request>,
) -> Result<(StatusCode, axum::Json<Issued>), ApiError> {
    let generations = app.store.generations(&pool, PoolReach::Any).await.map_err(|error| to_api_error(error, &pool))?;
    let expires_at = request.ttl_seconds.ends(app.now());
    let token =
        RuntimeGrant { pool, generation: generations.runtime, expires_at }.issue(&app.runtime_token_keys.cached());
    Ok((StatusCode::CREATED, axum::Json(Issued::new(token, expires_at))))
}

#[utoipa::path(
    delete,
    path = "/api/internal/pools/{poolId}/runtime-tokens",
    tag = "operator",
    params(("poolId" = openapi::Id, Path)),
    responses((status = 200, description = "The tokens are revoked", body = Revoked), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
) -> Result<axum::Json<Revoked>, ApiError> {
    app.store.raise_runtime_generation(&pool, PoolReach::Any).await.map_err(|error| to_api_error(error, &pool))?;
    Ok(axum::Json(Revoked { ok: true }))
}
