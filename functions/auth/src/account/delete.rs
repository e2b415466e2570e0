//! `POST /api/auth/delete-user`: deletes the account with its sessions.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use http::HeaderMap;
use portcullis_runtime::{
    ApiError, ErrorCode,
    json::StrictJson,
    openapi,
    tier::{Browser, User},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{answer, app::App, error, password_check};

/// Age up to which a session may delete the account without the password. Source: better-auth, `session.freshAge`.
const FRESH_FOR: Duration = Duration::from_hours(24);

/// Proof of ownership: the password. A session younger than a day needs no proof.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = DeleteUser)]
pub(crate) struct Request {
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
}

/// Response with better-auth's message.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DeleteUserAnswer)]
pub(crate) struct Response {
    success: bool,
    message: &'static str,
}

#[utoipa::path(
    post,
    path = "/api/auth/delete-user",
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
    match &request.password {
        Some(text) => drop(password_check::check(&app, &caller.id, text, browser.address).await?),
        None if app.now().duration_since(caller.session.created_at).unsigned_abs() >= FRESH_FOR => {
            let message = "Session expired. Re-authenticate to perform this action.";
            return Err(ApiError::bad_request(ErrorCode::SessionExpired, message));
        }
        None => {}
    }
    app.store.delete_user(&caller.id).await.map_err(error::refuse_user)?;
    Ok((answer::set_cookie(&app.cookie.expire())?, axum::Json(Response { success: true, message: "User deleted" })))
}
