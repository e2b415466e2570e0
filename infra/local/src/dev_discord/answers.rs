//! Objects and errors in Discord's form.

#![expect(clippy::indexing_slicing, reason = "the values are JSON objects that are built here")]

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::ALLOW};
use serde_json::{Value, json};

use super::{APPLICATION, BOT_USER};

/// An error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A status without a code of its own.
    Plain(StatusCode, &'static str),
    /// A malformed field: its name, the problem's code and message.
    Field(&'static str, &'static str, String),
}

pub(super) const UNAUTHORIZED: Failure = Failure::Plain(StatusCode::UNAUTHORIZED, "401: Unauthorized");
pub(super) const NOT_FOUND: Failure = Failure::Plain(StatusCode::NOT_FOUND, "404: Not Found");
pub(super) const METHOD_NOT_ALLOWED: Failure =
    Failure::Plain(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");

impl IntoResponse for Failure {
    /// Formats an error as in "Reference", "Error Messages", and code 50035 of "Opcodes and Status Codes".
    fn into_response(self) -> Response {
        match self {
            Self::Plain(status, message) => {
                let mut response = (status, axum::Json(json!({ "message": message, "code": 0 }))).into_response();
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
                }
                response
            }
            Self::Field(name, code, message) => {
                let errors = json!({ name: { "_errors": [{ "code": code, "message": message }] } });
                let body = json!({ "message": "Invalid Form Body", "code": 50035, "errors": errors });
                (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
            }
        }
    }
}

/// Fields of the bot's user that every answer has ("User", "User Structure").
fn user() -> Value {
    json!({
        "id": BOT_USER, "username": "Portcullis demo", "discriminator": "0001", "global_name": null, "avatar": null,
        "avatar_decoration_data": null, "bot": true, "banner": null, "accent_color": null, "flags": 0,
        "public_flags": 0, "primary_guild": null,
    })
}

/// Answer of "User", "Get Current User".
pub(super) fn current_user() -> Value {
    let mut user = user();
    for (name, value) in
        [("mfa_enabled", json!(true)), ("locale", json!("en-US")), ("verified", json!(true)), ("email", Value::Null)]
    {
        user[name] = value;
    }
    user
}

/// Answer of "Application", "Get Current Application".
pub(super) fn application() -> Value {
    json!({
        "id": APPLICATION, "name": "Portcullis demo", "icon": null, "description": "A bot of this machine",
        "bot_public": false, "bot_require_code_grant": false, "bot": user(), "verify_key": "0".repeat(64),
        "team": null, "flags": 0, "approximate_guild_count": super::guilds::COUNT, "approximate_user_install_count": 0,
        "redirect_uris": [], "interactions_endpoint_url": null, "role_connections_verification_url": null,
        "event_webhooks_url": null, "event_webhooks_status": 1, "integration_types_config": { "0": {} },
        "owner": {
            "id": "9000000000000000003", "username": "you", "discriminator": "0", "global_name": "You", "avatar": null,
            "avatar_decoration_data": null, "flags": 0, "public_flags": 0, "primary_guild": null,
        },
    })
}
