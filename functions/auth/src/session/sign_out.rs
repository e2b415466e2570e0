//! `POST /api/auth/sign-out`: ends the browser's session and clears the cookie.

use std::sync::Arc;

use axum::extract::State;
use http::HeaderMap;
use portcullis_runtime::{ApiError, openapi, tier::Browser};
use portcullis_store::UserError;

use crate::{answer, app::App};

#[utoipa::path(
    post,
    path = "/api/auth/sign-out",
    tag = "browser",
    responses((status = 200, body = answer::Success), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    browser: Browser,
) -> Result<(HeaderMap, axum::Json<answer::Success>), ApiError> {
    if let Some(token) = &browser.token {
        let id = token.id();
        if let Some(session) = app.store.auth_session(&id).await? {
            match app.store.end_sessions(&session.user, |one| *one == id).await {
                Ok(()) | Err(UserError::NotFound) => {}
                Err(UserError::Store(error)) => return Err(error.into()),
            }
        }
    }
    Ok((answer::set_cookie(&app.cookie.expire())?, answer::Success::done()))
}
