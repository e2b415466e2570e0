//! `PATCH /api/internal/artifacts/{id}`: a skill tells what has changed of what its agent made.

use std::sync::Arc;

use axum::extract::State;
use http::request::Parts;
use portcullis_runtime::{
    ApiError,
    fields::{Label, Metadata, Title},
    json::Json,
    params,
    tier::Skill,
};
use portcullis_store::{ArtifactChange, ArtifactError, ArtifactStatus, PreviewUrl};
use serde::Deserialize;

use crate::{
    App,
    artifacts::{Response, preview_taken, preview_url},
};

/// What changes; what is absent keeps its value.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    title: Option<Title>,
    status: Option<ArtifactStatus>,
    #[serde(default, deserialize_with = "preview_url")]
    preview_url: Option<PreviewUrl>,
    deploy_target: Option<Label>,
    lines_of_code: Option<u64>,
    file_count: Option<u64>,
    duration_ms: Option<u64>,
    metadata: Option<Metadata>,
}

pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Skill,
    mut parts: Parts,
    Json(request): Json<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let id: String = params::path(&mut parts, "id").await?;
    let change = ArtifactChange {
        title: request.title.map(|title| title.0),
        status: request.status,
        preview_url: request.preview_url,
        deploy_target: request.deploy_target.map(|label| label.0),
        lines_of_code: request.lines_of_code,
        file_count: request.file_count,
        duration_ms: request.duration_ms,
        metadata: request.metadata.map(|metadata| metadata.0),
    };
    match app.store.change_artifact(caller.bots(), &id, &change).await {
        Ok(artifact) => Ok(axum::Json(artifact.into())),
        Err(ArtifactError::NotFound) => Err(ApiError::not_found("Artifact not found")),
        Err(ArtifactError::PreviewTaken) => Err(preview_taken()),
        Err(ArtifactError::Revoked) => Err(Skill::revoked()),
        Err(ArtifactError::Store(error)) => Err(error.into()),
    }
}
