//! `PATCH /v1/artifacts/{id}`: changes an artifact of the caller's bots.

use std::sync::Arc;

use axum::extract::State;
use http::request::Parts;
use portcullis_runtime::{
    ApiError, fields::artifact::ArtifactPatch, json::StrictJson, openapi, params, resources::Artifact, tier::User,
};
use portcullis_store::BotReach;

use super::to_api_error;
use crate::app::App;

#[utoipa::path(
    patch,
    path = "/v1/artifacts/{id}",
    tag = "user",
    params(("id" = String, Path)),
    request_body = ArtifactPatch,
    responses((status = 200, body = Artifact), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    mut parts: Parts,
    StrictJson(patch): StrictJson<ArtifactPatch>,
) -> Result<axum::Json<Artifact>, ApiError> {
    let id: String = params::path(&mut parts, "id").await?;
    let changed = app.store.change_artifact(BotReach::Owner(&caller.id), &id, &patch.into()).await;
    Ok(axum::Json(changed.map_err(to_api_error)?.into()))
}
