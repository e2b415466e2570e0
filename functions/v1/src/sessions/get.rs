//! `GET /v1/sessions/{id}`: returns a conversation of the caller's bots, with its metadata.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::request::Parts;
use portcullis_runtime::{ApiError, openapi, params, resources::Session, tier::User};

use crate::app::App;

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}",
    tag = "user",
    params(("id" = String, Path)),
    responses((status = 200, body = Session), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    mut parts: Parts,
) -> Result<Json<Session>, ApiError> {
    let id: String = params::path(&mut parts, "id").await?;
    let session = app.store.session_of(&caller.id, &id).await?;
    Ok(Json(session.ok_or_else(|| ApiError::not_found("Session not found"))?.into()))
}
