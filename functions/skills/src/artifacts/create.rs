//! `POST /api/internal/artifacts`: creates an artifact, or updates the one with the same session and preview URL.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use portcullis_auth::BotId;
use portcullis_contract::{Label, Metadata, SafeInteger, SessionKey, Title};
use portcullis_runtime::{ApiError, fields::optional, json::StrictJson, openapi, resources::Artifact, tier::Skill};
use portcullis_store::{ArtifactChange, ArtifactSource, ArtifactStatus, ArtifactType, NewArtifact, PreviewUrl};
use serde::Deserialize;

use super::{session::SessionSelector, to_api_error};
use crate::app::App;

/// A new artifact, or new values for an existing one.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewArtifact)]
pub struct Request {
    bot_id: BotId,
    title: Title,
    #[serde(default, deserialize_with = "optional")]
    session_key: Option<SessionKey>,
    #[serde(default, deserialize_with = "optional")]
    chat_id: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    thread_id: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    channel_type: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    channel_id: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    artifact_type: Option<ArtifactType>,
    #[serde(default, deserialize_with = "optional")]
    source: Option<ArtifactSource>,
    #[serde(default, deserialize_with = "optional")]
    content_type: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    status: Option<ArtifactStatus>,
    #[serde(default, deserialize_with = "optional")]
    preview_url: Option<PreviewUrl>,
    #[serde(default, deserialize_with = "optional")]
    deploy_target: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    lines_of_code: Option<SafeInteger>,
    #[serde(default, deserialize_with = "optional")]
    file_count: Option<SafeInteger>,
    #[serde(default, deserialize_with = "optional")]
    duration_ms: Option<SafeInteger>,
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Metadata>,
}

#[utoipa::path(
    post,
    path = "/api/internal/artifacts",
    tag = "skill",
    request_body = Request,
    responses((status = 201, description = "The artifact", body = Artifact), openapi::Refusals),
    security(("skillToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Skill,
    StrictJson(request): StrictJson<Request>,
) -> Result<(StatusCode, axum::Json<Artifact>), ApiError> {
    let selector =
        SessionSelector { session_key: request.session_key, chat_id: request.chat_id, thread_id: request.thread_id };
    let session = match selector.required(&request.bot_id) {
        Ok(session) => session,
        Err(refusal) => return Err(app.unless_bot_is_refused(&caller, &request.bot_id, refusal).await),
    };
    let new = NewArtifact {
        bot: request.bot_id,
        session,
        channel_type: request.channel_type,
        channel_id: request.channel_id,
        artifact_type: request.artifact_type,
        source: request.source,
        content_type: request.content_type,
        change: ArtifactChange {
            title: Some(request.title),
            status: request.status,
            preview_url: request.preview_url,
            deploy_target: request.deploy_target,
            lines_of_code: request.lines_of_code,
            file_count: request.file_count,
            duration_ms: request.duration_ms,
            metadata: request.metadata,
        },
    };
    let artifact = app.store.put_artifact(caller.bots(), &new).await.map_err(to_api_error)?;
    Ok((StatusCode::CREATED, axum::Json(artifact.into())))
}
