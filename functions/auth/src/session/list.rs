//! `GET /api/auth/list-sessions`: lists the account's sessions, newest first.

use std::sync::Arc;

use axum::extract::State;
use portcullis_runtime::{ApiError, openapi, tier::User};

use crate::{answer::Session, app::App};

#[utoipa::path(
    get,
    path = "/api/auth/list-sessions",
    tag = "user",
    responses((status = 200, body = Vec<Session>), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, caller: User) -> Result<axum::Json<Vec<Session>>, ApiError> {
    let user = app.store.user(&caller.id).await?.ok_or_else(|| ApiError::unauthenticated("Unauthorized"))?;
    let mut sessions = app.store.sessions_of(&user).await?;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.created_at));
    Ok(axum::Json(sessions.into_iter().map(Session::from).collect()))
}
