//! `GET /v1/channels/slack/redirect-uri`: returns the redirect URI that a Slack app's settings must list.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use serde::Serialize;

use super::CALLBACK_PATH;
use crate::app::App;

/// The redirect URI.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlackRedirectUri)]
pub(crate) struct Response {
    redirect_uri: String,
}

impl App {
    /// Returns the URL of the install's callback.
    pub(super) fn redirect_uri(&self) -> Result<String, ApiError> {
        let url = self.origins.api().url().join(CALLBACK_PATH);
        url.map(String::from).map_err(|_| ApiError::internal("a path of ours is no URL"))
    }
}

#[utoipa::path(
    get,
    path = "/v1/channels/slack/redirect-uri",
    tag = "user",
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, _caller: User) -> Result<Json<Response>, ApiError> {
    Ok(Json(Response { redirect_uri: app.redirect_uri()? }))
}
