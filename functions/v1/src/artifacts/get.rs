//! `GET /v1/artifacts/{id}`: returns an artifact of the caller's bots.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::request::Parts;
use portcullis_runtime::{ApiError, openapi, params, resources::Artifact, tier::User};

use super::not_found;
use crate::app::App;

#[utoipa::path(
    get,
    path = "/v1/artifacts/{id}",
    tag = "user",
    params(("id" = String, Path)),
    responses((status = 200, body = Artifact), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    mut parts: Parts,
) -> Result<Json<Artifact>, ApiError> {
    let id: String = params::path(&mut parts, "id").await?;
    Ok(Json(app.store.artifact_of(&caller.id, &id).await?.ok_or_else(not_found)?.into()))
}
