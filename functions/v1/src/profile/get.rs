//! `GET /v1/me`: returns the caller's profile.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};

use super::Profile;
use crate::app::App;

#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "user",
    responses((status = 200, body = Profile), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, caller: User) -> Result<Json<Profile>, ApiError> {
    let (user, has_channel) = tokio::try_join!(app.store.user(&caller.id), app.store.has_channel(&caller.id))?;
    let user = user.ok_or_else(|| ApiError::unauthenticated("Unauthorized"))?;
    Ok(Json(Profile::new(user, has_channel)))
}
