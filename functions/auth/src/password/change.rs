//! `POST /api/auth/change-password`: changes the password and ends all sessions. The caller's session gets a new
//! token.

use std::sync::Arc;

use axum::extract::State;
use http::HeaderMap;
use portcullis_auth::{Password, SessionId};
use portcullis_runtime::{
    ApiError,
    json::StrictJson,
    openapi,
    tier::{Browser, User},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{answer, app::App, error, mails, new_session, password_check};

/// The current and the new password. `revokeOtherSessions` is accepted and ignored: other sessions always end, since
/// people mostly change a password that somebody else knows.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChangePassword)]
pub(crate) struct Request {
    #[schema(value_type = String)]
    current_password: SecretString,
    #[schema(value_type = String)]
    new_password: SecretString,
}

/// The new session.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ChangePasswordAnswer)]
pub(crate) struct Response {
    #[schema(value_type = String)]
    token: SessionId,
    user: answer::User,
}

#[utoipa::path(
    post,
    path = "/api/auth/change-password",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    browser: Browser,
    StrictJson(request): StrictJson<Request>,
) -> Result<(HeaderMap, axum::Json<Response>), ApiError> {
    let new = Password::chosen(request.new_password.expose_secret()).map_err(error::refuse_password)?;
    let (_, login) = password_check::check(&app, &caller.id, &request.current_password, browser.address).await?;
    let hash = app.hasher.hash(new).await?;
    let (token, session) = new_session::new(&app, &caller.id, &browser, caller.session.is_remembered);
    let user = app.store.change_password(&login, &hash, &session).await.map_err(error::refuse_user)?;
    let reset = app.origins.web().url().as_str();
    if let Err(error) = app.send(mails::password_changed(user.email.clone(), reset)).await {
        tracing::warn!(?error, "the mail about a changed password was not sent");
    }
    let cookie = new_session::cookie(&app, &token, session.is_remembered);
    Ok((answer::set_cookie(&cookie)?, axum::Json(Response { token: session.id, user: user.into() })))
}
