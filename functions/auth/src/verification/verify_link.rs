//! `GET /api/auth/verify-email`: verifies an address by a mailed link, which works once, and redirects to the front
//! end.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use http::request::Parts;
use portcullis_runtime::{ApiError, ErrorCode, openapi, params};
use portcullis_store::VerificationError;
use serde::Serialize;
use url::Url;

use crate::{
    app::{App, link_digest},
    verification_mail::VERIFY,
};

/// Response if the link names no page to redirect to.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = VerifyEmailLink)]
struct Verified {
    status: bool,
    #[schema(value_type = Option<String>)]
    user: Option<()>,
}

#[utoipa::path(
    get,
    path = "/api/auth/verify-email",
    tag = "browser",
    params(("token" = Option<String>, Query), ("callbackURL" = Option<String>, Query)),
    responses((status = 200, body = Verified), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, parts: Parts) -> Result<Response, ApiError> {
    let callback: Option<String> = params::query(&parts, "callbackURL")?;
    let callback = app.callback(callback.as_deref())?;
    let token: Option<String> = params::query(&parts, "token")?;
    let outcome = match app.store.find_link(link_digest(VERIFY, &token.unwrap_or_default())).await {
        Ok(link) => app.store.verify_email(&link).await.map(drop),
        Err(error) => Err(error),
    };
    let (code, message) = match outcome {
        Ok(()) => return Ok(shown(callback)),
        Err(VerificationError::Store(error)) => return Err(error.into()),
        Err(VerificationError::Expired) => (ErrorCode::TokenExpired, "Token expired"),
        Err(VerificationError::Invalid | VerificationError::TooManyTries) => (ErrorCode::InvalidToken, "Invalid token"),
    };
    let Some(mut page) = callback else { return Err(ApiError::unauthenticated_as(code, message)) };
    page.query_pairs_mut().append_pair("error", code.as_str());
    Ok(Redirect::to(page.as_str()).into_response())
}

fn shown(callback: Option<Url>) -> Response {
    match callback {
        Some(page) => Redirect::to(page.as_str()).into_response(),
        None => axum::Json(Verified { status: true, user: None }).into_response(),
    }
}
