//! `PATCH /api/internal/artifacts/{id}`: updates an artifact.

use std::sync::Arc;

use axum::extract::State;
use http::request::Parts;
use portcullis_runtime::{
    ApiError, fields::artifact::ArtifactPatch, json::StrictJson, openapi, params, resources::Artifact, tier::Skill,
};
use portcullis_store::ArtifactError;

use super::preview_taken;
use crate::app::App;

#[utoipa::path(
    patch,
    path = "/api/internal/artifacts/{id}",
    tag = "skill",
    params(("id" = String, Path)),
    request_body = ArtifactPatch,
    responses((status = 200, description = "The updated artifact", body = Artifact), openapi::Refusals),
    security(("skillToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Skill,
    mut parts: Parts,
    StrictJson(request): StrictJson<ArtifactPatch>,
) -> Result<axum::Json<Artifact>, ApiError> {
    let id: String = params::path(&mut parts, "id").await?;
    match app.store.change_artifact(caller.bots(), &id, &request.into()).await {
        Ok(artifact) => Ok(axum::Json(artifact.into())),
        Err(ArtifactError::NotFound) => Err(ApiError::not_found("Artifact not found")),
        Err(ArtifactError::PreviewTaken) => Err(preview_taken()),
        Err(ArtifactError::Revoked) => Err(Skill::revoked()),
        Err(ArtifactError::Store(error)) => Err(error.into()),
    }
}
