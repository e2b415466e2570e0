//! `POST` and `DELETE /api/internal/pools/{poolId}/skill-tokens`: issues or revokes tokens of a pool's skills.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::State;
use http::StatusCode;
use portcullis_auth::{SkillGrant, SkillName, SkillSet};
use portcullis_runtime::{ApiError, json::StrictJson, openapi, tier::PoolMachine};
use serde::Deserialize;

use super::{Issued, Revoked, ttl::Ttl};
use crate::{
    app::{App, to_api_error},
    pool_path::PoolPath,
};

/// Longest life of a skill token in seconds: 30 days.
const MAXIMUM_TTL: u64 = 2_592_000;

/// Parameters of a skill token.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SkillTokenRequest)]
pub struct Request {
    #[schema(value_type = Option<Vec<SkillName>>)]
    skills: Option<BTreeSet<SkillName>>,
    #[schema(value_type = u64, minimum = 60, maximum = 2_592_000)]
    ttl_seconds: Ttl<MAXIMUM_TTL>,
}

#[utoipa::path(
    post,
    path = "/api/internal/pools/{poolId}/skill-tokens",
    tag = "runtime",
    params(("poolId" = openapi::Id, Path)),
    request_body = Request,
    responses((status = 201, description = "The token", body = Issued), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn issue(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    PoolPath(pool): PoolPath,
    StrictJson(request): StrictJson<Request>,
) -> Result<(StatusCode, axum::Json<Issued>), ApiError> {
    let skills = match request.skills {
        None => SkillSet::All,
        Some(names) => SkillSet::only(names).map_err(|error| ApiError::invalid_field("skills", error.to_string()))?,
    };
    let reach = caller.reach(&pool)?;
    let generations = app.store.generations(&pool, reach).await.map_err(|error| to_api_error(error, &pool))?;
    let expires_at = request.ttl_seconds.ends(app.now());
    // A token never outlives the token that requested it: otherwise a token of an hour could be traded for one of a
    // month.
    let expires_at = caller.ends_at().map_or(expires_at, |end| expires_at.min(end));
    let token =
        SkillGrant { pool, skills, generation: generations.skill, expires_at }.issue(&app.skill_token_keys.cached());
    Ok((StatusCode::CREATED, axum::Json(Issued::new(token, expires_at))))
}

#[utoipa::path(
    delete,
    path = "/api/internal/pools/{poolId}/skill-tokens",
    tag = "runtime",
    params(("poolId" = openapi::Id, Path)),
    responses((status = 200, description = "The tokens are revoked", body = Revoked), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    PoolPath(pool): PoolPath,
) -> Result<axum::Json<Revoked>, ApiError> {
    let reach = caller.reach(&pool)?;
    app.store.raise_skill_generation(&pool, reach).await.map_err(|error| to_api_error(error, &pool))?;
    Ok(axum::Json(Revoked { ok: true }))
}
