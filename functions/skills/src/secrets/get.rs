//! `GET /api/internal/secrets/{skillName}?poolId=`: returns a skill's secrets and those of its whole pool.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use http::request::Parts;
use portcullis_auth::{PoolId, SkillName};
use portcullis_runtime::{ApiError, openapi, params, tier::Skill};
use portcullis_store::{PoolError, SecretName};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

use crate::app::App;

/// Secrets by name; they are exposed only when serialized into the response.
pub struct Secrets(BTreeMap<SecretName, SecretString>);

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret())))
    }
}

#[utoipa::path(
    get,
    path = "/api/internal/secrets/{skillName}",
    tag = "skill",
    params(("skillName" = openapi::SkillName, Path), ("poolId" = openapi::Id, Query)),
    responses((status = 200, description = "The secrets, by name", body = BTreeMap<String, String>), openapi::Refusals),
    security(("skillToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Skill,
    mut parts: Parts,
) -> Result<axum::Json<Secrets>, ApiError> {
    let skill: SkillName = params::path(&mut parts, "skillName").await?;
    let pool: PoolId =
        params::query(&parts, "poolId")?.ok_or_else(|| ApiError::invalid_field("poolId", "is required"))?;
    let reach = caller.reach(&pool, &skill)?;
    match app.store.secrets_for_skill(&pool, &skill, reach, &app.sealed_secrets).await {
        Ok(secrets) => Ok(axum::Json(Secrets(secrets))),
        // An unknown pool has no secrets: the contract's response to a static token.
        Err(PoolError::NotFound) => Ok(axum::Json(Secrets(BTreeMap::new()))),
        Err(PoolError::Revoked) => Err(Skill::revoked()),
        Err(PoolError::Store(error)) => Err(error.into()),
    }
}
