//! `GET /api/internal/secrets/{skillName}?poolId=`: a skill reads what is its own and what is the whole pool's.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use http::request::Parts;
use portcullis_auth::{Generation, PoolId, SkillName};
use portcullis_runtime::{ApiError, openapi, params, tier::Skill};
use portcullis_store::SecretName;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

use crate::App;

/// Names and values, the last step before they leave.
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
    summary = "A skill's own secrets and those of its whole pool",
    params(("skillName" = openapi::SkillName, Path), ("poolId" = openapi::Id, Query)),
    responses((status = 200, description = "done", body = BTreeMap<String, String>), openapi::Refusals),
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
    let generation = caller.reach(&pool, &skill)?;
    let secrets = match generation {
        None => app.store.secrets_for_skill(&pool, &skill).await?,
        Some(generation) => {
            let secrets = app.store.secrets_for_skill(&pool, &skill);
            let (secrets, ()) = tokio::try_join!(
                async { secrets.await.map_err(ApiError::from) },
                must_be_current(&app, &pool, generation)
            )?;
            secrets
        }
    };
    Ok(axum::Json(Secrets(secrets)))
}

/// Read beside the secrets, so that a revoked token costs no second round trip.
async fn must_be_current(app: &App, pool: &PoolId, generation: Generation) -> Result<(), ApiError> {
    match app.store.generations(pool).await? {
        Some(generations) if generations.skill == generation => Ok(()),
        _ => Err(Skill::revoked()),
    }
}
