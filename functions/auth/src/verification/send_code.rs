//! `POST /api/auth/email-otp/send-verification-otp`: mails a new code for an address.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::Email;
use portcullis_runtime::{ApiError, ErrorCode, json::StrictJson, openapi};
use serde::Deserialize;

use crate::{answer::Success, app::App, error, mails, verification_mail::new_code};

/// The address and the purpose of the code.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = SendVerificationCode)]
pub(crate) struct Request {
    email: String,
    r#type: String,
}

#[utoipa::path(
    post,
    path = "/api/auth/email-otp/send-verification-otp",
    tag = "browser",
    request_body = Request,
    responses((status = 200, body = Success), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Success>, ApiError> {
    let email: Email = request.email.parse().map_err(|_| error::invalid_email())?;
    if request.r#type != "email-verification" {
        return Err(ApiError::bad_request(
            ErrorCode::InvalidOtpType,
            "Invalid OTP type: only email-verification is offered",
        ));
    }
    if let Some(wait) = app.take_mail(&email).await? {
        return Err(ApiError::too_many_requests(wait));
    }
    if let Some(login) = app.store.login(&email).await?.filter(|login| !login.email_verified) {
        let code = new_code(&app, &login.user, &email, login.credential_revision).await?;
        app.send(mails::code(email, &code)).await?;
    }
    Ok(Success::done())
}
