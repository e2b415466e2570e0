//! `PATCH /api/internal/artifacts/{id}`: a skill tells what has changed of what its agent made.

use std::sync::Arc;

use axum::extract::State;
use http::request::Parts;
use portcullis_runtime::{
    ApiError,
    fields::{Count, Label, Metadata, Title, optional},
    json::Json,
    openapi, params,
    tier::Skill,
};
use portcullis_store::{ArtifactChange, ArtifactError, ArtifactStatus, PreviewUrl};
use serde::Deserialize;

use crate::{
    App,
    artifacts::{Response, preview_taken, preview_url},
};

/// What changes; what is absent keeps its value.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ArtifactChange)]
pub struct Request {
    #[serde(default, deserialize_with = "optional")]
    title: Option<Title>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<openapi::ArtifactStatus>)]
    status: Option<ArtifactStatus>,
    #[serde(default, deserialize_with = "preview_url")]
    #[schema(value_type = Option<openapi::WebUrl>)]
    preview_url: Option<PreviewUrl>,
    #[serde(default, deserialize_with = "optional")]
    deploy_target: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_u64)]
    lines_of_code: Option<Count>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_u64)]
    file_count: Option<Count>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_u64)]
    duration_ms: Option<Count>,
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Metadata>,
}

#[utoipa::path(
    patch,
    path = "/api/internal/artifacts/{id}",
    tag = "skill",
    summary = "Tells what has changed of an artifact",
    params(("id" = String, Path)),
    request_body = Request,
    responses((status = 200, description = "done", body = Response), openapi::Refusals),
    security(("skillToken" = [])),
)]
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
        lines_of_code: request.lines_of_code.map(|count| count.0),
        file_count: request.file_count.map(|count| count.0),
        duration_ms: request.duration_ms.map(|count| count.0),
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
