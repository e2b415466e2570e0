//! `POST` and `DELETE /api/internal/pools/{poolId}/runtime-tokens`: tokens for a pool's own machine.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use jiff::Timestamp;
use portcullis_auth::RuntimeGrant;
use portcullis_runtime::{ApiError, json::Json, openapi, tier::Operator};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{App, pool_not_found, pool_path::PoolPath, refuse, ttl::Ttl};

/// The longest that a runtime token counts: 365 days, in seconds.
const MAXIMUM_TTL: u64 = 31_536_000;

/// What is asked for.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RuntimeTokenRequest)]
pub struct Request {
    #[schema(value_type = u64, minimum = 60, maximum = 31_536_000)]
    ttl_seconds: Ttl<MAXIMUM_TTL>,
}

/// A token, said once.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IssuedToken)]
pub struct Issued {
    token: String,
    expires_at: String,
}

impl Issued {
    /// The answer that hands `token` to its caller.
    #[expect(clippy::needless_pass_by_value, reason = "the answer is the last that sees the token")]
    pub fn new(token: SecretString, expires_at: Timestamp) -> Self {
        Self { token: token.expose_secret().to_owned(), expires_at: format!("{expires_at:.3}") }
    }
}

/// All of the pool's tokens of this kind are revoked.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Revoked)]
pub struct Revoked {
    pub ok: bool,
}

#[utoipa::path(
    post,
    path = "/api/internal/pools/{poolId}/runtime-tokens",
    tag = "operator",
    summary = "Issues a token for the pool's machine",
    params(("poolId" = openapi::Id, Path)),
    request_body = Request,
    responses((status = 201, description = "done", body = Issued), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn issue(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
    Json(request): Json<Request>,
) -> Result<(StatusCode, axum::Json<Issued>), ApiError> {
    let generations = app.store.generations(&pool).await?.ok_or_else(|| pool_not_found(&pool))?;
    let expires_at = request.ttl_seconds.ends(app.now());
    let token = RuntimeGrant { pool, generation: generations.runtime, expires_at }.issue(&app.runtime_token_keys.get());
    Ok((StatusCode::CREATED, axum::Json(Issued::new(token, expires_at))))
}

#[utoipa::path(
    delete,
    path = "/api/internal/pools/{poolId}/runtime-tokens",
    tag = "operator",
    summary = "Revokes all of the pool's runtime tokens",
    params(("poolId" = openapi::Id, Path)),
    responses((status = 200, description = "done", body = Revoked), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
) -> Result<axum::Json<Revoked>, ApiError> {
    app.store.raise_runtime_generation(&pool, None).await.map_err(|error| refuse(error, &pool))?;
    Ok(axum::Json(Revoked { ok: true }))
}
