//! Answers and errors in Feishu's form.
//!
//! Source: Feishu, "Generic error codes", and the error codes on each endpoint's own page.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

/// An error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// An unknown path, or a path with another method: the gateway answers in plain text.
    NotFound,
    /// Error of the token endpoint, whose status is 200.
    Token(u32, &'static str),
    /// Error of any other endpoint, whose status is 400.
    Refused(u32, Cow<'static, str>),
    /// A field that the gateway itself refuses: its name, its value, and the problem.
    Field(&'static str, String, Cow<'static, str>),
}

pub(super) const NOT_FOUND: Failure = Failure::NotFound;
pub(super) const INVALID_PARAM: Failure = Failure::Token(10003, "invalid param");
pub(super) const NO_SUCH_APP: Failure = Failure::Token(10014, "app id not exists");
pub(super) const INVALID_SECRET: Failure = Failure::Token(10014, "app secret invalid");
pub(super) const MISSING_TOKEN: Failure =
    refused(99_991_661, "Missing access token for authorization. Please make a request with token attached.");
pub(super) const INVALID_TENANT_TOKEN: Failure =
    refused(99_991_663, "Invalid access token for authorization. Please make a request with token attached.");
pub(super) const INVALID_USER_TOKEN: Failure =
    refused(99_991_668, "Invalid access token for authorization. Please make a request with token attached.");
pub(super) const BAD_REQUEST: Failure = refused(9499, "Bad Request");
pub(super) const NO_SUCH_MESSAGE: Failure =
    refused(99_992_354, "The request you send is not a valid {message_id} or not exists.");
pub(super) const NOT_IN_CHAT: Failure = refused(230_002, "Bot/User can NOT be out of the chat.");
pub(super) const TOO_LONG: Failure = refused(230_025, "The length of the message content reaches its limit.");
pub(super) const INVALID_PAGE_TOKEN: Failure =
    refused(232_001, "Your request contains an invalid request parameter, ext=page_token is invalid.");

const fn refused(code: u32, message: &'static str) -> Failure {
    Failure::Refused(code, Cow::Borrowed(message))
}

/// Error 230001 of the messages' endpoints.
pub(super) fn invalid_message(problem: &str) -> Failure {
    let message = format!("Your request contains an invalid request parameter, ext={problem}.");
    Failure::Refused(230_001, message.into())
}

impl Failure {
    /// Formats the error; `log_id` names the request in Feishu's own log.
    pub(super) fn response(self, log_id: &str) -> Response {
        match self {
            Self::NotFound => {
                (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "text/plain")], "404 page not found").into_response()
            }
            Self::Token(code, message) => {
                axum::Json(json!({ "code": code, "data": {}, "msg": message })).into_response()
            }
            Self::Refused(code, message) => bad(code, &message, &json!({ "log_id": log_id })),
            Self::Field(field, value, problem) => {
                let violations = json!([{ "field": field, "value": value, "description": problem }]);
                bad(99_992_402, "field validation failed", &json!({ "log_id": log_id, "field_violations": violations }))
            }
        }
    }
}

fn bad(code: u32, message: &str, error: &Value) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(json!({ "code": code, "msg": message, "error": error }))).into_response()
}

/// Successful answer of the endpoints below `im/`.
pub(super) fn success(data: &Value) -> Response {
    axum::Json(json!({ "code": 0, "msg": "success", "data": data })).into_response()
}
