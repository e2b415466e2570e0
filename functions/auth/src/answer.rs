//! Accounts and sessions in better-auth's wire format.

use http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use portcullis_auth::{SessionId, UserId};
use portcullis_runtime::ApiError;
use portcullis_store as store;
use serde::Serialize;

/// An account.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuthUser)]
pub(crate) struct User {
    #[schema(value_type = String)]
    id: UserId,
    name: String,
    #[schema(value_type = String)]
    email: String,
    email_verified: bool,
    image: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<store::User> for User {
    fn from(user: store::User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            email: user.email.into(),
            email_verified: user.email_verified,
            image: user.image,
            created_at: format!("{:.3}", user.created_at),
            updated_at: format!("{:.3}", user.updated_at),
        }
    }
}

/// A session. `token` is only the session's id, with which it can be revoked; the secret token that authenticates is
/// in the cookie alone.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuthSession)]
pub(crate) struct Session {
    #[schema(value_type = String)]
    id: SessionId,
    #[schema(value_type = String)]
    token: SessionId,
    #[schema(value_type = String)]
    user_id: UserId,
    expires_at: String,
    created_at: String,
    updated_at: String,
    ip_address: Option<String>,
    user_agent: Option<String>,
}

impl From<store::AuthSession> for Session {
    fn from(session: store::AuthSession) -> Self {
        Self {
            token: session.id.clone(),
            id: session.id,
            user_id: session.user,
            expires_at: format!("{:.3}", session.expires_at),
            created_at: format!("{:.3}", session.created_at),
            updated_at: format!("{:.3}", session.updated_at),
            ip_address: session.ip_address,
            user_agent: session.user_agent,
        }
    }
}

/// `{"status":true}`.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuthStatus)]
pub(crate) struct Status {
    status: bool,
}

impl Status {
    pub(crate) fn done() -> axum::Json<Self> {
        axum::Json(Self { status: true })
    }
}

/// `{"success":true}`.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuthSuccess)]
pub(crate) struct Success {
    success: bool,
}

impl Success {
    pub(crate) fn done() -> axum::Json<Self> {
        axum::Json(Self { success: true })
    }
}

/// Returns the header that sets or clears the session cookie.
pub(crate) fn set_cookie(cookie: &str) -> Result<HeaderMap, ApiError> {
    let mut value = HeaderValue::from_str(cookie).map_err(|_| ApiError::internal("the cookie is no header's value"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(SET_COOKIE, value)]))
}
