//! `GET /api/auth/get-session`: returns the browser's session with its account, or `null`.

use std::sync::Arc;

use axum::extract::State;
use http::HeaderMap;
use portcullis_runtime::{ApiError, openapi, tier::Browser};
use serde::Serialize;

use crate::{answer, app::App, new_session};

/// The session and its account.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = GetSessionAnswer)]
pub(crate) struct Response {
    session: answer::Session,
    user: answer::User,
}

#[utoipa::path(
    get,
    path = "/api/auth/get-session",
    tag = "browser",
    responses((status = 200, body = Option<Response>), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    browser: Browser,
) -> Result<(HeaderMap, axum::Json<Option<Response>>), ApiError> {
    let nobody = || (HeaderMap::new(), axum::Json(None));
    let Some(token) = &browser.token else { return Ok(nobody()) };
    let Some(known) = app.store.auth_session(&token.id()).await? else { return Ok(nobody()) };
    let is_due = known.is_due(app.now());
    let extend = async { if is_due { app.store.extend_session(&known).await } else { Ok(known.clone()) } };
    let (known, user) = tokio::try_join!(extend, app.store.user(&known.user))?;
    let Some(user) = user else { return Ok(nobody()) };
    let headers = if is_due {
        answer::set_cookie(&new_session::cookie(&app, token, known.is_remembered))?
    } else {
        HeaderMap::new()
    };
    Ok((headers, axum::Json(Some(Response { session: known.into(), user: user.into() }))))
}
