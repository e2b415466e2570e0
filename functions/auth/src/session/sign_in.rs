//! `POST /api/auth/sign-in/email`: opens a session by address and password.

use std::sync::Arc;

use axum::extract::State;
use http::HeaderMap;
use portcullis_auth::{Email, Password, SessionId, password::Verdict};
use portcullis_runtime::{ApiError, ErrorCode, json::StrictJson, openapi, tier::Browser};
use portcullis_store::{Login, OpenSessionError};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    answer,
    app::{App, SignInSubjects},
    error, new_session,
    password_check::count_failure,
};

/// Address and password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignIn)]
pub(crate) struct Request {
    email: String,
    #[schema(value_type = String)]
    password: SecretString,
    remember_me: Option<bool>,
    #[serde(default, rename = "callbackURL")]
    callback_url: Option<String>,
}

/// The session's id and the account.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SignInAnswer)]
pub(crate) struct Response {
    redirect: bool,
    #[schema(value_type = String)]
    token: SessionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    user: answer::User,
}

#[utoipa::path(
    post,
    path = "/api/auth/sign-in/email",
    tag = "browser",
    request_body = Request,
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    browser: Browser,
    StrictJson(request): StrictJson<Request>,
) -> Result<(HeaderMap, axum::Json<Response>), ApiError> {
    let email: Email = request.email.parse().map_err(|_| error::invalid_email())?;
    let password = Password::presented(request.password.expose_secret()).map_err(error::refuse_password)?;
    let callback = app.callback(request.callback_url.as_deref())?;
    let subjects = SignInSubjects::new(&email, browser.address);
    let attempt = app.store.begin_sign_in(&email, &[subjects.account.clone(), subjects.address.clone()]).await?;
    if let Some(wait) = attempt.wait {
        return Err(ApiError::too_many_requests(wait));
    }
    let stored = attempt.login.as_ref().and_then(|login| login.password.clone());
    let verdict = app.hasher.verify(stored, password.clone()).await?;
    let login = match attempt.login {
        Some(login) if verdict != Verdict::Wrong => login,
        _ => return Err(count_failure(&app, &subjects).await?.unwrap_or_else(error::invalid_email_or_password)),
    };
    if !login.email_verified {
        return Err(ApiError::forbidden_as(ErrorCode::EmailNotVerified, "Email not verified"));
    }

    let is_remembered = request.remember_me.unwrap_or(true);
    let (token, session) = new_session::new(&app, &login.user, &browser, is_remembered);
    let open =
        app.store.open_session(&session, &email, login.credential_revision, &subjects.account, &subjects.address);
    let (opened, user) = tokio::join!(open, app.store.user(&login.user));
    match opened {
        Ok(()) => {}
        // The password was right, but concurrent tries have used up the limit.
        Err(OpenSessionError::Locked) => return Err(ApiError::too_many_requests(portcullis_store::FIRST_WAIT)),
        Err(OpenSessionError::Changed) => return Err(error::invalid_email_or_password()),
        Err(OpenSessionError::Store(error)) => return Err(error.into()),
    }
    let user = user?.ok_or_else(error::invalid_email_or_password)?;
    if verdict == Verdict::Outdated {
        upgrade(&app, &email, &login, password).await;
    }
    let cookie = new_session::cookie(&app, &token, is_remembered);
    let url = callback.map(String::from);
    let response = Response { redirect: url.is_some(), token: session.id, url, user: user.into() };
    Ok((answer::set_cookie(&cookie)?, axum::Json(response)))
}

/// Replaces a hash that better-auth made, or one with weaker parameters. A failure does not fail the sign-in.
async fn upgrade(app: &App, email: &Email, login: &Login, password: Password) {
    let hash = match app.hasher.hash(password).await {
        Ok(hash) => hash,
        Err(error) => return tracing::warn!(?error, "an outdated hash of a password stays"),
    };
    if let Err(error) = app.store.upgrade_password(email, login, &hash).await {
        tracing::warn!(%error, "an outdated hash of a password stays");
    }
}
