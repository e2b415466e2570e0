//! `POST /api/auth/reset-password`: sets a new password by a mailed link, which works once, and ends all sessions.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::Password;
use portcullis_runtime::{ApiError, ErrorCode, json::StrictJson, openapi};
use portcullis_store::VerificationError;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::RESET;
use crate::{
    answer::Status,
    app::{App, link_digest},
    error,
};

/// The link's token and the new password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ResetPassword)]
pub(crate) struct Request {
    #[schema(value_type = String)]
    new_password: SecretString,
    #[schema(value_type = String)]
    token: SecretString,
}

#[utoipa::path(
    post,
    path = "/api/auth/reset-password",
    tag = "browser",
    request_body = Request,
    responses((status = 200, body = Status), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Status>, ApiError> {
    let password = Password::chosen(request.new_password.expose_secret()).map_err(error::refuse_password)?;
    // The link is checked before the hash is computed, so that a stranger's token costs no computation.
    let link = app.store.find_link(link_digest(RESET, request.token.expose_secret())).await.map_err(to_api_error)?;
    let hash = app.hasher.hash(password).await?;
    app.store.reset_password(&link, &hash).await.map_err(to_api_error)?;
    Ok(Status::done())
}

/// Converts every reason to the same response, which reveals nothing about an account.
fn to_api_error(error: VerificationError) -> ApiError {
    match error {
        VerificationError::Store(error) => error.into(),
        _ => ApiError::bad_request(ErrorCode::InvalidToken, "Invalid token"),
    }
}
