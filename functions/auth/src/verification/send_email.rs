//! `POST /api/auth/send-verification-email`: mails a new code and link to an unverified address.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::Email;
use portcullis_runtime::{ApiError, json::StrictJson, openapi};
use serde::Deserialize;

use crate::{answer::Status, app::App, error, verification_mail};

/// The address, and the page to which the link leads on.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = SendVerificationEmail)]
pub(crate) struct Request {
    email: String,
    #[serde(default, rename = "callbackURL")]
    callback_url: Option<String>,
}

#[utoipa::path(
    post,
    path = "/api/auth/send-verification-email",
    tag = "browser",
    request_body = Request,
    responses((status = 200, body = Status), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Status>, ApiError> {
    let email: Email = request.email.parse().map_err(|_| error::invalid_email())?;
    let callback = app.callback(request.callback_url.as_deref())?;
    if let Some(wait) = app.take_mail(&email).await? {
        return Err(ApiError::too_many_requests(wait));
    }
    // The response is the same if no mail is sent, so that it does not reveal who has an account.
    if let Some(login) = app.store.login(&email).await?.filter(|login| !login.email_verified) {
        verification_mail::send(&app, &login.user, &email, login.credential_revision, callback.as_ref()).await?;
    }
    Ok(Status::done())
}
