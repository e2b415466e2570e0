//! `POST /api/auth/email-otp/verify-email`: verifies an address by a mailed code, which allows three tries.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::Email;
use portcullis_runtime::{ApiError, json::StrictJson, openapi};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    answer,
    app::App,
    error,
    verification_mail::{code_digest, code_id},
};

/// Address and code.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = VerifyEmail)]
pub(crate) struct Request {
    email: String,
    #[schema(value_type = String)]
    otp: SecretString,
}

/// The verified account. A session needs a sign-in with the password.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = VerifyEmailAnswer)]
pub(crate) struct Response {
    status: bool,
    #[schema(value_type = Option<String>)]
    token: Option<()>,
    user: answer::User,
}

#[utoipa::path(
    post,
    path = "/api/auth/email-otp/verify-email",
    tag = "browser",
    request_body = Request,
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let email: Email = request.email.parse().map_err(|_| error::invalid_email())?;
    let code = code_digest(&app, &email, request.otp.expose_secret().trim());
    let found = app.store.try_code(code_id(&email), code).await.map_err(error::refuse_code)?;
    let user = app.store.verify_email(&found).await.map_err(error::refuse_code)?;
    Ok(axum::Json(Response { status: true, token: None, user: user.into() }))
}
