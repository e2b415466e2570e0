//! `DELETE /v1/artifacts/{id}`: deletes an artifact of the caller's bots and frees its preview URL.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::request::Parts;
use portcullis_runtime::{ApiError, openapi, params, tier::User};
use portcullis_store::BotReach;
use serde::Serialize;

use super::to_api_error;
use crate::app::App;

/// A message for a person.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ArtifactDeleted)]
pub(crate) struct Response {
    message: &'static str,
}

#[utoipa::path(
    delete,
    path = "/v1/artifacts/{id}",
    tag = "user",
    params(("id" = String, Path)),
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    mut parts: Parts,
) -> Result<Json<Response>, ApiError> {
    let id: String = params::path(&mut parts, "id").await?;
    app.store.delete_artifact(BotReach::Owner(&caller.id), &id).await.map_err(to_api_error)?;
    Ok(Json(Response { message: "Artifact deleted" }))
}
