//! `POST /api/auth/delete-user`: deletes the account, with its sessions.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use http::HeaderMap;
use portcullis_runtime::{
    ApiError,
    json::Json,
    tier::{Browser, User},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{App, answer, error, password};

/// Age up to which a session may delete the account without the password. Source: better-auth, `session.freshAge`.
const FRESH_FOR: Duration = Duration::from_hours(24);

/// Proof that it is the account's owner; a session of less than a day needs none.
#[derive(Deserialize)]
pub(crate) struct Request {
    password: Option<SecretString>,
}

/// Words of better-auth.
#[derive(Serialize)]
pub(crate) struct Response {
    success: bool,
    message: &'static str,
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    browser: Browser,
    Json(request): Json<Request>,
) -> Result<(HeaderMap, axum::Json<Response>), ApiError> {
    match &request.password {
        Some(text) => drop(password::check(&app, &caller.id, text, browser.address).await?),
        None if app.now().duration_since(caller.session.created_at).unsigned_abs() >= FRESH_FOR => {
            let message = "Session expired. Re-authenticate to perform this action.";
            return Err(ApiError::bad_request("SESSION_EXPIRED", message));
        }
        None => {}
    }
    app.store.delete_user(&caller.id).await.map_err(error::refuse_user)?;
    Ok((answer::set_cookie(&app.cookie.expire())?, axum::Json(Response { success: true, message: "User deleted" })))
}
