//! `POST /api/auth/request-password-reset`: mails a link that sets a new password.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::Email;
use portcullis_runtime::{ApiError, ErrorCode, json::StrictJson, openapi};
use portcullis_store::NewVerification;
use serde::{Deserialize, Serialize};

use super::RESET;
use crate::{app::App, error, mails};

/// Address of the account, and the page on which the new password is entered.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RequestPasswordReset)]
pub(crate) struct Request {
    email: String,
    redirect_to: Option<String>,
}

/// Response, the same for an address without an account.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RequestPasswordResetAnswer)]
pub(crate) struct Response {
    status: bool,
    message: &'static str,
}

#[utoipa::path(
    post,
    path = "/api/auth/request-password-reset",
    tag = "browser",
    request_body = Request,
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let email: Email = request.email.parse().map_err(|_| error::invalid_email())?;
    let page = request.redirect_to.as_deref().filter(|text| !text.is_empty()).unwrap_or("/reset-password");
    let invalid = || ApiError::forbidden_as(ErrorCode::InvalidRedirectUrl, "Invalid redirectURL");
    let mut page = app.origins.redirect_target(page).ok_or_else(invalid)?;
    if let Some(wait) = app.take_mail(&email).await? {
        return Err(ApiError::too_many_requests(wait));
    }
    if let Some(login) = app.store.login(&email).await? {
        let (token, id) = app.link_token(RESET);
        let new = NewVerification {
            id,
            code: None,
            user: login.user,
            email: email.clone(),
            credential_revision: login.credential_revision,
            lifetime: mails::LINK_LIFETIME,
        };
        app.store.put_verification(&new).await?;
        page.query_pairs_mut().append_pair("token", &token);
        app.send(mails::password_reset(email, page.as_str())).await?;
    }
    let message = "If this email exists in our system, check your email for the reset link";
    Ok(axum::Json(Response { status: true, message }))
}
