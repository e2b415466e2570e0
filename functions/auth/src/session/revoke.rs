//! `POST /api/auth/revoke-session`, `revoke-sessions` and `revoke-other-sessions`: end sessions of the account at
//! once.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::SessionId;
use portcullis_runtime::{ApiError, json::StrictJson, openapi, tier::User};
use serde::Deserialize;

use crate::{answer::Status, app::App, error};

/// Id of a session, as `list-sessions` returns it.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = RevokeSession)]
pub(crate) struct Request {
    token: String,
}

/// Ends one session. An id of another account's session succeeds without effect, as in better-auth: an error would
/// reveal which ids exist.
#[utoipa::path(
    post,
    path = "/api/auth/revoke-session",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Status), openapi::Refusals),
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    caller: User,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Status>, ApiError> {
    if let Ok(id) = request.token.parse::<SessionId>() {
        app.store.end_sessions(&caller.id, |one| *one == id).await.map_err(error::refuse_user)?;
    }
    Ok(Status::done())
}

/// Ends all sessions, the caller's own among them.
#[utoipa::path(
    post,
    path = "/api/auth/revoke-sessions",
    tag = "user",
    responses((status = 200, body = Status), openapi::Refusals),
)]
pub(crate) async fn all(State(app): State<Arc<App>>, caller: User) -> Result<axum::Json<Status>, ApiError> {
    app.store.end_sessions(&caller.id, |_| true).await.map_err(error::refuse_user)?;
    Ok(Status::done())
}

/// Ends all sessions but the caller's own.
#[utoipa::path(
    post,
    path = "/api/auth/revoke-other-sessions",
    tag = "user",
    responses((status = 200, body = Status), openapi::Refusals),
)]
pub(crate) async fn others(State(app): State<Arc<App>>, caller: User) -> Result<axum::Json<Status>, ApiError> {
    app.store.end_sessions(&caller.id, |one| one != caller.session_id()).await.map_err(error::refuse_user)?;
    Ok(Status::done())
}
