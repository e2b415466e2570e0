//! Answers and errors in Composio's form.
//!
//! Source: Composio, "Errors", and the answers of its API.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

/// An error.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    status: u16,
    code: u32,
    slug: &'static str,
    message: std::borrow::Cow<'static, str>,
}

pub(super) const NO_KEY: Failure = known(401, 906, "Auth_NoAuthProvided", "No API key provided");
pub(super) const INVALID_KEY: Failure = known(401, 801, "APIKey_InvalidAPIKey", "Invalid API key");
pub(super) const SEVERAL_KEYS: Failure =
    known(401, 10401, "HTTP_Unauthorized", "Multiple authentication modes were provided. Provide exactly one.");
pub(super) const NO_SUCH_PATH: Failure = known(404, 10404, "HTTP_NotFound", "URL not found");
pub(super) const NO_SUCH_SESSION: Failure = known(404, 4300, "ToolRouterV2_SessionNotFound", "Session not found");
pub(super) const NO_SUCH_ACCOUNT: Failure =
    known(404, 606, "ConnectedAccount_ResourceNotFound", "Connected account not found");
pub(super) const NO_SUCH_TOOL: Failure = known(404, 2401, "Tool_ToolNotFound", "Tool not found");
pub(super) const NO_SUCH_TOOLKIT: Failure = known(404, 300, "Toolkit_ToolkitNotFound", "Toolkit not found");
pub(super) const NOT_CONNECTED: Failure =
    known(404, 1810, "ActionExecute_ConnectedAccountNotFound", "No connected account found");
pub(super) const EXPIRED: Failure =
    known(410, 1820, "ActionExecute_ConnectedAccountExpired", "Connected account is in EXPIRED state");
pub(super) const ANOTHERS_ACCOUNT: Failure = known(
    400,
    1812,
    "ActionExecute_ConnectedAccountEntityIdMismatch",
    "Connected account user ID does not match the provided user ID.",
);
pub(super) const ACCOUNT_WITHOUT_USER: Failure = known(
    400,
    1811,
    "ActionExecute_ConnectedAccountEntityIdRequired",
    "A user ID is required with a connected account ID.",
);
pub(super) const NOT_REVOKABLE: Failure =
    known(409, 607, "ConnectedAccount_NotRevokable", "Connected account cannot be revoked in its status");

const fn known(status: u16, code: u32, slug: &'static str, message: &'static str) -> Failure {
    Failure { status, code, slug, message: std::borrow::Cow::Borrowed(message) }
}

/// Error 400.
pub(super) fn bad_request(message: &str) -> Failure {
    Failure { status: 400, code: 10400, slug: "HTTP_BadRequest", message: message.to_owned().into() }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = json!({
            "message": self.message, "code": self.code, "slug": self.slug, "status": self.status,
            "request_id": "00000000-0000-4000-8000-000000000000", "suggested_fix": "Check your input.", "errors": [],
        });
        (status, axum::Json(json!({ "error": error }))).into_response()
    }
}

/// Answer 200.
pub(super) fn ok(body: Value) -> Response {
    axum::Json(body).into_response()
}

/// Answer 201.
pub(super) fn created(body: Value) -> Response {
    (StatusCode::CREATED, axum::Json(body)).into_response()
}

/// Answer with all items of a list on one page.
pub(super) fn list(items: impl Iterator<Item = Value>) -> Response {
    let items: Vec<_> = items.collect();
    let total = items.len();
    ok(json!({ "items": items, "next_cursor": null, "total_pages": 1, "current_page": 1, "total_items": total }))
}
